//! The forwarding path: opened RTP in, sealed RTP in the arena out.

use super::track::{Source, Track};
use super::{TICK, WorkerCore};
use crate::command::MediaEvent;
use crate::id::TrackKey;
use crate::ingress::Accepted;
use crate::packet::{SourcePacket, rtp};
use crate::worker::arena::SendArena;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets of one track that are forwarded to a subscriber in one go: one segmented message's worth.
const BATCH: usize = 64;
/// Packets held for moved subscribers of one worker, 32 bytes each; a move takes a round trip.
const HELD_MAX: usize = 4_096;
/// Packets of one source that came while a subscription moved here; more means that it starts over by itself.
const MISSED_MAX: u64 = 128;

/// Packets that wait for the rest of their frame.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    /// Tracks with waiting packets.
    dirty: Vec<usize>,
    /// When the oldest waiting packet arrived.
    since: Option<Instant>,
    /// A frame is complete, or an audio packet waits: nothing more to wait for.
    complete: bool,
    /// Packets for moved subscribers that have not answered from here yet.
    held: VecDeque<Held>,
}

/// One packet of a track for a subscriber without a path.
#[derive(Clone, Copy, Debug)]
struct Held {
    peer: usize,
    track: TrackKey,
    source: u8,
    sequence: u64,
}

impl Forwarding {
    /// Keeps a packet in mind until the subscriber has a path; the oldest gives way.
    fn hold(&mut self, held: Held) {
        if self.held.len() >= HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back(held);
    }

    /// Drops what waits for a peer that is gone.
    pub(super) fn forget_peer(&mut self, peer: usize) {
        self.held.retain(|held| held.peer != peer);
    }

    /// When waiting packets have to go at the latest.
    pub(super) fn due(&self, hold: Duration) -> Option<Instant> {
        self.since.map(|since| if self.complete { since } else { since + hold })
    }
}

impl WorkerCore {
    /// Opens one SRTP packet and queues what it brings.
    pub(super) fn handle_rtp(&mut self, now: Instant, index: usize, datagram: &mut [u8]) {
        let peer = &mut self.peers[index];
        let opened = rtp::parse(datagram)
            .ok()
            .and_then(|header| peer.transport.open_rtp(datagram, header.length).ok().map(|length| (header, length)));
        let Some((header, length)) = opened else {
            self.counters.datagrams_refused += 1;
            return;
        };
        let packet = &datagram[..length];
        let accepted = peer.ingress.handle_rtp(now, &header, packet);
        if peer.due > now + TICK {
            let due = peer.wake_now(now);
            self.wake_by(due);
        }
        if let Some(accepted) = accepted {
            self.accept(now, index, &accepted, packet);
        }
    }

    fn accept(&mut self, now: Instant, index: usize, accepted: &Accepted, packet: &[u8]) {
        if let Some(audio) = &accepted.audio {
            let room = self.peers[index].room;
            self.observe_audio(now, room, accepted.track, audio.level);
        }
        let known = self.peers[index].sources.get(accepted.stream).copied().flatten().filter(|_| !accepted.first);
        let Some((track, source)) = known.or_else(|| self.add_source(now, index, accepted)) else { return };
        let entry = &mut self.tracks[track];
        let stored = accepted.source(packet);
        let place = &mut entry.sources[source];
        place.rate.count(now, &stored);
        place.history.insert(&stored);
        if accepted.restarted {
            place.era = self.spread.next_era();
            place.newest = 0;
            entry.restart_source(source);
        }
        let place = &mut entry.sources[source];
        place.newest = place.newest.max(accepted.sequence);
        if entry.muted {
            return;
        }
        if !entry.listeners.is_empty() {
            self.spread.hand(&entry.listeners, (entry.key, place.era, place.layer), &stored, accepted.recovered);
        }
        if entry.subscribers.is_empty() {
            return;
        }
        let complete = accepted.marker || accepted.recovered || !is_video(accepted);
        self.wait_to_forward(now, track, (source as u8, accepted.sequence), complete);
    }

    /// Queues one packet that its source's history has; `complete` if nothing more has to be waited for.
    #[inline]
    pub(super) fn wait_to_forward(&mut self, now: Instant, track: usize, packet: (u8, u64), complete: bool) {
        let entry = &mut self.tracks[track];
        if entry.pending.is_empty() {
            self.forwarding.dirty.push(track);
        }
        entry.pending.push(packet);
        self.forwarding.since.get_or_insert(now);
        self.forwarding.complete |= complete || entry.pending.len() >= BATCH;
    }

    /// Files a new stream of a published track as a source layer.
    fn add_source(&mut self, now: Instant, index: usize, accepted: &Accepted) -> Option<(usize, usize)> {
        let track = *self.track_by_key.get(&accepted.track)?;
        let entry = self.tracks.get_mut(track)?;
        let known =
            entry.sources.iter().position(|source| source.layer == accepted.layer && source.codec == accepted.codec);
        let source = match known {
            Some(source) => {
                // A new stream takes the layer over (re-publish, new SSRC): its numbers have nothing to do with the old.
                let (layer, codec, era) = (accepted.layer, accepted.codec, self.spread.next_era());
                let rate = entry.sources[source].rate;
                entry.sources[source] = Source { rate, ..Source::new(layer, codec, entry.kind, era) };
                entry.restart_source(source);
                source
            }
            None if entry.sources.len() < usize::from(u8::MAX) => {
                // Subscribers may still count by a publisher before this one; a stream moved here goes on.
                let goes_on = !accepted.first;
                let era = self.spread.next_era();
                entry.sources.push(Source::new(accepted.layer, accepted.codec, entry.kind, era));
                let source = entry.sources.len() - 1;
                if !goes_on {
                    entry.restart_source(source);
                }
                source
            }
            None => return None,
        };
        let sources = &mut self.peers[index].sources;
        if sources.len() <= accepted.stream {
            sources.resize(accepted.stream + 1, None);
        }
        sources[accepted.stream] = Some((track, source));
        self.spread.tell(&self.tracks[track]);
        self.choose_codecs(track);
        self.events.push_back(MediaEvent::LayerStarted {
            peer: self.peers[index].id,
            track: accepted.track,
            codec: accepted.codec,
            layer: accepted.layer,
            ssrc: accepted.ssrc,
        });
        self.allocate_track(now, track);
        Some((track, source))
    }

    pub(super) fn choose_codecs(&mut self, track: usize) {
        let chosen: Vec<_> = self.tracks[track]
            .subscribers
            .iter()
            .map(|subscriber| {
                let section = self.peers[subscriber.peer]
                    .senders
                    .iter()
                    .find(|section| section.ssrc == subscriber.subscription.ssrc());
                section.and_then(|section| self.tracks[track].codec_for(section))
            })
            .collect();
        for (subscriber, codec) in self.tracks[track].subscribers.iter_mut().zip(chosen) {
            subscriber.codec = codec.or(subscriber.codec);
        }
    }

    /// Forwards what has waited long enough.
    pub(crate) fn forward_due(&mut self, now: Instant, arena: &mut SendArena) {
        if self.forwarding.due(self.config.hold).is_none_or(|due| due > now) {
            return;
        }
        self.forwarding.since = None;
        self.forwarding.complete = false;
        let mut dirty = std::mem::take(&mut self.forwarding.dirty);
        for track in dirty.drain(..) {
            if self.tracks.contains(track) {
                self.forward_track(now, track, arena);
            }
        }
        self.forwarding.dirty = dirty;
    }

    /// Forwards everything that waits, complete or not.
    pub(super) fn forward_now(&mut self, now: Instant, arena: &mut SendArena) {
        self.forwarding.complete = self.forwarding.since.is_some();
        self.forward_due(now, arena);
    }

    fn forward_track(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        let track = &mut self.tracks[index];
        let mut pending = std::mem::take(&mut track.pending);
        let mut wanted_layers = 0_u32;
        for chunk in pending.chunks(BATCH) {
            let mut packets: [Option<(u8, SourcePacket<'_>)>; BATCH] = [const { None }; BATCH];
            for (place, (source, sequence)) in packets.iter_mut().zip(chunk) {
                let source = &track.sources[usize::from(*source)];
                *place = source.history.get(*sequence).map(|packet| (source.layer, packet));
            }
            for subscriber in &mut track.subscribers {
                let Some(link) = self.links[subscriber.peer].as_mut() else {
                    if subscriber.subscription.is_under_way() {
                        let (peer, track) = (subscriber.peer, track.key);
                        for (source, sequence) in chunk {
                            self.forwarding.hold(Held { peer, track, source: *source, sequence: *sequence });
                        }
                    }
                    continue;
                };
                for (layer, packet) in packets[..chunk.len()].iter().flatten() {
                    if subscriber.codec.is_some_and(|codec| codec != packet.codec) {
                        continue;
                    }
                    let forwarded = subscriber.subscription.forward(now, *layer, packet, link, arena);
                    self.counters.packets_forwarded += u64::from(forwarded.sent);
                }
                if let Some(layer) = subscriber.subscription.wants_key_frame(now) {
                    wanted_layers |= 1 << u32::from(layer).min(31);
                }
                arena.flush_if_full();
            }
        }
        pending.clear();
        self.tracks[index].pending = pending;
        self.request_layers(now, index, wanted_layers);
    }

    /// A moved subscription finds its source here: what came while it was under way is sent as soon as it has a path.
    pub(super) fn hold_missed(&mut self, peer: usize, track: usize, ssrc: u32) {
        let Some(entry) = self.tracks.get(track) else { return };
        let Some(subscriber) = entry.subscriber(peer, ssrc) else { return };
        let Some((layer, after)) = subscriber.subscription.newest_source() else { return };
        let era = entry.era_of(subscriber);
        let source = entry.sources.iter().position(|source| source.layer == layer && Some(source.era) == era);
        let Some(source) = source.filter(|_| !entry.muted) else { return };
        let newest = entry.sources[source].newest;
        if newest.saturating_sub(after) <= MISSED_MAX {
            let (track, source) = (entry.key, source as u8);
            for sequence in after + 1..=newest {
                self.forwarding.hold(Held { peer, track, source, sequence });
            }
        }
    }

    /// Sends what has waited for a moved subscriber's path. A number is sealed once only, however often it is offered.
    pub(super) fn forward_held(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        let held = std::mem::take(&mut self.forwarding.held);
        let (due, rest) = held.into_iter().partition(|held| held.peer == index);
        self.forwarding.held = rest;
        let due: VecDeque<Held> = due;
        for Held { track, source, sequence, .. } in due {
            let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) else { return };
            let entry = self.track_by_key.get(&track).and_then(|&track| self.tracks.get_mut(track));
            let Some(Track { sources, subscribers, .. }) = entry else { continue };
            let Some(source) = sources.get(usize::from(source)) else { continue };
            let Some(packet) = source.history.get(sequence) else { continue };
            let wanted = subscribers.iter_mut().filter(|subscriber| {
                subscriber.peer == index && subscriber.codec.is_none_or(|codec| codec == packet.codec)
            });
            for subscriber in wanted {
                let forwarded = subscriber.subscription.forward(now, source.layer, &packet, link, arena);
                self.counters.packets_forwarded += u64::from(forwarded.sent);
            }
        }
    }

    /// Asks the publisher for key frames of the layers whose bits are set; the ingress throttles.
    pub(super) fn request_layers(&mut self, now: Instant, track: usize, layers: u32) {
        let Some(entry) = self.tracks.get(track) else { return };
        let key = entry.key;
        let Some(publisher) = entry.publisher else {
            self.request_remote_layers(track, layers);
            return;
        };
        for layer in (0..8_u8).filter(|layer| layers & (1 << layer) != 0) {
            self.peers[publisher].ingress.request_key_frame(now, key, layer);
        }
        if layers != 0 {
            let due = self.peers[publisher].wake_now(now);
            self.wake_by(due);
        }
    }
}

fn is_video(accepted: &Accepted) -> bool {
    accepted.codec.kind() == crate::codec::Kind::Video
}
