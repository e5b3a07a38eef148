//! What each node believes of the others, as late as was measured (cluster.md §3.3, §3.4): a loss is seen after
//! 2.8-5.2 s, or 0.1-0.3 s when the link says so; a return after 50-800 ms; facts up to 1 s late.

use crate::world::{Event, World};
use rand::Rng;
use starling_actors::placement_core::Input;
use starling_cluster::View;
use starling_cluster::member::{Capacity, LinkState, Load, Member, MemberFacts, MemberState, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A membership looks at its peers so often, milliseconds.
pub(crate) const POLL_MS: u64 = 50;
/// Silence of a link after which its member is suspect, milliseconds.
const SILENCE_MS: u64 = 1_500;
/// What each participant costs in the measured load.
const PARTICIPANT_MBPS: u32 = 2;

impl World {
    /// One node looks at all its peers.
    pub(crate) fn poll(&mut self, me: usize, boot: u64) {
        if !self.nodes[me].up || self.nodes[me].boot != boot {
            return;
        }
        let again = self.now + POLL_MS;
        if !self.nodes[me].runs(self.now) {
            let resumed = self.nodes[me].paused_until;
            self.schedule(resumed.max(again), Event::Poll { node: me, boot });
            return;
        }
        self.schedule(again, Event::Poll { node: me, boot });
        self.judge_frozen(me);
        let mut changed = false;
        for peer in 0..self.nodes.len() {
            changed |= self.look(me, peer);
        }
        if changed {
            let view = self.view(me);
            self.input(me, Input::View(view));
        }
    }

    /// Whether what `me` believes of `peer` changed.
    fn look(&mut self, me: usize, peer: usize) -> bool {
        let mut changed = self.look_at_facts(me, peer);
        if me == peer {
            return changed;
        }
        let reaches = self.reaches(me, peer);
        let now = self.now;
        let linked = reaches && self.network.is_linked(me, peer, now);
        let truth = reaches.then_some(self.nodes[peer].boot);
        let threshold = self.threshold(peer, truth);
        let seen = &mut self.nodes[me].peers[peer];
        let silent_since = (!linked).then(|| seen.silent_since.unwrap_or(now));
        let silent = silent_since.is_some_and(|since| now >= since + SILENCE_MS);
        changed |= silent != seen.silent || linked != seen.linked;
        (seen.silent_since, seen.silent, seen.linked) = (silent_since, silent, linked);
        if seen.boot == truth {
            seen.differs = None;
            return changed;
        }
        let (since, lasts) = *seen.differs.get_or_insert((now, threshold));
        if now < since + lasts {
            return changed;
        }
        seen.differs = None;
        let before = std::mem::replace(&mut seen.boot, truth);
        self.nodes[me].generation += 1;
        if let Some(before) = before {
            // Links follow membership: what was on its way is dropped.
            let lost = self.nodes[peer].member_of(before);
            if truth.is_none() {
                self.network.break_link(me, peer, now);
            }
            self.schedule(now, Event::Lost { node: me, boot: self.nodes[me].boot, member: lost });
        }
        true
    }

    fn threshold(&mut self, peer: usize, truth: Option<u64>) -> u64 {
        match truth {
            Some(_) => self.random.random_range(50..800),
            None if !self.nodes[peer].up && self.nodes[peer].refused => self.random.random_range(100..300),
            None => self.random.random_range(2_800..5_200),
        }
    }

    fn look_at_facts(&mut self, me: usize, peer: usize) -> bool {
        let now = self.now;
        let heard = me == peer || (self.reaches(me, peer) && self.nodes[me].peers[peer].boot.is_some());
        if !heard || now < self.nodes[me].peers[peer].facts_at {
            return false;
        }
        let facts = self.nodes[peer].facts(now);
        let late = if me == peer { 0 } else { self.random.random_range(100..1_000) };
        let seen = &mut self.nodes[me].peers[peer];
        seen.facts_at = now + late;
        let changed = seen.facts != facts;
        if seen.facts.draining != facts.draining {
            self.nodes[me].generation += 1;
        }
        self.nodes[me].peers[peer].facts = facts;
        changed
    }

    /// Whether packets pass between two running nodes.
    pub(crate) fn reaches(&self, a: usize, b: usize) -> bool {
        self.nodes[a].up && self.nodes[b].runs(self.now) && self.network.same_side(a, b)
    }

    /// Whether every node sees every other as it is.
    pub(crate) fn membership_is_healed(&self) -> bool {
        self.nodes.iter().enumerate().all(|(me, node)| {
            node.runs(self.now)
                && node.peers.iter().enumerate().all(|(peer, seen)| {
                    // A node that was paused may not have looked at itself yet.
                    (me == peer && seen.facts.draining == node.draining)
                        || (seen.boot == Some(self.nodes[peer].boot)
                            && seen.linked
                            && !seen.silent
                            && seen.facts.boot == self.nodes[peer].boot
                            && seen.facts.ready
                            && !seen.facts.draining)
                })
        })
    }

    pub(crate) fn view(&self, me: usize) -> Arc<View> {
        let node = &self.nodes[me];
        let members: BTreeMap<_, _> = (0..self.nodes.len())
            .filter_map(|peer| self.seen_member(me, peer))
            .map(|member| (member.id.node_id.clone(), member))
            .collect();
        Arc::new(View { me: node.member(), generation: node.generation, members })
    }

    fn seen_member(&self, me: usize, peer: usize) -> Option<Member> {
        let seen = &self.nodes[me].peers[peer];
        let boot = if me == peer { Some(self.nodes[me].boot) } else { seen.boot };
        // A peer never seen is not known; one that is gone is kept as dead.
        let (boot, dead) = match boot {
            Some(boot) => (boot, false),
            None if seen.facts.boot > 0 => (seen.facts.boot, true),
            None => return None,
        };
        let id = self.nodes[peer].member_of(boot);
        let facts = (seen.facts.boot == boot).then(|| self.member_facts(peer, id.clone(), seen.facts));
        let draining = facts.as_ref().is_some_and(|facts| facts.draining);
        let state = match (dead, draining, seen.silent && me != peer) {
            (true, ..) => MemberState::Dead,
            (_, true, _) => MemberState::Draining,
            (_, _, true) => MemberState::Suspect,
            _ => MemberState::Serving,
        };
        let link = match (me == peer, seen.linked, seen.silent) {
            (true, ..) => LinkState::Own,
            (_, true, _) => LinkState::Up,
            (_, _, true) => LinkState::Silent,
            _ => LinkState::Down,
        };
        Some(Member { id, address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 7946), state, link, facts })
    }

    fn member_facts(
        &self,
        peer: usize,
        member: starling_cluster::member::MemberId,
        seen: crate::node::SeenFacts,
    ) -> MemberFacts {
        MemberFacts {
            member,
            region: String::new(),
            version: String::new(),
            roles: BTreeSet::from([Role::Room]),
            capacity: self.capacity(peer),
            load: Load {
                cpu_millicores: seen.participants * 2,
                egress_mbps: seen.participants * PARTICIPANT_MBPS,
                rooms: seen.rooms,
                participants: seen.participants,
            },
            http: String::new(),
            ready: seen.ready,
            draining: seen.draining,
        }
    }

    /// Not all nodes are equal: every second one carries twice as much.
    pub(crate) fn capacity(&self, node: usize) -> Capacity {
        let factor = u32::try_from(node % 2).unwrap_or_default() + 1;
        Capacity { cpu_millicores: 1_000 * factor, egress_mbps: 1_000 * factor }
    }
}
