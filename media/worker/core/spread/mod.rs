//! Rooms that live on several workers: this worker's dealings with the others.
//!
//! A peer lives on one worker, with its transport, its ingress and every subscription of its own: who seals does not
//! change with where the media comes from. A track belongs to its *owner*, the worker of its publisher's peer; any other
//! worker with subscribers of it is a *listener* of the owner.
//!
//! - **Finding each other.** Nobody tells a worker where a track's publisher is. A worker that has subscribers of a track
//!   and no publisher says so to every other worker ([`Control::Interest`]), and each remembers what it heard: the owner,
//!   whoever that is and becomes, knows its listeners. So peers may move in any order, and a room on one worker costs
//!   nothing.
//! - **Media.** The owner hands each packet once to each listener that wants its layer, over a bounded ring for each
//!   (from, to) pair ([`ring`]). A full ring drops the newest packet and counts it. The listener keeps its own history
//!   of each source layer, and forwards, chooses layers, rewrites and answers NACKs from there as the owner does.
//! - **Eras.** A source's sequence numbers are good for one *era*; a listener that meets another one starts over. Eras are
//!   unique among the workers and move along with a publisher: its listeners go on without a break.
//! - **What is rare** goes by [`Control`]: layers of a track and their rates, mute, sender reports down; layers wanted, key
//!   frames wanted, packets missed up. What is told is the state when it is sent, so that what waits is bounded by what
//!   there is, and nothing has to be repeated.
//! - **Speakers** are chosen by a room's home worker. The others send it the levels of those who speak at their place, at
//!   the same interval.
//!
//! Which worker a peer goes to, and where a room is at home, is the control plane's decision. Rings and queues between
//! workers, and who wakes whom, are the shell's.

mod control;
mod listener;
mod owner;
mod ring;

pub(crate) use control::Control;
pub(super) use control::SourceReport;
pub(super) use owner::Listener;
#[cfg(test)]
pub(crate) use ring::with_capacity;
pub(crate) use ring::{RingReader, RingWriter, ring};

use super::WorkerCore;
use super::track::Track;
use crate::command::SpeakerLevel;
use crate::id::{RoomKey, TrackKey};
use control::Resume;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Missed packets asked for in one message; the rest follows in the next.
const REPAIRS_PER_MESSAGE: usize = 64;
/// Missed packets that wait to be asked for; further ones wait for the next NACK.
const REPAIRS_MAX: usize = 1_024;

/// One other worker.
#[derive(Debug)]
struct Neighbour {
    out: RingWriter,
    inbound: RingReader,
    /// Something lies in the ring that it has not been woken for.
    handed: bool,
    /// What it wants of which track, wherever that is published.
    heard: BTreeMap<TrackKey, u8>,
    /// What it knows that we want.
    told: BTreeMap<TrackKey, u8>,
    /// What it has to be told, each by its present state.
    reset: bool,
    interests: BTreeSet<TrackKey>,
    key_frames: BTreeMap<TrackKey, u8>,
    facts: BTreeSet<TrackKey>,
    repairs: BTreeSet<(TrackKey, u64, u64)>,
    levels: BTreeMap<RoomKey, Vec<SpeakerLevel>>,
}

impl Neighbour {
    fn new(out: RingWriter, inbound: RingReader) -> Self {
        Self {
            out,
            inbound,
            handed: false,
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            reset: false,
            interests: BTreeSet::new(),
            key_frames: BTreeMap::new(),
            facts: BTreeSet::new(),
            repairs: BTreeSet::new(),
            levels: BTreeMap::new(),
        }
    }

    fn has_controls(&self) -> bool {
        self.reset
            || !self.interests.is_empty()
            || !self.key_frames.is_empty()
            || !self.facts.is_empty()
            || !self.repairs.is_empty()
            || !self.levels.is_empty()
    }
}

/// What was handed between workers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpreadCounters {
    /// Packets written to rings.
    pub(super) handed: u64,
    /// Packets that found a ring full.
    pub(super) overflowed: u64,
    /// Packets read from rings that nobody here waits for any more.
    pub(super) stale: u64,
}

/// This worker among the others.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// By index of the worker; nothing at our own. Empty where there is only one worker.
    neighbours: Vec<Option<Neighbour>>,
    /// Rooms that are at home elsewhere.
    homes: BTreeMap<RoomKey, usize>,
    worker: usize,
    /// The last era given out. Workers, also of other nodes, begin at random numbers and never meet.
    eras: u64,
    /// Bytes of the packet just read.
    bytes: Vec<u8>,
    pub(super) counters: SpreadCounters,
}

impl Spread {
    /// A number for what a source counts from here on: no worker uses it again.
    pub(super) fn next_era(&mut self) -> u64 {
        // 0 stands for a state without eras.
        self.eras = self.eras.checked_add(1).unwrap_or(1);
        self.eras
    }

    fn neighbour(&mut self, worker: usize) -> Option<&mut Neighbour> {
        self.neighbours.get_mut(worker)?.as_mut()
    }

    fn others(&mut self) -> impl Iterator<Item = (usize, &mut Neighbour)> {
        self.neighbours.iter_mut().enumerate().filter_map(|(worker, other)| Some((worker, other.as_mut()?)))
    }

    /// The worker at which a room is at home, if that is another one.
    pub(super) fn home_of(&self, room: RoomKey) -> Option<usize> {
        self.homes.get(&room).copied().filter(|_| !self.neighbours.is_empty())
    }

    pub(super) fn set_home(&mut self, room: RoomKey, worker: usize) {
        if worker == self.worker || self.neighbour(worker).is_none() {
            self.homes.remove(&room);
        } else {
            self.homes.insert(room, worker);
        }
    }

    /// Tells a room's home who speaks here.
    pub(super) fn send_levels(&mut self, home: usize, room: RoomKey, levels: Vec<SpeakerLevel>) {
        if let Some(other) = self.neighbour(home) {
            other.levels.insert(room, levels);
        }
    }

    /// Nobody of a room is here any more: its home need not wait for its speakers to fall silent.
    pub(super) fn forget_room(&mut self, room: RoomKey, spoke: bool) {
        let home = self.homes.remove(&room);
        if spoke && let Some(home) = home.and_then(|home| self.neighbour(home)) {
            home.levels.insert(room, Vec::new());
        }
    }

    /// After a panic: what is between the workers stays, what was known is forgotten, and everybody hears of it.
    pub(super) fn begin_anew(self) -> Self {
        let renew = |neighbour: Option<Neighbour>| {
            neighbour.map(|Neighbour { out, inbound, .. }| Neighbour { reset: true, ..Neighbour::new(out, inbound) })
        };
        Self {
            neighbours: self.neighbours.into_iter().map(renew).collect(),
            homes: BTreeMap::new(),
            bytes: Vec::new(),
            ..self
        }
    }
}

impl WorkerCore {
    /// Connects this worker, number `worker`, with another one.
    pub(crate) fn connect(&mut self, worker: usize, other: usize, out: RingWriter, inbound: RingReader) {
        let spread = &mut self.spread;
        spread.worker = worker;
        if spread.neighbours.len() <= other {
            spread.neighbours.resize_with(other + 1, || None);
        }
        spread.neighbours[other] = Some(Neighbour::new(out, inbound));
    }

    /// Begins to number eras after `last`, a random number: sources may come from, and go to, any worker of any node.
    pub(crate) fn begin_eras(&mut self, last: u64) {
        self.spread.eras = last;
    }

    /// Workers that have been handed packets since the last call.
    pub(crate) fn poll_handed(&mut self) -> Option<usize> {
        self.spread.others().find_map(|(worker, other)| std::mem::take(&mut other.handed).then_some(worker))
    }

    /// Whether other workers have to be told something.
    pub(crate) fn has_controls(&self) -> bool {
        self.spread.neighbours.iter().flatten().any(Neighbour::has_controls)
    }

    /// The next message for another worker.
    pub(crate) fn poll_control(&mut self, to: usize) -> Option<Control> {
        let Self { spread, tracks, track_by_key, .. } = self;
        let other = spread.neighbour(to).filter(|other| other.has_controls())?;
        let track_of = |key: &TrackKey| track_by_key.get(key).and_then(|track| tracks.get(*track));
        if std::mem::take(&mut other.reset) {
            return Some(Control::Reset);
        }
        while let Some(key) = other.interests.pop_first() {
            let track = track_of(&key);
            if let Some(interest) = interest(&mut other.told, to, key, track) {
                return Some(interest);
            }
        }
        if let Some((track, layers)) = other.key_frames.pop_first() {
            return Some(Control::KeyFrames { track, layers });
        }
        if let Some(key) = other.facts.pop_first() {
            return Some(track_of(&key).and_then(Track::facts).map_or(Control::Ended { track: key }, Control::Facts));
        }
        if let Some((track, ..)) = other.repairs.first().copied() {
            let of = other.repairs.iter().take_while(|(of, ..)| *of == track).take(REPAIRS_PER_MESSAGE);
            let packets: Vec<(u64, u64)> = of.map(|(_, era, sequence)| (*era, *sequence)).collect();
            other.repairs.retain(|(of, era, sequence)| *of != track || !packets.contains(&(*era, *sequence)));
            return Some(Control::Repair { track, packets });
        }
        let (room, levels) = other.levels.pop_first()?;
        Some(Control::Levels { room, levels })
    }

    /// Takes one message of another worker.
    pub(crate) fn handle_control(&mut self, now: Instant, from: usize, control: Control) {
        match control {
            Control::Reset => self.neighbour_reset(from),
            Control::Interest { track, layers, resume } => self.hear_interest(from, track, layers, &resume),
            Control::KeyFrames { track, layers } => self.hear_key_frames(now, track, layers),
            Control::Repair { track, packets } => self.repair(from, track, &packets),
            Control::Facts(facts) => self.learn(now, from, &facts),
            Control::Ended { track } => self.origin_ended(from, track),
            Control::Levels { room, levels } => self.hear_levels(now, from, room, levels),
        }
    }

    /// Another worker has begun anew.
    fn neighbour_reset(&mut self, from: usize) {
        let Self { spread, tracks, rooms, .. } = self;
        let Some(other) = spread.neighbour(from) else { return };
        other.heard.clear();
        other.told.clear();
        for (_, track) in tracks.iter_mut() {
            track.listeners.retain(|listener| listener.worker != from);
            track.origin.take_if(|origin| *origin == from);
            other.interests.insert(track.key);
        }
        for audio in rooms.values_mut() {
            audio.forget_elsewhere(from);
        }
    }
}

/// What another worker has to be told of our interest in a track, if that has changed.
fn interest(told: &mut BTreeMap<TrackKey, u8>, to: usize, key: TrackKey, track: Option<&Track>) -> Option<Control> {
    let layers = track.and_then(Track::layers_wanted);
    let before = told.get(&key).copied();
    if layers == before {
        return None;
    }
    let Some(wanted) = layers else {
        told.remove(&key);
        return Some(Control::Interest { track: key, layers, resume: Vec::new() });
    };
    // Which layers is of use to the owner only; it hears it when it turns out to be that.
    let other_owner = track.is_some_and(|track| track.origin.is_some_and(|origin| origin != to));
    if before.is_some() && other_owner {
        return None;
    }
    told.insert(key, wanted);
    let resume: Vec<Resume> = track.filter(|_| before.is_none()).map(Track::resumes).unwrap_or_default();
    Some(Control::Interest { track: key, layers, resume })
}

#[cfg(test)]
impl WorkerCore {
    /// Whether nothing is kept for or of other workers.
    pub(super) fn knows_nothing_of_others(&self) -> bool {
        let forgotten = |other: &Neighbour| other.heard.is_empty() && other.told.is_empty() && !other.has_controls();
        self.spread.neighbours.iter().flatten().all(forgotten) && self.spread.homes.is_empty()
    }
}
