import assert from 'node:assert/strict';

// DisconnectReason of the LiveKit protocol: 1 CLIENT_INITIATED, 2 DUPLICATE_IDENTITY. The checks run in the page.

export default {
  name: 'leaving tells the others at once, and a second session of the same identity takes over',
  async run(stage) {
    const ada = await stage.join('ada');
    const bob = await stage.join('bob');
    await ada.until('bob is there', (me) => me.room.remoteParticipants.has('bob'));
    await bob.do((me) => me.room.disconnect());
    await ada.event('participantDisconnected', (who) => who.identity === 'bob', 3_000);
    await bob.event('disconnected', (reason) => reason === 1);

    const cid = await stage.join('cid');
    await ada.until('cid is there', (me) => me.room.remoteParticipants.has('cid'));
    const again = await stage.join('cid');
    await cid.event('disconnected', (reason) => reason === 2);
    assert.notEqual(again.me.sid, cid.me.sid);
    await ada.until('ada sees the new one', (me, sid) => me.room.remoteParticipants.get('cid')?.sid === sid, again.me.sid);
    await again.do((me) => me.publishTone(440, 0.3));
    await ada.hears('cid');
  },
};
