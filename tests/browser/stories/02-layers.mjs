// Simulcast: the size of the element decides the layer, both ways, without a freeze.
import assert from 'node:assert/strict';

const LAYER_MS = 25_000;

export default {
  name: 'the size of the video element switches the simulcast layer down and up without a freeze',
  async run(stage) {
    const ada = await stage.join('ada');
    const sid = await ada.do((me) => me.publishCamera({ width: 960, height: 540 }));
    const bob = await stage.join('bob', { options: { adaptiveStream: { pixelDensity: 1 } } });
    await bob.decodes('ada', 'camera', 5);
    const width = (what, test) => bob.until(`bob gets ${what}`, async (me, source) => {
      const stream = await me.inbound('ada', 'camera');
      return stream && (0, eval)(source)(stream.frameWidth) ? stream : false;
    }, test.toString(), LAYER_MS);

    const size = (w, h) => bob.do((me, [id, x, y]) => me.size(id, x, y), [sid, w, h]);
    await size(960, 540);
    await width('the high layer', (w) => w === 960);
    const before = await bob.inbound('ada', 'camera');
    await size(200, 112);
    const low = await width('a lower layer', (w) => w > 0 && w <= 480);
    assert.ok(low.framesDecoded > before.framesDecoded);
    await size(960, 540);
    const high = await width('the high layer again', (w) => w === 960);
    await bob.decodes('ada', 'camera', 15);
    const after = await bob.inbound('ada', 'camera');
    assert.equal(after.freezeCount, before.freezeCount, `no freeze over the switches (${after.totalFreezesDuration} s frozen)`);
    assert.ok(after.framesDecoded > high.framesDecoded);
    assert.ok(after.ssrc === before.ssrc, 'the subscriber sees one stream over all layers');
  },
};
