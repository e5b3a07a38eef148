//! The side of a track's publisher: hands packets to listeners, tells them of the track, answers what they ask for.

use super::super::WorkerCore;
use super::super::track::Track;
use super::Spread;
use super::control::{Resume, SourceFacts, TrackFacts};
use crate::id::TrackKey;
use crate::packet::SourcePacket;
use std::time::{Duration, Instant};

/// Packets of one source sent after the fact to subscriptions that have moved: 60 ms of the largest layer.
const RESUMED_MAX: u64 = 128;
/// How often listeners hear of rates: three times within the time after which a layer counts as not flowing.
const FACTS_INTERVAL: Duration = Duration::from_millis(500);

/// Another worker with subscribers of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Listener {
    pub(in super::super) worker: usize,
    /// Layers that it wants, by bit.
    layers: u8,
}

impl Spread {
    /// Hands one packet to every listener that wants its layer.
    pub(in super::super) fn hand(
        &mut self,
        listeners: &[Listener],
        name: (TrackKey, u64, u8),
        packet: &SourcePacket<'_>,
        late: bool,
    ) {
        for listener in listeners.iter().filter(|listener| wants(listener.layers, name.2)) {
            self.hand_to(listener.worker, name, packet, late);
        }
    }

    fn hand_to(&mut self, worker: usize, name: (TrackKey, u64, u8), packet: &SourcePacket<'_>, late: bool) {
        let Some(other) = self.neighbours.get_mut(worker).and_then(Option::as_mut) else { return };
        if other.out.push(name, packet, late) {
            other.handed = true;
            self.counters.handed += 1;
        } else {
            self.counters.overflowed += 1;
        }
    }

    /// Listeners of a track hear what it is like now.
    pub(in super::super) fn tell(&mut self, track: &Track) {
        for listener in &track.listeners {
            if let Some(other) = self.neighbour(listener.worker) {
                other.facts.insert(track.key);
            }
        }
    }
}

fn wants(layers: u8, layer: u8) -> bool {
    layers & 1_u8.checked_shl(layer.into()).unwrap_or(0) != 0
}

impl Track {
    /// What listeners have to know, while the publisher is here.
    pub(super) fn facts(&self) -> Option<TrackFacts> {
        self.publisher?;
        let sources = self.sources.iter().map(|source| SourceFacts {
            layer: source.layer,
            codec: source.codec,
            era: source.era,
            rate: source.rate,
            report: source.report,
        });
        Some(TrackFacts { track: self.key, kind: self.kind, muted: self.muted, sources: sources.collect() })
    }
}

impl WorkerCore {
    /// The track's publisher is here from now on: so are its listeners.
    pub(in super::super) fn own(&mut self, track: usize) {
        let Some(entry) = self.tracks.get_mut(track) else { return };
        entry.origin = None;
        let key = entry.key;
        let heard = self.spread.others().filter_map(|(worker, other)| {
            let layers = *other.heard.get(&key)?;
            other.facts.insert(key);
            Some(Listener { worker, layers })
        });
        entry.listeners = heard.collect();
        self.interest_changed(key);
    }

    /// The track's publisher has gone from here.
    pub(in super::super) fn disown(&mut self, track: usize) {
        let Some(entry) = self.tracks.get_mut(track) else { return };
        self.spread.tell(entry);
        entry.listeners.clear();
        let key = entry.key;
        self.interest_changed(key);
    }

    /// Tells listeners of the rates of a peer's tracks, from time to time.
    pub(in super::super) fn refresh_facts(&mut self, now: Instant, index: usize) {
        for track in &self.peers[index].published {
            let entry = &mut self.tracks[*track];
            let due = entry.facts_at.is_none_or(|at| now.saturating_duration_since(at) >= FACTS_INTERVAL);
            if due && !entry.listeners.is_empty() {
                entry.facts_at = Some(now);
                self.spread.tell(entry);
            }
        }
    }

    pub(super) fn hear_interest(&mut self, from: usize, key: TrackKey, layers: Option<u8>, resume: &[Resume]) {
        let Self { spread, tracks, track_by_key, .. } = self;
        let Some(other) = spread.neighbour(from) else { return };
        match layers {
            Some(layers) => other.heard.insert(key, layers),
            None => other.heard.remove(&key),
        };
        let Some(entry) = track_by_key.get(&key).and_then(|track| tracks.get_mut(*track)) else { return };
        if entry.publisher.is_none() {
            return;
        }
        let known = entry.listeners.iter().position(|listener| listener.worker == from);
        match (known, layers) {
            (Some(place), Some(layers)) => entry.listeners[place].layers = layers,
            (Some(place), None) => drop(entry.listeners.remove(place)),
            (None, Some(layers)) => {
                entry.listeners.push(Listener { worker: from, layers });
                other.facts.insert(key);
            }
            (None, None) => {}
        }
        for one in resume {
            self.resume(from, key, *one);
        }
    }

    /// Hands what a moved subscription has not been sent yet.
    fn resume(&mut self, to: usize, key: TrackKey, Resume { era, after }: Resume) {
        let Self { spread, tracks, track_by_key, .. } = self;
        let Some(entry) = track_by_key.get(&key).and_then(|track| tracks.get(*track)) else { return };
        let Some(source) = entry.sources.iter().find(|source| source.era == era).filter(|_| !entry.muted) else {
            return;
        };
        if source.newest.saturating_sub(after) > RESUMED_MAX {
            return;
        }
        for sequence in after + 1..=source.newest {
            if let Some(packet) = source.history.get(sequence) {
                spread.hand_to(to, (key, era, source.layer), &packet, true);
            }
        }
    }

    pub(super) fn hear_key_frames(&mut self, now: Instant, key: TrackKey, layers: u8) {
        let owned = self.track_by_key.get(&key).copied();
        // The publisher may just have moved away: whoever waits asks again.
        if let Some(track) = owned.filter(|track| self.tracks[*track].publisher.is_some()) {
            self.request_layers(now, track, layers.into());
        }
    }

    /// Hands packets again that a listener has missed.
    pub(super) fn repair(&mut self, to: usize, key: TrackKey, packets: &[(u64, u64)]) {
        let Self { spread, tracks, track_by_key, .. } = self;
        let Some(entry) = track_by_key.get(&key).and_then(|track| tracks.get(*track)) else { return };
        for (era, sequence) in packets {
            let source = entry.sources.iter().find(|source| source.era == *era);
            if let Some((source, packet)) = source.and_then(|source| Some((source, source.history.get(*sequence)?))) {
                spread.hand_to(to, (key, *era, source.layer), &packet, true);
            }
        }
    }

    /// Asks a track's owner for key frames of the layers whose bits are set.
    pub(in super::super) fn request_remote_layers(&mut self, track: usize, layers: u32) {
        let Some(entry) = self.tracks.get(track) else { return };
        let Some(other) = entry.origin.and_then(|origin| self.spread.neighbour(origin)) else { return };
        let layers = (layers & 0xff) as u8;
        if layers != 0 {
            *other.key_frames.entry(entry.key).or_default() |= layers;
        }
    }
}
