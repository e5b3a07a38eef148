// Chromium shared by all stories, and the people in it: each a page of its own context that runs page/person.js.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const HERE = path.resolve(import.meta.dirname, '..');
const FILES = {
  '/': ['page/index.html', 'text/html'],
  '/person.js': ['page/person.js', 'text/javascript'],
  '/e2ee.worker.js': ['node_modules/livekit-client/dist/livekit-client.e2ee.worker.js', 'text/javascript'],
  '/livekit-client.umd.js': ['node_modules/livekit-client/dist/livekit-client.umd.js', 'text/javascript'],
};
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-sync',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--auto-select-desktop-capture-source=Entire screen',
  '--auto-accept-this-tab-capture',
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];
const CONSOLE_LINES = 200; // kept per person for the report of a failed story

/** Chromium and the web server of the people's page. */
export class Browser {
  #chromium;
  #server;
  version;

  static async open() {
    const browser = new Browser();
    const files = new Map(Object.entries(FILES).map(([url, [file, type]]) => [url, { body: readFileSync(path.join(HERE, file)), type }]));
    browser.#server = http.createServer((request, response) => {
      const file = files.get(request.url.split('?')[0]);
      if (!file) return response.writeHead(404).end();
      response.writeHead(200, { 'content-type': file.type }).end(file.body);
    });
    await new Promise((resolve) => browser.#server.listen(0, '127.0.0.1', resolve));
    browser.#chromium = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
    browser.version = browser.#chromium.version();
    return browser;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  get alive() {
    return this.#chromium.isConnected();
  }

  /** A fresh context with one page; `policy` is the candidate policy of page/hooks.js. */
  async page(url, { policy, viewport = { width: 1280, height: 800 }, colorScheme } = {}) {
    const context = await this.#chromium.newContext({ viewport, colorScheme });
    if (policy) await context.addInitScript((value) => { window.candidatePolicy = value; }, policy);
    await context.addInitScript({ path: path.join(HERE, 'page/hooks.js') });
    const page = await context.newPage();
    const lines = [];
    const keep = (text) => {
      lines.push(text.slice(0, 500));
      lines.splice(0, lines.length - CONSOLE_LINES);
    };
    page.on('console', (message) => keep(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => keep(`pageerror: ${error.message}`));
    await page.goto(url);
    return { context, page, lines };
  }

  async close() {
    this.#server.close();
    await this.#chromium.close();
  }
}

/** The remote control of one page. */
export class Person {
  #context;
  #lines;
  page;
  label;

  static async open(browser, label, options) {
    const person = new Person();
    const { context, page, lines } = await browser.page(browser.url, options);
    person.label = label;
    person.page = page;
    person.#context = context;
    person.#lines = lines;
    return person;
  }

  get console() {
    return this.#lines.join('\n');
  }

  /** Runs `fn(person, argument)` in the page; it sees nothing of the story's scope. */
  do(fn, argument) {
    return this.page.evaluate(([source, value]) => (0, eval)(`(${source})`)(window.person, value), [fn.toString(), argument]);
  }

  /** Polls `fn(person, argument)` in the page until it is truthy, and returns that. */
  async until(what, fn, argument, ms = 15_000) {
    const poll = async ([source, value, patience]) => {
      const probe = (0, eval)(`(${source})`);
      const end = performance.now() + patience;
      for (;;) {
        const last = await probe(window.person, value);
        if (last) return { last };
        if (performance.now() > end) return { timeout: true, last, events: window.person.events?.slice(-25).map((event) => `${Math.round(event.at)} ${event.name} ${JSON.stringify(event.args).slice(0, 120)}`) };
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const result = await this.page.evaluate(poll, [fn.toString(), argument, ms]);
    if (result.timeout) throw new Error(`${this.label}: not within ${ms} ms: ${what}\n  last: ${JSON.stringify(result.last)}\n  events:\n    ${(result.events ?? []).join('\n    ')}`);
    return result.last;
  }

  join(url, token, options) {
    return this.page.evaluate(([a, b, c]) => window.person.join(a, b, c), [url, token, options]);
  }

  /** Waits for a room event whose arguments (names, see person.js) pass `test`, by default since the join. */
  event(name, test = () => true, ms = 15_000) {
    const source = `(person) => person.events.find((event) => event.name === ${JSON.stringify(name)} && (${test.toString()})(...event.args))`;
    return this.until(`event ${name}`, { toString: () => source }, undefined, ms);
  }

  forget() {
    return this.do((person) => { person.events = []; person.received = []; });
  }

  inbound(identity, source) {
    return this.do((person, [who, what]) => person.inbound(who, what), [identity, source]);
  }

  /** Waits until `frames` more frames of a participant's video are decoded; returns the stream's statistics. */
  async decodes(identity, source = 'camera', frames = 10, ms = 15_000) {
    const before = (await this.inbound(identity, source))?.framesDecoded ?? 0;
    return this.until(`${frames} more frames of ${identity}'s ${source} decoded`, async (person, [who, what, wanted]) => {
      const stream = await person.inbound(who, what);
      return stream && stream.framesDecoded >= wanted ? stream : false;
    }, [identity, source, before + frames], ms);
  }

  /** Waits until a participant's microphone is audible: its energy grows and its level is above zero. */
  async hears(identity, ms = 15_000) {
    const before = (await this.inbound(identity, 'microphone'))?.totalAudioEnergy ?? 0;
    return this.until(`${identity} is audible`, async (person, [who, energy]) => {
      const stream = await person.inbound(who, 'microphone');
      if (!stream) return false;
      person.loudest = Math.max(person.loudest ?? 0, stream.audioLevel ?? 0);
      return person.loudest > 0 && stream.totalAudioEnergy > energy ? stream : false;
    }, [identity, before], ms);
  }

  async close() {
    await Promise.race([
      this.page.evaluate(() => window.person?.room?.disconnect()).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 2_000)),
    ]);
    await this.#context.close().catch(() => {});
  }
}
