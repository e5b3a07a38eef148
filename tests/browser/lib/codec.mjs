// One story per video codec: published as the client would, decoded by the other, also by one who joins late.
import assert from 'node:assert/strict';
import { skip } from './check.mjs';

export function codecStory(codec, mimeType) {
  return {
    name: `${mimeType.split('/')[1]} is published by one and decoded by the other, also by a late joiner`,
    async run(stage) {
      const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
      const able = await ada.do((_, mime) => RTCRtpSender.getCapabilities('video').codecs.some((each) => each.mimeType === mime), mimeType);
      if (!able) skip(`this Chromium does not encode ${mimeType}`);
      await ada.do((me, videoCodec) => me.publishCamera({ videoCodec }), codec);
      const seen = await bob.decodes('ada', 'camera', 20, 25_000);
      assert.equal(seen.codec, mimeType);
      const outbound = await ada.do((me) => me.outbound('camera'));
      assert.ok(outbound.every((stream) => stream.codec === mimeType));
      const late = await stage.join('late');
      const seenLate = await late.decodes('ada', 'camera', 20, 25_000);
      assert.equal(seenLate.codec, mimeType);
    },
  };
}
