//! What an operator or a test sees of rooms.

use serde::{Deserialize, Serialize};
use starling_protocol::id::NodeId;

/// Rooms of one node or of a cluster, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomsSnapshot {
    /// The rooms.
    pub rooms: Vec<RoomSnapshot>,
    /// Living members that did not tell theirs in time.
    pub missing: Vec<NodeId>,
}

/// One room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomSnapshot {
    /// Name.
    pub name: String,
    /// `RM_…`.
    pub sid: String,
    /// The node that hosts it.
    pub host: NodeId,
    /// Counter of the epoch under which it is hosted; 0 = none yet.
    pub epoch: u64,
    /// The node that would take over, once rooms have one.
    pub standby: Option<NodeId>,
    /// Media worker that serves it.
    pub worker: usize,
    /// Participants in order of their sids.
    pub participants: Vec<ParticipantSnapshot>,
}

/// One participant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParticipantSnapshot {
    /// `PA_…`.
    pub sid: String,
    /// Identity.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// `JOINING`, `JOINED`, `ACTIVE` or `DISCONNECTED`.
    pub state: String,
    /// The node where its WebSocket ends, or ended last.
    pub entry: NodeId,
    /// Whether the others see it.
    pub hidden: bool,
    /// Sids of announced tracks.
    pub tracks: Vec<String>,
    /// Sids of the tracks that are forwarded to it.
    pub subscriptions: Vec<String>,
    /// Milliseconds since the epoch.
    pub joined_at_ms: i64,
}
