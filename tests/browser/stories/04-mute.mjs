import assert from 'node:assert/strict';

export default {
  name: 'mute and unmute, camera off and on, are seen and heard by the other',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera();
    });
    await bob.hears('ada');
    await bob.decodes('ada');

    await ada.do((me) => me.publication(null, 'microphone').mute());
    await bob.event('trackMuted', (publication, who) => who.identity === 'ada' && publication.source === 'microphone');
    await bob.until('silence', async (me) => {
      const first = await me.inbound('ada', 'microphone');
      await new Promise((resolve) => setTimeout(resolve, 500));
      const second = await me.inbound('ada', 'microphone');
      return second.totalAudioEnergy - first.totalAudioEnergy < 1e-6;
    });
    await ada.do((me) => me.publication(null, 'microphone').unmute());
    await bob.event('trackUnmuted', (publication) => publication.source === 'microphone');
    await bob.hears('ada');

    const before = await ada.do((me) => me.publication(null, 'camera').trackSid);
    await ada.do((me) => me.room.localParticipant.setCameraEnabled(false));
    await bob.event('trackMuted', (publication) => publication.source === 'camera');
    await bob.until('the picture stands still', async (me) => {
      const first = await me.inbound('ada', 'camera');
      await new Promise((resolve) => setTimeout(resolve, 500));
      return (await me.inbound('ada', 'camera')).framesDecoded === first.framesDecoded;
    });
    await ada.do((me) => me.room.localParticipant.setCameraEnabled(true));
    await bob.event('trackUnmuted', (publication) => publication.source === 'camera');
    await bob.decodes('ada');
    assert.equal(await ada.do((me) => me.publication(null, 'camera').trackSid), before, 'a camera that comes back is the same track');
    assert.equal(await bob.do((me) => me.count('trackUnsubscribed')), 0);
  },
};
