//! Export and import of an established peer: everything that another worker, process or node needs to go on with the
//! same ICE credentials, keys, SSRCs and numbering (handover.md §5).

use super::allocate::SourceRate;
use super::peer::Peer;
use super::{PeerLink, WorkerCore};
use crate::codec::{Codec, ExtensionIds, IceCredentials, SendSection};
use crate::command::{MediaEvent, PeerEnd, Preference};
use crate::egress::{LinkState, Subscription, SubscriptionState};
use crate::id::{Path, PeerId, RoomKey, TrackKey};
use crate::ingress::{Ingress, IngressState};
use crate::transport::{ImportMargins, Transport, TransportConfig, TransportState};
use crate::worker::arena::SendArena;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Version of [`PeerState`]; a reader refuses any other.
const VERSION: u16 = 2;
/// Largest state accepted. A peer with the most streams and subscriptions stays below.
const STATE_BYTES_MAX: usize = 4 << 20;

/// Pause before a client that has not switched is asked again. libwebrtc never pings a pair that it has pruned, such as
/// one to an address that the peer has come back to, and forgets it after 30 s without a request of ours.
const TAKE_OVER_INTERVAL: Duration = Duration::from_secs(35);

/// One peer at rest.
#[derive(serde::Serialize, serde::Deserialize)]
struct PeerState {
    version: u16,
    transport: PeerTransport,
    /// The exporter's socket and the client's address; another worker of the same process can go on sending there.
    path: Option<(SocketAddr, SocketAddr)>,
    ufrags: Vec<Vec<u8>>,
    ingress: IngressState,
    layers: Vec<LayerState>,
    senders: (ExtensionIds, Vec<SendSection>),
    subscriptions: Vec<SubscriptionState>,
    /// The era by which each subscription counts, by SSRC, where it has one.
    #[serde(default)]
    eras: Vec<(u32, u64)>,
    spent_ssrcs: BTreeSet<u32>,
    link: Option<LinkState>,
    preferences: Vec<(TrackKey, Preference)>,
    muted: Vec<TrackKey>,
    allow_pause: Option<bool>,
}

/// How far a peer has come.
#[derive(serde::Serialize, serde::Deserialize)]
enum PeerTransport {
    /// Nobody has heard of its remote side yet: it can begin anywhere.
    Unopened { local: IceCredentials, open_channels: bool },
    /// DTLS is done.
    Established(Box<TransportState>),
}

/// One incoming layer, so that the choice of layers goes on as it was.
#[derive(serde::Serialize, serde::Deserialize)]
struct LayerState {
    /// Index of the stream in the ingress.
    stream: usize,
    track: TrackKey,
    layer: u8,
    codec: Codec,
    rate: SourceRate,
    #[serde(default)]
    era: u64,
}

impl WorkerCore {
    /// Takes a peer out of this worker. From here on nothing is sealed for it any more: the peer is forgotten before
    /// the state leaves this function. A peer that is just connecting cannot be moved; it ends.
    pub(super) fn export_peer(&mut self, now: Instant, id: PeerId, arena: &mut SendArena) -> Option<Vec<u8>> {
        self.by_id.get(&id)?;
        self.send_queued_data(now, id, arena);
        let index = *self.by_id.get(&id)?;
        self.forward_now(now, arena);
        let Some(state) = self.peer_state(now, index, arena) else {
            self.end_peer(index, Some(PeerEnd::Fault));
            return None;
        };
        let bytes = rmp_serde::to_vec_named(&state).ok();
        let paths = self.by_path.iter().filter(|(_, owner)| **owner == index).map(|(path, _)| *path).collect();
        self.departures.add(now, id, self.peers[index].ufrags.clone(), paths);
        self.let_tracks_go(index);
        self.end_peer(index, None);
        if let Some(until) = self.departures.poll_timeout() {
            self.wake_by(until);
        }
        bytes
    }

    /// A peer's tracks go on elsewhere: what subscribers here were sent of them stays, to be sent again.
    fn let_tracks_go(&mut self, index: usize) {
        for track in std::mem::take(&mut self.peers[index].published) {
            if self.tracks[track].subscribers.is_empty() {
                self.end_published(track);
                continue;
            }
            self.tracks[track].publisher = None;
            let key = self.tracks[track].key;
            self.forget_meter(key);
            self.disown(track);
        }
    }

    fn peer_state(&self, now: Instant, index: usize, arena: &SendArena) -> Option<PeerState> {
        let peer = &self.peers[index];
        let transport = match (peer.transport.export(), peer.transport.unopened()) {
            (Some(state), _) => PeerTransport::Established(Box::new(state)),
            (None, Some((local, open_channels))) => PeerTransport::Unopened { local, open_channels },
            (None, None) => return None,
        };
        let path = match peer.transport.selected_path() {
            Some(Path::Udp { socket, remote }) => arena.local_of(socket).map(|local| (local, remote)),
            _ => None,
        };
        let subscriptions = peer.subscriptions.iter().filter_map(|reference| {
            let track = self.tracks.get(reference.track)?;
            Some(track.subscriber(index, reference.ssrc)?.subscription.export())
        });
        Some(PeerState {
            version: VERSION,
            transport,
            path,
            ufrags: peer.ufrags.iter().map(|ufrag| ufrag.to_vec()).collect(),
            ingress: peer.ingress.export(now),
            layers: self.layer_states(index),
            senders: (peer.send_extensions, peer.senders.clone()),
            subscriptions: subscriptions.collect(),
            eras: self.subscription_eras(index),
            spent_ssrcs: peer.spent_ssrcs.clone(),
            link: self.links.get(index).and_then(Option::as_ref).map(PeerLink::export).or(peer.imported_link),
            preferences: peer.preferences.iter().map(|(track, preference)| (*track, *preference)).collect(),
            muted: peer.muted.clone(),
            allow_pause: peer.allow_pause,
        })
    }

    fn subscription_eras(&self, index: usize) -> Vec<(u32, u64)> {
        let eras = self.peers[index].subscriptions.iter().filter_map(|reference| {
            let track = self.tracks.get(reference.track)?;
            let subscriber = track.subscriber(index, reference.ssrc)?;
            Some((reference.ssrc, track.era_of(subscriber).or(subscriber.counts_by)?))
        });
        eras.collect()
    }

    fn layer_states(&self, index: usize) -> Vec<LayerState> {
        let sources = self.peers[index].sources.iter().enumerate();
        let layers = sources.filter_map(|(stream, place)| {
            let (track, source) = (*place)?;
            let track = self.tracks.get(track)?;
            let source = track.sources.get(source)?;
            let (layer, codec, rate, era) = (source.layer, source.codec, source.rate, source.era);
            Some(LayerState { stream, track: track.key, layer, codec, rate, era })
        });
        layers.collect()
    }

    /// Goes on with a peer that another worker exported, and moves the client to this worker's address.
    pub(super) fn import_peer(
        &mut self,
        now: Instant,
        id: PeerId,
        room: RoomKey,
        bytes: &[u8],
        arena: &mut SendArena,
    ) -> Result<(), String> {
        if bytes.len() > STATE_BYTES_MAX {
            return Err(format!("peer state of {} bytes is over the limit of {STATE_BYTES_MAX}", bytes.len()));
        }
        if self.by_id.contains_key(&id) {
            return Err(format!("peer {} exists already", id.0));
        }
        let state: PeerState = rmp_serde::from_slice(bytes).map_err(|error| format!("peer state: {error}"))?;
        if state.version != VERSION {
            return Err(format!("peer state has version {}, this node reads {VERSION}", state.version));
        }
        let transport = self.imported_transport(now, state.transport)?;
        let ufrags = state.ufrags.into_iter().map(Vec::into_boxed_slice).collect();
        let mut peer = Peer::new(id, room, transport, ufrags, now);
        peer.ingress = Ingress::import(now, state.ingress).map_err(|error| format!("peer state: {error}"))?;
        peer.preferences = state.preferences.into_iter().collect();
        peer.muted = state.muted;
        peer.allow_pause = state.allow_pause;
        peer.imported_link = state.link;
        // Subscriptions that go on take their SSRCs again; no other may.
        let going_on = |ssrc: &u32| state.subscriptions.iter().any(|it| it.ssrc() == *ssrc || it.rtx_ssrc() == *ssrc);
        peer.spent_ssrcs = state.spent_ssrcs.into_iter().filter(|ssrc| !going_on(ssrc)).collect();
        self.departures.forget(id);
        let index = self.insert_peer(peer, now);
        self.adopt_receivers(index);
        self.adopt_layers(now, index, state.layers);
        let (extensions, sections) = state.senders;
        self.set_senders(now, index, extensions, sections);
        self.adopt_subscriptions(now, index, state.subscriptions, &state.eras);
        self.move_here(now, index, state.path, arena);
        if self.by_id.get(&id) == Some(&index) {
            self.forward_held(now, index, arena);
        }
        Ok(())
    }

    fn imported_transport(&self, now: Instant, transport: PeerTransport) -> Result<Transport, String> {
        match transport {
            // A planned hand-over: the exporter has stopped before it answered, so nothing has to be burnt.
            PeerTransport::Established(state) => {
                Transport::import(*state, now, ImportMargins::default()).map_err(|error| format!("peer state: {error}"))
            }
            PeerTransport::Unopened { local, open_channels } => {
                let certificate = self.config.certificate.clone();
                Ok(Transport::new(TransportConfig { certificate, local, open_channels, gcm: self.config.gcm }, now))
            }
        }
    }

    /// Goes on by the old path where a socket of it is in reach, and asks the client to move: binding requests of our
    /// own, with a higher priority, to where it was last seen.
    fn move_here(
        &mut self,
        now: Instant,
        index: usize,
        before: Option<(SocketAddr, SocketAddr)>,
        arena: &mut SendArena,
    ) {
        let peer = &mut self.peers[index];
        peer.next_take_over = now + TAKE_OVER_INTERVAL;
        let transport = &mut peer.transport;
        if !transport.is_connected() {
            return;
        }
        if let Some((local, remote)) = before
            && let Some(socket) = arena.socket_at(local)
        {
            transport.adopt_path(now, Path::Udp { socket, remote });
        }
        let beside = before.map(|(local, _)| local);
        let asked = transport.take_over(now, |remote| arena.sockets_towards(remote, beside));
        if asked == 0 {
            // An ICE-TCP connection stays where it was made: the client has to come again.
            self.events.push_back(MediaEvent::PeerEnded { peer: self.peers[index].id, end: PeerEnd::ConsentExpired });
            self.end_peer(index, None);
            return;
        }
        self.bind_asked_paths(now, index);
        self.open_link(now, index);
        self.pump(now, index, arena);
    }

    /// Asks again a client that is still reached through another worker's socket.
    pub(super) fn retry_take_over(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        let peer = &mut self.peers[index];
        if peer.next_take_over > now {
            return;
        }
        peer.next_take_over = now + TAKE_OVER_INTERVAL;
        let Some(path) = peer.transport.selected_path().filter(|path| arena.is_borrowed(*path)) else { return };
        let beside = match path {
            Path::Udp { socket, .. } => arena.local_of(socket),
            Path::Tcp { .. } => None,
        };
        peer.transport.take_over(now, |remote| arena.sockets_towards(remote, beside));
        self.bind_asked_paths(now, index);
        self.pump(now, index, arena);
    }

    /// Answers to a take-over name nobody: their paths have to be known before.
    fn bind_asked_paths(&mut self, now: Instant, index: usize) {
        for path in self.peers[index].transport.asked_paths().to_vec() {
            self.bind_path(now, index, path);
        }
    }

    fn adopt_layers(&mut self, now: Instant, index: usize, layers: Vec<LayerState>) {
        /// Streams of one peer.
        const STREAMS_MAX: usize = crate::ingress::STREAMS_MAX;
        for state in layers.into_iter().take(STREAMS_MAX).filter(|state| state.stream < STREAMS_MAX) {
            let Some(&track) = self.track_by_key.get(&state.track) else { continue };
            let Some(entry) = self.tracks.get_mut(track).filter(|entry| entry.publisher == Some(index)) else {
                continue;
            };
            // A state of another process has its own eras.
            let era = if state.era == 0 { self.spread.next_era() } else { state.era };
            let source = entry.adopt_source((state.layer, state.codec, era));
            let rate = &mut entry.sources[source].rate;
            *rate = state.rate;
            rate.last_packet = Some(now);
            let sources = &mut self.peers[index].sources;
            if sources.len() <= state.stream {
                sources.resize(state.stream + 1, None);
            }
            sources[state.stream] = Some((track, source));
            self.choose_codecs(track);
        }
    }

    fn adopt_receivers(&mut self, index: usize) {
        for section in self.peers[index].ingress.sections().to_vec() {
            self.publish(index, section.track, section.kind);
        }
    }

    fn adopt_subscriptions(&mut self, now: Instant, index: usize, states: Vec<SubscriptionState>, eras: &[(u32, u64)]) {
        let references = self.peers[index].subscriptions.clone();
        for state in states {
            let ssrc = state.ssrc();
            let Some(reference) = references.iter().find(|reference| reference.ssrc == ssrc) else { continue };
            let Some(section) = self.peers[index].senders.iter().find(|section| section.ssrc == ssrc) else { continue };
            let imported = Subscription::import(section, state, 0, now);
            let muted = self.tracks[reference.track].muted;
            let subscriber = self.tracks[reference.track].subscriber_mut(index, ssrc);
            match (imported, subscriber) {
                (Ok(mut imported), Some(subscriber)) => {
                    // The track may have been muted or unmuted since the export.
                    if muted {
                        imported.pause();
                    } else {
                        imported.resume();
                    }
                    subscriber.judged_packets = imported.snapshot().packets;
                    subscriber.subscription = imported;
                    subscriber.counts_by = eras.iter().find(|(of, _)| *of == ssrc).map(|(_, era)| *era);
                    self.tracks[reference.track].settle_subscriber(index, ssrc);
                    self.hold_missed(index, reference.track, ssrc);
                    self.wishes_changed(reference.track);
                }
                // Numbering from the start would repeat indices: the subscription must not send at all.
                (Err(_), _) => {
                    self.peers[index].subscriptions.retain(|reference| reference.ssrc != ssrc);
                    self.remove_subscriber(reference.track, index, ssrc);
                }
                (Ok(_), None) => {}
            }
        }
    }
}
