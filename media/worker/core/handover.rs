//! Export and import of an established peer: everything that another worker, process or node needs to go on with the
//! same ICE credentials, keys, SSRCs and numbering (handover.md §5).

use super::commands::ufrags;
use super::peer::Peer;
use super::track::Subscriber;
use super::{PeerLink, WorkerCore};
use crate::codec::{ExtensionIds, SendSection};
use crate::command::Preference;
use crate::egress::{LinkState, Subscription, SubscriptionState};
use crate::id::{PeerId, RoomKey, TrackKey};
use crate::ingress::{Ingress, IngressState};
use crate::transport::{ImportMargins, Transport, TransportState};
use crate::worker::arena::SendArena;
use std::time::Instant;

/// Version of [`PeerState`]; a reader refuses any other.
const VERSION: u16 = 1;
/// Largest state accepted. A peer with the most streams and subscriptions stays below.
const STATE_BYTES_MAX: usize = 4 << 20;

/// One established peer at rest.
#[derive(serde::Serialize, serde::Deserialize)]
struct PeerState {
    version: u16,
    transport: TransportState,
    ingress: IngressState,
    senders: (ExtensionIds, Vec<SendSection>),
    subscriptions: Vec<SubscriptionState>,
    link: Option<LinkState>,
    preferences: Vec<(TrackKey, Preference)>,
    muted: Vec<TrackKey>,
    /// Every SSRC ever sealed under, also of subscriptions that are gone.
    spent_ssrcs: Vec<u32>,
}

impl WorkerCore {
    /// Takes a peer out of this worker. From here on nothing is sealed for it any more: the peer is forgotten before
    /// the state leaves this function.
    pub(super) fn export_peer(&mut self, now: Instant, id: PeerId) -> Option<Vec<u8>> {
        let index = *self.by_id.get(&id)?;
        let peer = &self.peers[index];
        let subscriptions = peer
            .subscriptions
            .iter()
            .filter_map(|reference| {
                let track = self.tracks.get(reference.track)?;
                track
                    .subscribers
                    .iter()
                    .find(|subscriber| subscriber.peer == index && subscriber.subscription.ssrc() == reference.ssrc)
            })
            .map(|subscriber| subscriber.subscription.export())
            .collect();
        let state = PeerState {
            version: VERSION,
            transport: peer.transport.export()?,
            ingress: peer.ingress.export(now),
            senders: (peer.send_extensions, peer.senders.clone()),
            subscriptions,
            link: self.links[index].as_ref().map(PeerLink::export).or(peer.imported_link),
            preferences: peer.preferences.iter().map(|(track, preference)| (*track, *preference)).collect(),
            muted: peer.muted.clone(),
            spent_ssrcs: peer.spent_ssrcs.iter().copied().collect(),
        };
        let bytes = rmp_serde::to_vec_named(&state).ok();
        self.end_peer(index, None);
        bytes
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
        // A planned hand-over: the exporter has stopped before it answered, so nothing has to be burnt.
        let transport = Transport::import(state.transport, now, ImportMargins::default())
            .map_err(|error| format!("peer state: {error}"))?;
        let ufrags = ufrags(&transport);
        let mut peer = Peer::new(id, room, transport, ufrags, now);
        peer.ingress = Ingress::import(now, state.ingress).map_err(|error| format!("peer state: {error}"))?;
        peer.preferences = state.preferences.into_iter().collect();
        peer.muted = state.muted;
        peer.imported_link = state.link;
        // Subscriptions that go on take their SSRCs again; no other may.
        let going_on = |ssrc: &u32| state.subscriptions.iter().any(|it| it.ssrc() == *ssrc || it.rtx_ssrc() == *ssrc);
        peer.spent_ssrcs = state.spent_ssrcs.into_iter().filter(|ssrc| !going_on(ssrc)).collect();
        let index = self.insert_peer(peer, now);
        self.adopt_receivers(index);
        let (extensions, sections) = state.senders;
        self.set_senders(now, index, extensions, sections);
        self.adopt_subscriptions(now, index, state.subscriptions);
        self.take_over(now, index, arena);
        Ok(())
    }

    /// Asks the client to move: binding requests of our own, with a higher priority, to where it was last seen.
    fn take_over(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        for socket in 0..arena.socket_count() {
            self.peers[index].transport.take_over(now, socket);
        }
        // The answers do not name the peer. The exporter has seen every one of these addresses prove itself.
        while let Some((path, datagram)) = self.peers[index].transport.poll_transmit() {
            self.bind_path(now, index, path);
            arena.send(path, &datagram);
        }
        self.pump(now, index, arena);
    }

    fn adopt_receivers(&mut self, index: usize) {
        for section in self.peers[index].ingress.sections().to_vec() {
            let track = self.track_index(section.track, section.kind);
            let muted = self.peers[index].muted.contains(&section.track);
            let entry = &mut self.tracks[track];
            entry.publisher = Some(index);
            entry.set_muted(muted);
        }
    }

    fn adopt_subscriptions(&mut self, now: Instant, index: usize, states: Vec<SubscriptionState>) {
        let references = self.peers[index].subscriptions.clone();
        for state in states {
            let ssrc = state.ssrc();
            let Some(reference) = references.iter().find(|reference| reference.ssrc == ssrc) else { continue };
            let Some(section) = self.peers[index].senders.iter().find(|section| section.ssrc == ssrc) else { continue };
            let imported = Subscription::import(section, state, 0, now);
            let muted = self.tracks[reference.track].muted;
            let subscribers = &mut self.tracks[reference.track].subscribers;
            let subscriber = subscribers.iter_mut().find(|subscriber: &&mut Subscriber| {
                subscriber.peer == index && subscriber.subscription.ssrc() == ssrc
            });
            match (imported, subscriber) {
                (Ok(mut imported), Some(subscriber)) => {
                    // The track may have been muted or unmuted since the export.
                    if muted {
                        imported.pause();
                    } else {
                        imported.resume();
                    }
                    subscriber.subscription = imported;
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
