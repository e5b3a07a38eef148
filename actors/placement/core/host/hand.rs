//! Handing a room over, at its source (rule 11): frozen for a bounded moment, then gone, or thawed as it was.

use super::{Host, Phase};
use crate::placement::core::effect::{AttachRefusal, Effect, Refused, Table};
use crate::placement::core::epoch::Epoch;
use crate::placement::core::limits::{ATTACHES_MAX, FROZEN_MAX, FROZEN_ROOMS_MAX, OFFER_KEPT};
use crate::placement::core::message::{HandRefusal, Message};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use std::time::Instant;

/// A room on its way to another host.
#[derive(Debug)]
pub(super) struct Hand {
    to: MemberId,
    /// What it will be under there; its decider waits for the last delta.
    epoch: Epoch,
    /// It thaws then, or is forgotten when it has thawed.
    until: Instant,
    frozen: Option<Frozen>,
}

#[derive(Debug, Default)]
struct Frozen {
    /// The last delta is delivered.
    handed: bool,
    /// Sessions that wait for the outcome.
    attaches: Vec<u64>,
}

impl Hand {
    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }
}

impl Host {
    /// The target has its copy: stop changing the room, and give the rest.
    pub(in crate::placement::core) fn freeze(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        epoch: Epoch,
        to: MemberId,
    ) {
        if !self.may_decide(turn, from, &epoch) {
            return;
        }
        turn.floors.raise(&room, &epoch.counter);
        let refusal = match self.hands.get(&room) {
            Some(hand) if hand.epoch == epoch => match &hand.frozen {
                Some(Frozen { handed: true, .. }) => return turn.send(from, Message::Handed { room, epoch }),
                Some(_) => return,
                None => Some(HandRefusal::TooLate),
            },
            Some(hand) if hand.frozen.is_some() => Some(HandRefusal::Busy),
            _ => self.why_not_freeze(turn, &room, &epoch, &to),
        };
        if let Some(why) = refusal {
            turn.send(from, Message::HandFailed { room, epoch, why });
            return;
        }
        let frozen = Some(Frozen::default());
        let hand = Hand { to: to.clone(), epoch: epoch.clone(), until: turn.now + FROZEN_MAX, frozen };
        self.hands.insert(room.clone(), hand);
        turn.effects.push(Effect::FreezeRoom { room, to, epoch });
    }

    fn why_not_freeze(&self, turn: &Turn<'_>, room: &str, epoch: &Epoch, to: &MemberId) -> Option<HandRefusal> {
        let runs = self.rooms.get(room).is_some_and(|hosted| matches!(hosted.phase, Phase::Running));
        if !runs || to == turn.me {
            return Some(HandRefusal::NotHere);
        }
        if self.served.get(room).is_some_and(|served| epoch <= served) {
            return Some(HandRefusal::TooLate);
        }
        if !turn.cluster.is_alive(to) {
            return Some(HandRefusal::UnknownTarget);
        }
        let frozen = self.hands.values().filter(|hand| hand.frozen.is_some()).count();
        (frozen >= FROZEN_ROOMS_MAX).then_some(HandRefusal::Busy)
    }

    /// The last delta was delivered: the owner may commit, as long as the room stays frozen.
    pub(in crate::placement::core) fn handed(&mut self, turn: &mut Turn<'_>, room: String, epoch: Epoch) {
        let Some(hand) = self.hands.get_mut(&room).filter(|hand| hand.epoch == epoch) else { return };
        let Some(frozen) = hand.frozen.as_mut().filter(|_| turn.now < hand.until) else { return };
        frozen.handed = true;
        let owner = epoch.decider.clone();
        turn.send(&owner, Message::Handed { room, epoch });
    }

    /// The room's actor could not hand it over.
    pub(in crate::placement::core) fn hand_failed(&mut self, turn: &mut Turn<'_>, room: &str, epoch: &Epoch) {
        if self.hands.get(room).is_some_and(|hand| hand.epoch == *epoch) {
            self.keep_after_all(turn, room, HandRefusal::Failed);
        }
    }

    /// The room goes on here, and who wanted it moved is told.
    pub(super) fn keep_after_all(&mut self, turn: &mut Turn<'_>, room: &str, why: HandRefusal) {
        let Some(hand) = self.hands.get(room).filter(|hand| hand.frozen.is_some()) else { return };
        let epoch = hand.epoch.clone();
        self.thaw(turn, room);
        let owner = epoch.decider.clone();
        turn.send(&owner, Message::HandFailed { room: room.to_owned(), epoch, why });
    }

    /// The owner gave the move up: as if it had not been tried, at the source and at the target.
    pub(in crate::placement::core) fn aborted(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: &str,
        epoch: &Epoch,
    ) {
        if !self.may_decide(turn, from, epoch) {
            return;
        }
        turn.floors.raise(room, &epoch.counter);
        self.drop_prepared_if(turn, room, |prepared| prepared == epoch);
        if self.hands.get(room).is_some_and(|hand| hand.epoch == *epoch) {
            self.thaw(turn, room);
            self.hands.remove(room);
        }
    }

    /// The target serves the room: it was committed, whether or not the owner's word arrives.
    pub(in crate::placement::core) fn taken(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        epoch: Epoch,
    ) {
        let offered = self.hands.get(&room).is_some_and(|hand| hand.to == *from && hand.epoch == epoch);
        let is_greater = self.served.get(&room).is_none_or(|served| epoch > *served);
        if offered && is_greater && turn.cluster.is_alive(from) {
            self.lose(turn, room, from.clone(), epoch);
        } else if self.served.get(&room).is_none_or(|served| *served < epoch) {
            turn.refuse(from, Refused::Unasked);
        }
    }

    /// Thaws what was frozen for too long: the owner cannot commit any more, or its word is lost.
    pub(super) fn tick_hands(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.hands.retain(|_, hand| hand.frozen.is_some() || now < hand.until);
        let overdue = self.hands.iter().filter(|(_, hand)| hand.until <= now);
        let overdue: Vec<String> = overdue.map(|(room, _)| room.clone()).collect();
        for room in overdue {
            self.keep_after_all(turn, &room, HandRefusal::TooLate);
        }
    }

    pub(super) fn hands_deadline(&self) -> Option<Instant> {
        self.hands.values().map(|hand| hand.until).min()
    }

    /// A session at a frozen room waits for the outcome; says whether it does.
    pub(super) fn waits_frozen(&mut self, turn: &mut Turn<'_>, room: &str, request: u64) -> bool {
        let Some(frozen) = self.hands.get_mut(room).and_then(|hand| hand.frozen.as_mut()) else { return false };
        if frozen.attaches.len() < ATTACHES_MAX {
            frozen.attaches.push(request);
        } else {
            turn.full(Table::Attaches);
            turn.effects.push(Effect::Attached { request, result: Err(AttachRefusal::NotHere) });
        }
        true
    }

    /// The room is not here any more: nothing of its hand-over is left, and those who waited are told why.
    pub(super) fn end_hand(&mut self, turn: &mut Turn<'_>, room: &str, why: &AttachRefusal) {
        let frozen = self.hands.remove(room).and_then(|hand| hand.frozen).unwrap_or_default();
        for request in frozen.attaches {
            turn.effects.push(Effect::Attached { request, result: Err(why.clone()) });
        }
    }

    /// What the target was offered is remembered: its word that it serves the room may be on its way.
    fn thaw(&mut self, turn: &mut Turn<'_>, room: &str) {
        let Some(hand) = self.hands.get_mut(room) else { return };
        let Some(frozen) = hand.frozen.take() else { return };
        hand.until = turn.now + OFFER_KEPT;
        let epoch = hand.epoch.clone();
        turn.effects.push(Effect::ThawRoom { room: room.to_owned(), epoch });
        let here = self.rooms.get(room).map(|hosted| hosted.epoch.clone()).ok_or(AttachRefusal::NotHere);
        for request in frozen.attaches {
            turn.effects.push(Effect::Attached { request, result: here.clone() });
        }
    }
}
