//! What goes wrong, and how it is made good again.

use crate::node::{RoomActor, Seen};
use crate::world::{Event, World};
use rand::Rng;
use starling_actors::placement_core::{Input, PlacementCore, PlacementSettings};
use std::collections::{BTreeMap, BTreeSet};

/// A node is ready for rooms so long after its start, milliseconds: it has joined by then.
const READY_MS: u64 = 800;

impl World {
    /// Something random goes wrong.
    pub(crate) fn fault(&mut self) {
        let node = self.random.random_range(0..self.nodes.len());
        match self.random.random_range(0..6) {
            0 | 1 => self.crash(node),
            2 => self.partition(),
            3 => self.pause(node),
            4 => self.break_link(node),
            _ => self.drain(node),
        }
    }

    fn crash(&mut self, node: usize) {
        let up = self.nodes.iter().filter(|node| node.up).count();
        if !self.nodes[node].up || up <= 1 {
            return;
        }
        let refused = self.random.random_bool(0.5);
        let dead = &mut self.nodes[node];
        (dead.up, dead.refused, dead.core, dead.tick_at) = (false, refused, None, None);
        dead.rooms.clear();
        (dead.copies, dead.frozen, dead.moves) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let member = dead.member();
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            self.network.break_link(node, peer, self.now);
            if refused && self.network.same_side(node, peer) && self.nodes[peer].up {
                let (boot, at) = (self.nodes[peer].boot, self.now + self.random.random_range(1..20));
                self.schedule(at, Event::Lost { node: peer, boot, member: member.clone() });
            }
        }
        let back = self.now + self.random.random_range(300..10_000);
        self.schedule(back, Event::Boot { node });
    }

    pub(crate) fn boot(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        self.boots += 1;
        let seed: u64 = self.random.random();
        let peers = self.nodes.len();
        let born = &mut self.nodes[node];
        born.boot = self.boots;
        born.up = true;
        (born.paused_until, born.ready_at, born.draining) = (0, self.now + READY_MS, false);
        born.peers = vec![Seen::default(); peers];
        (born.rooms, born.served, born.tick_at) = (BTreeMap::<String, RoomActor>::new(), BTreeMap::new(), None);
        born.generation = 1;
        born.core = Some(PlacementCore::new(born.member(), PlacementSettings::default(), seed));
        let boot = born.boot;
        self.nodes[node].peers[node].facts = self.nodes[node].facts(self.now);
        let view = self.view(node);
        self.input(node, Input::View(view));
        self.schedule(self.now + 1, Event::Poll { node, boot });
        self.schedule(self.now + 500, Event::Clean { node, boot });
    }

    fn partition(&mut self) {
        for node in 0..self.nodes.len() {
            self.network.side[node] = self.random.random_range(0..2);
        }
        for client in &mut self.clients {
            client.side = match self.random.random_range(0..3) {
                0 => None,
                side => Some(side - 1),
            };
        }
        let heals = self.now + self.random.random_range(500..15_000);
        self.schedule(heals, Event::HealPartition);
    }

    pub(crate) fn heal_partition(&mut self) {
        self.network.side.fill(0);
        for client in &mut self.clients {
            client.side = None;
        }
    }

    fn pause(&mut self, node: usize) {
        // What it was to do is due at the end of its first pause: a second one never ends it earlier.
        let until = self.now + self.random.random_range(300..12_000);
        self.nodes[node].paused_until = self.nodes[node].paused_until.max(until);
    }

    /// A link breaks with everything on it, and comes back.
    fn break_link(&mut self, node: usize) {
        let peer = (node + self.random.random_range(1..self.nodes.len())) % self.nodes.len();
        let until = self.now + self.random.random_range(20..2_500);
        self.network.break_link(node, peer, until);
        for (one, other) in [(node, peer), (peer, node)] {
            let (boot, member) = (self.nodes[one].boot, self.nodes[other].member());
            self.schedule(self.now, Event::Lost { node: one, boot, member });
        }
    }

    fn drain(&mut self, node: usize) {
        self.nodes[node].draining = true;
        let ends = self.now + self.random.random_range(1_000..8_000);
        self.schedule(ends, Event::EndDrain { node });
    }

    pub(crate) fn heal_everything(&mut self) {
        self.heal_partition();
        for node in 0..self.nodes.len() {
            self.boot(node);
            let healed = &mut self.nodes[node];
            (healed.paused_until, healed.draining) = (healed.paused_until.min(self.now), false);
            let boot = healed.boot;
            self.schedule(self.now, Event::Tick { node, boot });
        }
    }
}
