//! What the three roles of a node share while one input is handled: the time, the cluster, the way out.

use super::effect::{Effect, PlacementEvent, Refused, Table};
use super::message::Message;
use super::neighbours::Neighbours;
use super::recent::Recent;
use starling_cluster::member::MemberId;
use starling_cluster::peers::Urgency;
use std::collections::VecDeque;
use std::time::Instant;

/// One input's surroundings. The roles never call each other: they send, and what a node sends to itself is heard in
/// the same turn.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) me: &'a MemberId,
    pub(super) cluster: &'a Neighbours,
    /// Greatest epoch counter heard of, per room (rule 2).
    pub(super) floors: &'a mut Recent<u64>,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) to_self: &'a mut VecDeque<Message>,
}

impl Turn<'_> {
    pub(super) fn send(&mut self, to: &MemberId, message: Message) {
        self.send_with(to, message, Urgency::Needed);
    }

    pub(super) fn send_with(&mut self, to: &MemberId, message: Message, urgency: Urgency) {
        if to == self.me {
            self.to_self.push_back(message);
        } else {
            self.effects.push(Effect::Send { to: to.clone(), message, urgency });
        }
    }

    pub(super) fn send_to_owner(&mut self, room: &str, message: Message) {
        let cluster = self.cluster;
        if let Some(owner) = cluster.owner(room) {
            self.send(owner, message);
        }
    }

    pub(super) fn event(&mut self, event: PlacementEvent) {
        self.effects.push(Effect::Event(event));
    }

    pub(super) fn refuse(&mut self, from: &MemberId, why: Refused) {
        self.event(PlacementEvent::Refused { from: from.clone(), why });
    }

    pub(super) fn full(&mut self, table: Table) {
        self.event(PlacementEvent::Full { table });
    }

    pub(super) fn owns(&self, room: &str) -> bool {
        self.cluster.owner(room) == Some(self.me)
    }

    pub(super) fn floor(&self, room: &str) -> u64 {
        self.floors.get(room).copied().unwrap_or_default()
    }
}
