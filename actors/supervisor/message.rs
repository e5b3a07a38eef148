//! What the supervisor hears, besides the deaths of its children.

use crate::error::JoinError;
use crate::room::RoomMessage;
use ractor::{ActorRef, RpcReplyPort};
use starling_protocol::livekit as lk;

/// What the supervisor hears.
#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    /// Finds a room, or makes it when `create` allows.
    Room {
        name: String,
        create: bool,
        preset: Option<Box<lk::RoomConfiguration>>,
        reply: RpcReplyPort<Result<ActorRef<RoomMessage>, JoinError>>,
    },
    /// Every room, by name.
    Rooms { reply: RpcReplyPort<Vec<(String, ActorRef<RoomMessage>)>> },
    /// Ends every room; no new ones come.
    Shutdown { reply: RpcReplyPort<()> },
}

impl ractor::Message for SupervisorMessage {}
