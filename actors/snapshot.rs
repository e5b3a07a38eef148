//! What an operator or a test sees of this node's rooms.

use serde::Serialize;

/// Every room of this node, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoomsSnapshot {
    /// The rooms.
    pub rooms: Vec<RoomSnapshot>,
}

/// One room.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoomSnapshot {
    /// Name.
    pub name: String,
    /// `RM_…`.
    pub sid: String,
    /// Media worker that serves it.
    pub worker: usize,
    /// Participants in order of their sids.
    pub participants: Vec<ParticipantSnapshot>,
}

/// One participant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ParticipantSnapshot {
    /// `PA_…`.
    pub sid: String,
    /// Identity.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// `JOINING`, `JOINED`, `ACTIVE` or `DISCONNECTED`.
    pub state: String,
    /// Whether the others see it.
    pub hidden: bool,
    /// Sids of announced tracks.
    pub tracks: Vec<String>,
    /// Sids of the tracks that are forwarded to it.
    pub subscriptions: Vec<String>,
    /// Milliseconds since the epoch.
    pub joined_at_ms: i64,
}
