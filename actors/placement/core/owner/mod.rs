//! The owner role: this node's shard of the directory, who waits for it, and what it decides.

mod assign;
mod claim;
mod locate;
mod moving;
mod probe;

use super::choice::Choice;
use super::effect::MoveRefusal;
use super::epoch::{Epoch, Located, RoomHints};
use super::limits::{ENTRY_STALE, SETTLE, WAITING_MAX};
use super::message::{Locate, Message, OwnerRefusal};
use super::snapshot::{DirectoryEntry, MovingRoom};
use super::turn::Turn;
use moving::{Move, Stage};
use starling_cluster::member::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Stale entries are looked for so often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// This node's shard of the directory: soft state, made of what hosts register.
#[derive(Debug)]
pub(super) struct Owner {
    entries: BTreeMap<String, Entry>,
    assigning: BTreeMap<String, Assigning>,
    /// Until then hosts may register what this node does not know as owner yet.
    settle_until: Option<Instant>,
    /// Who waits for that.
    unsettled: Waiters,
    probing: BTreeMap<MemberId, Probing>,
    /// Hosts that did not answer a probe, and until when they count as failed.
    failed: BTreeMap<MemberId, Instant>,
    moves: BTreeMap<String, Move>,
    /// Lives that take no rooms that run elsewhere.
    copies_nothing: BTreeSet<MemberId>,
    choice: Choice,
    last_nonce: u64,
    sweep_at: Option<Instant>,
}

/// By asker and its number: a question asked twice is answered once.
type Waiters = BTreeMap<(MemberId, u64), Locate>;

#[derive(Debug)]
struct Entry {
    host: MemberId,
    epoch: Epoch,
    participants: u32,
    heard: Instant,
    /// When this owner decided for this host against another.
    decided: Option<Instant>,
    /// From which host this owner moved it here: its claim is an old one, however many people it still has.
    moved_from: Option<MemberId>,
    /// Not drained before this: a move failed.
    moves_after: Option<Instant>,
}

#[derive(Debug)]
struct Assigning {
    host: MemberId,
    epoch: Epoch,
    hints: RoomHints,
    /// Hosts that did not take it.
    tried: BTreeSet<MemberId>,
    /// One of them said no, rather than nothing.
    was_refused: bool,
    too_low: usize,
    ends_at: Instant,
    waiters: Waiters,
}

#[derive(Debug)]
struct Probing {
    nonce: u64,
    ends_at: Instant,
    waiters: Waiters,
}

impl Owner {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            assigning: BTreeMap::new(),
            settle_until: None,
            unsettled: Waiters::new(),
            probing: BTreeMap::new(),
            failed: BTreeMap::new(),
            moves: BTreeMap::new(),
            copies_nothing: BTreeSet::new(),
            choice: Choice::new(seed),
            last_nonce: 0,
            sweep_at: None,
        }
    }

    /// Whether something here waits for a deadline.
    pub(super) fn is_busy(&self) -> bool {
        !(self.assigning.is_empty() && self.unsettled.is_empty() && self.probing.is_empty() && self.moves.is_empty())
    }

    /// When entries are to be looked at.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        self.sweep_at.filter(|_| !self.entries.is_empty())
    }

    pub(super) fn waiting(&self) -> usize {
        let assigning: usize = self.assigning.values().map(|assigning| assigning.waiters.len()).sum();
        let probing: usize = self.probing.values().map(|probing| probing.waiters.len()).sum();
        assigning + probing + self.unsettled.len()
    }

    pub(super) fn snapshot(&self) -> Vec<DirectoryEntry> {
        let entry = |(room, entry): (&String, &Entry)| DirectoryEntry {
            room: room.clone(),
            host: entry.host.clone(),
            epoch: entry.epoch.clone(),
            participants: entry.participants,
        };
        self.entries.iter().map(entry).collect()
    }

    pub(super) fn moving(&self) -> Vec<MovingRoom> {
        let moving = |(room, moving): (&String, &Move)| MovingRoom {
            room: room.clone(),
            from: moving.from.clone(),
            to: moving.to.clone(),
            epoch: moving.epoch.clone(),
            freezing: moving.stage == Stage::Freezing,
        };
        self.moves.iter().map(moving).collect()
    }

    /// Who lives or drains changed: names may have come here, hosts may be gone (rules 1, 7, 8).
    pub(super) fn cluster_changed(&mut self, turn: &mut Turn<'_>) {
        // Nobody can register with a node that is alone.
        self.settle_until = (turn.cluster.living().len() > 1).then(|| turn.now + SETTLE);
        self.entries.retain(|room, _| turn.owns(room));
        self.failed.retain(|member, _| turn.cluster.is_alive(member));
        self.choice.cluster_changed(turn.cluster);
        let gone = |room: &String| !turn.owns(room);
        let mut homeless = Waiters::new();
        for (_, mut assigning) in self.assigning.extract_if(.., |room, _| gone(room)) {
            homeless.append(&mut assigning.waiters);
        }
        homeless.extend(self.unsettled.extract_if(.., |_, locate| gone(&locate.room)));
        let cluster = turn.cluster;
        for (_, mut probing) in self.probing.extract_if(.., |host, _| !cluster.is_alive(host)) {
            homeless.append(&mut probing.waiters);
        }
        self.locate_all(turn, homeless);
        self.reassign_where(turn, |assigning| !cluster.is_alive(&assigning.host));
        self.moves_cluster_changed(turn);
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.failed.retain(|_, until| now < *until);
        if !self.is_settling(now) {
            let waiters = std::mem::take(&mut self.unsettled);
            self.locate_all(turn, waiters);
        }
        self.end_probes(turn);
        self.reassign_where(turn, |assigning| assigning.ends_at <= now);
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.sweep_at = Some(now + SWEEP_INTERVAL);
            self.entries.retain(|_, entry| now < entry.heard + ENTRY_STALE);
        }
        self.tick_moves(turn);
    }

    /// The link to a host is gone, and what was on it.
    pub(super) fn lost(&mut self, turn: &mut Turn<'_>, member: &MemberId) {
        self.reassign_where(turn, |assigning| assigning.host == *member);
        let why = MoveRefusal::Aborted { why: format!("the link to {member} broke") };
        self.abort_where(turn, &why, |_, moving| moving.from == *member || moving.to == *member);
    }

    /// Rule 6: the host says that it does not have the room, under no epoch up to this one.
    pub(super) fn unregistered(&mut self, turn: &mut Turn<'_>, from: &MemberId, room: &str, epoch: &Epoch) {
        turn.floors.raise(room, &epoch.counter);
        if self.entries.get(room).is_some_and(|entry| entry.host == *from && entry.epoch <= *epoch) {
            self.entries.remove(room);
            self.abort_where(turn, &MoveRefusal::NoSuchRoom, |of, _| of == room);
        }
    }

    fn is_settling(&self, now: Instant) -> bool {
        self.settle_until.is_some_and(|until| now < until)
    }

    /// Whether a host can be named to those who ask.
    fn is_active(&self, turn: &Turn<'_>, host: &MemberId) -> bool {
        turn.cluster.is_alive(host) && self.failed.get(host).is_none_or(|until| *until <= turn.now)
    }

    fn has_place_to_wait(&self, turn: &mut Turn<'_>) -> bool {
        let has = self.waiting() < WAITING_MAX;
        if !has {
            turn.full(super::effect::Table::Waiting);
        }
        has
    }
}

fn answer(turn: &mut Turn<'_>, locate: Locate, result: Result<Located, OwnerRefusal>) {
    let Locate { asker, request, room, .. } = locate;
    turn.send(&asker, Message::LocateAnswer { request, room, result });
}

fn answer_all(turn: &mut Turn<'_>, waiters: Waiters, result: &Result<Located, OwnerRefusal>) {
    for locate in waiters.into_values() {
        answer(turn, locate, result.clone());
    }
}
