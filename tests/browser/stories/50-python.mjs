import assert from 'node:assert/strict';
import { until } from '../lib/check.mjs';

export default {
  name: 'Chromium and the Python SDK hear, see and message each other',
  async run(stage) {
    const ada = await stage.join('ada');
    const python = await stage.python('python', { video: { canUpdateOwnMetadata: true } });
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera();
      me.texts = [];
      me.room.registerTextStreamHandler('chat', async (reader, who) => me.texts.push({ from: who.identity, text: await reader.readAll() }));
      me.room.registerRpcMethod('double', async ({ payload }) => String(Number(payload) * 2));
    });
    await python.do('publish_audio');
    await python.do('publish_video');
    await ada.hears('python');
    const seen = await ada.decodes('python', 'camera', 10);
    assert.equal(seen.frameWidth, 320);
    const heard = await until('Python hears and sees ada', async () => {
      const { audio, video } = await python.do('state');
      return audio.ada?.loudest > 0.01 && video.ada?.frames > 10 && { audio: audio.ada, video: video.ada };
    });
    assert.ok(heard.video.width > 0 && heard.video.brightest > 40, JSON.stringify(heard));

    await python.do('send_data', { text: 'from python', topic: 't' });
    await ada.until('data of Python', (me) => me.received.some((each) => each.text === 'from python' && each.from === 'python' && each.topic === 't'));
    await ada.do((me) => me.room.localParticipant.publishData(new TextEncoder().encode('from ada'), { reliable: true }));
    await python.do('send_text', { text: 'stream of python' });
    await ada.until('text of Python', (me) => me.texts.some((each) => each.text === 'stream of python' && each.from === 'python'));
    await ada.do((me) => me.room.localParticipant.sendText('stream of ada', { topic: 'chat' }));
    await python.do('set_attributes', { attributes: { hand: 'raised' } });
    await ada.until('attributes of Python', (me) => me.room.remoteParticipants.get('python').attributes.hand === 'raised');
    assert.equal(await python.do('call', { to: 'ada', method: 'double', payload: '21' }), '42');
    assert.equal(await ada.do((me) => me.room.localParticipant.performRpc({ destinationIdentity: 'python', method: 'shout', payload: 'quiet' })), 'QUIET');
    await until('Python got the messages of ada', async () => {
      const { data, texts } = await python.do('state');
      return data.some((each) => each.text === 'from ada' && each.from === 'ada') && texts.some((each) => each.text === 'stream of ada');
    });
    await ada.do((me) => me.publication(null, 'microphone').mute());
    await until('Python sees the mute', async () => (await python.do('state')).events.includes('track_muted'));
    await python.do('leave');
    await ada.event('participantDisconnected', (who) => who.identity === 'python');
  },
};
