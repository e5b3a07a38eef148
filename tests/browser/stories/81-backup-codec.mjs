// A camera in AV1 with a backup in VP8: the publisher hears which codec is wanted, and sends the backup only when
// somebody comes who cannot decode the first.
import assert from 'node:assert/strict';
import { skip } from '../lib/check.mjs';

/** Makes the page's browser one that knows no AV1: neither its offers nor its answers name it. */
const forgetAv1 = () => {
  const strip = (sdp) => {
    const lines = sdp.split('\r\n');
    const gone = new Set(lines.map((line) => /^a=rtpmap:(\d+) AV1\//i.exec(line)?.[1]).filter(Boolean));
    for (const line of lines) {
      const [, payload, apt] = /^a=fmtp:(\d+) apt=(\d+)/.exec(line) ?? [];
      if (gone.has(apt)) gone.add(payload);
    }
    return lines
      .filter((line) => !gone.has(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) /.exec(line)?.[1]))
      .map((line) => (line.startsWith('m=video') ? line.split(' ').filter((word, index) => index < 3 || !gone.has(word)).join(' ') : line))
      .join('\r\n');
  };
  for (const name of ['createOffer', 'createAnswer']) {
    const real = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = async function create(...args) {
      const { type, sdp } = await real.apply(this, args);
      return { type, sdp: strip(sdp) };
    };
  }
};

export default {
  name: 'a backup codec is sent when somebody needs it',
  async run(stage) {
    const ada = await stage.join('ada', { options: { dynacast: true } });
    const able = await ada.do(() => RTCRtpSender.getCapabilities('video').codecs.some((each) => each.mimeType === 'video/AV1'));
    if (!able) skip('this Chromium does not encode AV1');
    await ada.do(async (me) => {
      me.wanted = [];
      me.room.engine.on('subscribedQualityUpdate', (update) => {
        me.wanted.push(Object.fromEntries(update.subscribedCodecs.map(({ codec, qualities }) => [codec, qualities.some((each) => each.enabled)])));
      });
      await me.publishCamera({ width: 320, height: 180, videoCodec: 'av1', backupCodec: { codec: 'vp8', encoding: { maxBitrate: 200_000 } } });
    });
    const bob = await stage.join('bob');
    const first = await bob.decodes('ada', 'camera', 10, 25_000);
    assert.equal(first.codec, 'video/AV1');
    const wanted = await ada.until('what is wanted, by codec', (me) => me.wanted.at(-1));
    assert.deepEqual(wanted, { av1: true, vp8: false });
    assert.ok((await ada.do((me) => me.outbound('camera'))).every((each) => each.codec === 'video/AV1'));

    const old = await stage.person('old');
    await old.do(forgetAv1);
    await old.join(stage.node.ws, stage.token('old'), stage.options());
    await ada.until('the backup is wanted', (me) => me.wanted.at(-1).vp8);
    const backup = await old.decodes('ada', 'camera', 10, 30_000);
    assert.equal(backup.codec, 'video/VP8');
    const still = await bob.decodes('ada', 'camera', 10);
    assert.equal(still.codec, 'video/AV1', 'whoever can decode the first codec stays with it');
    assert.deepEqual(await ada.do((me) => me.wanted.at(-1)), { av1: true, vp8: true });
    const codecs = await bob.do((me) => me.publication('ada', 'camera').trackInfo.codecs.map((each) => [each.mimeType, each.mid !== '', each.layers.length > 0]));
    assert.deepEqual(codecs, [['video/AV1', true, true], ['video/VP8', true, true]]);
  },
};
