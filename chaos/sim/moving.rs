//! Rooms on the move: what a simulated node does to copy, freeze and hand over a room, and what it may never do.

use crate::judge::Broken;
use crate::node::RoomActor;
use crate::world::{Event, World};
use rand::Rng;
use starling_actors::placement_core::limits::FROZEN_MAX;
use starling_actors::placement_core::{Epoch, Input, PrepareRefusal};
use starling_cluster::member::MemberId;
use std::collections::BTreeSet;

/// Of the steps of a move, one in so many fails, and as many are never answered.
const STEP_FAILS_ONE_IN: u32 = 30;
/// And so many take longer than anybody waits.
const STEP_LATE_ONE_IN: u32 = 20;
/// A node whose drain is judged has no room any more after this, milliseconds: the fact spreads in 1 s, names settle in
/// 0.6 s, an earlier failure rests for 3 s, and six rooms go five at a time.
const DRAINED_MS: u64 = 8_000;
/// Copies and offers of moves that nobody finished are gone after this, milliseconds.
const FORGOTTEN_MS: u64 = 5_500;

/// A calm drain costs nobody more than this, milliseconds: sent on within 40, two slow ways through the entry node of 200
/// each, and up to a look of 100 before it.
const DRAIN_OUTAGE_MS: u64 = 700;

impl World {
    /// An operator moves a room; often something goes wrong just then.
    pub(crate) fn operator_moves(&mut self) {
        let node = self.random.random_range(0..self.nodes.len());
        let client = self.random.random_range(0..self.clients.len());
        let to = self.random.random_bool(0.5).then(|| self.random.random_range(0..self.nodes.len()));
        let to = to.map(|to| self.nodes[to].member());
        if self.random.random_bool(0.5) {
            let at = self.now + self.random.random_range(0..600);
            self.schedule(at, Event::Fault);
        }
        if self.nodes[node].runs(self.now) {
            self.asked_moves += 1;
            let (request, room) = (self.asked_moves, self.clients[client].room.clone());
            self.nodes[node].moves.insert(request);
            self.input(node, Input::Move { request, room, to });
        }
    }

    pub(crate) fn moved(&mut self, node: usize, request: u64) {
        if !self.nodes[node].moves.remove(&request) {
            self.break_promise(Broken::Move(format!("move {request} was answered twice")));
        }
    }

    /// Answers to a step of a move come late, say no, or do not come.
    fn step(&mut self, node: usize, usual: u64, late: u64, done: Input, fails: Input) {
        let mut at = self.now + self.random.random_range(1..usual);
        let mut answer = done;
        if !self.calm {
            if self.random.random_ratio(1, STEP_FAILS_ONE_IN) {
                return;
            }
            if self.random.random_ratio(1, STEP_FAILS_ONE_IN) {
                answer = fails;
            }
            if self.random.random_ratio(1, STEP_LATE_ONE_IN) {
                at += late;
            }
        }
        let boot = self.nodes[node].boot;
        self.schedule(at, Event::Own { node, boot, input: answer });
    }

    pub(crate) fn prepare_room(&mut self, node: usize, room: String, epoch: Epoch) {
        self.nodes[node].copies.insert(room.clone(), epoch.clone());
        let done = Input::Prepared { room: room.clone(), epoch: epoch.clone() };
        self.step(node, 400, 2_000, done, Input::PrepareRefused { room, epoch, why: PrepareRefusal::Failed });
    }

    /// Where the node says that it has no copy, it has none.
    pub(crate) fn forget_refused_copy(&mut self, node: usize, input: &Input) {
        let Input::PrepareRefused { room, epoch, .. } = input else { return };
        let copies = &mut self.nodes[node].copies;
        if copies.get(room) == Some(epoch) {
            copies.remove(room);
        }
    }

    pub(crate) fn drop_prepared(&mut self, node: usize, room: &str, epoch: &Epoch) {
        let copy = self.nodes[node].copies.remove(room);
        if copy.as_ref() != Some(epoch) {
            let member = self.nodes[node].member();
            self.break_promise(Broken::Move(format!("{member} drops {room} for {epoch}, its copy is for {copy:?}")));
        }
    }

    pub(crate) fn freeze_room(&mut self, node: usize, room: String, epoch: Epoch) {
        if self.nodes[node].frozen.insert(room.clone(), self.now).is_some() {
            self.break_promise(Broken::Move(format!("{room} was frozen twice")));
        }
        let done = Input::Handed { room: room.clone(), epoch: epoch.clone() };
        self.step(node, 180, 300, done, Input::HandFailed { room, epoch });
    }

    /// It thaws, or goes.
    pub(crate) fn end_frozen(&mut self, node: usize, room: &str, must: bool) {
        self.judge_frozen(node);
        if self.nodes[node].frozen.remove(room).is_none() && must {
            self.break_promise(Broken::Move(format!("{room} thawed and was not frozen")));
        }
    }

    /// No room is frozen for longer than it may be; a node that was paused thaws at once when it runs again.
    pub(crate) fn judge_frozen(&mut self, node: usize) {
        let one = &self.nodes[node];
        let bound = u64::try_from(FROZEN_MAX.as_millis()).unwrap_or(u64::MAX);
        let late = |since: &u64| self.now > (since + bound + 1).max(one.paused_until + 1);
        let found = one.frozen.iter().find(|(_, since)| late(since));
        if let Some((room, since)) = found.filter(|_| one.runs(self.now)) {
            let why = format!("{room} is frozen at {} since {since} ms", one.member());
            self.break_promise(Broken::Move(why));
        }
    }

    /// A room begins here, anew or from its copy.
    pub(crate) fn start_room(&mut self, node: usize, room: String, epoch: Epoch, from_copy: bool) {
        let copy = self.nodes[node].copies.remove(&room);
        if (copy.as_ref() == Some(&epoch)) != from_copy {
            let member = self.nodes[node].member();
            self.break_promise(Broken::Move(format!("{member} serves {room} under {epoch}, its copy is for {copy:?}")));
        }
        self.judge_serving(node, &room, &epoch, if from_copy { Begins::FromCopy } else { Begins::Anew });
        let now = self.now;
        // An actor that still runs is kept, and does not refuse.
        let refuses = !self.nodes[node].rooms.contains_key(&room) && !self.calm && self.random.random_ratio(1, 100);
        let input = if refuses {
            Input::RoomRefused { room, epoch }
        } else {
            let actor = RoomActor { people: BTreeSet::new(), empty_since: now };
            self.nodes[node].rooms.entry(room.clone()).or_insert(actor).empty_since = now;
            Input::RoomStarted { room, epoch }
        };
        let at = self.now + self.random.random_range(0..15);
        let boot = self.nodes[node].boot;
        self.schedule(at, Event::Own { node, boot, input });
    }

    /// The node says that it may leave.
    pub(crate) fn drained(&mut self, node: usize) {
        self.nodes[node].told_drained = true;
        let rooms = self.hosted(node);
        if rooms > 0 {
            self.break_promise(Broken::NotDrained(format!("drained with {rooms} rooms")));
        }
    }

    fn hosted(&self, node: usize) -> usize {
        self.nodes[node].core.as_ref().map_or(0, |core| core.snapshot().rooms.len())
    }

    /// With everything calm, the fullest node drains: all its rooms go, all its people with them, nothing is left over.
    pub(crate) fn judge_drain(&mut self) -> Result<(), crate::Violation> {
        self.calm = true;
        let Some(node) = (0..self.nodes.len()).max_by_key(|node| self.hosted(*node)) else { return Ok(()) };
        let (before, outages) = (self.report.moved, self.report.outages_ms.len());
        (self.nodes[node].draining, self.nodes[node].told_drained) = (true, false);
        let began = self.now;
        while !self.nodes[node].told_drained || self.apart().is_some() {
            if self.now >= began + DRAINED_MS {
                let (rooms, why) = (self.hosted(node), self.apart());
                self.break_promise(Broken::NotDrained(format!("{rooms} rooms are left; {why:?}")));
            }
            self.until(self.now + 20)?;
        }
        self.report.drained_ms = self.now - began;
        self.report.drained_rooms = self.report.moved - before;
        self.report.drain_outage_ms = self.report.outages_ms.iter().skip(outages).copied().max().unwrap_or(0);
        if self.report.drain_outage_ms > DRAIN_OUTAGE_MS {
            let why = format!("somebody was out for {} ms", self.report.drain_outage_ms);
            self.break_promise(Broken::NotDrained(why));
        }
        self.until(self.now + FORGOTTEN_MS)?;
        if self.hosted(node) > 0 {
            self.break_promise(Broken::NotDrained("a room came back".to_owned()));
        }
        if let Some(left) = self.nodes.iter().find(|node| !(node.copies.is_empty() && node.frozen.is_empty())) {
            let why = format!("{} keeps copies {:?}, frozen {:?}", left.member(), left.copies, left.frozen);
            self.break_promise(Broken::Move(why));
        }
        match self.apart() {
            Some(why) => Err(crate::Violation { at_ms: self.now, broken: Broken::NotConverged(why) }),
            None => Ok(()),
        }
    }
}

/// How a room comes to be under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// With a new actor.
    Anew,
    /// From the copy of a room that was moved.
    FromCopy,
    /// It runs and goes on.
    GoesOn,
}

/// Who was asked to prepare a room, ever: an epoch is offered to one host.
pub(crate) fn offered_to(
    offers: &mut std::collections::BTreeMap<(String, Epoch), MemberId>,
    room: &str,
    epoch: &Epoch,
    to: &MemberId,
) -> bool {
    offers.entry((room.to_owned(), epoch.clone())).or_insert_with(|| to.clone()) == to
}
