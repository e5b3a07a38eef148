// Three nodes: Chromium enters at one, Python at another, and the third one hosts their room.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, closeSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { skip, until } from '../lib/check.mjs';
import { BINARY, Node } from '../lib/node.mjs';
import { accessToken } from '../lib/token.mjs';

const NAMES = ['one', 'two', 'three'];
const ROOMS = 60; // asked for until the third node has one

/** Starts the nodes one after the other; each knows the first. */
async function cluster(directory) {
  const key = path.join(directory, 'cluster.key');
  const file = openSync(key, 'w', 0o600);
  execFileSync(BINARY, ['cluster-key'], { stdio: ['ignore', file, 'inherit'] });
  closeSync(file);
  const nodes = [];
  for (const name of NAMES) {
    const seeds = nodes.length ? ['--seed', nodes[0].ports.cluster[0]] : [];
    nodes.push(await Node.start(['--node-id', name, '--cluster-port', '0', '--cluster-key-file', key, ...seeds]));
  }
  return nodes;
}

async function ask(node, part) {
  const response = await fetch(`${node.url}/admin/api/v1/${part}`);
  assert.equal(response.status, 200);
  return response.json();
}

/** A WebSocket that is opened and never read; Node 20 has no WebSocket of its own. */
function hold(node, token) {
  return new Promise((resolve, reject) => {
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64') };
    const request = http.get(`${node.url}/rtc?protocol=17&access_token=${token}`, { headers });
    request.on('upgrade', (_response, socket) => resolve(socket.on('error', () => {}).resume()));
    request.on('response', (response) => reject(new Error(`the holder was answered ${response.statusCode}`)));
    request.on('error', reject);
  });
}

/** A room that the third node hosts, held open by a WebSocket at the second. */
async function roomOnThird(nodes) {
  for (let number = 0; number < ROOMS; number += 1) {
    const room = `third-${number}-${Date.now()}`;
    const holder = await hold(nodes[1], accessToken({ room, identity: 'holder' }));
    const { rooms } = await ask(nodes[0], 'rooms');
    if (rooms.find((each) => each.name === room)?.host === 'three') return { room, holder };
    holder.destroy();
  }
  throw new Error(`none of ${ROOMS} rooms was placed on the third node`);
}

export default {
  name: 'Chromium and Python meet through two nodes in a room on a third',
  async run(stage) {
    if (process.env.STARLING_E2E_URL) skip('needs nodes of its own');
    const directory = mkdtempSync(path.join(tmpdir(), 'starling-cluster-'));
    let nodes = [];
    let holder;
    try {
      nodes = await cluster(directory);
      await until('three members everywhere', async () => {
        const views = await Promise.all(nodes.map((node) => ask(node, 'cluster')));
        return views.every(({ members }) => members.filter((member) => member.state === 'serving' && member.ready).length === NAMES.length);
      }, 10_000);
      let room;
      ({ room, holder } = await roomOnThird(nodes));
      stage.room = room;
      const [ada, bob] = [await stage.join('ada', { url: nodes[0].ws }), await stage.python('bob', { url: nodes[1].ws })];
      await ada.do(async (me) => {
        await me.publishTone(440, 0.3);
        await me.publishCamera();
      });
      await bob.do('publish_audio');
      await bob.do('publish_video');
      await ada.decodes('bob', 'camera', 20);
      assert.ok((await ada.hears('bob')).packetsReceived > 0);
      await until('Python hears and sees Chromium', async () => {
        const { audio, video } = await bob.do('state');
        return audio.ada?.loudest > 0.01 && video.ada?.frames >= 20;
      }, 20_000);
      const told = (await ask(nodes[2], 'rooms')).rooms.find((each) => each.name === room);
      assert.equal(told.host, 'three');
      const entries = Object.fromEntries(told.participants.map(({ identity, entry }) => [identity, entry]));
      assert.deepEqual(entries, { ada: 'one', bob: 'two', holder: 'two' });
    } catch (error) {
      error.message += `\n${nodes.map((node, index) => `--- ${NAMES[index]}\n${node.log}`).join('\n')}`;
      throw error;
    } finally {
      holder?.destroy();
      await Promise.allSettled(nodes.map((node) => node.stop()));
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
