import assert from 'node:assert/strict';

export default {
  name: 'text streams, byte streams, chat and remote calls between two people work',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    await bob.do((me) => {
      me.texts = [];
      me.files = [];
      me.room.registerTextStreamHandler('notes', async (reader, who) => me.texts.push({ from: who.identity, text: await reader.readAll(), topic: reader.info.topic }));
      me.room.registerByteStreamHandler('files', async (reader, who) => {
        const chunks = await reader.readAll();
        me.files.push({ from: who.identity, name: reader.info.name, bytes: chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0) });
      });
      me.room.registerRpcMethod('double', async ({ payload }) => String(Number(payload) * 2));
    });
    await ada.until('bob is there', (me) => me.room.remoteParticipants.has('bob'));
    const long = 'Starling ✓ '.repeat(8_000);
    await ada.do(async (me, text) => {
      await me.room.localParticipant.sendText('short', { topic: 'notes' });
      await me.room.localParticipant.sendText(text, { topic: 'notes' });
      await me.room.localParticipant.sendFile(new File([new Uint8Array(100_000)], 'zeros.bin'), { topic: 'files' });
      await me.room.localParticipant.sendChatMessage('hello');
    }, long);
    const texts = await bob.until('both texts', (me) => me.texts.length === 2 && me.texts);
    assert.deepEqual(texts.map(({ from, text }) => [from, text]).sort((a, b) => a[1].length - b[1].length), [['ada', 'short'], ['ada', long]]);
    const files = await bob.until('the file', (me) => me.files.length && me.files);
    assert.deepEqual(files, [{ from: 'ada', name: 'zeros.bin', bytes: 100_000 }]);
    await bob.event('chatMessage', (message, who) => message.message === 'hello' && who.identity === 'ada');
    const answer = await ada.do((me) => me.room.localParticipant.performRpc({ destinationIdentity: 'bob', method: 'double', payload: '21' }));
    assert.equal(answer, '42');
  },
};
