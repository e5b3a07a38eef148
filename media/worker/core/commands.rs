//! Commands of the control plane.

use super::peer::Peer;
use super::{PEERS_MAX, WorkerCore};
use crate::codec::{Channel, ExtensionIds, IceCredentials, ReceiveSection};
use crate::command::{MediaCommand, MediaEvent, PeerEnd, Preference};
use crate::id::{PeerId, RoomKey, TrackKey};
use crate::transport::{Transport, TransportConfig};
use crate::worker::arena::SendArena;
use std::collections::BTreeSet;
use std::time::Instant;

/// Tracks that one peer may have preferences for, also before it subscribes them. Beyond it the oldest of a track that
/// is gone gives way; a peer that prefers so many living ones gets the default for more.
pub(super) const PREFERENCES_MAX: usize = 4096;
/// Tracks that one peer may have muted, also before it publishes them; beyond it the same, and more are muted only for as
/// long as the peer's tracks stay as they are.
pub(super) const MUTED_MAX: usize = 1024;

/// The names under which checks find a transport.
pub(super) fn ufrags(transport: &Transport) -> Vec<Box<[u8]>> {
    transport.local_ufrags().map(|ufrag| ufrag.as_bytes().into()).collect()
}

impl WorkerCore {
    /// Carries out one command. A command for an unknown peer is answered with `PeerEnded`, or ignored where the
    /// control plane has closed the peer itself.
    pub(crate) fn handle_command(&mut self, now: Instant, command: MediaCommand, arena: &mut SendArena) {
        match command {
            MediaCommand::OpenPeer { peer, room, local, open_channels, allow_pause } => {
                self.open_peer(now, peer, room, local, open_channels);
                self.with_peer(peer, |core, index| core.peers[index].allow_pause = allow_pause);
            }
            MediaCommand::SetRemote { peer, remote } => {
                self.with_peer(peer, |core, index| {
                    core.peers[index].transport.set_remote(remote);
                    core.pump(now, index, arena);
                });
            }
            MediaCommand::RestartIce { peer, local } => self.with_peer(peer, |core, index| {
                core.restart_ice(index, local);
            }),
            MediaCommand::SetReceivers { peer, extensions, sections } => self.with_peer(peer, |core, index| {
                core.set_receivers(now, index, extensions, sections);
            }),
            MediaCommand::SetSenders { peer, extensions, sections } => self.with_peer(peer, |core, index| {
                core.set_senders(now, index, extensions, sections);
            }),
            MediaCommand::SetPreference { peer, track, preference } => self.with_peer(peer, |core, index| {
                core.set_preference(now, index, track, preference);
            }),
            MediaCommand::SetMuted { peer, track, muted } => self.with_peer(peer, |core, index| {
                core.set_muted(index, track, muted);
            }),
            MediaCommand::SendData { peers, channel, payload } => {
                self.queue_data(peers, channel, payload);
            }
            MediaCommand::ClosePeer { peer } => self.close_peer(peer, arena),
            MediaCommand::ExportPeer { peer, reply } => {
                let state = self.export_peer(now, peer, arena);
                // What was sealed here leaves before anything that the importer seals.
                arena.flush();
                // The asker may have gone; then the peer is gone as well, as after any export.
                let _ = reply.send(state);
            }
            MediaCommand::ImportPeer { peer, room, state, reply } => {
                let _ = reply.send(self.import_peer(now, peer, room, &state, arena));
            }
            MediaCommand::Batch(commands) => {
                for command in commands {
                    self.handle_command(now, command, arena);
                }
            }
            MediaCommand::SetHome { room, worker } => self.spread.set_home(room, worker),
            MediaCommand::RelayPeer { peer, worker } => self.departures.settle(peer, worker),
            MediaCommand::CountSent { reply } => {
                let _ = reply.send(arena.counters().bytes);
            }
            MediaCommand::Inspect { reply } => {
                let _ = reply.send(self.snapshot(arena));
            }
            MediaCommand::Impair { impairment } => {
                if self.config.test_switches {
                    arena.impair(impairment, 1);
                }
            }
        }
    }

    fn with_peer(&mut self, peer: PeerId, act: impl FnOnce(&mut Self, usize)) {
        if let Some(&index) = self.by_id.get(&peer) {
            act(self, index);
        }
    }

    fn open_peer(&mut self, now: Instant, id: PeerId, room: RoomKey, local: IceCredentials, open_channels: bool) {
        if self.peers.len() >= PEERS_MAX || self.by_id.contains_key(&id) {
            self.events.push_back(MediaEvent::PeerEnded { peer: id, end: PeerEnd::Fault });
            return;
        }
        let config = TransportConfig {
            certificate: self.config.certificate.clone(),
            local,
            open_channels,
            gcm: self.config.gcm,
        };
        let transport = Transport::new(config, now);
        let ufrags = ufrags(&transport);
        self.insert_peer(Peer::new(id, room, transport, ufrags, now), now);
    }

    /// Files a peer under all its names.
    pub(super) fn insert_peer(&mut self, mut peer: Peer, now: Instant) -> usize {
        let (id, due) = (peer.id, peer.wake_now(now));
        let ufrags = peer.ufrags.clone();
        let index = self.peers.insert(peer);
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        self.by_id.insert(id, index);
        for ufrag in ufrags {
            self.by_ufrag.insert(ufrag, index);
        }
        self.wake_by(due);
        index
    }

    fn restart_ice(&mut self, index: usize, local: IceCredentials) {
        let peer = &mut self.peers[index];
        peer.transport.restart_ice(local);
        let valid = ufrags(&peer.transport);
        for outdated in std::mem::replace(&mut peer.ufrags, valid.clone()) {
            self.by_ufrag.remove(&outdated);
        }
        for ufrag in valid {
            self.by_ufrag.insert(ufrag, index);
        }
    }

    fn set_receivers(&mut self, now: Instant, index: usize, extensions: ExtensionIds, sections: Vec<ReceiveSection>) {
        let named: BTreeSet<TrackKey> = sections.iter().map(|section| section.track).collect();
        let published = self.peers[index].published.iter().copied();
        let ended: Vec<usize> = published.filter(|track| !named.contains(&self.tracks[*track].key)).collect();
        for section in &sections {
            // What others left of the track has nothing to do with this publisher's.
            if let Some(&track) = self.track_by_key.get(&section.track)
                && let Some(entry) = self.tracks.get_mut(track).filter(|entry| entry.publisher.is_none())
            {
                entry.clear_sources();
            }
            self.publish(index, section.track, section.kind);
        }
        self.peers[index].ingress.configure(now, extensions, sections);
        for track in ended {
            for source in self.peers[index].sources.iter_mut() {
                if source.is_some_and(|(owner, _)| owner == track) {
                    *source = None;
                }
            }
            self.end_published(track);
        }
    }

    fn set_preference(&mut self, now: Instant, index: usize, track: TrackKey, preference: Preference) {
        let preferences = &mut self.peers[index].preferences;
        if preferences.len() >= PREFERENCES_MAX && !preferences.contains_key(&track) {
            // Keys count up: the first is the oldest.
            let gone = preferences.keys().find(|key| !self.track_by_key.contains_key(key)).copied();
            let Some(gone) = gone else { return };
            preferences.remove(&gone);
        }
        preferences.insert(track, preference);
        if let Some(&track) = self.track_by_key.get(&track)
            && let Some(entry) = self.tracks.get_mut(track)
        {
            for subscriber in entry.subscribers_of(index) {
                subscriber.preference = preference;
            }
        }
        self.allocate(now, index);
    }

    fn set_muted(&mut self, index: usize, key: TrackKey, muted: bool) {
        let known = &mut self.peers[index].muted;
        known.retain(|track| *track != key);
        if muted
            && known.len() >= MUTED_MAX
            && let Some(gone) = known.iter().position(|track| !self.track_by_key.contains_key(track))
        {
            known.remove(gone);
        }
        if muted && known.len() < MUTED_MAX {
            known.push(key);
        }
        if let Some(&track) = self.track_by_key.get(&key)
            && let Some(entry) = self.tracks.get_mut(track).filter(|entry| entry.publisher == Some(index))
        {
            entry.set_muted(muted);
            self.spread.tell(entry);
        }
    }

    /// Sends one message to one peer, if it is still there.
    pub(super) fn send_data(
        &mut self,
        now: Instant,
        peer: PeerId,
        channel: Channel,
        payload: &[u8],
        arena: &mut SendArena,
    ) {
        let Some(&index) = self.by_id.get(&peer) else { return };
        if self.peers[index].transport.send_data(now, channel, payload).is_err() {
            self.counters.data_dropped += 1;
        }
        self.pump(now, index, arena);
    }

    fn close_peer(&mut self, peer: PeerId, arena: &mut SendArena) {
        let Some(&index) = self.by_id.get(&peer) else { return };
        self.peers[index].transport.close();
        while let Some((path, datagram)) = self.peers[index].transport.poll_transmit() {
            arena.send(path, &datagram);
        }
        self.end_peer(index, None);
    }
}
