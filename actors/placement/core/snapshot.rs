//! What an operator sees of a node's placement.

use super::epoch::Epoch;
use starling_cluster::member::MemberId;

/// What an operator sees of a node's placement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementSnapshot {
    /// Rooms of this node, by name.
    pub rooms: Vec<HostedRoom>,
    /// Directory entries that this node owns, by room name.
    pub entries: Vec<DirectoryEntry>,
    /// Rooms that went from this node elsewhere.
    pub redirects: usize,
    /// Rooms whose greatest epoch is known.
    pub floors: usize,
    /// Locates of this node under way.
    pub locates: usize,
    /// Locates that wait at this node as owner.
    pub waiting: usize,
    /// Rooms that this node moves as owner, by name.
    pub moves: Vec<MovingRoom>,
    /// Copies of rooms that may come to this node.
    pub prepared: usize,
    /// This node is on its way out; it may leave when `rooms` is empty and nothing is `prepared` (rule 12).
    pub draining: bool,
}

/// A room that this node moves as owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovingRoom {
    /// Its name.
    pub room: String,
    /// Where it is.
    pub from: MemberId,
    /// Where it goes.
    pub to: MemberId,
    /// Its placement there, should it go.
    pub epoch: Epoch,
    /// It stands still at its source, for the last delta.
    pub freezing: bool,
}

/// A room of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedRoom {
    /// Its name.
    pub room: String,
    /// Its placement.
    pub epoch: Epoch,
    /// Participants, as last told.
    pub participants: u32,
}

/// A room that this node knows as owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name.
    pub room: String,
    /// Who hosts it.
    pub host: MemberId,
    /// Its placement.
    pub epoch: Epoch,
    /// Participants, as last told.
    pub participants: u32,
}
