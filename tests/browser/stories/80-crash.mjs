// The actor of one room dies: its people come back into a new room of the same name, and the people of another room on
// the same node notice nothing.
import assert from 'node:assert/strict';
import { until } from '../lib/check.mjs';

const GAP_MS = 1_000; // between two frames of the other room; far below the pause of any reconnect

/** Notes the longest pause between two decoded frames. */
const watch = (me) => {
  me.longestGap = 0;
  const video = [...me.elements.values()].find((element) => element.videoWidth > 0);
  let before = performance.now();
  const onFrame = (now) => {
    me.longestGap = Math.max(me.longestGap, now - before);
    before = now;
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback((now) => { before = now; video.requestVideoFrameCallback(onFrame); });
};

const NOTICED = ['signalReconnecting', 'reconnecting', 'disconnected', 'participantDisconnected', 'trackUnsubscribed', 'trackUnpublished'];

export default {
  name: 'the crash of one room is felt in that room alone',
  node: [],
  async run(stage) {
    const rooms = { broken: `${stage.room}-broken`, whole: `${stage.room}-whole` };
    const join = (identity, room) => stage.join(identity, { token: stage.token(identity, { room }) });
    const [ada, bob, eve, sam] = await Promise.all([
      join('ada', rooms.broken), join('bob', rooms.broken), join('eve', rooms.whole), join('sam', rooms.whole),
    ]);
    const people = [ada, bob, eve, sam];
    const pairs = [[ada, 'bob'], [bob, 'ada'], [eve, 'sam'], [sam, 'eve']];
    for (const person of people) {
      await person.do(async (me) => {
        await me.publishTone(440, 0.3);
        await me.publishCamera({ width: 320, height: 180 });
      });
    }
    for (const [person, other] of pairs) await person.decodes(other);
    const ids = (me) => me.room.getSid().then((room) => ({ room, self: me.room.localParticipant.sid }));
    const before = await Promise.all(people.map((person) => person.do(ids)));
    const lost = async (person, other) => (await person.inbound(other, 'camera')).packetsLost;
    const lostBefore = [await lost(eve, 'sam'), await lost(sam, 'eve')];
    for (const person of [eve, sam]) await person.do(watch);
    for (const person of people) await person.forget();

    const response = await fetch(`${stage.node.url}/debug/crash?room=${rooms.broken}`, { method: 'POST' });
    assert.equal(response.status, 200);
    for (const person of [ada, bob]) await person.event('reconnected', undefined, 30_000);
    for (const [person, other] of pairs.slice(0, 2)) {
      await person.decodes(other, 'camera', 10, 30_000);
      await person.hears(other, 20_000);
    }
    const after = await Promise.all(people.map((person) => person.do(ids)));
    assert.notEqual(after[0].room, before[0].room, 'a new room');
    assert.equal(after[0].room, after[1].room, 'the same for both');
    assert.notEqual(after[0].self, before[0].self, 'a new session');
    assert.equal(await ada.do((me) => me.count('disconnected')), 0, 'the SDK came back by itself');

    assert.deepEqual(after.slice(2), before.slice(2));
    for (const [person, other] of pairs.slice(2)) {
      await person.decodes(other);
      await person.hears(other);
      for (const name of NOTICED) assert.equal(await person.do((me, event) => me.count(event), name), 0, `${person.label} saw ${name}`);
    }
    const gaps = await Promise.all([eve, sam].map((person) => person.do((me) => me.longestGap)));
    assert.ok(Math.max(...gaps) < GAP_MS, `frames of the other room paused for ${gaps} ms`);
    assert.deepEqual([await lost(eve, 'sam'), await lost(sam, 'eve')], lostBefore);

    const peers = people.length * (stage.single ? 1 : 2);
    await until('the peers of the broken room are gone', async () => {
      const totals = await stage.node.totals();
      return totals.peers === peers && totals.tracks === 8 && totals.subscriptions === 8;
    });
    const debug = JSON.stringify(await stage.node.debug());
    for (const [index, person] of before.slice(0, 2).entries()) assert.ok(!debug.includes(person.self), `the old session of ${index} is remembered`);
    for (const person of people) await person.do((me) => me.room.disconnect());
    await until('the node is empty', async () => {
      const { peers: left, tracks, subscriptions } = await stage.node.totals();
      return left + tracks + subscriptions === 0;
    });
  },
};
