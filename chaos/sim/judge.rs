//! The promises of architecture.md that placement keeps, judged at every step and after healing.

use crate::moving::Begins;
use crate::world::World;
use starling_actors::placement_core::Epoch;
use starling_cluster::View;
use starling_cluster::member::{MemberId, MemberState};
use std::collections::{BTreeMap, BTreeSet};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Promise 1: two hosts served a room under one epoch.
    TwoHostsOneEpoch(String),
    /// Promise 1 and 2: rooms and clients had not come together in time after healing.
    NotConverged(String),
    /// A host took a lower or equal epoch for a room that it starts again.
    EpochLowered(String),
    /// Promise 7: a room was placed where none may be.
    WrongPlace(String),
    /// A move did what no move may: froze for too long, served what was not copied, left something behind.
    Move(String),
    /// A draining node kept a room that another could have taken.
    NotDrained(String),
    /// Promise 6: a node that could take the room was passed over.
    NotPlaced(String),
}

/// A broken promise, and when: milliseconds of simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at_ms: u64,
    /// What.
    pub broken: Broken,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "after {} ms: {:?}", self.at_ms, self.broken)
    }
}

impl World {
    pub(crate) fn break_promise(&mut self, broken: Broken) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at_ms: self.now, broken });
        }
    }

    /// A host serves the room under this epoch from here on.
    pub(crate) fn judge_serving(&mut self, node: usize, room: &str, epoch: &Epoch, begins: Begins) {
        let member = self.nodes[node].member();
        let key = (room.to_owned(), epoch.clone());
        let first = self.serving.entry(key).or_insert_with(|| member.clone()).clone();
        if first != member {
            self.break_promise(Broken::TwoHostsOneEpoch(format!("{room} under {epoch}: {first} and {member}")));
        }
        let before = self.nodes[node].served.insert(room.to_owned(), epoch.clone());
        if before.as_ref().is_some_and(|before| before > epoch || (begins != Begins::GoesOn && before == epoch)) {
            self.break_promise(Broken::EpochLowered(format!("{room} at {member}: from {before:?} to {epoch}")));
        }
        if begins == Begins::Anew && self.nodes[node].peers[node].facts.draining {
            self.break_promise(Broken::WrongPlace(format!("{room} at {member}, which drains")));
        }
    }

    /// An owner asks a host to take a room: was it allowed by what the owner knew?
    pub(crate) fn judge_assigning(&mut self, view: &View, host: &MemberId, room: &str) {
        let member = view.alive(host).filter(|member| member.takes_rooms() && member.state == MemberState::Serving);
        let fits = member.and_then(|member| member.facts.as_ref()).is_some_and(|facts| {
            facts.load.cpu_millicores <= facts.capacity.cpu_millicores
                && facts.load.egress_mbps <= facts.capacity.egress_mbps
        });
        if !fits {
            self.break_promise(Broken::WrongPlace(format!("{room} at {host}: {member:?}")));
        }
    }

    /// What keeps rooms and clients apart; `None` when everything is as it shall be.
    pub(crate) fn apart(&self) -> Option<String> {
        let mut hosts: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for hosted in node.core.iter().flat_map(|core| core.snapshot().rooms) {
                hosts.entry(hosted.room).or_default().insert(index);
            }
        }
        for (client, one) in self.clients.iter().enumerate() {
            let found = self.client_is_there(client);
            let serving = hosts.get(&one.room);
            if found.is_none() || serving.is_none_or(|serving| serving.len() != 1 || serving.first() != found.as_ref())
            {
                let stage = &one.stage;
                return Some(format!("client {client} of {} is at {found:?} ({stage:?}); hosts {serving:?}", one.room));
            }
        }
        self.misdirected()
    }

    /// The directory must lead to where the rooms are.
    fn misdirected(&self) -> Option<String> {
        let mut entries: BTreeMap<String, BTreeSet<MemberId>> = BTreeMap::new();
        for core in self.nodes.iter().filter_map(|node| node.core.as_ref()) {
            for entry in core.snapshot().entries {
                entries.entry(entry.room).or_default().insert(entry.host);
            }
        }
        self.clients.iter().enumerate().find_map(|(client, one)| {
            let host = self.nodes[self.client_is_there(client)?].member();
            let named = entries.get(&one.room);
            let right = named.is_some_and(|named| named.len() == 1 && named.contains(&host));
            (!right).then(|| format!("the directory has {} at {named:?}, it is at {host}", one.room))
        })
    }
}
