//! The host role: the rooms of this node, under which epochs, and where those went that it lost.

mod hand;
mod prepare;
mod register;

use super::effect::{AttachRefusal, Effect, PlacementEvent, Refused, Table};
use super::epoch::Epoch;
use super::limits::{ATTACHES_MAX, FLOORS_MAX, REGISTER_HURRIED_INTERVAL, REGISTER_HURRY, REGISTER_INTERVAL};
use super::message::{HandRefusal, Message, Registration};
use super::recent::Recent;
use super::redirects::Redirects;
use super::snapshot::HostedRoom;
use super::turn::Turn;
use hand::Hand;
use prepare::{Prepared, Taken};
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::time::Instant;

/// The rooms of this node.
#[derive(Debug)]
pub(super) struct Host {
    rooms: BTreeMap<String, Hosted>,
    redirects: Redirects,
    /// Rooms of this node that go elsewhere, or nearly did.
    hands: BTreeMap<String, Hand>,
    /// Copies of rooms that may come.
    prepared: BTreeMap<String, Prepared>,
    /// Rooms that came lately.
    taken: BTreeMap<String, Taken>,
    /// Greatest epoch that this host served or gave up, per room. It never goes below (rule 2), not even for a room
    /// that ended in between: what is keyed by (room, epoch) is made once.
    served: Recent<Epoch>,
    rooms_max: usize,
    register_at: Option<Instant>,
    /// The cluster changed lately: registers more often until then.
    hurries_until: Option<Instant>,
}

#[derive(Debug)]
struct Hosted {
    epoch: Epoch,
    participants: u32,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Starting {
        /// Who is owed an answer, for which epoch.
        assigned: Option<(MemberId, Epoch)>,
        /// Sessions that wait for it.
        attaches: Vec<u64>,
    },
    Running,
}

impl Host {
    pub(super) fn new(rooms_max: usize) -> Self {
        let (redirects, served) = (Redirects::default(), Recent::new(FLOORS_MAX));
        let (rooms, hands, prepared, taken) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rooms, redirects, hands, prepared, taken, served, rooms_max, register_at: None, hurries_until: None }
    }

    pub(super) fn snapshot(&self) -> Vec<HostedRoom> {
        let hosted = |(room, hosted): (&String, &Hosted)| HostedRoom {
            room: room.clone(),
            epoch: hosted.epoch.clone(),
            participants: hosted.participants,
        };
        self.rooms.iter().map(hosted).collect()
    }

    pub(super) fn redirects(&self) -> usize {
        self.redirects.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let register_at = self.register_at.filter(|_| !self.rooms.is_empty());
        [register_at, self.hands_deadline(), self.prepared_deadline()].into_iter().flatten().min()
    }

    /// Whether no room is here, and none is about to come.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.prepared.is_empty()
    }

    pub(super) fn prepared_rooms(&self) -> usize {
        self.prepared.len()
    }

    /// Rules 1 and 2: an owner wants the room here.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>, from: &MemberId, room: String, epoch: Epoch) {
        if !self.may_decide(turn, from, &epoch) {
            return;
        }
        if let Some(hosted) = self.rooms.get_mut(&room) {
            if epoch > hosted.epoch {
                raise(turn, &mut self.served, &room, hosted, epoch.clone());
            }
            match &mut hosted.phase {
                Phase::Starting { assigned, .. } => *assigned = Some((from.clone(), epoch)),
                Phase::Running => {
                    let epoch = hosted.epoch.clone();
                    turn.send(from, Message::AssignAck { room: room.clone(), epoch });
                }
            }
            self.keep_if_overtaken(turn, &room);
            return;
        }
        if turn.cluster.is_draining() || self.is_full(turn) {
            turn.send(from, Message::AssignRefused { room, epoch });
            return;
        }
        if !self.is_above(turn, &room, &epoch) {
            let known = self.bar(turn, &room).counter;
            turn.event(PlacementEvent::TooLow { room: room.clone(), epoch, known });
            turn.send(from, Message::TooLow { room, known });
            return;
        }
        self.start(turn, room, epoch.clone(), Some((from.clone(), epoch)), Vec::new());
    }

    /// Rule 4: an owner decided between this host and another. The greatest decision counts.
    pub(super) fn decided(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        winner: MemberId,
        epoch: Epoch,
    ) {
        if !self.may_decide(turn, from, &epoch) {
            return;
        }
        let known = self.served.get(&room);
        if known.is_some_and(|known| epoch <= *known) {
            if known != Some(&epoch) {
                turn.refuse(from, Refused::OldEpoch);
                self.tell_better(turn, from, room);
            }
            return;
        }
        turn.floors.raise(&room, &epoch.counter);
        if winner == *turn.me {
            self.redirects.remove(&room);
            let has_copy = self.is_prepared(&room, &epoch);
            match self.rooms.get_mut(&room) {
                Some(hosted) => {
                    raise(turn, &mut self.served, &room, hosted, epoch);
                    self.keep_if_overtaken(turn, &room);
                }
                // A copy that has everything is moved on later; it is all that is left of the room.
                None if turn.cluster.is_draining() && !has_copy => {
                    self.served.raise(&room, &epoch);
                    turn.send(from, Message::Unregister { room, epoch });
                }
                None => self.start(turn, room, epoch, None, Vec::new()),
            }
            return;
        }
        self.lose(turn, room, winner, epoch);
    }

    /// The room goes on elsewhere.
    fn lose(&mut self, turn: &mut Turn<'_>, room: String, winner: MemberId, epoch: Epoch) {
        self.served.raise(&room, &epoch);
        turn.floors.raise(&room, &epoch.counter);
        self.redirects.insert(&room, winner.clone(), epoch.clone(), turn.now);
        self.drop_prepared_if(turn, &room, |prepared| *prepared <= epoch);
        let moved = AttachRefusal::Moved { winner: winner.clone(), epoch: epoch.clone() };
        self.end_hand(turn, &room, &moved);
        let Some(lost) = self.rooms.remove(&room) else { return };
        if let Phase::Starting { attaches, .. } = lost.phase {
            for request in attaches {
                turn.effects.push(Effect::Attached { request, result: Err(moved.clone()) });
            }
        }
        turn.effects.push(Effect::Retire { room, winner, epoch });
    }

    /// Rules 5 and 6: a session wants in, and may know more than this host.
    pub(super) fn attach(&mut self, turn: &mut Turn<'_>, request: u64, room: String, epoch: Option<Epoch>) {
        if self.waits_frozen(turn, &room, request) {
            return;
        }
        if let Some(hosted) = self.rooms.get_mut(&room) {
            attach_hosted(turn, hosted, request);
            return;
        }
        if let Some(epoch) = epoch {
            let can = self.is_prepared(&room, &epoch) || (!turn.cluster.is_draining() && !self.is_full(turn));
            if can && self.is_above(turn, &room, &epoch) {
                turn.floors.raise(&room, &epoch.counter);
                self.start(turn, room, epoch, None, vec![request]);
                return;
            }
            let bar = self.bar(turn, &room).max(epoch);
            turn.send_to_owner(&room, Message::Unregister { room: room.clone(), epoch: bar });
        }
        let refusal = match self.redirects.get(&room, turn.now) {
            Some((winner, _)) if turn.cluster.is_over(winner) => AttachRefusal::NotHere,
            Some((winner, epoch)) => AttachRefusal::Moved { winner: winner.clone(), epoch: epoch.clone() },
            None => AttachRefusal::NotHere,
        };
        turn.effects.push(Effect::Attached { request, result: Err(refusal) });
    }

    pub(super) fn started(&mut self, turn: &mut Turn<'_>, room: &str) {
        let Some(hosted) = self.rooms.get_mut(room) else { return };
        let Phase::Starting { assigned, attaches } = std::mem::replace(&mut hosted.phase, Phase::Running) else {
            return;
        };
        if let Some((owner, _)) = assigned {
            turn.send(&owner, Message::AssignAck { room: room.to_owned(), epoch: hosted.epoch.clone() });
        }
        for request in attaches {
            turn.effects.push(Effect::Attached { request, result: Ok(hosted.epoch.clone()) });
        }
    }

    pub(super) fn refused(&mut self, turn: &mut Turn<'_>, room: &str) {
        if !self.rooms.get(room).is_some_and(|hosted| matches!(hosted.phase, Phase::Starting { .. })) {
            return;
        }
        let Some(hosted) = self.rooms.remove(room) else { return };
        if let Phase::Starting { assigned, attaches } = hosted.phase {
            if let Some((owner, epoch)) = assigned {
                turn.send(&owner, Message::AssignRefused { room: room.to_owned(), epoch });
            }
            for request in attaches {
                turn.effects.push(Effect::Attached { request, result: Err(AttachRefusal::NotHere) });
            }
        }
        turn.send_to_owner(room, Message::Unregister { room: room.to_owned(), epoch: hosted.epoch });
    }

    pub(super) fn loaded(&mut self, room: &str, participants: u32) {
        if let Some(hosted) = self.rooms.get_mut(room) {
            hosted.participants = participants;
        }
    }

    /// A room that starts again is not ended by what is heard of its predecessor.
    pub(super) fn ended(&mut self, turn: &mut Turn<'_>, room: &str) {
        if !self.rooms.get(room).is_some_and(|hosted| matches!(hosted.phase, Phase::Running)) {
            return;
        }
        if let Some(hosted) = self.rooms.remove(room) {
            self.end_hand(turn, room, &AttachRefusal::NotHere);
            turn.send_to_owner(room, Message::Unregister { room: room.to_owned(), epoch: hosted.epoch });
        }
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        if self.register_at.is_some_and(|at| at <= turn.now) {
            self.register(turn);
            self.redirects.expire(turn.now);
        }
        self.tick_hands(turn);
        self.tick_prepared(turn);
    }

    /// Rule 3: who owns what changed, and others will see it later than this node.
    pub(super) fn cluster_changed(&mut self, turn: &mut Turn<'_>) {
        self.hurries_until = Some(turn.now + REGISTER_HURRY);
        self.register(turn);
    }

    /// Rule 3: tells the owners of all rooms, and who comes after them.
    fn register(&mut self, turn: &mut Turn<'_>) {
        let hurries = self.hurries_until.is_some_and(|until| turn.now < until);
        self.register_at = Some(turn.now + if hurries { REGISTER_HURRIED_INTERVAL } else { REGISTER_INTERVAL });
        let mut batches = register::Batches::default();
        for (room, hosted) in &self.rooms {
            self.served.raise(room, &hosted.epoch);
            turn.floors.raise(room, &hosted.epoch.counter);
            for owner in turn.cluster.first_two(room).into_iter().flatten() {
                batches.add(turn, owner, registration(room, hosted));
            }
        }
        batches.finish(turn);
        self.tell_taken(turn);
    }

    fn start(
        &mut self,
        turn: &mut Turn<'_>,
        room: String,
        epoch: Epoch,
        assigned: Option<(MemberId, Epoch)>,
        attaches: Vec<u64>,
    ) {
        self.redirects.remove(&room);
        self.served.raise(&room, &epoch);
        turn.floors.raise(&room, &epoch.counter);
        let phase = Phase::Starting { assigned, attaches };
        if self.rooms.is_empty() {
            self.register_at = Some(turn.now + REGISTER_INTERVAL);
        }
        self.rooms.insert(room.clone(), Hosted { epoch: epoch.clone(), participants: 0, phase });
        self.begin(turn, room, epoch);
    }

    /// An epoch above that of the move in hand: the room stays.
    fn keep_if_overtaken(&mut self, turn: &mut Turn<'_>, room: &str) {
        let overtaken = self.hands.get(room).is_some_and(|hand| self.served.get(room) > Some(hand.epoch()));
        if overtaken {
            self.keep_after_all(turn, room, HandRefusal::TooLate);
        }
    }

    /// A decision comes from the life that made it, and that life is not over.
    fn may_decide(&self, turn: &mut Turn<'_>, from: &MemberId, epoch: &Epoch) -> bool {
        let why = if !turn.cluster.is_alive(from) {
            Refused::UnknownLife
        } else if epoch.decider != *from {
            Refused::ForeignEpoch
        } else {
            return true;
        };
        turn.refuse(from, why);
        false
    }

    fn is_full(&self, turn: &mut Turn<'_>) -> bool {
        let full = self.rooms.len() + self.prepared.len() >= self.rooms_max;
        if full {
            turn.full(Table::Rooms);
        }
        full
    }

    /// Rule 2: strictly above all that was served here, and not below what others are known to have served.
    fn is_above(&self, turn: &Turn<'_>, room: &str, epoch: &Epoch) -> bool {
        self.served.get(room).is_none_or(|served| epoch > served) && epoch.counter >= turn.floor(room)
    }

    /// The greatest that is known here.
    fn bar(&self, turn: &Turn<'_>, room: &str) -> Epoch {
        let floor = Epoch { counter: turn.floor(room), decider: turn.me.clone() };
        self.served.get(room).map_or(floor.clone(), |served| floor.max(served.clone()))
    }

    /// Rule 6: an owner that knows less drops or corrects its entry.
    fn tell_better(&self, turn: &mut Turn<'_>, owner: &MemberId, room: String) {
        let message = match self.rooms.get(&room) {
            Some(hosted) => Message::Register { rooms: vec![registration(&room, hosted)] },
            None => Message::Unregister { epoch: self.bar(turn, &room), room },
        };
        turn.send(owner, message);
    }
}

fn attach_hosted(turn: &mut Turn<'_>, hosted: &mut Hosted, request: u64) {
    let result = match &mut hosted.phase {
        Phase::Starting { attaches, .. } if attaches.len() < ATTACHES_MAX => {
            attaches.push(request);
            return;
        }
        Phase::Starting { .. } => {
            turn.full(Table::Attaches);
            Err(AttachRefusal::NotHere)
        }
        Phase::Running => Ok(hosted.epoch.clone()),
    };
    turn.effects.push(Effect::Attached { request, result });
}

fn raise(turn: &mut Turn<'_>, served: &mut Recent<Epoch>, room: &str, hosted: &mut Hosted, epoch: Epoch) {
    debug_assert!(epoch > hosted.epoch, "hosts never lower an epoch");
    served.raise(room, &epoch);
    turn.floors.raise(room, &epoch.counter);
    hosted.epoch = epoch.clone();
    turn.effects.push(Effect::AdoptEpoch { room: room.to_owned(), epoch });
}

fn registration(room: &str, hosted: &Hosted) -> Registration {
    Registration { room: room.to_owned(), epoch: hosted.epoch.clone(), participants: hosted.participants }
}
