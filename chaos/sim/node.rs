//! A simulated node: its placement core, its rooms, and what its membership tells it.

use starling_actors::placement_core::{Epoch, PlacementCore};
use starling_cluster::member::{BootId, MemberId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A simulated node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) node_id: NodeId,
    pub(crate) boot: u64,
    pub(crate) up: bool,
    /// The last death was that of the process: its peers are told by a reset and a refused dial.
    pub(crate) refused: bool,
    pub(crate) paused_until: u64,
    pub(crate) ready_at: u64,
    pub(crate) draining: bool,
    pub(crate) core: Option<PlacementCore>,
    pub(crate) rooms: BTreeMap<String, RoomActor>,
    /// By peer; its own place says what it knows of itself.
    pub(crate) peers: Vec<Seen>,
    pub(crate) generation: u64,
    pub(crate) tick_at: Option<u64>,
    /// Greatest epoch that this life served, per room.
    pub(crate) served: BTreeMap<String, Epoch>,
    /// Copies of rooms that may come, and for which epoch.
    pub(crate) copies: BTreeMap<String, Epoch>,
    /// Rooms that stand still, and since when.
    pub(crate) frozen: BTreeMap<String, u64>,
    /// Moves that this node's operators wait for.
    pub(crate) moves: BTreeSet<u64>,
    /// It said that it drains and has no room.
    pub(crate) told_drained: bool,
}

/// A room actor, reduced to who is in it.
#[derive(Debug)]
pub(crate) struct RoomActor {
    pub(crate) people: BTreeSet<usize>,
    pub(crate) empty_since: u64,
}

/// What a node's membership says of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its life, when it is alive.
    pub(crate) boot: Option<u64>,
    /// Since when that differs from the truth, and how long it takes to be seen.
    pub(crate) differs: Option<(u64, u64)>,
    /// Since when nothing is heard.
    pub(crate) silent_since: Option<u64>,
    pub(crate) silent: bool,
    pub(crate) linked: bool,
    pub(crate) facts: SeenFacts,
    pub(crate) facts_at: u64,
}

/// Facts that a peer gossips, as of the last time they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenFacts {
    pub(crate) boot: u64,
    pub(crate) ready: bool,
    pub(crate) draining: bool,
    pub(crate) rooms: u32,
    pub(crate) participants: u32,
}

impl Node {
    pub(crate) fn new(node_id: NodeId, nodes: usize) -> Self {
        Self {
            node_id,
            boot: 0,
            up: false,
            refused: false,
            paused_until: 0,
            ready_at: 0,
            draining: false,
            core: None,
            rooms: BTreeMap::new(),
            peers: vec![Seen::default(); nodes],
            generation: 0,
            tick_at: None,
            served: BTreeMap::new(),
            copies: BTreeMap::new(),
            frozen: BTreeMap::new(),
            moves: BTreeSet::new(),
            told_drained: false,
        }
    }

    pub(crate) fn runs(&self, now: u64) -> bool {
        self.up && self.paused_until <= now
    }

    pub(crate) fn member(&self) -> MemberId {
        self.member_of(self.boot)
    }

    pub(crate) fn member_of(&self, boot: u64) -> MemberId {
        MemberId { node_id: self.node_id.clone(), boot_id: BootId::after(None, boot) }
    }

    pub(crate) fn facts(&self, now: u64) -> SeenFacts {
        let people: usize = self.rooms.values().map(|room| room.people.len()).sum();
        SeenFacts {
            boot: self.boot,
            ready: now >= self.ready_at,
            draining: self.draining,
            rooms: u32::try_from(self.rooms.len()).unwrap_or(u32::MAX),
            participants: u32::try_from(people).unwrap_or(u32::MAX),
        }
    }
}
