import assert from 'node:assert/strict';

export default {
  name: 'an ICE restart keeps media, ids and data channels',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    await ada.do((me) => me.publishCamera());
    await bob.do((me) => me.publishTone(440, 0.3));
    await bob.decodes('ada');
    await ada.hears('bob');
    const ufrags = (me) => me.room.engine.pcManager.publisher.getRemoteDescription().sdp.match(/a=ice-ufrag:\S+/)[0];
    const before = await ada.do(ufrags);
    const seen = await bob.inbound('ada', 'camera');
    await ada.do((me) => me.room.engine.pcManager.publisher.createAndSendOffer({ iceRestart: true }));
    await ada.until('the answer has new credentials', (me, old) => me.room.engine.pcManager.publisher.getRemoteDescription().sdp.match(/a=ice-ufrag:\S+/)[0] !== old, before);
    await bob.decodes('ada', 'camera', 30);
    await ada.hears('bob');
    const after = await bob.inbound('ada', 'camera');
    assert.equal(after.ssrc, seen.ssrc);
    assert.equal(await bob.do((me) => me.count('trackUnsubscribed') + me.count('participantDisconnected')), 0);
    await ada.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('after'), { reliable: true }));
    await bob.until('data after the restart', (me) => me.received.some((each) => each.text === 'after'));
  },
};
