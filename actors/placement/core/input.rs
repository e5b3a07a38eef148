//! What the placement core is told.

use super::epoch::{Epoch, RoomHints};
use super::message::{Message, PrepareRefusal};
use starling_cluster::View;
use starling_cluster::member::MemberId;
use std::sync::Arc;

/// What the placement core is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The cluster changed; also given once before anything else.
    View(Arc<View>),
    /// Somebody on this node wants to know where a room is, or to have it placed.
    Locate {
        /// The caller's name for it; its answer is [`super::Effect::Located`]. A request that is under way keeps its number.
        request: u64,
        /// The room.
        room: String,
        /// Places it when it does not exist.
        create: bool,
        /// For placing it.
        hints: RoomHints,
        /// The host that the last answer named and that could not be reached.
        failed_host: Option<MemberId>,
    },
    /// The caller gave up; no answer follows.
    Cancel {
        /// Its name for it.
        request: u64,
    },
    /// Another node's placement says something.
    Heard {
        /// The life of the node that the link was authenticated for.
        from: MemberId,
        /// What it says.
        message: Message,
    },
    /// The answer to [`super::Effect::StartRoom`]: it runs.
    RoomStarted {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// The answer to [`super::Effect::StartRoom`]: it does not run.
    RoomRefused {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// A room of this node has so many participants.
    RoomLoad {
        /// The room.
        room: String,
        /// How many.
        participants: u32,
    },
    /// A room of this node ended by itself.
    RoomEnded {
        /// The room.
        room: String,
    },
    /// A session wants into a room on this node.
    Attach {
        /// The caller's name for it; its answer is [`super::Effect::Attached`].
        request: u64,
        /// The room.
        room: String,
        /// The placement that the directory or a redirect named; `None` when it comes without one.
        epoch: Option<Epoch>,
    },
    /// An operator wants a room to go elsewhere.
    Move {
        /// The caller's name for it; its answer is [`super::Effect::Moved`].
        request: u64,
        /// The room.
        room: String,
        /// Where; `None`: wherever is best.
        to: Option<MemberId>,
    },
    /// The answer to [`super::Effect::PrepareRoom`]: the copy is there and follows.
    Prepared {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// The answer to [`super::Effect::PrepareRoom`]: there is no copy.
    PrepareRefused {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
        /// What stands in the way.
        why: PrepareRefusal,
    },
    /// The answer to [`super::Effect::FreezeRoom`]: the copy has everything.
    Handed {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// The answer to [`super::Effect::FreezeRoom`]: it could not be given.
    HandFailed {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// The link to that life of a node ended, with everything that was on its way.
    Lost(MemberId),
    /// Time passed: [`super::PlacementCore::next_deadline`] was reached.
    Tick,
}
