//! What the placement actor hears.

use crate::error::JoinError;
use ractor::RpcReplyPort;

/// What the placement actor hears.
#[derive(Debug)]
pub(crate) enum PlacementMessage {
    /// Where is, or may be, this room?
    Locate { room: String, create: bool, reply: RpcReplyPort<Result<Host, JoinError>> },
    /// A room of this node ended.
    Ended { room: String },
}

impl ractor::Message for PlacementMessage {}

/// Where a room lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// On this node.
    ThisNode,
}
