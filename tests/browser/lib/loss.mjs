// Stories of lossy media: one publisher with three simulcast layers, one subscriber, shares dropped in the node's worker.
import assert from 'node:assert/strict';

const WATCH_MS = 15_000; // long enough for ten NACK rounds per layer and for a freeze to show
const MISSING = 0.002; // share of a layer's packets that may stay lost: those whose every retransmission was lost too, or still due

/** Ada publishes 960×540 in three layers and a tone, Bob watches; both are warm when this returns. */
export async function lossyPair(stage) {
  const ada = await stage.join('ada');
  await ada.do(async (me) => {
    await me.publishTone(440, 0.3);
    await me.publishCamera({ width: 960, height: 540 });
  });
  const bob = await stage.join('bob');
  await bob.decodes('ada', 'camera', 20, 20_000);
  await bob.hears('ada');
  await bob.until('the high layer flows', async (me) => (await me.inbound('ada', 'camera'))?.frameWidth === 960, undefined, 20_000);
  return [ada, bob];
}

const totals = (stage) => stage.node.simulcastLayers();

/** What changed for the subscriber and on the wire while `shares` were dropped. */
export async function watchLoss(stage, [ada, bob], shares) {
  await stage.node.impair(shares);
  const before = { video: await bob.inbound('ada', 'camera'), audio: await bob.inbound('ada', 'microphone'), layers: await totals(stage), node: await stage.node.totals() };
  await bob.page.waitForTimeout(WATCH_MS); // the length of the observation, not a wait for something
  const after = { video: await bob.inbound('ada', 'camera'), audio: await bob.inbound('ada', 'microphone'), layers: await totals(stage), node: await stage.node.totals() };
  await stage.node.impair();
  const grown = (kind, name) => (after[kind][name] ?? 0) - (before[kind][name] ?? 0);
  return {
    seconds: WATCH_MS / 1000,
    frames: grown('video', 'framesDecoded'),
    freezes: grown('video', 'freezeCount'),
    frozen: grown('video', 'totalFreezesDuration'),
    plis: grown('video', 'pliCount'),
    keyFrameRequests: grown('node', 'key_frame_requests'),
    concealed: grown('audio', 'concealedSamples') / Math.max(1, grown('audio', 'totalSamplesReceived')),
    energy: grown('audio', 'totalAudioEnergy'),
    layers: after.layers.map((layer) => {
      const old = before.layers.find((each) => each.ssrc === layer.ssrc) ?? { packets: 0, missing: 0, recovered: 0 };
      return { layer: layer.layer, packets: layer.packets - old.packets, missing: layer.missing - old.missing, recovered: layer.recovered - old.recovered };
    }),
  };
}

/** Three layers whole, video without a freeze. */
export function assertWhole(seen, { inbound }) {
  const text = JSON.stringify(seen);
  assert.equal(seen.layers.length, 3, `three layers: ${text}`);
  for (const layer of seen.layers) {
    assert.ok(layer.packets > 20, `layer ${layer.layer} flows: ${text}`);
    assert.ok(layer.missing <= Math.max(2, layer.packets * MISSING), `layer ${layer.layer} is whole: ${text}`);
  }
  if (inbound) assert.ok(seen.layers.some((layer) => layer.recovered > 0), `losses were repaired: ${text}`);
  assert.ok(seen.frames >= seen.seconds * 10, `video decodes: ${text}`);
  assert.equal(seen.freezes, 0, `no freeze: ${text}`);
  assert.ok(seen.plis <= 2, `retransmissions, not key frames, repair it: ${text}`);
}
