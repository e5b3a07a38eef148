import assert from 'node:assert/strict';

export default {
  name: 'audio goes as RED and with DTX when the client wants it, as plain Opus when not',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    for (const red of [true, false]) {
      await ada.do((me, wanted) => me.publishTone(440, 0.3, { red: wanted, dtx: wanted }), red);
      await bob.hears('ada');
      // Chromium's own statistics name the codec inside RED; the node names what arrives.
      await bob.until('the node names the codec that arrives', (me, mimeType) =>
        me.publications('ada').some((publication) => publication.trackInfo?.mimeType === mimeType), red ? 'audio/red' : 'audio/opus');
      const remote = await ada.do(() => window.peerConnections.map((pc) => pc.currentRemoteDescription?.sdp ?? '').join('\n'));
      if (red) assert.match(remote, /usedtx=1/, 'the answer asks for DTX');
      await ada.do(async (me) => {
        for (const publication of me.publications()) await me.room.localParticipant.unpublishTrack(publication.track);
      });
      await bob.until('unpublished', (me) => me.publications('ada').length === 0);
    }
  },
};
