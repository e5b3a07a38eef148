//! Which node hosts a room: the whole protocol as one pure state machine (cluster.md §5.3, its rules by number).
//!
//! Give it every [`Input`] with the time, do its [`Effect`]s in order, and give it [`Input::Tick`] at
//! [`PlacementCore::next_deadline`]. It knows no actor, socket or clock.
//!
//! Three roles share a node: `entry` asks owners for sessions, `owner` keeps this node's shard of the directory, `host`
//! keeps the rooms that are here. A room that moves (rules 11, 12) passes `owner/moving` (prepare, freeze, commit),
//! `host/prepare` at its target and `host/hand` at its source; the commit is a decision like that of rule 4.

mod choice;
mod cost;
mod effect;
mod entry;
mod epoch;
mod host;
mod input;
pub mod limits;
mod message;
mod mover;
mod neighbours;
mod owner;
mod recent;
mod redirects;
mod rendezvous;
mod snapshot;
#[cfg(test)]
mod tests;
mod turn;

pub use effect::{AttachRefusal, Effect, LocateError, MoveRefusal, PlacementEvent, Refused, Table};
pub use epoch::{Epoch, Located, RoomHints};
pub use input::Input;
pub use message::{
    BODY_VERSION, HandRefusal, Locate, Message, MessageError, MoveRequest, OwnerRefusal, PrepareRefusal, Registration,
};
pub use snapshot::{DirectoryEntry, HostedRoom, MovingRoom, PlacementSnapshot};

use entry::{Entry, Wish};
use host::Host;
use limits::{FLOORS_MAX, ROOMS_MAX, TICK};
use mover::Mover;
use neighbours::Neighbours;
use owner::Owner;
use recent::Recent;
use starling_cluster::member::MemberId;
use std::collections::VecDeque;
use std::time::Instant;
use turn::Turn;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct PlacementSettings {
    /// Rooms of this node; 0 = [`limits::ROOMS_MAX`], which it never exceeds.
    pub rooms_max: usize,
}

impl Default for PlacementSettings {
    fn default() -> Self {
        Self { rooms_max: ROOMS_MAX }
    }
}

/// One node's part in the placement of rooms.
#[derive(Debug)]
pub struct PlacementCore {
    me: MemberId,
    cluster: Neighbours,
    floors: Recent<u64>,
    entry: Entry,
    owner: Owner,
    host: Host,
    mover: Mover,
    /// It was said that this node drains and has no room.
    told_drained: bool,
    to_self: VecDeque<Message>,
    /// Set while a deadline is pending: they are looked at together.
    tick_at: Option<Instant>,
}

impl PlacementCore {
    /// The placement of the node `me`; `seed` leads its random choices.
    #[must_use]
    pub fn new(me: MemberId, settings: PlacementSettings, seed: u64) -> Self {
        let rooms_max = if settings.rooms_max == 0 { ROOMS_MAX } else { settings.rooms_max.min(ROOMS_MAX) };
        Self {
            me,
            cluster: Neighbours::default(),
            floors: Recent::new(FLOORS_MAX),
            entry: Entry::default(),
            owner: Owner::new(seed),
            host: Host::new(rooms_max),
            mover: Mover::default(),
            told_drained: false,
            to_self: VecDeque::new(),
            tick_at: None,
        }
    }

    /// Takes one input; appends what is to be done to `effects`.
    pub fn handle(&mut self, input: Input, now: Instant, effects: &mut Vec<Effect>) {
        let is_tick = matches!(input, Input::Tick);
        let changed = match &input {
            Input::View(view) => self.cluster.update(view.clone()),
            _ => false,
        };
        let Self { me, cluster, floors, entry, owner, host, mover, to_self, .. } = self;
        let mut turn = Turn { now, me, cluster, floors, effects, to_self };
        if changed {
            host.cluster_changed(&mut turn);
            owner.cluster_changed(&mut turn);
            entry.cluster_changed(&mut turn);
        }
        match input {
            Input::View(_) => {}
            Input::Locate { request, room, create, hints, failed_host } => {
                entry.locate(&mut turn, request, Wish { room, create, hints, failed_host });
            }
            Input::Cancel { request } => entry.cancel(request),
            Input::Heard { from, message } => hear(&mut turn, &mut Roles { entry, owner, host, mover }, from, message),
            Input::RoomStarted { room, .. } => host.started(&mut turn, &room),
            Input::RoomRefused { room, .. } => host.refused(&mut turn, &room),
            Input::RoomLoad { room, participants } => host.loaded(&room, participants),
            Input::RoomEnded { room } => host.ended(&mut turn, &room),
            Input::Attach { request, room, epoch } => host.attach(&mut turn, request, room, epoch),
            Input::Move { request, room, to } => mover.ask(&mut turn, request, room, to),
            Input::Prepared { room, epoch } => host.prepared(&mut turn, room, epoch),
            Input::PrepareRefused { room, epoch, why } => host.prepare_refused(&mut turn, room, epoch, why),
            Input::Handed { room, epoch } => host.handed(&mut turn, room, epoch),
            Input::HandFailed { room, epoch } => host.hand_failed(&mut turn, &room, &epoch),
            Input::Lost(member) => {
                owner.lost(&mut turn, &member);
                entry.lost(&turn, &member);
                mover.lost(&mut turn, &member);
            }
            Input::Tick => {
                host.tick(&mut turn);
                owner.tick(&mut turn);
                entry.tick(&mut turn);
                mover.tick(&mut turn);
            }
        }
        while let Some(message) = turn.to_self.pop_front() {
            let from = turn.me.clone();
            hear(&mut turn, &mut Roles { entry, owner, host, mover }, from, message);
        }
        let is_drained = turn.cluster.is_draining() && host.is_empty();
        if is_drained && !self.told_drained {
            turn.effects.push(Effect::Drained);
        }
        self.told_drained = is_drained;
        let is_busy = self.owner.is_busy() || self.entry.len() > 0 || self.mover.is_busy();
        let kept = self.tick_at.filter(|_| !is_tick);
        self.tick_at = is_busy.then(|| kept.unwrap_or(now + TICK));
    }

    /// When [`Input::Tick`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.tick_at, self.host.next_deadline(), self.owner.sweep_at()].into_iter().flatten().min()
    }

    /// What it knows.
    #[must_use]
    pub fn snapshot(&self) -> PlacementSnapshot {
        PlacementSnapshot {
            rooms: self.host.snapshot(),
            entries: self.owner.snapshot(),
            redirects: self.host.redirects(),
            floors: self.floors.len(),
            locates: self.entry.len(),
            waiting: self.owner.waiting(),
            moves: self.owner.moving(),
            prepared: self.host.prepared_rooms(),
            draining: self.cluster.is_draining(),
        }
    }
}

struct Roles<'a> {
    entry: &'a mut Entry,
    owner: &'a mut Owner,
    host: &'a mut Host,
    mover: &'a mut Mover,
}

fn hear(turn: &mut Turn<'_>, roles: &mut Roles<'_>, from: MemberId, message: Message) {
    let Roles { entry, owner, host, mover } = roles;
    match message {
        Message::Locate(locate) => owner.locate(turn, locate),
        Message::LocateAnswer { request, room, result } => entry.answered(turn, &from, request, &room, result),
        Message::Assign { room, epoch } => host.assign(turn, &from, room, epoch),
        Message::AssignAck { room, epoch } => owner.acknowledged(turn, &from, room, epoch),
        Message::AssignRefused { room, epoch } => owner.assign_refused(turn, &from, &room, &epoch),
        Message::TooLow { room, known } => owner.too_low(turn, &from, &room, known),
        Message::Register { rooms } => owner.registered(turn, &from, rooms),
        Message::Unregister { room, epoch } => owner.unregistered(turn, &from, &room, &epoch),
        Message::Decision { room, winner, epoch } => host.decided(turn, &from, room, winner, epoch),
        Message::Probe { origin, nonce } => {
            let target = turn.me.clone();
            turn.send(&from, Message::ProbeAnswer { origin, target, nonce });
        }
        Message::ProbeVia { target, nonce } => turn.send(&target, Message::Probe { origin: from, nonce }),
        Message::ProbeAnswer { origin, target, nonce } if origin == *turn.me => {
            owner.probe_answered(turn, &from, &target, nonce);
        }
        Message::ProbeAnswer { origin, target, nonce } => {
            turn.send(&origin, Message::ProbeAnswer { origin: origin.clone(), target, nonce });
        }
        Message::Move(asked) => owner.move_asked(turn, asked),
        Message::MoveAnswer { request, room, result } => mover.answered(turn, &from, request, &room, result),
        Message::Prepare { room, epoch, from: source } => host.prepare(turn, &from, room, epoch, source),
        Message::Prepared { room, epoch } => owner.prepared(turn, &from, room, epoch),
        Message::PrepareRefused { room, epoch, why } => owner.prepare_refused(turn, &from, &room, &epoch, why),
        Message::Freeze { room, epoch, to } => host.freeze(turn, &from, room, epoch, to),
        Message::Handed { room, epoch } => owner.handed(turn, &from, &room, &epoch),
        Message::HandFailed { room, epoch, why } => owner.hand_failed(turn, &from, &room, &epoch, why),
        Message::Abort { room, epoch } => host.aborted(turn, &from, &room, &epoch),
        Message::Taken { room, epoch } => host.taken(turn, &from, room, epoch),
    }
}
