//! What the supervisor hears, besides the deaths of its children.

use crate::placement::core::Epoch;
use crate::room::RoomMessage;
use ractor::{ActorRef, RpcReplyPort};

/// What the supervisor hears.
#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    /// Makes a room, or keeps the one that runs; placement hears what came of it.
    Start { name: String, epoch: Epoch },
    /// The room goes on at another node: its people join there.
    Retire { name: String },
    /// Finds a room.
    Room { name: String, reply: RpcReplyPort<Option<ActorRef<RoomMessage>>> },
    /// Every room, by name.
    Rooms { reply: RpcReplyPort<Vec<(String, ActorRef<RoomMessage>)>> },
    /// Ends every room; no new ones come.
    Shutdown { reply: RpcReplyPort<()> },
}

impl ractor::Message for SupervisorMessage {}
