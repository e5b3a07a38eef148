import assert from 'node:assert/strict';

const MESSAGES = 30;

export default {
  name: 'reliable messages sent while the other resumes arrive once and in order',
  async run(stage) {
    const proxy = await stage.tcpProxy();
    const ada = await stage.join('ada');
    const bob = await stage.join('bob', { url: `ws://127.0.0.1:${proxy.port}` });
    await ada.until('bob is there', (me) => me.room.remoteParticipants.has('bob'));
    const sending = ada.do(async (me, count) => {
      for (let index = 0; index < count; index += 1) {
        await me.room.localParticipant.publishData(new TextEncoder().encode(`${index}`), { reliable: true, topic: 'count' });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }, MESSAGES);
    await bob.until('some have arrived', (me) => me.received.length > 3);
    proxy.cut();
    await bob.event('reconnected', undefined, 20_000);
    await sending;
    const texts = await bob.until('all messages', (me, count) => me.received.length >= count && me.received.map((each) => Number(each.text)), MESSAGES);
    assert.deepEqual(texts, Array.from({ length: MESSAGES }, (_, index) => index));
  },
};
