//! A network under virtual time: loss, delay, partitions, stalls, deaths. One seed, one history.

use crate::limits::SWIM_PAYLOAD_BYTES_MAX;
use crate::member::{BootId, MemberId, NodeId};
use crate::membership::{Membership, MembershipChange, Output};
use crate::seal::OVERHEAD_BYTES;
use bytes::Bytes;
use rand_swim::rngs::SmallRng;
use rand_swim::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    /// Share of datagrams that are lost.
    pub(super) loss: f64,
    /// What happened since the last [`Net::forget`]: when, at which node, what.
    pub(super) log: Vec<(Instant, usize, MembershipChange)>,
    pub(super) datagrams: u64,
    /// Of all datagrams, with seal, UDP and IPv4.
    pub(super) bytes: u64,
    start: Instant,
    seed: u64,
    rng: SmallRng,
    flying: BTreeMap<(Instant, u64), (usize, Bytes)>,
    sent: u64,
    seeds: Vec<SocketAddr>,
}

pub(super) struct Node {
    pub(super) membership: Membership,
    pub(super) alive: bool,
    /// Only nodes of one side hear each other.
    pub(super) side: usize,
    boot: u64,
    paused_until: Option<Instant>,
    /// What came while it was paused.
    socket: Vec<Bytes>,
}

pub(super) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node + 1).unwrap()], 7946))
}

pub(super) fn member(node: usize, boot: u64) -> MemberId {
    let node_id = NodeId::try_from(format!("ND_testing{node:05}")).unwrap();
    MemberId { node_id, boot_id: BootId::after(None, 1_790_000_000_000 + boot) }
}

impl Net {
    /// That many nodes, not started; the first three are the seeds of all.
    pub(super) fn new(nodes: usize, loss: f64, seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other source; tests only add to it")]
        let start = Instant::now();
        let mut net = Self {
            now: start,
            nodes: Vec::new(),
            loss,
            log: Vec::new(),
            datagrams: 0,
            bytes: 0,
            start,
            seed,
            rng: SmallRng::seed_from_u64(seed),
            flying: BTreeMap::new(),
            sent: 0,
            seeds: (0..nodes.min(3)).map(address).collect(),
        };
        net.nodes = (0..nodes).map(|node| net.boot(node, 0, false)).collect();
        net
    }

    /// All nodes started within `nodes × 20 ms`, and time for all to know all.
    pub(super) fn joined(nodes: usize, loss: f64, seed: u64) -> Self {
        let mut net = Self::new(nodes, loss, seed);
        net.start_all();
        let full = net.run_until(10 * SECOND, Net::is_full);
        assert!(full.is_some(), "seed {seed}: not everybody joined");
        let jitter = Duration::from_micros(net.rng.random_range(0..2_000_000));
        net.run(2 * SECOND + jitter);
        net.forget();
        net
    }

    fn boot(&self, node: usize, boot: u64, alive: bool) -> Node {
        let random = self.seed * 1_000 + node as u64 + boot * 77;
        let mut membership = Membership::new(member(node, boot), address(node), random, self.now);
        membership.set_seeds(self.seeds.iter().copied());
        Node { membership, alive, side: 0, boot, paused_until: None, socket: Vec::new() }
    }

    pub(super) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            let side = self.nodes[node].side;
            self.nodes[node] = Node { side, ..self.boot(node, 0, true) };
            self.run(20 * MS);
        }
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    pub(super) fn restart(&mut self, node: usize) {
        let boot = self.nodes[node].boot + 1;
        self.nodes[node] = self.boot(node, boot, true);
    }

    pub(super) fn pause(&mut self, node: usize, time: Duration) {
        self.nodes[node].paused_until = Some(self.now + time);
    }

    /// Nodes for which `side` gives the same number hear each other.
    pub(super) fn partition(&mut self, side: impl Fn(usize) -> usize) {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.side = side(number);
        }
    }

    /// Does something at a node and takes what comes of it.
    pub(super) fn at<T>(&mut self, node: usize, act: impl FnOnce(&mut Membership, Instant) -> T) -> T {
        let now = self.now;
        let result = act(&mut self.nodes[node].membership, now);
        self.drain(node);
        result
    }

    pub(super) fn forget(&mut self) {
        self.log.clear();
    }

    /// Every living node knows every other living one and nobody else.
    pub(super) fn is_full(&self) -> bool {
        let living: BTreeSet<MemberId> = self.living().map(|(_, node)| node.membership.me().clone()).collect();
        self.living().all(|(_, node)| {
            let mut known: BTreeSet<MemberId> = node.membership.members().map(|(id, ..)| id).collect();
            known.insert(node.membership.me().clone());
            known == living
        })
    }

    fn living(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.alive)
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs for at most that long; the time that passed until the condition held.
    pub(super) fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let (begin, end) = (self.now, self.now + time);
        loop {
            if done(self) {
                return Some(self.now - begin);
            }
            let next_flight = self.flying.first_key_value().map(|((at, _), _)| *at);
            let next_wake = self.next_wake();
            let next = [next_flight, next_wake.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            match next_wake {
                Some((at, node)) if at == next => self.wake(node),
                _ => self.land(),
            }
        }
        self.now = end;
        None
    }

    fn next_wake(&self) -> Option<(Instant, usize)> {
        let wakes = self.living().filter_map(|(number, node)| {
            let at = node.paused_until.or_else(|| node.membership.next_deadline())?;
            Some((at, number))
        });
        wakes.min()
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].paused_until.take().is_some() {
            for payload in std::mem::take(&mut self.nodes[node].socket) {
                self.at(node, |membership, now| membership.datagram(&payload, now)).unwrap();
            }
        }
        self.at(node, Membership::tick);
    }

    fn land(&mut self) {
        let Some((_, (node, payload))) = self.flying.pop_first() else { return };
        if !self.nodes[node].alive {
            return;
        }
        if self.nodes[node].paused_until.is_some() {
            self.nodes[node].socket.push(payload);
            return;
        }
        self.at(node, |membership, now| membership.datagram(&payload, now)).unwrap();
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].membership.poll_output() {
            match output {
                Output::Send { to, payload } => self.send(node, to, payload),
                Output::Changed(change) => self.log.push((self.now, node, change)),
            }
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, payload: Bytes) {
        assert!(payload.len() <= SWIM_PAYLOAD_BYTES_MAX, "{} bytes", payload.len());
        self.datagrams += 1;
        self.bytes += (payload.len() + OVERHEAD_BYTES + 28) as u64;
        let Some(to) = (0..self.nodes.len()).find(|node| address(*node) == to) else { return };
        let lost = self.rng.random::<f64>() < self.loss;
        let delay = Duration::from_micros(self.rng.random_range(100..2_000));
        if lost || self.nodes[from].side != self.nodes[to].side {
            return;
        }
        self.sent += 1;
        self.flying.insert((self.now + delay, self.sent), (to, payload));
    }

    /// At how many nodes the log has such a change.
    pub(super) fn nodes_with(&self, wanted: impl Fn(&MembershipChange) -> bool) -> usize {
        let nodes: BTreeSet<usize> =
            self.log.iter().filter(|(_, _, change)| wanted(change)).map(|(_, node, _)| *node).collect();
        nodes.len()
    }

    pub(super) fn count(&self, wanted: impl Fn(&MembershipChange) -> bool) -> usize {
        self.log.iter().filter(|(_, _, change)| wanted(change)).count()
    }

    pub(super) fn rejoins(&self) -> u64 {
        self.nodes.iter().map(|node| node.membership.counts().rejoins).sum()
    }

    /// The log as text with times since the start, to compare histories.
    pub(super) fn history(&self) -> String {
        let line = |(at, node, change): &(Instant, usize, MembershipChange)| {
            format!("{:?} {node} {change:?}\n", *at - self.start)
        };
        self.log.iter().map(line).collect()
    }
}
