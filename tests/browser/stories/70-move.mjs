// A room's media goes on at another worker and socket, twice: nothing is lost, nobody notices but for a changed path.
import assert from 'node:assert/strict';
import { sleep } from '../lib/check.mjs';

const FIRST_PORT = 42_000 + (process.pid % 4_000) * 3; // one UDP port for each of three workers
const MOVES = [1, 2]; // workers, in turn; the room starts at 0
const SETTLED_MS = 3_000; // the old worker hands datagrams on for 2 s

/** Watches everything in the page that must not happen, and the longest pause between two frames of its video. */
const watch = (me) => {
  me.seen = [];
  for (const connection of window.peerConnections) {
    for (const name of ['connectionstatechange', 'iceconnectionstatechange', 'signalingstatechange', 'negotiationneeded']) {
      connection.addEventListener(name, () => me.seen.push(name));
    }
  }
  me.longestStall = 0;
  let ticked = performance.now();
  setInterval(() => {
    me.longestStall = Math.max(me.longestStall, performance.now() - ticked);
    ticked = performance.now();
  }, 10);
  me.longestGap = 0;
  const video = [...me.elements.values()].find((element) => element.videoWidth > 0 || element.srcObject?.getVideoTracks().length);
  if (!video) return;
  let before = performance.now();
  const onFrame = (now) => {
    me.longestGap = Math.max(me.longestGap, now - before);
    before = now;
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback((now) => { before = now; video.requestVideoFrameCallback(onFrame); });
};

const counters = async (me) => {
  const { inbound, outbound, paths } = await me.stats();
  const sum = (list, name) => list.reduce((total, each) => total + (each[name] ?? 0), 0);
  return {
    lost: sum(inbound, 'packetsLost'),
    freezes: sum(inbound, 'freezeCount'),
    frames: sum(inbound, 'framesDecoded'),
    concealed: sum(inbound, 'concealedSamples') - sum(inbound, 'silentConcealedSamples'),
    plis: sum(inbound, 'pliCount'),
    nacks: sum(inbound, 'nackCount'),
    layersSent: outbound.filter((each) => each.kind === 'video' && each.framesPerSecond > 0).length,
    ports: paths.map((each) => each.port).sort(),
    changes: sum(paths, 'changes'),
  };
};

/** Packets that clients sent and the node never got, and those that it had to ask for again. */
async function lossAtNode(stage) {
  const layers = (await stage.node.workers()).flatMap((worker) => worker.peer_details.flatMap((peer) => peer.layers));
  const sum = (name) => layers.reduce((total, layer) => total + layer[name], 0);
  return { missing: sum('missing'), recovered: sum('recovered') };
}

async function move(stage, worker) {
  const response = await fetch(`${stage.node.url}/debug/move`, { method: 'POST', body: JSON.stringify({ room: stage.room, worker }) });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

export default {
  name: 'a room moves to another worker and on to a third without a lost packet',
  node: ['--set', `rtc.udp_port=${FIRST_PORT}-${FIRST_PORT + 2}`, '--set', 'rtc.workers=3'],
  ms: 120_000,
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    for (const person of [ada, bob]) await person.do((me) => me.publishTone(440, 0.3));
    await ada.do((me) => me.publishCamera({ width: 1280, height: 720, frameRate: 20 }));
    await bob.decodes('ada', 'camera', 60, 30_000);
    await ada.hears('bob');
    await bob.hears('ada');
    await ada.until('all three layers are sent', async (me) => (await me.outbound('camera')).filter((each) => each.framesPerSecond > 0).length === 3, undefined, 30_000);
    await bob.do((me) => {
      me.room.on(me.L.RoomEvent.DataReceived, (payload, from, kind, topic) => {
        if (topic === 'ping') me.room.localParticipant.publishData(payload, { reliable: true, topic: 'echo' });
      });
    });
    await sleep(SETTLED_MS);
    for (const person of [ada, bob]) await person.do(watch);
    await Promise.all([ada.forget(), bob.forget()]);
    await ada.do((me) => {
      me.sent = 0;
      me.pinging = setInterval(() => {
        me.sent += 1;
        me.room.localParticipant.publishData(new TextEncoder().encode(String(me.sent)), { reliable: true, topic: 'ping' });
      }, 20);
    });
    await sleep(1_000);

    for (const worker of MOVES) {
      const before = await Promise.all([ada, bob].map((person) => person.do(counters)));
      const lossBefore = await lossAtNode(stage);
      for (const person of [ada, bob]) await person.do((me) => { me.longestGap = 0; me.longestStall = 0; });
      const started = performance.now();
      const answer = await move(stage, worker);
      const took = performance.now() - started;
      assert.deepEqual(answer, { moved: stage.single ? 2 : 4, lost: 0 });
      await sleep(SETTLED_MS);
      const seconds = (performance.now() - started) / 1_000;
      const after = await Promise.all([ada, bob].map((person) => person.do(counters)));
      const loss = await lossAtNode(stage);
      const change = after.map((now, index) => Object.fromEntries(['lost', 'freezes', 'frames', 'concealed', 'plis', 'nacks', 'changes'].map((name) => [name, now[name] - before[index][name]])));
      const gap = await bob.do((me) => Math.round(me.longestGap));
      const stalls = await Promise.all([ada, bob].map((person) => person.do((me) => Math.round(me.longestStall))));
      console.log(`     to worker ${worker}: answered in ${took.toFixed(0)} ms; ada ${JSON.stringify(change[0])}, bob ${JSON.stringify(change[1])}, longest frame gap ${gap} ms, longest stall of a page ${stalls} ms, at the node missing ${loss.missing - lossBefore.missing}, asked again ${loss.recovered - lossBefore.recovered}`);
      const port = FIRST_PORT + worker;
      for (const [index, now] of after.entries()) {
        assert.ok(now.ports.length > 0 && now.ports.every((each) => each === port), `${now.ports} is not ${port}`);
        assert.deepEqual([change[index].lost, change[index].freezes], [0, 0], 'packets lost on the way to a client, freezes');
        assert.equal(change[index].changes, stage.single ? 1 : 2, 'every connection changes its path once');
      }
      assert.ok(change[1].frames > seconds * 10, `${change[1].frames} frames decoded in ${seconds} s`);
      assert.equal(after[0].layersSent, 3, 'every layer is still sent');
      assert.equal(loss.missing - lossBefore.missing, 0, 'packets lost on the way to the node');
    }

    // Chromium never pings a pair that it has pruned: back at a recent address the old one goes on to serve.
    const before = await Promise.all([ada, bob].map((person) => person.do(counters)));
    await move(stage, MOVES[0]);
    await sleep(2 * SETTLED_MS);
    for (const [index, person] of [ada, bob].entries()) {
      const now = await person.do(counters);
      assert.deepEqual([now.lost - before[index].lost, now.freezes - before[index].freezes], [0, 0], 'back at a recent address');
    }

    await ada.do((me) => clearInterval(me.pinging));
    const sent = await ada.do((me) => me.sent);
    const echoed = await ada.until('every message comes back', (me) => {
      const echoes = me.received.filter((each) => each.topic === 'echo').map((each) => Number(each.text));
      return echoes.length >= me.sent ? echoes : false;
    }, undefined, 5_000);
    assert.deepEqual(echoed, Array.from({ length: sent }, (_, index) => index + 1));
    console.log(`     ${sent} messages, all echoed in order`);
    for (const person of [ada, bob]) {
      assert.deepEqual(await person.do((me) => me.seen), [], `${person.label} noticed`);
      for (const name of ['signalReconnecting', 'reconnecting', 'disconnected', 'trackUnsubscribed', 'trackStreamStateChanged']) {
        assert.equal(await person.do((me, event) => me.count(event), name), 0, `${person.label} saw ${name}`);
      }
    }
  },
};
