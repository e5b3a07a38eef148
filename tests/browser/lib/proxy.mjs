// Wires between Chromium and the node that a story can cut, rebind or squeeze. They read nothing of what they carry.
import dgram from 'node:dgram';
import net from 'node:net';

/** A TCP front for the node's HTTP and WebSocket port. */
export class TcpProxy {
  #server;
  #pairs = new Set();
  #refusing = false;

  static async open(port, host = '127.0.0.1') {
    const proxy = new TcpProxy();
    proxy.#server = net.createServer((client) => {
      if (proxy.#refusing) return client.resetAndDestroy();
      const upstream = net.connect(port, host);
      const pair = [client, upstream];
      proxy.#pairs.add(pair);
      const end = () => {
        proxy.#pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      };
      for (const socket of pair) socket.on('error', end).on('close', end);
      client.pipe(upstream).pipe(client);
    });
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  /** Connections carried right now. */
  get connections() {
    return this.#pairs.size;
  }

  /** Resets every connection; new ones are accepted unless `refuse` is set. */
  cut({ refuse = false } = {}) {
    this.#refusing = refuse;
    for (const [client, upstream] of [...this.#pairs]) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  }

  /** Accepts connections again. */
  restore() {
    this.#refusing = false;
  }

  close() {
    this.cut({ refuse: true });
    this.#server.close();
  }
}

const QUEUE_MS = 300; // depth of the squeezed link's buffer, that of a home router

/** A NAT for UDP media: each client port gets its own upstream socket, which can be exchanged or squeezed. */
export class UdpProxy {
  #front;
  #target;
  #clients = new Map();
  #downBps = Infinity;
  #busyUntil = 0;
  rebinds = 0;
  dropped = 0;

  /** `target` is the node's media address, `address:port`. */
  static async open(target) {
    const proxy = new UdpProxy();
    const { hostname, port } = new URL(`udp://${target}`);
    proxy.#target = { address: hostname === '0.0.0.0' ? '127.0.0.1' : hostname, port: Number(port) };
    proxy.#front = dgram.createSocket('udp4');
    proxy.#front.on('message', (message, from) => {
      const key = `${from.address}:${from.port}`;
      if (!proxy.#clients.has(key)) proxy.#clients.set(key, { from, upstream: proxy.#upstream(from) });
      proxy.#clients.get(key).upstream.send(message, proxy.#target.port, proxy.#target.address);
    });
    await new Promise((resolve) => proxy.#front.bind(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port() {
    return this.#front.address().port;
  }

  #upstream(client) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (message) => this.#deliver(message, client));
    return socket;
  }

  #deliver(message, client) {
    const now = performance.now();
    const start = Math.max(now, this.#busyUntil);
    if (start - now > QUEUE_MS) {
      this.dropped += 1;
      return;
    }
    this.#busyUntil = start + ((message.length + 28) * 8000) / this.#downBps; // 28: IPv4 and UDP headers
    const wait = this.#busyUntil - now;
    const send = () => this.#front?.send(message, client.port, client.address);
    if (wait < 1) send();
    else setTimeout(send, wait);
  }

  /** Limits what reaches the clients, bits per second. */
  squeeze(bps) {
    this.#downBps = bps;
  }

  /** What a NAT does that lost its table: the node sees every client from a new port. */
  rebind() {
    for (const client of this.#clients.values()) {
      const old = client.upstream;
      client.upstream = this.#upstream(client.from);
      old.close();
      this.rebinds += 1;
    }
  }

  close() {
    const front = this.#front;
    this.#front = null;
    front.close();
    for (const { upstream } of this.#clients.values()) upstream.close();
  }
}
