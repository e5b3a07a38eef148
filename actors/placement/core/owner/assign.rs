//! Placing a room: one host after the other, each under a greater epoch, until one has it.

use super::{Assigning, Entry, Owner, SWEEP_INTERVAL, Waiters, answer_all};
use crate::placement::core::effect::{LocateError, PlacementEvent, Refused, Table};
use crate::placement::core::epoch::{Epoch, Located};
use crate::placement::core::limits::{ASSIGN_TIMEOUT, ASSIGN_TRIES_MAX, ENTRIES_MAX, TOO_LOW_MAX};
use crate::placement::core::message::{Locate, Message, OwnerRefusal, Registration};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use std::collections::BTreeSet;

impl Owner {
    /// Rule 1: begins.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>, locate: Locate) {
        let (room, hints) = (locate.room.clone(), locate.hints.clone());
        let assigning = Assigning {
            host: turn.me.clone(),
            epoch: next_epoch(turn, &room),
            hints,
            tried: BTreeSet::new(),
            was_refused: false,
            too_low: 0,
            ends_at: turn.now,
            waiters: Waiters::from([((locate.asker.clone(), locate.request), locate)]),
        };
        self.attempt(turn, room, assigning);
    }

    /// Tries the next host, or gives up.
    fn attempt(&mut self, turn: &mut Turn<'_>, room: String, mut assigning: Assigning) {
        let failed = &self.failed;
        let excluded = |member: &MemberId| {
            assigning.tried.contains(member) || failed.get(member).is_some_and(|until| turn.now < *until)
        };
        let chosen = if assigning.tried.len() < ASSIGN_TRIES_MAX {
            self.choice.choose(&room, &assigning.hints, excluded, turn.cluster, turn.now)
        } else {
            Err(format!("{} nodes did not take it", assigning.tried.len()))
        };
        match chosen {
            Ok(host) => {
                assigning.host = host;
                ask(turn, &room, &mut assigning);
                self.assigning.insert(room, assigning);
            }
            Err(why) => give_up(turn, room, assigning, why),
        }
    }

    /// Goes on with other hosts where this one did not take it.
    pub(super) fn reassign_where(&mut self, turn: &mut Turn<'_>, failed: impl Fn(&Assigning) -> bool) {
        let again: Vec<_> = self.assigning.extract_if(.., |_, assigning| failed(assigning)).collect();
        for (room, mut assigning) in again {
            assigning.tried.insert(assigning.host.clone());
            assigning.epoch = next_epoch(turn, &room);
            self.attempt(turn, room, assigning);
        }
    }

    /// The host has it. From another host, or late, it is a registration like any other.
    pub(in crate::placement::core) fn acknowledged(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        epoch: Epoch,
    ) {
        let asked = self.assigning.get(&room).filter(|asked| asked.host == *from && epoch >= asked.epoch);
        if asked.is_some() && turn.cluster.is_alive(from) && !self.names_another(turn, &room, from) {
            turn.floors.raise(&room, &epoch.counter);
            let before = self.entries.get(&room).map(|entry| entry.host.clone());
            tell_placed(turn, &room, before, from, &epoch);
            self.enter(turn, &room, from, epoch, 0);
            self.finish(turn, &room);
            return;
        }
        let same_host = self.entries.get(&room).filter(|entry| entry.host == *from);
        let participants = same_host.map_or(0, |entry| entry.participants);
        self.registered(turn, from, vec![Registration { room, epoch, participants }]);
    }

    /// Rule 2: the host knows a higher epoch.
    pub(in crate::placement::core) fn too_low(&mut self, turn: &mut Turn<'_>, from: &MemberId, room: &str, known: u64) {
        turn.floors.raise(room, &known);
        let Some(assigning) = self.assigning.get_mut(room).filter(|assigning| assigning.host == *from) else {
            turn.refuse(from, Refused::Unasked);
            return;
        };
        assigning.too_low += 1;
        if assigning.too_low <= TOO_LOW_MAX {
            assigning.epoch = next_epoch(turn, room);
            ask(turn, room, assigning);
        } else {
            self.reassign_where(turn, |assigning| assigning.too_low > TOO_LOW_MAX);
        }
    }

    /// The host cannot take it.
    pub(in crate::placement::core) fn assign_refused(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: &str,
        epoch: &Epoch,
    ) {
        let asked = |assigning: &Assigning| assigning.host == *from && assigning.epoch == *epoch;
        let Some(assigning) = self.assigning.get_mut(room).filter(|assigning| asked(assigning)) else {
            turn.refuse(from, Refused::Unasked);
            return;
        };
        assigning.was_refused = true;
        self.reassign_where(turn, asked);
    }

    /// Writes an entry; not when the table is full.
    pub(super) fn enter(&mut self, turn: &mut Turn<'_>, room: &str, host: &MemberId, epoch: Epoch, participants: u32) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(room) {
            turn.full(Table::Entries);
            return;
        }
        let entry = Entry {
            host: host.clone(),
            epoch,
            participants,
            heard: turn.now,
            decided: None,
            moved_from: None,
            moves_after: None,
        };
        self.entries.insert(room.to_owned(), entry);
        self.sweep_at.get_or_insert(turn.now + SWEEP_INTERVAL);
    }

    /// Whoever waits for the room to be placed learns its entry.
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>, room: &str) {
        let Some(entry) = self.entries.get(room) else { return };
        let located = Located { host: entry.host.clone(), epoch: entry.epoch.clone() };
        if let Some(assigning) = self.assigning.remove(room) {
            answer_all(turn, assigning.waiters, &Ok(located));
        }
    }

    fn names_another(&self, turn: &Turn<'_>, room: &str, host: &MemberId) -> bool {
        self.entries.get(room).is_some_and(|entry| entry.host != *host && self.is_active(turn, &entry.host))
    }
}

/// Above everything heard of.
pub(super) fn next_epoch(turn: &mut Turn<'_>, room: &str) -> Epoch {
    let counter = turn.floor(room).saturating_add(1);
    turn.floors.raise(room, &counter);
    Epoch { counter, decider: turn.me.clone() }
}

fn ask(turn: &mut Turn<'_>, room: &str, assigning: &mut Assigning) {
    assigning.ends_at = turn.now + ASSIGN_TIMEOUT;
    turn.send(&assigning.host, Message::Assign { room: room.to_owned(), epoch: assigning.epoch.clone() });
}

fn give_up(turn: &mut Turn<'_>, room: String, assigning: Assigning, why: String) {
    let silent = !assigning.tried.is_empty() && !assigning.was_refused;
    let error = if silent { LocateError::Unavailable { why } } else { LocateError::NoCapacity { why } };
    if let LocateError::NoCapacity { why } = &error {
        turn.event(PlacementEvent::NoCapacity { room, why: why.clone() });
    }
    answer_all(turn, assigning.waiters, &Err(OwnerRefusal::Final(error)));
}

fn tell_placed(turn: &mut Turn<'_>, room: &str, before: Option<MemberId>, host: &MemberId, epoch: &Epoch) {
    let (room, host, epoch) = (room.to_owned(), host.clone(), epoch.clone());
    turn.event(match before {
        Some(from) if from != host => PlacementEvent::Replaced { room, from, host, epoch },
        _ => PlacementEvent::Placed { room, host, epoch },
    });
}
