// A participant of the Python SDK: tests/python/person.py in a process of its own, one JSON command and answer per line.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';

const TESTS = path.resolve(import.meta.dirname, '../..');
const PYTHON = process.env.STARLING_E2E_PYTHON ?? path.join(TESTS, '.venv/bin/python');
const ANSWER_MS = 30_000;

export class PythonPerson {
  #child;
  #waiting = [];
  #errors = [];

  static async start({ url, token, single }) {
    const person = new PythonPerson();
    person.#child = spawn(PYTHON, [path.join(TESTS, 'python/person.py')], { stdio: ['pipe', 'pipe', 'pipe'] });
    person.#child.stderr.setEncoding('utf8').on('data', (text) => person.#errors.push(text));
    readline.createInterface({ input: person.#child.stdout }).on('line', (line) => person.#waiting.shift()?.resolve(JSON.parse(line)));
    const end = (what) => person.#waiting.splice(0).forEach(({ reject }) => reject(new Error(`the Python participant ended (${what}): ${person.log.slice(-2_000)}`)));
    person.#child.on('exit', (code, signal) => end(signal ?? code)).on('error', (error) => end(error.message));
    person.#child.stdin.on('error', () => {});
    await person.do('join', { url, token, single });
    return person;
  }

  get log() {
    return this.#errors.join('');
  }

  /** Sends a command of person.py and waits for its answer. */
  async do(command, args = {}) {
    const answer = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer of the Python participant to ${command}: ${this.log.slice(-2_000)}`)), ANSWER_MS);
      const settled = (settle) => (value) => {
        clearTimeout(timer);
        settle(value);
      };
      this.#waiting.push({ resolve: settled(resolve), reject: settled(reject) });
      this.#child.stdin.write(`${JSON.stringify({ command, ...args })}\n`);
    });
    if (answer.error) throw new Error(`the Python participant: ${command}: ${answer.error}`);
    return answer.value;
  }

  async close() {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(patience);
  }
}
