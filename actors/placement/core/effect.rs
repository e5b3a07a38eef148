//! What the placement core wants done.

use super::epoch::{Epoch, Located};
use super::message::Message;
use serde::{Deserialize, Serialize};
use starling_cluster::member::MemberId;
use starling_cluster::peers::Urgency;

/// What the placement core wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this to another node; when it cannot be sent, nothing else need be done.
    Send {
        /// Whom.
        to: MemberId,
        /// What.
        message: Message,
        /// Whether it may be left out.
        urgency: Urgency,
    },
    /// The answer to [`super::Input::Locate`].
    Located {
        /// The caller's name for it.
        request: u64,
        /// Where the room is.
        result: Result<Located, LocateError>,
    },
    /// Start the room's actor, or keep the one that runs under this epoch; answer with
    /// [`super::Input::RoomStarted`] or [`super::Input::RoomRefused`].
    StartRoom {
        /// The room.
        room: String,
        /// Its placement.
        epoch: Epoch,
    },
    /// The running room is under this greater epoch from here on.
    AdoptEpoch {
        /// The room.
        room: String,
        /// Its placement.
        epoch: Epoch,
    },
    /// This node lost the room: send its people to the winner, which serves it under `epoch`.
    Retire {
        /// The room.
        room: String,
        /// Where it goes on.
        winner: MemberId,
        /// Its placement there.
        epoch: Epoch,
    },
    /// The answer to [`super::Input::Attach`].
    Attached {
        /// The caller's name for it.
        request: u64,
        /// The epoch that the room is under here.
        result: Result<Epoch, AttachRefusal>,
    },
    /// Make a copy of a room that runs at `from`, and let it follow; it serves nobody. Answer with
    /// [`super::Input::Prepared`] or [`super::Input::PrepareRefused`].
    PrepareRoom {
        /// The room.
        room: String,
        /// Its placement here, should it come.
        epoch: Epoch,
        /// Where it runs.
        from: MemberId,
    },
    /// The copy of the room is of no use any more.
    DropPrepared {
        /// The room.
        room: String,
        /// What it was made for.
        epoch: Epoch,
    },
    /// Serve the room from its copy; answer as to [`Effect::StartRoom`].
    ServeRoom {
        /// The room.
        room: String,
        /// Its placement.
        epoch: Epoch,
    },
    /// Let nothing change in the running room and send the rest to its copy at `to`, within
    /// [`super::limits::FREEZE`]. Answer with [`super::Input::Handed`] once that is delivered, or with
    /// [`super::Input::HandFailed`]. Ends with [`Effect::ThawRoom`], [`Effect::Retire`] or the room's own end.
    FreezeRoom {
        /// The room.
        room: String,
        /// Where its copy is.
        to: MemberId,
        /// Its placement there, should it go.
        epoch: Epoch,
    },
    /// The frozen room stays and goes on.
    ThawRoom {
        /// The room.
        room: String,
        /// What it was frozen for.
        epoch: Epoch,
    },
    /// The answer to [`super::Input::Move`].
    Moved {
        /// The caller's name for it.
        request: u64,
        /// Where the room is.
        result: Result<Located, MoveRefusal>,
    },
    /// This node drains and hosts no room any more (rule 12); said once per drain, again when a room had come back.
    Drained,
    /// Worth a log line and a metric.
    Event(PlacementEvent),
}

/// A room was not moved; it is where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoveRefusal {
    /// Nobody hosts it.
    #[error("no such room")]
    NoSuchRoom,
    /// No node can take it.
    #[error("no other node can take the room: {why}")]
    NoCapacity {
        /// What stands in the way.
        why: String,
    },
    /// The target cannot take it.
    #[error("{target} cannot take the room: {why}")]
    TargetNotAble {
        /// Which node.
        target: MemberId,
        /// What stands in the way.
        why: String,
    },
    /// It is on its way somewhere.
    #[error("the room is being moved already")]
    AlreadyMoving,
    /// Somebody did not answer in time. When it was the owner that did not, the room may have moved.
    #[error("the move was not finished in time")]
    TimedOut,
    /// Something came in between.
    #[error("the move was given up: {why}")]
    Aborted {
        /// What.
        why: String,
    },
}

/// A room was not found or not placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LocateError {
    /// It does not exist, and it was not to be made.
    #[error("no such room")]
    NotFound,
    /// No node can take it.
    #[error("no node can take the room: {why}")]
    NoCapacity {
        /// What stands in the way.
        why: String,
    },
    /// The cluster gave no answer in time; another try may succeed.
    #[error("the room's directory does not answer: {why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
    },
}

/// A session does not get into a room here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachRefusal {
    /// The room goes on elsewhere. To be followed only when `epoch` is strictly greater than the greatest that the
    /// session has seen; otherwise it locates the room again.
    #[error("the room is at {winner} under epoch {epoch}")]
    Moved {
        /// Where.
        winner: MemberId,
        /// Its placement there.
        epoch: Epoch,
    },
    /// This node knows nothing of it: locate it again.
    #[error("the room is not here")]
    NotHere,
}

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementEvent {
    /// This node, as owner, placed a room.
    Placed {
        /// The room.
        room: String,
        /// Where.
        host: MemberId,
        /// Its placement.
        epoch: Epoch,
    },
    /// This node, as owner, placed a room again whose host is gone.
    Replaced {
        /// The room.
        room: String,
        /// Where it was.
        from: MemberId,
        /// Where it is.
        host: MemberId,
        /// Its placement.
        epoch: Epoch,
    },
    /// Two nodes had the room; this node, as owner, decided for one.
    Conflict {
        /// The room.
        room: String,
        /// Who keeps it.
        winner: MemberId,
        /// Who gives it up.
        loser: MemberId,
        /// Its placement at the winner.
        epoch: Epoch,
    },
    /// This node, as owner, moved a room.
    Moved {
        /// The room.
        room: String,
        /// Where it was.
        from: MemberId,
        /// Where it is.
        host: MemberId,
        /// Its placement.
        epoch: Epoch,
    },
    /// This node, as owner, gave a move up; the room is where it was.
    MoveAborted {
        /// The room.
        room: String,
        /// Where it is.
        from: MemberId,
        /// Where it should have gone.
        to: MemberId,
        /// What came in between.
        why: MoveRefusal,
    },
    /// This node, as owner, could not begin to move a room away from a node that drains.
    NotDrained {
        /// The room.
        room: String,
        /// Where it is.
        source: MemberId,
        /// What stands in the way.
        why: MoveRefusal,
    },
    /// This node, as owner, found a host that does not answer, and places no room there for a while.
    HostFailed {
        /// The host.
        host: MemberId,
    },
    /// This node, as owner, found no node for a room.
    NoCapacity {
        /// The room.
        room: String,
        /// What stands in the way.
        why: String,
    },
    /// This node, as host, was asked for a placement lower than one it knows.
    TooLow {
        /// The room.
        room: String,
        /// What was asked.
        epoch: Epoch,
        /// The counter that it has to exceed.
        known: u64,
    },
    /// A message was not followed.
    Refused {
        /// Who sent it.
        from: MemberId,
        /// Why.
        why: Refused,
    },
    /// A table is full: something was forgotten or turned away.
    Full {
        /// Which.
        table: Table,
    },
}

/// Why a message was not followed; a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// Its sender is a life that is over, or that this node does not know.
    UnknownLife,
    /// Its epoch was decided by another node than its sender.
    ForeignEpoch,
    /// It answers something that was not asked, or not any more.
    Unasked,
    /// Its epoch is older than what is known.
    OldEpoch,
}

/// A table of the core that is bounded; a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Locates of this node.
    Locates,
    /// Locates that wait at the owner.
    Waiting,
    /// Directory entries.
    Entries,
    /// Rooms of this node.
    Rooms,
    /// Sessions that wait for a room of this node to start.
    Attaches,
}
