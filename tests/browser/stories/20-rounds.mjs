// Joining and leaving must leave nothing: no peer, track, subscription, socket, file descriptor, and no growing memory.
import assert from 'node:assert/strict';
import { until } from '../lib/check.mjs';

const ROUNDS = 20;
const FDS = 4; // sockets that may still be in their last moments
const RSS = 24 * 1024 * 1024; // what the allocator may keep of 20 rounds after the first three

export default {
  name: '20 rounds of joining and leaving leave nothing behind',
  ms: 180_000,
  node: [],
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.person('ada'), stage.person('bob')]);
    const round = async (number) => {
      const room = `${stage.room}-${number}`;
      for (const person of [ada, bob]) {
        await person.join(stage.node.ws, stage.token(person.label, { room }), stage.options());
        await person.do(async (me) => {
          await me.publishTone(440, 0.3);
          await me.publishCamera({ width: 320, height: 180 });
        });
      }
      for (const [person, other] of [[ada, 'bob'], [bob, 'ada']]) await person.decodes(other, 'camera', 3);
      const totals = await stage.node.totals();
      assert.equal(totals.peers, stage.single ? 2 : 4);
      assert.equal(totals.tracks, 4);
      assert.equal(totals.subscriptions, 4);
      for (const person of [ada, bob]) await person.do((me) => me.room.disconnect());
      await ada.do(() => { window.peerConnections.length = 0; });
      await bob.do(() => { window.peerConnections.length = 0; });
    };
    const empty = () => stage.node.totals().then(({ peers, tracks, subscriptions, paths }) => peers + tracks + subscriptions + paths === 0);
    let settled;
    for (let number = 0; number < ROUNDS; number += 1) {
      await round(number);
      if (number === 2) {
        await until('the node is empty', empty);
        settled = stage.node.resources();
      }
    }
    await until('the node is empty', empty);
    await until('the sockets are closed', () => stage.node.resources().fds <= settled.fds + FDS);
    const after = stage.node.resources();
    assert.ok(after.rss <= settled.rss + RSS, `resident memory grew from ${settled.rss} to ${after.rss} bytes`);
  },
};
