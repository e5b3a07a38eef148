// One person in Chromium: an unmodified livekit-client room, everything it reported, and what getStats says of its media.
(() => {
  const L = window.LivekitClient;
  L.setLogLevel('warn');

  const nameOf = (value) => {
    if (value === null || typeof value !== 'object') return value;
    if (value instanceof L.Participant) return { identity: value.identity, sid: value.sid };
    if (value instanceof L.TrackPublication) return { sid: value.trackSid, source: value.source };
    if (value instanceof L.Track) return { sid: value.sid, kind: value.kind };
    if (Array.isArray(value)) return value.map(nameOf);
    if (value instanceof Uint8Array) return { bytes: value.byteLength };
    return JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? Number(inner) : inner)));
  };

  const person = {
    L,
    room: null,
    /** Every room event since the join: `{ name, at, args }`, objects reduced to their names. */
    events: [],
    received: [],
    elements: new Map(),

    async join(url, token, { passphrase, ...options } = {}) {
      let keys;
      if (passphrase) {
        keys = new L.ExternalE2EEKeyProvider();
        options.encryption = { keyProvider: keys, worker: new Worker('/e2ee.worker.js') };
      }
      const room = new L.Room({ adaptiveStream: false, dynacast: false, ...options });
      if (keys) {
        await keys.setKey(passphrase);
        await room.setE2EEEnabled(true);
      }
      person.room = room;
      person.events = [];
      for (const name of Object.values(L.RoomEvent)) {
        room.on(name, (...args) => {
          let named = [];
          try { named = args.map(nameOf); } catch { /* an argument that is no data */ }
          person.events.push({ name, at: performance.now(), args: named });
        });
      }
      room.on(L.RoomEvent.TrackSubscribed, (track) => person.show(track));
      room.on(L.RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
      room.on(L.RoomEvent.DataReceived, (payload, from, kind, topic) => {
        person.received.push({ text: payload.length <= 256 ? new TextDecoder().decode(payload) : null, bytes: payload.length, sum: payload.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7), from: from?.identity, kind, topic });
      });
      await room.connect(url, token, { peerConnectionTimeout: 15_000, websocketTimeout: 8_000, maxRetries: 0 });
      return { identity: room.localParticipant.identity, sid: room.localParticipant.sid };
    },

    /** Plays a remote track; video gets a small element of its own, whose size a story may change. */
    show(track) {
      const element = track.attach();
      element.style.cssText = 'width:160px;height:90px;display:inline-block';
      element.muted = track.kind === 'video';
      document.body.append(element);
      person.elements.set(track.sid, element);
    },

    size(sid, width, height) {
      const element = person.elements.get(sid);
      element.style.width = `${width}px`;
      element.style.height = `${height}px`;
    },

    count: (name, test = () => true) => person.events.filter((event) => event.name === name && test(...event.args)).length,

    /** A steady tone, louder and steadier than the fake microphone's beep. */
    tone(frequency = 440, gain = 0.3) {
      const context = new AudioContext();
      const oscillator = new OscillatorNode(context, { frequency });
      const volume = new GainNode(context, { gain });
      const output = context.createMediaStreamDestination();
      oscillator.connect(volume).connect(output);
      oscillator.start();
      person.volume = volume;
      return output.stream.getAudioTracks()[0];
    },

    async publishTone(frequency, gain, options = {}) {
      const publication = await person.room.localParticipant.publishTrack(person.tone(frequency, gain), { source: L.Track.Source.Microphone, ...options });
      return publication.trackSid;
    },

    async publishCamera({ width = 640, height = 360, frameRate = 15, ...options } = {}) {
      const publication = await person.room.localParticipant.setCameraEnabled(true, { resolution: { width, height, frameRate } }, { backupCodec: false, ...options });
      return publication.trackSid;
    },

    publications: (identity) => [...((identity ? person.room.remoteParticipants.get(identity) : person.room.localParticipant)?.trackPublications.values() ?? [])],
    publication: (identity, source) => person.publications(identity).find((each) => each.source === source),

    /** Who sends the track that a receiver plays. */
    owner(trackId) {
      for (const remote of person.room?.remoteParticipants.values() ?? []) {
        for (const publication of remote.trackPublications.values()) {
          if (publication.track?.mediaStreamTrack.id === trackId) return { identity: remote.identity, source: publication.source, sid: publication.trackSid };
        }
      }
      return {};
    },

    async stats() {
      const all = { inbound: [], outbound: [], paths: [] };
      for (const connection of window.peerConnections) {
        if (connection.connectionState === 'closed') continue;
        const report = await connection.getStats();
        for (const stat of report.values()) {
          const codec = report.get(stat.codecId);
          if (stat.type === 'inbound-rtp') all.inbound.push({ ...stat, ...person.owner(stat.trackIdentifier), codec: codec?.mimeType });
          if (stat.type === 'outbound-rtp') {
            const source = person.publications().find((each) => each.track?.mediaStreamTrack.id === report.get(stat.mediaSourceId)?.trackIdentifier)?.source;
            all.outbound.push({ ...stat, source, codec: codec?.mimeType, fmtp: codec?.sdpFmtpLine });
          }
          if (stat.type === 'transport' && stat.selectedCandidatePairId) {
            const pair = report.get(stat.selectedCandidatePairId);
            const local = report.get(pair?.localCandidateId);
            const remote = report.get(pair?.remoteCandidateId);
            all.paths.push({ state: stat.dtlsState, ice: stat.iceState, srtp: stat.srtpCipher, protocol: remote?.protocol, address: remote?.address, port: remote?.port, local: local?.address, ufrag: remote?.usernameFragment, changes: stat.selectedCandidatePairChanges });
          }
        }
      }
      return all;
    },

    /** The one stream received of a participant's source, if any. */
    async inbound(identity, source) {
      const streams = (await person.stats()).inbound.filter((each) => each.identity === identity && each.source === source);
      return streams.sort((a, b) => (b.packetsReceived ?? 0) - (a.packetsReceived ?? 0))[0];
    },

    async outbound(source) {
      return (await person.stats()).outbound.filter((each) => each.source === source);
    },
  };

  window.person = person;
})();
