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
