// Runs before every page's own scripts: keeps its peer connections in sight and rewrites the candidates the server offers.
// `window.candidatePolicy = { only: 'tcp' | 'udp4' | 'udp6', udpPort }`; without it nothing is changed.
(() => {
  const Native = window.RTCPeerConnection;
  const connections = [];

  // candidate:<foundation> <component> <protocol> <priority> <address> <port> typ <type> …
  function rewritten(line) {
    const policy = window.candidatePolicy;
    const match = /^(.*candidate:\S+ \d+ )(\S+)( \d+ )(\S+) (\d+)( typ .*)$/i.exec(line);
    if (!policy || !match) return line;
    const [, head, protocol, priority, address, port, tail] = match;
    const kind = protocol.toLowerCase() === 'tcp' ? 'tcp' : address.includes(':') ? 'udp6' : 'udp4';
    if (policy.only && kind !== policy.only) return null;
    return policy.udpPort && kind === 'udp4' ? `${head}${protocol}${priority}127.0.0.1 ${policy.udpPort}${tail}` : `${head}${protocol}${priority}${address} ${port}${tail}`;
  }

  function rewrittenSdp(sdp) {
    const lines = sdp.split('\r\n').map((line) => (line.startsWith('a=candidate:') ? rewritten(line) : line));
    return lines.filter((line) => line !== null).join('\r\n');
  }

  window.peerConnections = connections;
  window.RTCPeerConnection = class RTCPeerConnection extends Native {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }

    setRemoteDescription(description) {
      return super.setRemoteDescription({ type: description.type, sdp: rewrittenSdp(description.sdp ?? '') });
    }

    addIceCandidate(candidate) {
      if (!candidate?.candidate) return super.addIceCandidate(candidate);
      const line = rewritten(candidate.candidate);
      if (line === null) return Promise.resolve();
      return super.addIceCandidate({ candidate: line, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex, usernameFragment: candidate.usernameFragment });
    }
  };
})();
