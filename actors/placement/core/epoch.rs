//! A room's placement generation, and what is wanted of a placement.

use serde::{Deserialize, Serialize};
use starling_cluster::member::MemberId;

/// Which placement of a room: counted up, and made unique by who decided it. Ordered by counter, then by decider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Greater than that of any placement of the room that the decider had heard of.
    pub counter: u64,
    /// The life of the owner that decided.
    pub decider: MemberId,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.counter, self.decider)
    }
}

/// What is known of a room before it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHints {
    /// Participants that it may have; 0 = not said.
    pub max_participants: u32,
    /// Region that it should be in; empty = not said.
    pub region: String,
}

/// Where a room is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The life of the node that hosts it.
    pub host: MemberId,
    /// Its placement; goes into [`super::Input::Attach`] at the host.
    pub epoch: Epoch,
}
