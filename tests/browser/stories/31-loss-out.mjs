import { assertWhole, lossyPair, watchLoss } from '../lib/loss.mjs';

export default {
  name: '5 % of the packets from the node lost: nothing freezes',
  async run(stage) {
    const people = await lossyPair(stage);
    assertWhole(await watchLoss(stage, people, { media_out: 0.05 }), { inbound: false });
  },
};
