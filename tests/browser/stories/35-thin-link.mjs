// A link of 500 kbit/s to the subscriber, squeezed in the UDP proxy: video steps down, audio stays, and it steps up again.
import assert from 'node:assert/strict';

const THIN_BPS = 500_000;

export default {
  name: 'a thin link lowers the layer before it breaks, and the layer returns with the bandwidth',
  ms: 150_000,
  async run(stage) {
    const { proxy, policy } = await stage.udpProxy();
    const ada = await stage.join('ada');
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera({ width: 1280, height: 720 });
    });
    const bob = await stage.join('bob', { policy });
    const width = (what, test, ms) => bob.until(what, async (me, source) => {
      const stream = await me.inbound('ada', 'camera');
      return stream && (0, eval)(source)(stream.frameWidth) ? stream : false;
    }, test.toString(), ms);
    await width('the high layer over a wide link', (w) => w === 1280, 30_000);
    proxy.squeeze(THIN_BPS);
    await width('a lower layer over the thin link', (w) => w > 0 && w < 1280, 20_000);
    const before = { video: await bob.inbound('ada', 'camera'), audio: await bob.inbound('ada', 'microphone') };
    const video = await bob.decodes('ada', 'camera', 60, 20_000);
    const audio = await bob.hears('ada');
    assert.ok(video.totalFreezesDuration - before.video.totalFreezesDuration < 2, `frozen for ${video.totalFreezesDuration} s`);
    const concealed = (audio.concealedSamples - before.audio.concealedSamples) / Math.max(1, audio.totalSamplesReceived - before.audio.totalSamplesReceived);
    assert.ok(concealed < 0.1, `${concealed} of the audio concealed`);
    proxy.squeeze(Infinity);
    await width('the high layer again', (w) => w === 1280, 40_000);
  },
};
