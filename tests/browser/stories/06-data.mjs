import assert from 'node:assert/strict';

export default {
  name: 'data arrives, reliable and lossy, small and of 15 kB, to all or to one',
  async run(stage) {
    const people = await Promise.all(['ada', 'bob', 'cid'].map((name) => stage.join(name)));
    const [ada, bob, cid] = people;
    const sent = await ada.do(async (me) => {
      const text = (value) => new TextEncoder().encode(value);
      const big = Uint8Array.from({ length: 15_000 }, (_, index) => (index * 7) % 251);
      const local = me.room.localParticipant;
      for (let index = 0; index < 20; index += 1) await local.publishData(text(`message ${index}`), { reliable: true, topic: 'order' });
      await local.publishData(big, { reliable: true, topic: 'big' });
      await local.publishData(text('only bob'), { reliable: true, destinationIdentities: ['bob'] });
      return big.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7);
    });
    // lossy data may be lost before the receivers' channels are open, and these are once something has arrived
    for (const person of [bob, cid]) await person.until('the reliable data', (me) => me.received.some((each) => each.topic === 'big'));
    await ada.do(async (me) => {
      const big = Uint8Array.from({ length: 15_000 }, (_, index) => (index * 7) % 251);
      for (let index = 0; index < 10; index += 1) await me.room.localParticipant.publishData(new TextEncoder().encode(`lossy ${index}`), { reliable: false, topic: 'lossy' });
      await me.room.localParticipant.publishData(big, { reliable: false, topic: 'lossy-big' });
    });
    for (const person of [bob, cid]) {
      const got = await person.until('all data arrived', (me) => {
        const topics = me.received.map((each) => each.topic);
        return topics.filter((topic) => topic === 'lossy').length === 10 && topics.includes('lossy-big') && topics.includes('big') ? me.received : false;
      });
      assert.deepEqual(got.filter((each) => each.topic === 'order').map((each) => each.text), Array.from({ length: 20 }, (_, index) => `message ${index}`));
      for (const topic of ['big', 'lossy-big']) {
        const big = got.find((each) => each.topic === topic);
        assert.deepEqual([big.bytes, big.sum, big.from], [15_000, sent, 'ada']);
      }
    }
    await bob.until('what is for bob alone', (me) => me.received.some((each) => each.text === 'only bob'));
    assert.equal(await cid.do((me) => me.received.some((each) => each.text === 'only bob')), false);
    assert.equal(await ada.do((me) => me.received.length), 0, 'nobody hears themselves');
  },
};
