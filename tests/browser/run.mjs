#!/usr/bin/env node
// Runs the browser stories one after the other against one shared node and one shared Chromium.
// usage: run.mjs [--json FILE] [--list] [part of a story's name or file]…
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Browser } from './lib/browser.mjs';
import { Skip } from './lib/check.mjs';
import { Node } from './lib/node.mjs';
import { Stage } from './lib/stage.mjs';

const HERE = import.meta.dirname;
export const OUTPUT = path.resolve(HERE, '../../target/e2e');
const STORY_MS = 90_000; // no story may take longer unless it says so

async function load(filters) {
  const stories = [];
  for (const file of readdirSync(path.join(HERE, 'stories')).filter((name) => name.endsWith('.mjs')).sort()) {
    const { default: story } = await import(pathToFileURL(path.join(HERE, 'stories', file)));
    for (const mode of story.modes ?? ['v0', 'v1']) {
      const name = mode ? `${story.name} (${mode})` : story.name;
      if (!filters.length || filters.some((part) => `${name} ${file}`.includes(part))) stories.push({ ...story, file, mode, name });
    }
  }
  return stories;
}

function bounded(promise, ms) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the story took longer than ${ms} ms`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** Runs one story and says how it ended; a node or browser that died is replaced for the next one. */
async function tell(story, shared) {
  const started = performance.now();
  const result = { name: story.name, file: story.file };
  let stage;
  try {
    shared.browser = shared.browser?.alive ? shared.browser : await Browser.open();
    const own = story.node !== undefined;
    if (!own) shared.node = shared.node && !shared.node.exit ? shared.node : await Node.open();
    stage = new Stage({ browser: shared.browser, node: own ? await Node.open(story.node) : shared.node, own, story, output: OUTPUT });
    await bounded(story.run(stage), story.ms ?? STORY_MS);
    if (stage.node.exit && !story.ends) throw new Error(`the node ended: ${JSON.stringify(stage.node.exit)}`);
    result.status = 'passed';
  } catch (error) {
    result.status = error instanceof Skip ? 'skipped' : 'failed';
    result.reason = error.message;
    if (result.status === 'failed') result.detail = `${error.stack}\n\n${stage?.report() ?? ''}`;
  }
  await stage?.close();
  result.seconds = Math.round(performance.now() - started) / 1000;
  return result;
}

function print(result) {
  const word = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[result.status];
  console.log(`${word} ${result.name}  ${result.seconds.toFixed(1)} s${result.status === 'skipped' ? `  # ${result.reason}` : ''}`);
  if (result.status === 'failed') {
    console.log(`     ${result.reason.replaceAll('\n', '\n     ')}`);
    const file = path.join(OUTPUT, `failed-${result.name.replaceAll(/[^a-z0-9]+/gi, '-')}.txt`);
    writeFileSync(file, result.detail);
    console.log(`     more in ${path.relative(path.resolve(HERE, '../..'), file)}`);
  }
}

const args = process.argv.slice(2);
const json = args.includes('--json') ? args.splice(args.indexOf('--json'), 2)[1] : null;
const list = args.includes('--list') && args.splice(args.indexOf('--list'), 1);
const stories = await load(args);
if (list) {
  for (const story of stories) console.log(`${story.file}\t${story.name}`);
  process.exit(0);
}

mkdirSync(OUTPUT, { recursive: true });
const shared = {};
const results = [];
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await shared.node?.stop(1_000);
    process.exit(130);
  });
}
for (const story of stories) {
  const result = await tell(story, shared);
  results.push(result);
  print(result);
}
await shared.browser?.close();
const end = await shared.node?.stop();
if (end && end.code !== 0) {
  const result = { name: 'the shared node ends cleanly on SIGTERM', status: 'failed', reason: JSON.stringify(end), detail: shared.node.log, seconds: 0 };
  results.push(result);
  print(result);
}
const of = (status) => results.filter((result) => result.status === status).length;
if (json) writeFileSync(json, JSON.stringify({ results }, null, 1));
console.log(`browser stories: passed ${of("passed")}, failed ${of("failed")}, skipped ${of("skipped")}`);
process.exit(of('failed') ? 1 : 0);
