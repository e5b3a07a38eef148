// End-to-end encryption is the clients' own: the node hands encrypted frames on as they are and cannot read them.
import assert from 'node:assert/strict';

export default {
  name: 'end-to-end encrypted media passes untouched: who has the key decodes it, who has another does not',
  async run(stage) {
    const options = { passphrase: 'the key of this meeting' };
    const [ada, bob] = await Promise.all([stage.join('ada', { options }), stage.join('bob', { options })]);
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera();
    });
    await bob.hears('ada');
    await bob.decodes('ada');
    assert.equal(await bob.do((me) => me.publication('ada', 'camera').trackInfo.encryption), 1, 'announced as GCM');
    await bob.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('sealed'), { reliable: true }));
    await ada.until('data arrives decrypted', (me) => me.received.some((packet) => packet.text === 'sealed'));

    const eve = await stage.join('eve', { options: { passphrase: 'another key' } });
    await eve.until('the media reaches eve', async (me) => {
      const publication = me.publication('ada', 'camera');
      return publication?.track && (await publication.track.getRTCStatsReport()).size > 0;
    });
    await bob.decodes('ada');
    const frames = await eve.do(async (me) => {
      const report = [...(await me.publication('ada', 'camera').track.getRTCStatsReport()).values()];
      return report.find((each) => each.type === 'inbound-rtp')?.framesDecoded ?? 0;
    });
    assert.equal(frames, 0, 'nothing is decoded with another key');
  },
};
