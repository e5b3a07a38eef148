//! What hosts register, and the decision when two claim one room.

use super::assign::next_epoch;
use super::{Entry, Owner};
use crate::placement::core::effect::{MoveRefusal, PlacementEvent, Refused};
use crate::placement::core::epoch::Epoch;
use crate::placement::core::limits::DECISION_FRESH;
use crate::placement::core::message::{Message, Registration};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use std::cmp::Reverse;

impl Owner {
    /// Rule 3: a living host says what it has. Who is not the owner keeps the epoch floors only.
    pub(in crate::placement::core) fn registered(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        rooms: Vec<Registration>,
    ) {
        if !turn.cluster.is_alive(from) {
            turn.refuse(from, Refused::UnknownLife);
            return;
        }
        self.failed.remove(from);
        for registration in rooms {
            turn.floors.raise(&registration.room, &registration.epoch.counter);
            self.choice.heard_of(&registration.room, registration.participants);
            if turn.owns(&registration.room) {
                let room = registration.room.clone();
                self.claim(turn, from, registration);
                self.finish(turn, &room);
            }
        }
    }

    fn claim(&mut self, turn: &mut Turn<'_>, from: &MemberId, claim: Registration) {
        let Registration { room, epoch, participants } = claim;
        match self.entries.get_mut(&room) {
            Some(entry) if entry.host == *from => {
                entry.heard = turn.now;
                entry.participants = participants;
                if epoch >= entry.epoch {
                    entry.epoch = epoch;
                } else if entry.epoch.decider == *turn.me {
                    tell(turn, from, &room, entry);
                }
            }
            Some(entry) if turn.cluster.is_alive(&entry.host) && !self.failed.contains_key(&entry.host) => {
                if entry.moved_from.as_ref() == Some(from) && epoch < entry.epoch {
                    // The room was moved away from it, and it has not heard.
                    tell(turn, from, &room, entry);
                    return;
                }
                self.conflict(turn, from, Registration { room, epoch, participants });
            }
            _ => self.enter(turn, &room, from, epoch, participants),
        }
    }

    /// Rule 4: two living hosts have the room. The one with more people keeps it, then the older, then the lower id.
    fn conflict(&mut self, turn: &mut Turn<'_>, from: &MemberId, claim: Registration) {
        let Registration { room, epoch, participants } = claim;
        let Some(entry) = self.entries.get_mut(&room) else { return };
        let is_fresh = entry.decided.is_some_and(|decided| turn.now < decided + DECISION_FRESH);
        if is_fresh && epoch < entry.epoch {
            // It has not heard yet, or what it was told was lost.
            tell(turn, from, &room, entry);
            return;
        }
        let claims = (participants, Reverse(&epoch), Reverse(from));
        let holds = (entry.participants, Reverse(&entry.epoch), Reverse(&entry.host));
        let wins = claims > holds;
        let loser = if wins { entry.host.clone() } else { from.clone() };
        if wins {
            (entry.host, entry.participants) = (from.clone(), participants);
        }
        entry.epoch = next_epoch(turn, &room);
        entry.moved_from = None;
        (entry.heard, entry.decided) = (turn.now, Some(turn.now));
        tell(turn, &loser, &room, entry);
        tell(turn, &entry.host, &room, entry);
        let (winner, epoch) = (entry.host.clone(), entry.epoch.clone());
        let why = MoveRefusal::Aborted { why: "the room was on two nodes".to_owned() };
        self.abort_where(turn, &why, |of, _| of == room);
        turn.event(PlacementEvent::Conflict { room, winner, loser, epoch });
    }
}

/// Sends the decision that the entry stands for.
pub(super) fn tell(turn: &mut Turn<'_>, to: &MemberId, room: &str, entry: &Entry) {
    let (winner, epoch): (MemberId, Epoch) = (entry.host.clone(), entry.epoch.clone());
    turn.send(to, Message::Decision { room: room.to_owned(), winner, epoch });
}
