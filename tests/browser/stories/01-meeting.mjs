// The first thing Starling must do.
import assert from 'node:assert/strict';

export default {
  name: 'two people hear and see each other',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    for (const person of [ada, bob]) {
      await person.do(async (me) => {
        await me.room.localParticipant.setMicrophoneEnabled(true);
        await me.publishCamera();
      });
    }
    for (const [person, other] of [[ada, 'bob'], [bob, 'ada']]) {
      await person.decodes(other, 'camera', 20);
      const audio = await person.hears(other);
      assert.ok(audio.packetsReceived > 0);
      const { paths } = await person.do((me) => me.stats());
      assert.ok(paths.length >= (stage.single ? 1 : 2), 'every peer connection has a path');
      for (const path of paths) assert.match(path.srtp, /GCM/, 'GCM is chosen whenever offered');
    }
  },
};
