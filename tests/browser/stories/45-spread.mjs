// A room that outgrows its worker: three people on three workers see, hear and write to each other as on one.
import assert from 'node:assert/strict';

const FIRST_PORT = 55_000 + (process.pid % 1_500) * 3; // one UDP port for each of three workers

export default {
  name: 'a room on three workers is one room: sound, pictures, layers, data and speakers cross',
  node: ['--set', `rtc.udp_port=${FIRST_PORT}-${FIRST_PORT + 2}`, '--set', 'rtc.workers=3', '--set', 'rtc.spread_peers=1'],
  ms: 120_000,
  async run(stage) {
    const ada = await stage.join('ada');
    const sid = await ada.do((me) => me.publishCamera({ width: 960, height: 540 }));
    const bob = await stage.join('bob', { options: { adaptiveStream: { pixelDensity: 1 } } });
    const cid = await stage.join('cid');
    await cid.do((me) => me.publishCamera({ width: 320, height: 180 }));
    for (const person of [ada, bob, cid]) await person.do((me) => me.publishTone(440, 0.3));

    const workers = await stage.node.workers();
    assert.deepEqual(workers.map((worker) => worker.peer_details.length > 0), [true, true, true], 'every worker has somebody');
    for (const [person, other] of [[bob, 'ada'], [cid, 'ada'], [ada, 'cid'], [bob, 'cid']]) await person.decodes(other, 'camera', 20, 30_000);
    for (const [person, other] of [[ada, 'bob'], [ada, 'cid'], [bob, 'ada'], [bob, 'cid'], [cid, 'ada'], [cid, 'bob']]) await person.hears(other);

    const width = (what, test) => bob.until(`bob gets ${what}`, async (me, source) => {
      const stream = await me.inbound('ada', 'camera');
      return stream && (0, eval)(source)(stream.frameWidth) ? stream : false;
    }, test.toString(), 25_000);
    const size = (w, h) => bob.do((me, [id, x, y]) => me.size(id, x, y), [sid, w, h]);
    await size(960, 540);
    await width('the high layer', (w) => w === 960);
    await size(200, 112);
    await width('a lower layer', (w) => w > 0 && w <= 480);

    await cid.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('hello'), { reliable: true, topic: 'greeting' }));
    for (const person of [ada, bob]) await person.until('the greeting', (me) => me.received.some((each) => each.topic === 'greeting'));
    await bob.until('all who speak', (me) => ['ada', 'bob', 'cid'].every((name) => me.room.activeSpeakers.some((each) => each.identity === name)), undefined, 20_000);

    const totals = await stage.node.totals();
    assert.ok(totals.packets_handed > 1_000, `${totals.packets_handed} packets were handed over`);
    assert.equal(totals.handed_overflowed, 0);
    await ada.do((me) => me.room.disconnect());
    await bob.until('ada is gone', (me) => !me.room.remoteParticipants.has('ada'));
    await bob.decodes('cid', 'camera', 20);
  },
};
