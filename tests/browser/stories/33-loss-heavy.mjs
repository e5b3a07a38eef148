import assert from 'node:assert/strict';
import { lossyPair, watchLoss } from '../lib/loss.mjs';

const CONCEALED = 0.35; // of the samples; 20 % loss each way without redundancy leaves 36 % lost
const REQUESTS_PER_SECOND = 2; // key-frame requests to one publisher of three layers, throttled to 0.5-1 s per layer

export default {
  name: '20 % of the packets lost both ways: audio stays and no storm of key-frame requests begins',
  async run(stage) {
    const people = await lossyPair(stage);
    const seen = await watchLoss(stage, people, { media_in: 0.2, media_out: 0.2 });
    const text = JSON.stringify(seen);
    assert.ok(seen.energy > 0 && seen.concealed < CONCEALED, `audio stays: ${text}`);
    assert.ok(seen.keyFrameRequests <= seen.seconds * REQUESTS_PER_SECOND, `no storm: ${text}`);
    assert.ok(seen.plis <= seen.seconds * REQUESTS_PER_SECOND, `no storm: ${text}`);
    const [, bob] = people;
    await bob.decodes('ada', 'camera', 15, 20_000);
    await bob.hears('ada');
  },
};
