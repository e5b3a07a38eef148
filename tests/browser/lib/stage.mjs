// What one story gets: a room of its own, people to put into it, the node, wires that can be cut, and all of it cleaned up.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { Person } from './browser.mjs';
import { TcpProxy, UdpProxy } from './proxy.mjs';
import { PythonPerson } from './python.mjs';
import { accessToken } from './token.mjs';

export class Stage {
  #browser;
  #own;
  #output;
  #people = [];
  #others = [];
  #contexts = [];
  node;
  mode;
  room;

  constructor({ browser, node, own, story, output }) {
    this.#browser = browser;
    this.#own = own;
    this.#output = output;
    this.node = node;
    this.mode = story.mode;
    this.room = `story-${randomBytes(4).toString('hex')}`;
  }

  /** Whether the clients use a single peer connection. */
  get single() {
    return this.mode !== 'v0';
  }

  token(identity, { video, claims, name, room = this.room } = {}) {
    return accessToken({ room, identity, name, video, claims });
  }

  /** Opens a page, not yet joined. */
  async person(identity, { policy, viewport } = {}) {
    const person = await Person.open(this.#browser, identity, { policy, viewport });
    this.#people.push(person);
    return person;
  }

  /** Opens a page and joins the story's room; `options` are those of livekit-client's `Room`. */
  async join(identity, { url = this.node.ws, token, options = {}, policy, viewport, ...grants } = {}) {
    const person = await this.person(identity, { policy, viewport });
    person.me = await person.join(url, token ?? this.token(identity, grants), this.options(options));
    return person;
  }

  options(options = {}) {
    return { singlePeerConnection: this.single, ...options };
  }

  /** A Python SDK participant in a process of its own. */
  async python(identity, { url = this.node.ws, ...grants } = {}) {
    const person = await PythonPerson.start({ url, token: this.token(identity, grants), single: this.single });
    this.#others.push(person);
    return person;
  }

  /** A front of the node's HTTP port that can be cut. */
  async tcpProxy() {
    const proxy = await TcpProxy.open(Number(this.node.http().split(':').at(-1)));
    this.#others.push(proxy);
    return proxy;
  }

  /** A NAT before the node's media port, and the candidate policy that leads a person through it. */
  async udpProxy() {
    const proxy = await UdpProxy.open(this.node.udp());
    this.#others.push(proxy);
    return { proxy, policy: { only: 'udp4', udpPort: proxy.port } };
  }

  /** A page of the node itself, such as the meeting page. */
  async visit(pathAndQuery, options) {
    const visit = await this.#browser.page(`${this.node.url}${pathAndQuery}`, options);
    this.#contexts.push(visit);
    return visit.page;
  }

  async screenshot(page, name) {
    await page.screenshot({ path: path.join(this.#output, `${name}.png`) });
  }

  report() {
    const people = this.#people.map((person) => `--- console of ${person.label}\n${person.console}`);
    const visits = this.#contexts.map((visit) => `--- console of ${visit.page.url()}\n${visit.lines.join('\n')}`);
    const others = this.#others.filter((other) => other.log).map((other) => `--- ${other.constructor.name}\n${other.log}`);
    return [...people, ...visits, ...others, `--- node\n${this.node?.log ?? ''}`].join('\n\n');
  }

  async close() {
    await Promise.allSettled(this.#people.map((person) => person.close()));
    await Promise.allSettled(this.#contexts.map(({ context }) => context.close()));
    await Promise.allSettled(this.#others.map((other) => other.close()));
    if (this.#own) await this.node.stop();
    else if (!this.node.exit) await this.node.impair().catch(() => {});
  }
}
