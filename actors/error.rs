//! Why a join is refused, with the HTTP status of livekit-compat §2.

use serde::{Deserialize, Serialize};
use starling_media::worker::SendCommandError;
use std::borrow::Cow;

/// A join was refused before a session existed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinError {
    /// The token lacks the roomJoin grant.
    #[error("permissions denied")]
    PermissionDenied,
    /// The token names no identity.
    #[error("identity cannot be empty")]
    IdentityEmpty,
    /// The token names no room.
    #[error("room name cannot be empty")]
    RoomNameEmpty,
    /// The room name is too long.
    #[error("room name of {bytes} bytes exceeds the limit of {limit}")]
    RoomNameTooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Something the participant says of itself is too long.
    #[error("participant {what} of {bytes} bytes exceeds the limit of {limit}")]
    ParticipantFieldTooLong {
        /// `identity`, `name`, `metadata` or `attributes`.
        what: Cow<'static, str>,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Automatic creation is off; the text is what livekit-client looks for.
    #[error("requested room does not exist")]
    RoomNotFound,
    /// The room is full.
    #[error("room has {limit} participants, which is its limit")]
    RoomFull {
        /// Its limit.
        limit: u32,
    },
    /// The node is full.
    #[error("node limits reached: {limit} {what}")]
    NodeFull {
        /// `rooms`, `participants` or `tracks`.
        what: Cow<'static, str>,
        /// The limit.
        limit: usize,
    },
    /// No node of the cluster takes the room.
    #[error("no node can take the room: {why}")]
    NoCapacity {
        /// What stands in the way.
        why: String,
    },
    /// The node shuts down or its room actor failed at this moment.
    #[error("{reason}, try again")]
    Unavailable {
        /// What is not available.
        reason: Cow<'static, str>,
    },
}

impl JoinError {
    /// The HTTP status of the refusal.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::PermissionDenied => 401,
            Self::IdentityEmpty
            | Self::RoomNameEmpty
            | Self::RoomNameTooLong { .. }
            | Self::ParticipantFieldTooLong { .. } => 400,
            Self::RoomNotFound => 404,
            Self::RoomFull { .. } => 429,
            Self::NodeFull { .. } | Self::NoCapacity { .. } | Self::Unavailable { .. } => 503,
        }
    }
}

/// A room's media was not moved to another worker.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// No such room.
    #[error("requested room does not exist")]
    NoRoom,
    /// No such worker.
    #[error("media worker {worker} does not exist")]
    NoWorker {
        /// Its index.
        worker: usize,
    },
    /// The media plane refused.
    #[error(transparent)]
    Media(#[from] SendCommandError),
}

/// The rooms of a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An actor did not start.
    #[error("supervisor cannot start")]
    Spawn(#[from] ractor::SpawnErr),
    /// There is no media worker.
    #[error("media plane has no worker")]
    NoWorkers,
}
