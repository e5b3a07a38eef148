//! Peers that have moved to another worker: what still arrives for them here is handed on, raw and unread, until the
//! client has switched. Nothing is sealed or opened for them.

use crate::id::{Path, PeerId};
use bytes::BytesMut;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long after the last datagram of a moved peer the relay ends. Clients switch within 100 ms and one round trip
/// (handover.md §1); one that cannot yet is served by its old address as long as it uses it.
const RELAY_QUIET: Duration = Duration::from_secs(2);
/// Datagrams of one peer that wait for its new worker: some 100 ms of a busy publisher. Beyond it they are dropped.
const HELD_MAX: usize = 1024;

/// A datagram to hand on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Relayed {
    /// Index of the peer's new worker.
    pub(crate) worker: usize,
    /// Where it came from, by our sockets.
    pub(crate) path: Path,
    pub(crate) datagram: BytesMut,
}

/// One moved peer.
#[derive(Debug)]
struct Departure {
    until: Instant,
    worker: Option<usize>,
    held: VecDeque<(Path, BytesMut)>,
}

/// Every peer that has moved lately.
#[derive(Debug, Default)]
pub(super) struct Departures {
    peers: BTreeMap<PeerId, Departure>,
    ufrags: HashMap<Box<[u8]>, PeerId>,
    paths: HashMap<Path, PeerId>,
    out: VecDeque<Relayed>,
}

impl Departures {
    /// Keeps what comes for a peer that is leaving.
    pub(super) fn add(&mut self, now: Instant, peer: PeerId, ufrags: Vec<Box<[u8]>>, paths: Vec<Path>) {
        self.ufrags.extend(ufrags.into_iter().map(|ufrag| (ufrag, peer)));
        self.paths.extend(paths.into_iter().map(|path| (path, peer)));
        self.peers.insert(peer, Departure { until: now + RELAY_QUIET, worker: None, held: VecDeque::new() });
    }

    /// The peer lives at `worker` now: what waits goes there, and what follows at once.
    pub(super) fn settle(&mut self, peer: PeerId, worker: usize) {
        let Some(departure) = self.peers.get_mut(&peer) else { return };
        departure.worker = Some(worker);
        let held = departure.held.drain(..);
        self.out.extend(held.map(|(path, datagram)| Relayed { worker, path, datagram }));
    }

    /// Whose datagram it is, if its peer has moved.
    pub(super) fn find(&self, ufrag: Option<&[u8]>, path: &Path) -> Option<PeerId> {
        ufrag.and_then(|ufrag| self.ufrags.get(ufrag)).or_else(|| self.paths.get(path)).copied()
    }

    /// Takes one datagram; false if it is dropped.
    pub(super) fn take(&mut self, now: Instant, peer: PeerId, path: Path, datagram: &[u8]) -> bool {
        let Some(departure) = self.peers.get_mut(&peer).filter(|departure| departure.until > now) else { return false };
        if departure.worker.is_some() {
            departure.until = now + RELAY_QUIET;
        }
        match departure.worker {
            Some(worker) => self.out.push_back(Relayed { worker, path, datagram: datagram.into() }),
            None if departure.held.len() < HELD_MAX => departure.held.push_back((path, datagram.into())),
            None => return false,
        }
        true
    }

    pub(super) fn poll(&mut self) -> Option<Relayed> {
        self.out.pop_front()
    }

    /// The peer is back, or gone for good.
    pub(super) fn forget(&mut self, peer: PeerId) {
        if self.peers.remove(&peer).is_some() {
            self.ufrags.retain(|_, owner| *owner != peer);
            self.paths.retain(|_, owner| *owner != peer);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().map(|departure| departure.until).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let due = |departure: &Departure| departure.until <= now;
        let over: Vec<PeerId> = self.peers.iter().filter(|(_, one)| due(one)).map(|(peer, _)| *peer).collect();
        for peer in over {
            self.forget(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "any instant is a start")]

    use super::*;

    fn path(port: u16) -> Path {
        Path::Udp { socket: 0, remote: ([192, 0, 2, 1], port).into() }
    }

    #[test]
    fn datagrams_wait_for_the_new_worker_and_keep_their_order() {
        let (mut departures, now, peer) = (Departures::default(), Instant::now(), PeerId(1));
        departures.add(now, peer, vec![b"frag"[..].into()], vec![path(1)]);
        assert_eq!(departures.find(Some(b"frag"), &path(2)), Some(peer));
        assert_eq!(departures.find(None, &path(2)), None);
        assert!(departures.take(now, peer, path(1), b"a") && departures.poll().is_none());
        departures.settle(peer, 3);
        assert!(departures.take(now, peer, path(1), b"b"));
        for datagram in [b"a", b"b"] {
            let relayed = departures.poll().unwrap();
            assert_eq!((relayed.worker, relayed.path, &relayed.datagram[..]), (3, path(1), &datagram[..]));
        }
    }

    #[test]
    fn what_waits_is_bounded_and_ends_with_the_time() {
        let (mut departures, now, peer) = (Departures::default(), Instant::now(), PeerId(1));
        departures.add(now, peer, Vec::new(), vec![path(1)]);
        let taken = (0..HELD_MAX + 10).filter(|_| departures.take(now, peer, path(1), b"a")).count();
        assert_eq!(taken, HELD_MAX);
        let end = departures.poll_timeout().unwrap();
        assert!(!departures.take(end, peer, path(1), b"late"));
        departures.handle_timeout(end);
        assert_eq!((departures.find(None, &path(1)), departures.poll_timeout()), (None, None));
    }
}
