import { assertWhole, lossyPair, watchLoss } from '../lib/loss.mjs';

export default {
  name: '5 % of the packets lost both ways: all three layers arrive whole and nothing freezes',
  async run(stage) {
    const people = await lossyPair(stage);
    assertWhole(await watchLoss(stage, people, { media_in: 0.05, media_out: 0.05 }), { inbound: true });
  },
};
