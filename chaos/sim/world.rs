//! The simulated world: one queue of events, one clock, one source of chance.

use crate::client::{Client, Stage};
use crate::history::History;
use crate::judge::{Broken, Violation};
use crate::moving::{Begins, offered_to};
use crate::network::Network;
use crate::node::Node;
use crate::plan::{Plan, Report};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use starling_actors::placement_core::{Effect, Epoch, Input, Message, PlacementEvent};
use starling_cluster::member::{MemberId, NodeId};
use starling_cluster::peers::Urgency;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

/// An empty room ends after this, milliseconds: short, so that rooms end and come again under the faults.
const EMPTY_MS: u64 = 2_500;
/// Of messages that may be left out, one in so many is.
const DROPPED_ONE_IN: u32 = 50;

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Event {
    /// A link delivers.
    Deliver {
        from: usize,
        to: usize,
        boot: u64,
        generation: u64,
        input: Input,
    },
    /// A node's own answer to itself, or a clock of its.
    Own {
        node: usize,
        boot: u64,
        input: Input,
    },
    Tick {
        node: usize,
        boot: u64,
    },
    Poll {
        node: usize,
        boot: u64,
    },
    Clean {
        node: usize,
        boot: u64,
    },
    Lost {
        node: usize,
        boot: u64,
        member: MemberId,
    },
    Boot {
        node: usize,
    },
    ClientLooks {
        client: usize,
    },
    ClientIsSent {
        client: usize,
        host: usize,
        winner: MemberId,
        epoch: Epoch,
    },
    Fault,
    Move,
    HealPartition,
    EndDrain {
        node: usize,
    },
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    start: Instant,
    plan: Plan,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    scheduled: u64,
    pub(crate) boots: u64,
    pub(crate) random: SmallRng,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// Who served which room under which epoch, ever.
    pub(crate) serving: BTreeMap<(String, Epoch), MemberId>,
    /// Who was asked to prepare which room for which epoch, ever.
    offers: BTreeMap<(String, Epoch), MemberId>,
    pub(crate) asked_moves: u64,
    /// No step of a move fails any more.
    pub(crate) calm: bool,
    pub(crate) violation: Option<Violation>,
    pub(crate) report: Report,
    history: History,
}

impl World {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let nodes: Vec<Node> = (0..plan.nodes).map(|_| Node::new(NodeId::random(&mut random), plan.nodes)).collect();
        Self {
            now: 0,
            start: any_instant(),
            plan: plan.clone(),
            due: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            boots: 0,
            network: Network::new(plan.nodes),
            nodes,
            clients: Vec::new(),
            serving: BTreeMap::new(),
            offers: BTreeMap::new(),
            asked_moves: 0,
            calm: false,
            violation: None,
            report: Report::default(),
            history: History::new(),
            random,
        }
    }

    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        for node in 0..self.plan.nodes {
            self.schedule(0, Event::Boot { node });
        }
        let come = 3_000;
        for client in 0..self.plan.clients {
            let comes_at = come + self.random.random_range(0..1_000);
            self.clients.push(Client::new(format!("room-{}", client % self.plan.rooms), comes_at));
            self.schedule(come + client as u64, Event::ClientLooks { client });
        }
        for _ in 0..self.plan.faults {
            let at = come + self.random.random_range(0..self.plan.faults_ms);
            self.schedule(at, Event::Fault);
        }
        for _ in 0..self.plan.moves {
            let at = come + self.random.random_range(2_000..self.plan.faults_ms);
            self.schedule(at, Event::Move);
        }
        self.until(come + self.plan.faults_ms + self.plan.unrest_ms)?;
        self.heal_everything();
        self.converge()?;
        self.judge_drain()?;
        self.report.history = self.history.fingerprint();
        Ok(self.report)
    }

    /// Healed membership, then everybody together in time, and still together after a while.
    fn converge(&mut self) -> Result<(), Violation> {
        let limit = self.now + 15_000;
        while !self.membership_is_healed() && self.now < limit {
            self.until(self.now + 20)?;
        }
        let healed = self.now;
        while let Some(why) = self.apart() {
            if self.now >= healed + self.plan.converge_ms {
                self.break_promise(Broken::NotConverged(why));
            }
            self.until(self.now + 20)?;
        }
        self.report.converged_ms = self.now - healed;
        for _ in 0..10 {
            self.until(self.now + self.plan.calm_ms / 10)?;
            if let Some(why) = self.apart() {
                self.break_promise(Broken::NotConverged(format!("apart again: {why}")));
            }
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    pub(crate) fn until(&mut self, end: u64) -> Result<(), Violation> {
        while let Some(Reverse((at, number))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= end) {
            self.due.pop();
            self.now = at;
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.now = end;
        Ok(())
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert(self.scheduled, event);
        self.due.push(Reverse((at.max(self.now), self.scheduled)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, boot, generation, input } => self.deliver(from, to, boot, generation, input),
            Event::Own { node, boot, input } => {
                if let Some(event) = self.unless_paused(node, boot, |input| Event::Own { node, boot, input }, input) {
                    self.input(node, event);
                }
            }
            Event::Tick { node, boot } => self.tick(node, boot),
            Event::Poll { node, boot } => self.poll(node, boot),
            Event::Clean { node, boot } => self.clean(node, boot),
            Event::Lost { node, boot, member } => {
                let again = |input| Event::Own { node, boot, input };
                if let Some(input) = self.unless_paused(node, boot, again, Input::Lost(member)) {
                    self.input(node, input);
                }
            }
            Event::Boot { node } => self.boot(node),
            Event::ClientLooks { client } => self.client_looks(client),
            Event::ClientIsSent { client, host, winner, epoch } => {
                let there = matches!(self.clients[client].stage, Stage::There { host: at, .. } if at == host);
                if there {
                    self.client_is_sent(client, winner, epoch);
                }
            }
            Event::Fault => self.fault(),
            Event::Move => self.operator_moves(),
            Event::HealPartition => self.heal_partition(),
            Event::EndDrain { node } => self.nodes[node].draining = false,
        }
    }

    /// A paused node hears it when it runs again; another life never.
    fn unless_paused(&mut self, node: usize, boot: u64, again: impl Fn(Input) -> Event, input: Input) -> Option<Input> {
        let one = &self.nodes[node];
        if !one.up || one.boot != boot {
            return None;
        }
        if one.paused_until > self.now {
            self.schedule(one.paused_until, again(input));
            return None;
        }
        Some(input)
    }

    /// What is sent over a link that does not pass now is held until it does, or until the link breaks.
    fn deliver(&mut self, from: usize, to: usize, boot: u64, generation: u64, input: Input) {
        if self.network.generation(from, to) != generation {
            self.not_attached(&input);
            return;
        }
        let held = |input| Event::Deliver { from, to, boot, generation, input };
        if !self.network.same_side(from, to) {
            self.schedule(self.now + 50, held(input));
            return;
        }
        if let Some(input) = self.unless_paused(to, boot, held, input) {
            self.input(to, input);
        }
    }

    /// Sends to another node's life, or to the own.
    pub(crate) fn relay(&mut self, from: usize, to: usize, boot: u64, input: Input) {
        if from == to {
            self.schedule(self.now, Event::Own { node: to, boot, input });
            return;
        }
        let seen = self.nodes[from].peers[to].boot;
        if !self.network.is_linked(from, to, self.now) || seen != Some(boot) || !self.nodes[to].up {
            self.not_attached(&input);
            return;
        }
        let generation = self.network.generation(from, to);
        let at = self.network.arrival(from, to, self.now, &mut self.random);
        self.report.messages += 1;
        self.schedule(at, Event::Deliver { from, to, boot, generation, input });
    }

    fn tick(&mut self, node: usize, boot: u64) {
        if self.nodes[node].boot != boot || !self.nodes[node].up {
            return;
        }
        if self.nodes[node].paused_until > self.now {
            self.schedule(self.nodes[node].paused_until, Event::Tick { node, boot });
            return;
        }
        if self.nodes[node].tick_at.is_some_and(|at| at <= self.now) {
            self.nodes[node].tick_at = None;
            self.input(node, Input::Tick);
        }
    }

    /// Gives a running node an input and does what it wants done.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        self.forget_refused_copy(node, &input);
        let now = self.start + Duration::from_millis(self.now);
        let mut effects = Vec::new();
        let Some(core) = self.nodes[node].core.as_mut() else { return };
        core.handle(input, now, &mut effects);
        let deadline = core.next_deadline();
        if let Some(deadline) = deadline {
            let late = deadline.saturating_duration_since(self.start);
            let at = u64::try_from(late.as_millis()).unwrap_or(u64::MAX).max(self.now + 1);
            if self.nodes[node].tick_at.is_none_or(|known| at < known) {
                self.nodes[node].tick_at = Some(at);
                let boot = self.nodes[node].boot;
                self.schedule(at, Event::Tick { node, boot });
            }
        }
        for effect in effects {
            self.perform(node, effect);
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        self.history.note(&[self.now, node as u64, kind(&effect)]);
        match effect {
            Effect::Send { to, message, urgency } => self.send(node, &to, message, urgency),
            Effect::Located { request, result } => self.located(node, request, result),
            Effect::StartRoom { room, epoch } => {
                self.start_room(node, room, epoch, false);
            }
            Effect::ServeRoom { room, epoch } => self.start_room(node, room, epoch, true),
            Effect::PrepareRoom { room, epoch, .. } => self.prepare_room(node, room, epoch),
            Effect::DropPrepared { room, epoch } => self.drop_prepared(node, &room, &epoch),
            Effect::FreezeRoom { room, epoch, .. } => self.freeze_room(node, room, epoch),
            Effect::ThawRoom { room, .. } => self.end_frozen(node, &room, true),
            Effect::Moved { request, .. } => self.moved(node, request),
            Effect::Drained => self.drained(node),
            Effect::AdoptEpoch { room, epoch } => self.judge_serving(node, &room, &epoch, Begins::GoesOn),
            Effect::Retire { room, winner, epoch } => {
                self.end_frozen(node, &room, false);
                let people = self.nodes[node].rooms.get(&room).map(|actor| actor.people.clone()).unwrap_or_default();
                for client in people {
                    let (winner, epoch) = (winner.clone(), epoch.clone());
                    let at = self.now + self.random.random_range(5..40);
                    self.schedule(at, Event::ClientIsSent { client, host: node, winner, epoch });
                }
            }
            Effect::Attached { request, result } => self.attached(node, request, result),
            Effect::Event(event) => self.count(node, &event),
        }
    }

    fn send(&mut self, node: usize, to: &MemberId, message: Message, urgency: Urgency) {
        if let Message::Assign { room, .. } | Message::Prepare { room, .. } = &message {
            let view = self.view(node);
            self.judge_assigning(&view, to, room);
        }
        if let Message::Prepare { room, epoch, .. } = &message
            && !offered_to(&mut self.offers, room, epoch, to)
        {
            self.break_promise(Broken::TwoHostsOneEpoch(format!("{room} was offered under {epoch} twice")));
        }
        if urgency == Urgency::Droppable && self.random.random_ratio(1, DROPPED_ONE_IN) {
            return;
        }
        let Some(peer) = self.nodes.iter().position(|peer| peer.node_id == to.node_id) else { return };
        let from = self.nodes[node].member();
        self.relay(node, peer, to.boot_id.number(), Input::Heard { from, message });
    }

    fn count(&mut self, node: usize, event: &PlacementEvent) {
        match event {
            PlacementEvent::Placed { .. } => self.report.placed += 1,
            PlacementEvent::Replaced { .. } => self.report.replaced += 1,
            PlacementEvent::Conflict { .. } => self.report.conflicts += 1,
            PlacementEvent::Moved { .. } => self.report.moved += 1,
            PlacementEvent::MoveAborted { .. } => self.report.aborted += 1,
            PlacementEvent::TooLow { .. } => self.report.too_low += 1,
            PlacementEvent::NoCapacity { room, why } => {
                let view = self.view(node);
                // The simulated load never fills a node: only doubt, drain and death are reasons.
                if why.contains("of its capacity") && view.living().any(starling_cluster::member::Member::takes_rooms) {
                    self.break_promise(Broken::NotPlaced(format!("{room}: {why}")));
                }
            }
            _ => {}
        }
    }

    /// The host's own housekeeping: empty rooms end.
    fn clean(&mut self, node: usize, boot: u64) {
        if !self.nodes[node].up || self.nodes[node].boot != boot {
            return;
        }
        self.schedule(self.now + 500, Event::Clean { node, boot });
        if !self.nodes[node].runs(self.now) {
            return;
        }
        let now = self.now;
        let clients = &self.clients;
        let mut ended = Vec::new();
        for (room, actor) in &mut self.nodes[node].rooms {
            let stays = |client: &usize| matches!(clients[*client].stage, Stage::There { host, .. } if host == node);
            actor.people.retain(stays);
            if !actor.people.is_empty() {
                actor.empty_since = now;
            } else if now >= actor.empty_since + EMPTY_MS {
                ended.push(room.clone());
            }
        }
        for room in ended {
            self.nodes[node].rooms.remove(&room);
            self.nodes[node].frozen.remove(&room);
            self.input(node, Input::RoomEnded { room });
        }
    }

    pub(crate) fn tell_load(&mut self, node: usize, room: &str) {
        let people = self.nodes[node].rooms.get(room).map_or(0, |actor| actor.people.len());
        let participants = u32::try_from(people).unwrap_or(u32::MAX);
        self.input(node, Input::RoomLoad { room: room.to_owned(), participants });
    }
}

fn kind(effect: &Effect) -> u64 {
    match effect {
        Effect::Send { .. } => 1,
        Effect::Located { request, .. } => 2 + (request << 3),
        Effect::StartRoom { epoch, .. } => 3 + (epoch.counter << 3),
        Effect::AdoptEpoch { epoch, .. } => 4 + (epoch.counter << 3),
        Effect::Retire { epoch, .. } => 5 + (epoch.counter << 3),
        Effect::Attached { request, .. } => 6 + (request << 3),
        Effect::Event(_) => 7,
        Effect::PrepareRoom { epoch, .. } => 1_000 + (epoch.counter << 12),
        Effect::DropPrepared { epoch, .. } => 1_001 + (epoch.counter << 12),
        Effect::ServeRoom { epoch, .. } => 1_002 + (epoch.counter << 12),
        Effect::FreezeRoom { epoch, .. } => 1_003 + (epoch.counter << 12),
        Effect::ThawRoom { epoch, .. } => 1_004 + (epoch.counter << 12),
        Effect::Moved { request, result } => 1_005 + (request << 12) + (u64::from(result.is_ok()) << 11),
        Effect::Drained => 1_006,
    }
}

/// Only differences of instants are used.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant cannot be made from nothing; which one it is does not matter"
)]
fn any_instant() -> Instant {
    Instant::now()
}
