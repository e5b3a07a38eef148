//! The side of subscribers whose publisher is at another worker: says what it wants, takes what it is handed.

use super::super::WorkerCore;
use super::super::allocate::RoomAudio;
use super::super::track::{Source, Track};
use super::REPAIRS_MAX;
use super::control::{Resume, SourceFacts, TrackFacts};
use super::ring::Handed;
use crate::codec::{Codec, Kind};
use crate::command::SpeakerLevel;
use crate::id::{RoomKey, TrackKey};
use crate::worker::arena::SendArena;
use std::time::Instant;

/// Packets taken from one ring before sockets and other rings get their turn.
const PACKETS_PER_TURN: usize = 512;
/// Packets taken between two looks at what is due and how full the arena is: one batch of a socket.
const PACKETS_PER_BATCH: usize = 64;

impl Track {
    /// Layers, by bit, that subscribers here want of a publisher elsewhere.
    pub(super) fn layers_wanted(&self) -> Option<u8> {
        if self.publisher.is_some() || self.subscribers.is_empty() {
            return None;
        }
        let bit = |layer: u8| 1_u8.checked_shl(layer.into()).unwrap_or(0);
        let layers = self.subscribers.iter().map(|subscriber| {
            let target = subscriber.subscription.target().map_or(0, |target| bit(target.layer));
            target | subscriber.subscription.newest_source().map_or(0, |(layer, _)| bit(layer))
        });
        Some(layers.fold(0, |sum, layers| sum | layers))
    }

    /// How far subscriptions that came from elsewhere are: the least of each era.
    pub(super) fn resumes(&self) -> Vec<Resume> {
        let mut resumes: Vec<Resume> = Vec::new();
        for subscriber in &self.subscribers {
            let Some((_, after)) = subscriber.subscription.newest_source() else { continue };
            let Some(era) = self.era_of(subscriber).or(subscriber.counts_by) else { continue };
            match resumes.iter_mut().find(|resume| resume.era == era) {
                Some(resume) => resume.after = resume.after.min(after),
                None => resumes.push(Resume { era, after }),
            }
        }
        resumes
    }

    /// The place of a source of an era, made or begun anew where needed; `None` if there is no place for more.
    fn remote_source(&mut self, (layer, codec, era): (u8, Codec, u64)) -> Option<(usize, bool)> {
        let known = self.sources.iter().position(|source| source.layer == layer && source.codec == codec);
        if let Some(place) = known {
            if self.sources[place].era == era {
                return Some((place, false));
            }
            let place_of_source = place as u8;
            self.pending.retain(|(source, _)| *source != place_of_source);
            self.sources[place] = Source::new(layer, codec, self.kind, era);
            self.restart_source(place);
            return Some((place, true));
        }
        if self.sources.len() >= usize::from(u8::MAX) {
            return None;
        }
        self.sources.push(Source::new(layer, codec, self.kind, era));
        let place = self.sources.len() - 1;
        self.follow_source(place);
        Some((place, true))
    }
}

impl WorkerCore {
    /// Other workers hear what subscribers here want of a track, if that differs from what they know.
    pub(in super::super) fn interest_changed(&mut self, key: TrackKey) {
        for (_, other) in self.spread.others() {
            other.interests.insert(key);
        }
    }

    /// The same, for a track that may have its publisher here: then nobody else has to hear anything.
    pub(in super::super) fn wishes_changed(&mut self, track: usize) {
        if let Some(entry) = self.tracks.get(track).filter(|entry| entry.publisher.is_none()) {
            let key = entry.key;
            self.interest_changed(key);
        }
    }

    /// Takes a share of what other workers have handed over and forwards it; returns whether more is left.
    pub(crate) fn take_handed(&mut self, now: Instant, arena: &mut SendArena) -> bool {
        if self.spread.neighbours.is_empty() {
            return false;
        }
        let mut more = false;
        for worker in 0..self.spread.neighbours.len() {
            let mut taken = 0;
            while taken < PACKETS_PER_TURN && self.take_one(now, worker) {
                taken += 1;
                if taken.is_multiple_of(PACKETS_PER_BATCH) {
                    self.forward_due(now, arena);
                    arena.flush_if_full();
                }
            }
            more |= taken == PACKETS_PER_TURN;
        }
        self.forward_due(now, arena);
        more
    }

    fn take_one(&mut self, now: Instant, from: usize) -> bool {
        let mut bytes = std::mem::take(&mut self.spread.bytes);
        let handed = self.spread.neighbour(from).and_then(|other| other.inbound.pop(&mut bytes));
        if let Some(handed) = &handed {
            self.take_packet(now, from, handed, &bytes);
        }
        self.spread.bytes = bytes;
        handed.is_some()
    }

    fn take_packet(&mut self, now: Instant, from: usize, handed: &Handed, bytes: &[u8]) {
        let packet = handed.source(bytes);
        let known = self.track_by_key.get(&handed.track).copied();
        let place = known.and_then(|track| self.place_for(from, track, handed).map(|place| (track, place)));
        let Some((track, (source, is_new))) = place else {
            self.spread.counters.stale += 1;
            return;
        };
        let entry = &mut self.tracks[track];
        let (known, is_muted) = (&mut entry.sources[source], entry.muted);
        known.rate.count(now, &packet);
        known.newest = known.newest.max(packet.sequence);
        known.history.insert(&packet);
        if is_new {
            self.choose_codecs(track);
            self.allocate_track(now, track);
        }
        if !is_muted {
            let complete = packet.marker || handed.late || packet.codec.kind() == Kind::Audio;
            self.wait_to_forward(now, track, (source as u8, packet.sequence), complete);
        }
    }

    /// Where a handed packet belongs. A publisher that has just come here may still have packets under way.
    fn place_for(&mut self, from: usize, track: usize, handed: &Handed) -> Option<(usize, bool)> {
        let entry = self.tracks.get_mut(track)?;
        let same =
            |source: &Source| (source.layer, source.codec, source.era) == (handed.layer, handed.codec, handed.era);
        if let Some(place) = entry.sources.iter().position(same) {
            return Some((place, false));
        }
        let is_ours = entry.publisher.is_some() || entry.subscribers.is_empty();
        // What another worker than the present owner still had in its ring is over.
        if is_ours || entry.origin.is_some_and(|origin| origin != from) {
            return None;
        }
        entry.remote_source((handed.layer, handed.codec, handed.era))
    }

    /// A track's owner says what it is like.
    pub(super) fn learn(&mut self, now: Instant, from: usize, facts: &TrackFacts) {
        let Some(&track) = self.track_by_key.get(&facts.track) else { return };
        let entry = &mut self.tracks[track];
        if entry.publisher.is_some() || entry.subscribers.is_empty() || entry.kind != facts.kind {
            return;
        }
        let is_found = entry.origin.replace(from) != Some(from);
        entry.set_muted(facts.muted);
        if is_found {
            entry.silence_others(&facts.sources);
        }
        let mut is_new = false;
        for source in &facts.sources {
            is_new |= entry.learn_source(source);
        }
        if is_new {
            self.choose_codecs(track);
        }
        if is_new || is_found {
            self.allocate_track(now, track);
        }
        self.interest_changed(facts.track);
    }

    pub(super) fn origin_ended(&mut self, from: usize, key: TrackKey) {
        if let Some(entry) = self.track_by_key.get(&key).and_then(|track| self.tracks.get_mut(*track)) {
            entry.origin.take_if(|origin| *origin == from);
        }
    }

    /// Asks a track's owner for a packet that a subscriber misses and our history has not.
    pub(in super::super) fn miss(&mut self, track: usize, era: u64, sequence: u64) {
        let Some(entry) = self.tracks.get(track) else { return };
        let Some(other) = entry.origin.and_then(|origin| self.spread.neighbour(origin)) else { return };
        if other.repairs.len() < REPAIRS_MAX {
            other.repairs.insert((entry.key, era, sequence));
        }
    }

    /// Another worker says who speaks at its place.
    pub(super) fn hear_levels(&mut self, now: Instant, from: usize, room: RoomKey, levels: Vec<SpeakerLevel>) {
        let audio = self.rooms.entry(room).or_insert_with(|| RoomAudio::new(now));
        audio.hear_elsewhere(from, levels);
        let due = audio.due();
        self.wake_by(due);
    }
}

impl Track {
    /// What the present owner does not name has ended with an owner before it.
    fn silence_others(&mut self, named: &[SourceFacts]) {
        for source in &mut self.sources {
            if !named.iter().any(|facts| facts.era == source.era) {
                source.rate.last_packet = None;
            }
        }
    }

    /// Takes what the owner says of a source; returns whether it was unknown.
    fn learn_source(&mut self, facts: &SourceFacts) -> bool {
        let Some((place, is_new)) = self.remote_source((facts.layer, facts.codec, facts.era)) else { return false };
        let source = &mut self.sources[place];
        let heard = source.rate.last_packet.max(facts.rate.last_packet);
        source.rate = facts.rate;
        source.rate.last_packet = heard;
        if let Some(report) = facts.report.filter(|report| source.report != Some(*report)) {
            source.report = Some(report);
            for subscriber in &mut self.subscribers {
                subscriber.subscription.handle_source_report(report.at, facts.layer, report.ntp, report.rtp);
            }
        }
        is_new
    }
}
