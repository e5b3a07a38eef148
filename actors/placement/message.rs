//! What the placement actor hears.

use crate::placement::core::{AttachRefusal, Epoch, LocateError, Located, Message, PlacementSnapshot, RoomHints};
use crate::session::Admission;
use crate::supervisor::SupervisorMessage;
use ractor::{ActorRef, RpcReplyPort};
use starling_cluster::View;
use starling_cluster::member::MemberId;
use std::sync::Arc;

/// What the placement actor hears.
#[derive(Debug)]
pub(crate) enum PlacementMessage {
    /// Where is, or may be, this room?
    Locate {
        room: String,
        create: bool,
        hints: RoomHints,
        failed_host: Option<MemberId>,
        reply: RpcReplyPort<Result<Located, LocateError>>,
    },
    /// A session wants into a room of this node.
    Attach { room: String, epoch: Option<Epoch>, reply: RpcReplyPort<Result<Epoch, AttachRefusal>> },
    /// Who makes rooms.
    Bind { supervisor: ActorRef<SupervisorMessage> },
    /// The cluster changed.
    View(Arc<View>),
    /// Another node's placement says something.
    Heard { from: MemberId, message: Box<Message>, admission: Admission },
    /// A room that was to start runs.
    Started { room: String, epoch: Epoch },
    /// A room that was to start does not.
    Refused { room: String, epoch: Epoch },
    /// A room has so many participants.
    Load { room: String, participants: u32 },
    /// A room of this node ended.
    Ended { room: String },
    /// The link to that life of a node is gone.
    Lost(MemberId),
    /// What is known.
    Inspect { reply: RpcReplyPort<PlacementSnapshot> },
    /// A deadline of the core has passed.
    Wake,
}

impl ractor::Message for PlacementMessage {}
