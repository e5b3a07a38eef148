// The WebSocket is cut: the session goes on with the same ids, nobody else notices, and media never stops.
import assert from 'node:assert/strict';

export default {
  name: 'a cut WebSocket is resumed with the same ids and flowing media',
  async run(stage) {
    const proxy = await stage.tcpProxy();
    const ada = await stage.join('ada', { url: `ws://127.0.0.1:${proxy.port}` });
    const bob = await stage.join('bob');
    for (const person of [ada, bob]) {
      await person.do(async (me) => {
        await me.publishTone(440, 0.3);
        await me.publishCamera();
      });
    }
    await ada.decodes('bob');
    await bob.decodes('ada');
    const ids = (me) => ({
      self: me.room.localParticipant.sid,
      own: me.publications().map((each) => each.trackSid).sort(),
      others: [...me.room.remoteParticipants.values()].map((each) => each.sid),
      tracks: me.publications('bob').map((each) => each.trackSid).sort(),
    });
    const before = await ada.do(ids);
    const seen = await bob.inbound('ada', 'camera');
    await Promise.all([ada.forget(), bob.forget()]);

    proxy.cut();
    await ada.event('signalReconnecting');
    await ada.event('reconnected', undefined, 20_000);
    assert.deepEqual(await ada.do(ids), before);
    await ada.decodes('bob');
    await bob.decodes('ada');
    await ada.hears('bob');
    for (const person of [ada, bob]) {
      for (const name of ['trackUnsubscribed', 'trackUnpublished', 'participantDisconnected', 'disconnected']) {
        assert.equal(await person.do((me, event) => me.count(event), name), 0, `${person.label} saw ${name}`);
      }
    }
    const after = await bob.inbound('ada', 'camera');
    assert.equal(after.ssrc, seen.ssrc);
    assert.ok(after.totalFreezesDuration - seen.totalFreezesDuration < 1, `frozen for ${after.totalFreezesDuration - seen.totalFreezesDuration} s`);
    await ada.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('after'), { reliable: true }));
    await bob.until('data after the resume', (me) => me.received.some((each) => each.text === 'after'));
    await bob.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('back'), { reliable: true }));
    await ada.until('data back', (me) => me.received.some((each) => each.text === 'back'));
  },
};
