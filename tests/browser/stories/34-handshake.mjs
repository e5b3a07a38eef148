// 40 peers shake hands while a quarter of the DTLS datagrams is lost: v0 has two peers per join, v1 one.
import assert from 'node:assert/strict';

const PEERS = 40;
const AT_ONCE = 4; // joins in flight
const LIMIT_MS = 15_000; // the client's own limit

export default {
  name: '25 % of the handshake datagrams lost: 40 of 40 peers connect',
  ms: 180_000,
  node: [],
  async run(stage) {
    await stage.node.impair({ handshake: 0.25 });
    const person = await stage.person('crowd');
    const joins = stage.single ? PEERS : PEERS / 2;
    const entries = Array.from({ length: joins }, (_, index) => stage.token(`p${index}`, { room: `${stage.room}-${index}` }));
    const outcome = await person.do(async (me, [url, tokens, options, atOnce, limit]) => {
      const times = [];
      const errors = [];
      const one = async (token) => {
        const room = new me.L.Room(options);
        const start = performance.now();
        try {
          await room.connect(url, token, { peerConnectionTimeout: limit, maxRetries: 0 });
          // in v0 the publisher's connection is only made when it has something to say
          await room.localParticipant.publishData(new Uint8Array(4), { reliable: true });
          times.push(performance.now() - start);
        } catch (error) {
          errors.push(String(error));
        }
        await room.disconnect();
      };
      const queue = [...tokens];
      await Promise.all(Array.from({ length: atOnce }, async () => { while (queue.length) await one(queue.shift()); }));
      return { times, errors };
    }, [stage.node.ws, entries, stage.options(), AT_ONCE, LIMIT_MS]);
    assert.deepEqual(outcome.errors, []);
    assert.equal(outcome.times.length, joins);
    assert.ok(Math.max(...outcome.times) < LIMIT_MS / 2, `slowest join ${Math.round(Math.max(...outcome.times))} ms`);
  },
};
