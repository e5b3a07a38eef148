//! Counters for tests, metrics and the admin API.

use super::{PeerLink, WorkerCore};
use crate::command::{PeerSnapshot, WorkerSnapshot};
use crate::worker::arena::SendArena;

impl WorkerCore {
    /// What this worker holds and has done.
    pub(super) fn snapshot(&self, arena: &SendArena) -> WorkerSnapshot {
        WorkerSnapshot {
            peers: self.peers.len(),
            tracks: self.tracks.iter().filter(|(_, track)| track.publisher.is_some()).count(),
            subscriptions: self.tracks.iter().map(|(_, track)| track.subscribers.len()).sum(),
            paths: self.by_path.len(),
            datagrams_in: self.counters.datagrams_in,
            packets_forwarded: self.counters.packets_forwarded,
            retransmissions: self.counters.retransmissions,
            key_frame_requests: self.counters.key_frame_requests,
            packets_handed: self.spread.counters.handed,
            handed_overflowed: self.spread.counters.overflowed,
            handed_stale: self.spread.counters.stale,
            datagrams_refused: self.counters.datagrams_refused
                + self.counters.handshakes_dropped
                + arena.counters().refused,
            peer_details: self.peers.iter().map(|(index, _)| self.peer_snapshot(index)).collect(),
        }
    }

    fn peer_snapshot(&self, index: usize) -> PeerSnapshot {
        let peer = &self.peers[index];
        let link = self.links[index].as_ref();
        let subscriptions = peer.subscriptions.iter().filter_map(|reference| {
            let track = self.tracks.get(reference.track)?;
            Some(track.subscriber(index, reference.ssrc)?.subscription.snapshot())
        });
        PeerSnapshot {
            peer: peer.id,
            connected: peer.transport.is_connected(),
            bandwidth_bps: link.map_or(0, |link| link.bwe.estimate_bps()),
            rtt_ms: link.and_then(PeerLink::rtt).or_else(|| peer.ingress.rtt()).map(|rtt| rtt.as_secs_f32() * 1000.0),
            layers: peer.ingress.layers(),
            subscriptions: subscriptions.collect(),
        }
    }
}
