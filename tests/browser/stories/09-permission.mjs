// The client refuses by itself what its permission forbids; it is given a false one here, so that the server has to refuse.
import assert from 'node:assert/strict';

export default {
  name: 'publishing without the permission is refused by the server and seen by nobody',
  async run(stage) {
    const bob = await stage.join('bob');
    const mute = await stage.join('mute', { video: { canPublish: false } });
    const voice = await stage.join('voice', { video: { canPublishSources: ['microphone'] } });
    for (const person of [mute, voice]) {
      const outcome = await person.do(async (me) => {
        const own = me.room.localParticipant;
        const claimed = own.permissions.clone ? own.permissions.clone() : own.permissions;
        claimed.canPublish = true;
        claimed.canPublishSources = [];
        own.setPermissions(claimed);
        return me.publishCamera().then(() => 'published', (error) => String(error));
      });
      assert.notEqual(outcome, 'published');
    }
    await voice.do((me) => me.publishTone(300, 0.3));
    await bob.hears('voice');
    assert.equal(await bob.do((me) => me.publications('mute').length + me.publications('voice').length), 1, 'only the microphone that was allowed');

    const deaf = await stage.join('deaf', { video: { canSubscribe: false } });
    await deaf.until('the publisher is known', (me) => me.room.remoteParticipants.has('voice'));
    assert.equal(await deaf.do((me) => me.count('trackSubscribed')), 0);
    const hidden = await stage.join('hidden', { video: { hidden: true } });
    await hidden.until('the hidden one sees the others', (me) => me.room.remoteParticipants.has('bob'));
    assert.equal(await bob.do((me) => me.room.remoteParticipants.has('hidden')), false);
  },
};
