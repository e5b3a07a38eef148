import assert from 'node:assert/strict';

export default {
  name: 'a shared screen is seen beside the camera and ends alone',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    await ada.do((me) => me.publishCamera());
    await bob.decodes('ada');
    await ada.do((me) => me.room.localParticipant.setScreenShareEnabled(true, { audio: false, resolution: { width: 1280, height: 720, frameRate: 5 } }, { simulcast: false }));
    // a still screen yields few frames
    const screen = await bob.decodes('ada', 'screen_share', 2, 20_000);
    assert.ok(screen.frameWidth > 0);
    await ada.do((me) => me.room.localParticipant.setScreenShareEnabled(false));
    await bob.event('trackUnpublished', (publication) => publication.source === 'screen_share');
    await bob.decodes('ada');
    assert.equal(await bob.do((me) => me.publications('ada').length), 1);
  },
};
