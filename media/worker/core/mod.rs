//! What one media worker knows and decides: pure, told the time, writing datagrams into the send arena.
//!
//! Driving rule: after every input call `poll_event` until empty; call `forward_due` after each received batch,
//! `work` once per turn and again soon while it says that more is left, and `handle_timeout` no later than `poll_timeout`
//! says.

mod allocate;
mod backlog;
mod commands;
mod departure;
mod feedback;
mod forward;
mod handover;
mod peer;
mod senders;
mod snapshot;
mod spread;
mod tick;
mod track;

pub(crate) use departure::Relayed;
pub(crate) use spread::{Control, ring};

use crate::command::{MediaEvent, PeerEnd};
use crate::id::{ConnectionId, Path, PeerId, RoomKey, TrackKey};
use crate::transport::{Certificate, DatagramClass, TransportEvent, classify, local_ufrag};
use crate::worker::arena::{Destination, SendArena};
use peer::Peer;
use slab::Slab;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use track::Track;

/// The egress state that all subscriptions of one peer share.
type PeerLink = crate::egress::PeerLink<crate::transport::RtpSealer, Destination>;

/// Events that wait for the control plane; beyond it speaker and quality events are dropped, which the next ones
/// replace. Others are kept: each stands for a bounded resource (a peer, a layer, a message).
const EVENTS_SOFT_MAX: usize = 65_536;
/// Data messages that wait for the control plane; beyond it they are dropped and counted.
const DATA_EVENTS_MAX: usize = 16_384;
/// Peers of one worker.
const PEERS_MAX: usize = 20_000;
/// A path belongs to the peer that proved itself there last for this long: longer than clients' interval of checks
/// (RFC 7675 §5.1: up to 6 s).
const PATH_HELD: Duration = Duration::from_secs(6);
/// How often peers with something due are visited.
const TICK: Duration = Duration::from_millis(5);

/// Settings of one core.
#[derive(Clone, Debug)]
pub(crate) struct CoreConfig {
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) hold: Duration,
    pub(crate) allow_pause: bool,
    pub(crate) congestion_control: bool,
    pub(crate) gcm: bool,
    pub(crate) test_switches: bool,
}

/// Counters of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    datagrams_in: u64,
    datagrams_refused: u64,
    packets_forwarded: u64,
    retransmissions: u64,
    key_frame_requests: u64,
    data_dropped: u64,
    handshakes_dropped: u64,
}

/// One worker's peers, tracks and subscriptions.
pub(crate) struct WorkerCore {
    config: CoreConfig,
    peers: Slab<Peer>,
    /// Egress state by peer index, apart from the peers so that forwarding touches only what it needs.
    links: Vec<Option<PeerLink>>,
    by_id: HashMap<PeerId, usize>,
    by_ufrag: HashMap<Box<[u8]>, usize>,
    by_path: HashMap<Path, usize>,
    tracks: Slab<Track>,
    track_by_key: HashMap<TrackKey, usize>,
    rooms: BTreeMap<RoomKey, allocate::RoomAudio>,
    forwarding: forward::Forwarding,
    departures: departure::Departures,
    backlog: backlog::Backlog,
    spread: spread::Spread,
    events: VecDeque<MediaEvent>,
    data_events: usize,
    counters: Counters,
    next_tick: Option<Instant>,
    rtcp: Vec<u8>,
}

impl WorkerCore {
    pub(crate) fn new(config: CoreConfig) -> Self {
        Self {
            config,
            peers: Slab::new(),
            links: Vec::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_path: HashMap::new(),
            tracks: Slab::new(),
            track_by_key: HashMap::new(),
            rooms: BTreeMap::new(),
            forwarding: forward::Forwarding::default(),
            departures: departure::Departures::default(),
            backlog: backlog::Backlog::default(),
            spread: spread::Spread::default(),
            events: VecDeque::new(),
            data_events: 0,
            counters: Counters::default(),
            next_tick: None,
            rtcp: Vec::with_capacity(1500),
        }
    }

    /// Forgets everything and tells the control plane that every peer has ended: the state cannot be trusted any more.
    pub(crate) fn begin_anew(&mut self) {
        let peers: Vec<PeerId> = self.by_id.keys().copied().collect();
        let waiting = std::mem::take(&mut self.events);
        let (data_events, config) = (self.data_events, self.config.clone());
        let spread = std::mem::take(&mut self.spread).begin_anew();
        *self = Self { spread, ..Self::new(config) };
        self.events = waiting;
        self.data_events = data_events;
        self.events.extend(peers.into_iter().map(|peer| MediaEvent::PeerEnded { peer, end: PeerEnd::Fault }));
    }

    /// The next event for the control plane.
    pub(crate) fn poll_event(&mut self) -> Option<MediaEvent> {
        let event = self.events.pop_front()?;
        if matches!(event, MediaEvent::Data { .. }) {
            self.data_events -= 1;
        }
        Some(event)
    }

    /// Whether events wait for the control plane.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next datagram of a peer that has moved to another worker.
    pub(crate) fn poll_relayed(&mut self) -> Option<Relayed> {
        self.departures.poll()
    }

    /// When `handle_timeout` has to be called at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let forward = self.forwarding.due(self.config.hold);
        [self.next_tick, forward].into_iter().flatten().min()
    }

    /// Takes one datagram; RTP is opened in place.
    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8], arena: &mut SendArena) {
        self.counters.datagrams_in += 1;
        if arena.drops_incoming(datagram) {
            return;
        }
        let class = classify(datagram);
        let peer = match class {
            DatagramClass::Stun => {
                local_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag)).or_else(|| self.by_path.get(&path))
            }
            DatagramClass::Dtls | DatagramClass::Rtp | DatagramClass::Rtcp => self.by_path.get(&path),
            DatagramClass::Unknown => None,
        };
        let Some(&index) = peer else {
            self.handle_stray(now, class, path, datagram);
            return;
        };
        match class {
            DatagramClass::Rtp => self.handle_rtp(now, index, datagram),
            DatagramClass::Rtcp => self.handle_rtcp(now, index, datagram, arena),
            DatagramClass::Stun => {
                self.peers[index].transport.handle_stun(now, path, datagram);
                self.pump(now, index, arena);
                // Its path may have been another's when it first proved itself.
                let heard = self.peers.get(index).and_then(|peer| peer.transport.path_heard(path));
                if heard == Some(now) && self.by_path.get(&path) != Some(&index) {
                    self.bind_path(now, index, path);
                }
            }
            // A handshake costs as much as hundreds of packets: it waits for its turn.
            DatagramClass::Dtls if !self.peers[index].transport.is_connected() => {
                self.queue_handshake(index, path, datagram);
            }
            DatagramClass::Dtls => {
                self.peers[index].transport.handle_dtls(now, path, datagram);
                self.pump(now, index, arena);
            }
            DatagramClass::Unknown => {}
        }
    }

    /// A datagram of nobody here: perhaps of a peer that has moved.
    fn handle_stray(&mut self, now: Instant, class: DatagramClass, path: Path, datagram: &[u8]) {
        let ufrag = if class == DatagramClass::Stun { local_ufrag(datagram) } else { None };
        let departed = self.departures.find(ufrag, &path);
        if !departed.is_some_and(|peer| self.departures.take(now, peer, path, datagram)) {
            self.counters.datagrams_refused += 1;
        }
    }

    /// Hands on what a peer's transport wants to send and say.
    fn pump(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        let (mut ended, mut eventful) = (None, false);
        while let Some((path, datagram)) = self.peers[index].transport.poll_transmit() {
            arena.send(path, &datagram);
        }
        while let Some(event) = self.peers[index].transport.poll_event() {
            eventful = true;
            ended = ended.or(self.handle_transport_event(now, index, event, arena));
        }
        match ended {
            Some(end) => self.end_peer(index, Some(end)),
            None => {
                let peer = &mut self.peers[index];
                let due = if eventful { peer.wake_now(now) } else { peer.wake_for_transport(now) };
                self.wake_by(due);
            }
        }
    }

    /// Datagrams from `path` are this peer's, unless another one has proved itself there lately: whoever forges the
    /// source address of another participant must not get its datagrams.
    fn bind_path(&mut self, now: Instant, index: usize, path: Path) {
        let lives = |owner: usize| {
            let heard = self.peers.get(owner).and_then(|peer| peer.transport.path_heard(path));
            heard.is_some_and(|heard| now.saturating_duration_since(heard) < PATH_HELD)
        };
        if !self.by_path.get(&path).is_some_and(|owner| *owner != index && lives(*owner)) {
            self.by_path.insert(path, index);
        }
    }

    /// A TCP connection is gone, and with it the path over it.
    pub(crate) fn close_connection(&mut self, now: Instant, connection: ConnectionId, arena: &mut SendArena) {
        let over = |path: &Path| matches!(path, Path::Tcp { connection: of, .. } if *of == connection);
        let known = self.by_path.iter().find(|(path, _)| over(path)).map(|(path, index)| (*path, *index));
        let Some((path, index)) = known else { return };
        self.by_path.remove(&path);
        self.peers[index].transport.close_path(path);
        self.pump(now, index, arena);
    }

    fn handle_transport_event(
        &mut self,
        now: Instant,
        index: usize,
        event: TransportEvent,
        arena: &mut SendArena,
    ) -> Option<PeerEnd> {
        let peer = self.peers[index].id;
        match event {
            TransportEvent::Connected => {
                self.events.push_back(MediaEvent::PeerConnected { peer });
                self.open_link(now, index);
            }
            TransportEvent::PathAuthenticated(path) => self.bind_path(now, index, path),
            TransportEvent::PathExpired(path) => {
                if self.by_path.get(&path) == Some(&index) {
                    self.by_path.remove(&path);
                }
            }
            TransportEvent::PathChanged(path) => match self.links.get_mut(index).and_then(Option::as_mut) {
                Some(link) => {
                    link.destination = path.into();
                    self.push_replaceable(MediaEvent::PathChanged { peer, remote: path.remote() });
                }
                // DTLS may be done before the client nominates a path.
                None => {
                    self.open_link(now, index);
                    self.forward_held(now, index, arena);
                }
            },
            TransportEvent::ChannelOpen(channel) => self.events.push_back(MediaEvent::ChannelOpen { peer, channel }),
            TransportEvent::ChannelClosed(_) => {}
            TransportEvent::Data { channel, payload } => {
                if self.data_events >= DATA_EVENTS_MAX {
                    self.counters.data_dropped += 1;
                } else {
                    self.data_events += 1;
                    self.events.push_back(MediaEvent::Data { peer, channel, payload });
                }
            }
            TransportEvent::Closed(end) => return Some(end),
        }
        None
    }

    /// Makes sure that the worker wakes by `due`.
    fn wake_by(&mut self, due: Instant) {
        self.next_tick = Some(self.next_tick.map_or(due, |tick| tick.min(due)));
    }

    /// Queues an event that a later one of its kind replaces.
    fn push_replaceable(&mut self, event: MediaEvent) {
        if self.events.len() < EVENTS_SOFT_MAX {
            self.events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests;
