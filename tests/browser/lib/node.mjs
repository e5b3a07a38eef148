// Starts, inspects, impairs and stops a Starling node. With STARLING_E2E_URL the stories run against a server that is already there.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { skip, until } from './check.mjs';

const ROOT = path.resolve(import.meta.dirname, '../../..');
export const BINARY = process.env.STARLING_BINARY ?? path.join(ROOT, 'target/debug/starling');
const LOG_LINES = 400; // kept for the report of a failed story

/** Every flag of the node that the stories rely on, in one place. The node tells the ports that it got. */
const flags = (portsFile) => ['--dev', '--test-switches', '--ports-file', portsFile, '--port', '0', '--udp-port', '0', '--any-tcp-port'];

export class Node {
  #child;
  #directory;
  #log = [];
  ports;
  exit;

  /** A node of its own process on free loopback ports; `args` are added to the base flags. */
  static async start(args = []) {
    const node = new Node();
    node.#directory = mkdtempSync(path.join(tmpdir(), 'starling-e2e-'));
    const file = path.join(node.#directory, 'ports.json');
    node.#child = spawn(BINARY, [...flags(file), ...args], {
      cwd: node.#directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, RUST_BACKTRACE: '1' },
    });
    for (const stream of [node.#child.stdout, node.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        node.#log.push(...text.split('\n').filter(Boolean));
        node.#log.splice(0, node.#log.length - LOG_LINES);
      });
    }
    node.exited = new Promise((resolve) => {
      node.#child.on('error', (error) => resolve((node.exit = { error: error.message })));
      node.#child.on('exit', (code, signal) => resolve((node.exit = { code, signal })));
    });
    node.ports = await until('the node writes its ports file', () => {
      if (node.exit) return { gone: true };
      return JSON.parse(readFileSync(file, 'utf8'));
    }, 20_000);
    if (node.ports.gone) throw new Error(`the node ended at start: ${JSON.stringify(node.exit)}\n${node.log}`);
    return node;
  }

  /** A server that somebody else runs: Starling or any LiveKit-compatible one; what needs Starling's own switches skips. */
  static external(url) {
    const node = new Node();
    node.external = true;
    node.ports = { http: [new URL(url).host] };
    return node;
  }

  static open(args) {
    const url = process.env.STARLING_E2E_URL;
    if (!url) return Node.start(args);
    if (args?.length) skip('needs a node of its own flags');
    return Promise.resolve(Node.external(url));
  }

  get log() {
    return this.#log.join('\n');
  }

  get pid() {
    return this.#child?.pid ?? skip('needs the process of the node');
  }

  #address(list, family) {
    const full = [list ?? []].flat().map((each) => (String(each).includes(':') ? String(each) : `127.0.0.1:${each}`));
    const found = full.find((address) => address.startsWith('[') === (family === 6));
    return found?.replace('0.0.0.0', '127.0.0.1').replace('[::]', '[::1]');
  }

  /** `host:port` of HTTP over IPv4 or IPv6, if it listens there. */
  http(family = 4) {
    return this.#address(this.ports.http, family);
  }

  /** `host:port` of UDP media. */
  udp(family = 4) {
    return this.#address(this.ports.udp, family) ?? skip('the server did not tell its UDP port');
  }

  get url() {
    return `http://${this.http()}`;
  }

  get ws() {
    return `ws://${this.http()}`;
  }

  /** `GET /debug/rooms`. */
  async debug() {
    if (this.external) skip('needs /debug/rooms of Starling');
    const response = await fetch(`${this.url}/debug/rooms`);
    if (!response.ok) throw new Error(`/debug/rooms answered ${response.status}`);
    return response.json();
  }

  /** The media workers' snapshots, wherever the debug document keeps them. */
  async workers() {
    const found = [];
    const walk = (value) => {
      if (!value || typeof value !== 'object') return;
      if (Array.isArray(value.peer_details)) return found.push(value);
      Object.values(value).forEach(walk);
    };
    walk(await this.debug());
    if (!found.length) throw new Error('/debug/rooms holds no worker snapshot');
    return found;
  }

  /** Sums of the counters of all workers. */
  async totals() {
    const sum = {};
    for (const worker of await this.workers()) {
      for (const [name, value] of Object.entries(worker)) if (typeof value === 'number') sum[name] = (sum[name] ?? 0) + value;
    }
    return sum;
  }

  /** Every incoming layer, grouped by track, only of tracks with more than one layer: simulcast video. */
  async simulcastLayers() {
    const tracks = new Map();
    for (const worker of await this.workers()) {
      for (const peer of worker.peer_details) {
        for (const layer of peer.layers) {
          const key = JSON.stringify(layer.track);
          tracks.set(key, [...(tracks.get(key) ?? []), layer]);
        }
      }
    }
    return [...tracks.values()].filter((layers) => layers.length > 1).flat().sort((a, b) => a.layer - b.layer);
  }

  /** Drops shares (0 to 1) of the datagrams: `media_in`, `media_out`, `handshake`, `data`. No argument ends it. */
  async impair(shares = {}) {
    if (this.external) {
      if (Object.keys(shares).length) skip('needs /debug/impair of Starling');
      return;
    }
    const body = { media_in: 0, media_out: 0, handshake: 0, data: 0, ...shares };
    const response = await fetch(`${this.url}/debug/impair`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`/debug/impair answered ${response.status}: ${await response.text()}`);
  }

  /** Open file descriptors and resident memory of the process, bytes. */
  resources() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return { fds: readdirSync(`/proc/${this.pid}/fd`).length, rss: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024 };
  }

  /** SIGTERM, and the way the process ended. */
  async stop(ms = 10_000) {
    if (!this.#child) return null;
    if (!this.exit) this.#child.kill('SIGTERM');
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), ms);
    const end = await this.exited;
    clearTimeout(patience);
    rmSync(this.#directory, { recursive: true, force: true });
    return end;
  }
}
