//! Moving a room, at its owner (rule 11): prepare, freeze, commit. The entry changes once, at the commit; whatever
//! fails before leaves it as it was, and the epoch is never used again.

use super::assign::next_epoch;
use super::claim::tell;
use super::{Entry, Owner};
use crate::placement::core::effect::{MoveRefusal, PlacementEvent, Refused};
use crate::placement::core::epoch::{Epoch, Located, RoomHints};
use crate::placement::core::limits::{
    HAND_TIMEOUT, HOPS_MAX, MOVE_REST, MOVES_MAX, MOVES_PER_SOURCE, PREPARE_TIMEOUT, TOO_LOW_MAX,
};
use crate::placement::core::message::{HandRefusal, Message, MoveRequest, PrepareRefusal};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::time::Instant;

/// A room that is being moved.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) from: MemberId,
    pub(super) to: MemberId,
    pub(super) epoch: Epoch,
    pub(super) stage: Stage,
    too_low: usize,
    ends_at: Instant,
    /// The operator's node and its number; `None` when the source drains.
    asker: Option<(MemberId, u64)>,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The target makes its copy.
    Preparing,
    /// The source gives the rest.
    Freezing,
}

impl Owner {
    /// An operator wants a room moved: here, or on to the owner of this node's view.
    pub(in crate::placement::core) fn move_asked(&mut self, turn: &mut Turn<'_>, asked: MoveRequest) {
        let cluster = turn.cluster;
        let result = match cluster.owner(&asked.room) {
            Some(owner) if owner == turn.me => self.move_here(turn, &asked),
            Some(owner) if asked.hops < HOPS_MAX => {
                let hops = asked.hops + 1;
                turn.send(owner, Message::Move(MoveRequest { hops, ..asked }));
                return;
            }
            _ => Err(aborted("the nodes do not agree yet who owns the room's name")),
        };
        // What began is answered when it ends.
        if let Some(result) = result.transpose() {
            answer(turn, &asked.room, (asked.asker, asked.request), result);
        }
    }

    fn move_here(&mut self, turn: &mut Turn<'_>, asked: &MoveRequest) -> Result<Option<Located>, MoveRefusal> {
        let MoveRequest { asker, request, room, to, .. } = asked;
        if self.moves.contains_key(room) {
            return Err(MoveRefusal::AlreadyMoving);
        }
        let Some(entry) = self.entries.get(room).filter(|entry| self.is_active(turn, &entry.host)) else {
            let settles = self.is_settling(turn.now) || self.assigning.contains_key(room);
            return Err(if settles { aborted("the room is being found or placed") } else { MoveRefusal::NoSuchRoom });
        };
        if to.as_ref() == Some(&entry.host) {
            return Ok(Some(Located { host: entry.host.clone(), epoch: entry.epoch.clone() }));
        }
        self.begin_move(turn, room, to.as_ref(), Some((asker.clone(), *request)))?;
        Ok(None)
    }

    /// Chooses the target and has it make its copy.
    fn begin_move(
        &mut self,
        turn: &mut Turn<'_>,
        room: &str,
        wanted: Option<&MemberId>,
        asker: Option<(MemberId, u64)>,
    ) -> Result<(), MoveRefusal> {
        if self.moves.len() >= MOVES_MAX {
            return Err(aborted("too many rooms are on the move"));
        }
        let Some(entry) = self.entries.get(room) else { return Err(MoveRefusal::NoSuchRoom) };
        let from = entry.host.clone();
        if let Some(wanted) = wanted {
            self.check_able(turn, wanted)?;
        }
        let (failed, copies_nothing) = (&self.failed, &self.copies_nothing);
        let excluded = |member: &MemberId| {
            let is_meant = *member != from && wanted.is_none_or(|wanted| wanted == member);
            !is_meant || copies_nothing.contains(member) || failed.get(member).is_some_and(|until| turn.now < *until)
        };
        let hints = RoomHints::default();
        let to = match self.choice.choose(room, &hints, excluded, turn.cluster, turn.now) {
            Ok(to) => to,
            Err(why) => return Err(MoveRefusal::NoCapacity { why }),
        };
        let (epoch, ends_at) = (next_epoch(turn, room), turn.now + PREPARE_TIMEOUT);
        let moving = Move { from, to, epoch, stage: Stage::Preparing, too_low: 0, ends_at, asker };
        ask(turn, room, &moving);
        self.moves.insert(room.to_owned(), moving);
        Ok(())
    }

    fn check_able(&self, turn: &Turn<'_>, to: &MemberId) -> Result<(), MoveRefusal> {
        let member = turn.cluster.members().find(|member| member.id == *to);
        let why = match member {
            None => "it is not known",
            Some(member) if !member.takes_rooms() => "it is not serving, not ready, draining, or without the role",
            Some(_) if self.copies_nothing.contains(to) => "it does not take rooms that run elsewhere",
            Some(_) if self.failed.get(to).is_some_and(|until| turn.now < *until) => "it did not answer a moment ago",
            Some(_) => return Ok(()),
        };
        Err(MoveRefusal::TargetNotAble { target: to.clone(), why: why.to_owned() })
    }

    /// The target has its copy: the source is to freeze.
    pub(in crate::placement::core) fn prepared(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        epoch: Epoch,
    ) {
        let is_due = |moving: &&mut Move| {
            moving.to == *from && moving.epoch == epoch && moving.stage == Stage::Preparing && turn.now < moving.ends_at
        };
        if let Some(moving) = self.moves.get_mut(&room).filter(is_due) {
            (moving.stage, moving.ends_at) = (Stage::Freezing, turn.now + HAND_TIMEOUT);
            turn.send(&moving.from, Message::Freeze { room, epoch, to: moving.to.clone() });
            return;
        }
        turn.refuse(from, Refused::Unasked);
        let goes_on = self.moves.get(&room).is_some_and(|moving| moving.epoch == epoch);
        let is_committed = self.entries.get(&room).is_some_and(|entry| entry.host == *from && entry.epoch >= epoch);
        if !goes_on && !is_committed && epoch.decider == *turn.me {
            turn.send(from, Message::Abort { room, epoch });
        }
    }

    /// The target makes no copy.
    pub(in crate::placement::core) fn prepare_refused(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: &str,
        epoch: &Epoch,
        why: PrepareRefusal,
    ) {
        let is_asked = |moving: &&mut Move| moving.to == *from && moving.epoch == *epoch;
        let Some(moving) = self.moves.get_mut(room).filter(is_asked) else {
            turn.refuse(from, Refused::Unasked);
            return;
        };
        match why {
            // Rule 2: again, above it.
            PrepareRefusal::TooLow { known } if moving.too_low < TOO_LOW_MAX => {
                turn.floors.raise(room, &known);
                moving.too_low += 1;
                moving.epoch = next_epoch(turn, room);
                ask(turn, room, moving);
                return;
            }
            PrepareRefusal::Unsupported => {
                self.copies_nothing.insert(moving.to.clone());
            }
            _ => {}
        }
        let target = from.clone();
        self.abort_where(turn, &MoveRefusal::TargetNotAble { target, why: why.to_string() }, |of, _| of == room);
    }

    /// The target has everything: the one point at which the room moves.
    pub(in crate::placement::core) fn handed(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: &str,
        epoch: &Epoch,
    ) {
        let is_due = |moving: &&Move| moving.from == *from && moving.epoch == *epoch && moving.stage == Stage::Freezing;
        let Some(moving) = self.moves.get(room).filter(is_due) else {
            turn.refuse(from, Refused::Unasked);
            return;
        };
        // Later the source has thawed and changes what the target does not hear of.
        if turn.now >= moving.ends_at {
            self.abort_where(turn, &MoveRefusal::TimedOut, |of, _| of == room);
            return;
        }
        let takes = turn.cluster.members().any(|member| member.id == moving.to && member.takes_rooms());
        if !takes {
            let (target, why) = (moving.to.clone(), "it stopped taking rooms meanwhile".to_owned());
            self.abort_where(turn, &MoveRefusal::TargetNotAble { target, why }, |of, _| of == room);
            return;
        }
        let stands = |entry: &&mut Entry| entry.host == *from && entry.epoch < *epoch;
        let Some(entry) = self.entries.get_mut(room).filter(stands) else {
            self.abort_where(turn, &aborted("the room was placed otherwise meanwhile"), |of, _| of == room);
            return;
        };
        let Some(Move { from, to, epoch, asker, .. }) = self.moves.remove(room) else { return };
        (entry.host, entry.epoch, entry.heard) = (to.clone(), epoch.clone(), turn.now);
        (entry.decided, entry.moved_from) = (Some(turn.now), Some(from.clone()));
        // The target first: whoever is sent there finds the room.
        tell(turn, &to, room, entry);
        tell(turn, &from, room, entry);
        let located = Located { host: to.clone(), epoch: epoch.clone() };
        turn.event(PlacementEvent::Moved { room: room.to_owned(), from, host: to, epoch });
        if let Some(asker) = asker {
            answer(turn, room, asker, Ok(located));
        }
    }

    /// The source keeps the room.
    pub(in crate::placement::core) fn hand_failed(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: &str,
        epoch: &Epoch,
        why: HandRefusal,
    ) {
        let known = self.moves.get(room).is_some_and(|moving| moving.from == *from && moving.epoch == *epoch);
        if known {
            self.abort_where(turn, &aborted(&format!("the source keeps it: {why}")), |of, _| of == room);
        } else {
            turn.refuse(from, Refused::Unasked);
        }
    }

    /// Gives moves up: both sides go on as if there had been none.
    pub(super) fn abort_where(&mut self, turn: &mut Turn<'_>, why: &MoveRefusal, fails: impl Fn(&str, &Move) -> bool) {
        let ended: Vec<_> = self.moves.extract_if(.., |room, moving| fails(room, moving)).collect();
        for (room, Move { from, to, epoch, asker, .. }) in ended {
            for side in [&from, &to] {
                turn.send(side, Message::Abort { room: room.clone(), epoch: epoch.clone() });
            }
            if let Some(entry) = self.entries.get_mut(&room) {
                entry.moves_after = Some(turn.now + MOVE_REST);
            }
            turn.event(PlacementEvent::MoveAborted { room: room.clone(), from, to, why: why.clone() });
            if let Some(asker) = asker {
                answer(turn, &room, asker, Err(why.clone()));
            }
        }
    }

    /// Members came, went or drain; names have other owners.
    pub(super) fn moves_cluster_changed(&mut self, turn: &mut Turn<'_>) {
        let (cluster, me) = (turn.cluster, turn.me);
        self.copies_nothing.retain(|member| cluster.is_alive(member));
        let is_over = |moving: &Move| !cluster.is_alive(&moving.from) || !cluster.is_alive(&moving.to);
        self.abort_where(turn, &aborted("one of its two nodes is gone"), |_, moving| is_over(moving));
        let why = aborted("another node owns the room's name");
        self.abort_where(turn, &why, |room, _| cluster.owner(room) != Some(me));
        self.end_cancelled(turn);
    }

    fn end_cancelled(&mut self, turn: &mut Turn<'_>) {
        let cluster = turn.cluster;
        let is_cancelled = |moving: &Move| moving.asker.is_none() && !cluster.drains(&moving.from);
        self.abort_where(turn, &aborted("the drain was cancelled"), |_, moving| is_cancelled(moving));
    }

    pub(super) fn tick_moves(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.abort_where(turn, &MoveRefusal::TimedOut, |_, moving| moving.ends_at <= now);
        self.end_cancelled(turn);
        if !self.is_settling(now) && turn.cluster.draining().next().is_some() {
            self.drain(turn);
        }
    }

    /// Begins to move rooms of draining hosts, few at a time.
    fn drain(&mut self, turn: &mut Turn<'_>) {
        let cluster = turn.cluster;
        let mut free: BTreeMap<&MemberId, usize> =
            cluster.draining().map(|source| (source, MOVES_PER_SOURCE)).collect();
        for moving in self.moves.values() {
            if let Some(free) = free.get_mut(&moving.from) {
                *free = free.saturating_sub(1);
            }
        }
        let mut due = Vec::new();
        for (room, entry) in &self.entries {
            if free.values().all(|free| *free == 0) {
                break;
            }
            let Some(free) = free.get_mut(&entry.host).filter(|free| **free > 0) else { continue };
            let rests = entry.moves_after.is_some_and(|until| turn.now < until);
            if !rests && !self.moves.contains_key(room) && self.is_active(turn, &entry.host) {
                *free -= 1;
                due.push(room.clone());
            }
        }
        for room in due {
            let Err(why) = self.begin_move(turn, &room, None, None) else { continue };
            if let Some(entry) = self.entries.get_mut(&room) {
                entry.moves_after = Some(turn.now + MOVE_REST);
                let source = entry.host.clone();
                turn.event(PlacementEvent::NotDrained { room, source, why });
            }
            // The next ones fare no better now, and each would be a line in the log.
            return;
        }
    }
}

fn ask(turn: &mut Turn<'_>, room: &str, moving: &Move) {
    let (epoch, from) = (moving.epoch.clone(), moving.from.clone());
    turn.send(&moving.to, Message::Prepare { room: room.to_owned(), epoch, from });
}

fn aborted(why: &str) -> MoveRefusal {
    MoveRefusal::Aborted { why: why.to_owned() }
}

fn answer(turn: &mut Turn<'_>, room: &str, asker: (MemberId, u64), result: Result<Located, MoveRefusal>) {
    let (asker, request) = asker;
    turn.send(&asker, Message::MoveAnswer { request, room: room.to_owned(), result });
}
