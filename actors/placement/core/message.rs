//! What placements say to each other, and its bytes: MessagePack, a version before everything else.

use super::effect::{LocateError, MoveRefusal};
use super::epoch::{Epoch, Located, RoomHints};
use super::limits::{MESSAGE_BYTES_MAX, REGISTRATIONS_MAX, ROOM_NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};
use starling_cluster::member::MemberId;

/// Version of the bodies. Adding variants keeps it; a change that an older node would misread raises it.
pub const BODY_VERSION: u16 = 1;

/// What placements say to each other. A node's messages to itself never leave the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// To the owner: where is, or may be, this room?
    Locate(Locate),
    /// From the owner, to the node that asked.
    LocateAnswer {
        /// The asker's number.
        request: u64,
        /// The room, so that an answer to a number used again is told apart.
        room: String,
        /// Where it is.
        result: Result<Located, OwnerRefusal>,
    },
    /// From the owner to the host: serve this room.
    Assign {
        /// The room.
        room: String,
        /// Decided by the sender.
        epoch: Epoch,
    },
    /// From the host: it serves the room, under this epoch or a greater one than was asked.
    AssignAck {
        /// The room.
        room: String,
        /// What the room is under.
        epoch: Epoch,
    },
    /// From the host: it cannot serve the room (full, draining, or the room did not start).
    AssignRefused {
        /// The room.
        room: String,
        /// What was asked.
        epoch: Epoch,
    },
    /// From the host: the epoch asked for is lower than one it knows.
    TooLow {
        /// The room.
        room: String,
        /// The counter to exceed.
        known: u64,
    },
    /// From the host to the first two in rank: these rooms are here. For who is not the owner it is an epoch floor only.
    Register {
        /// Some of its rooms.
        rooms: Vec<Registration>,
    },
    /// From the host to the owner: the room is not here, under no epoch up to this one.
    Unregister {
        /// The room.
        room: String,
        /// Up to this one.
        epoch: Epoch,
    },
    /// From the owner to both hosts that have the room.
    Decision {
        /// The room.
        room: String,
        /// Who keeps it.
        winner: MemberId,
        /// Decided by the sender.
        epoch: Epoch,
    },
    /// To a host that somebody could not reach, directly or through a third node: answer if you live.
    Probe {
        /// Who wants to know.
        origin: MemberId,
        /// Its number.
        nonce: u64,
    },
    /// To a third node: ask that host.
    ProbeVia {
        /// Whom.
        target: MemberId,
        /// The number.
        nonce: u64,
    },
    /// From a living host, the way that the question came.
    ProbeAnswer {
        /// Who wants to know.
        origin: MemberId,
        /// Who lives.
        target: MemberId,
        /// The number.
        nonce: u64,
    },
    /// To the owner: an operator wants this room moved.
    Move(MoveRequest),
    /// From the owner, to the node that asked.
    MoveAnswer {
        /// The asker's number.
        request: u64,
        /// The room, so that an answer to a number used again is told apart.
        room: String,
        /// Where it is.
        result: Result<Located, MoveRefusal>,
    },
    /// From the owner to the target: make a copy of this room.
    Prepare {
        /// The room.
        room: String,
        /// Its placement there, should it come; decided by the sender.
        epoch: Epoch,
        /// Where it runs.
        from: MemberId,
    },
    /// From the target: the copy is there and follows.
    Prepared {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// From the target: there is no copy.
    PrepareRefused {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
        /// What stands in the way.
        why: PrepareRefusal,
    },
    /// From the owner to the source: freeze the room and give the rest to the copy.
    Freeze {
        /// The room.
        room: String,
        /// Its placement there, should it go; decided by the sender.
        epoch: Epoch,
        /// Where the copy is.
        to: MemberId,
    },
    /// From the source: the copy has everything. What follows is a [`Message::Decision`] or a [`Message::Abort`].
    Handed {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
    },
    /// From the source: it keeps the room, which is not frozen.
    HandFailed {
        /// The room.
        room: String,
        /// As it was asked for.
        epoch: Epoch,
        /// What stands in the way.
        why: HandRefusal,
    },
    /// From the owner to both: the move is given up, and its epoch with it.
    Abort {
        /// The room.
        room: String,
        /// Decided by the sender.
        epoch: Epoch,
    },
    /// From the target to the source: it serves the room. The owner's decision says the same and may be lost.
    Taken {
        /// The room.
        room: String,
        /// Its placement.
        epoch: Epoch,
    },
}

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRequest {
    /// Who gets the answer.
    pub asker: MemberId,
    /// The asker's number.
    pub request: u64,
    /// The room.
    pub room: String,
    /// Where; `None`: wherever is best.
    pub to: Option<MemberId>,
    /// Owners that passed it on because another one is the owner in their view.
    pub hops: u8,
}

/// Why a target makes no copy of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PrepareRefusal {
    /// It never will in this life.
    #[error("moving rooms needs room documents, which this node does not have")]
    Unsupported,
    /// It hosts the room itself.
    #[error("it has the room")]
    Here,
    /// It knows a higher epoch.
    #[error("it knows epoch {known} of the room")]
    TooLow {
        /// The counter to exceed.
        known: u64,
    },
    /// It is on its way out.
    #[error("it drains")]
    Draining,
    /// Its table of rooms is full.
    #[error("it has as many rooms as it may")]
    Full,
    /// It does not see the source.
    #[error("it does not see the source")]
    UnknownSource,
    /// It tried.
    #[error("it could not copy the room")]
    Failed,
}

/// Why a source keeps a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HandRefusal {
    /// It does not run there.
    #[error("it does not run there")]
    NotHere,
    /// It was asked for too late, or took too long, or was overtaken.
    #[error("its time was over")]
    TooLate,
    /// As many rooms are frozen as may be, or this one is, for another move.
    #[error("others are frozen")]
    Busy,
    /// It does not see the target.
    #[error("it does not see the target")]
    UnknownTarget,
    /// It tried.
    #[error("it could not give the room")]
    Failed,
}

/// A question to the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locate {
    /// Who gets the answer.
    pub asker: MemberId,
    /// The asker's number.
    pub request: u64,
    /// The room.
    pub room: String,
    /// Places it when it does not exist.
    pub create: bool,
    /// For placing it.
    pub hints: RoomHints,
    /// The host that could not be reached.
    pub failed_host: Option<MemberId>,
    /// Owners that passed it on because another one is the owner in their view.
    pub hops: u8,
}

/// A room of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The room.
    pub room: String,
    /// Its placement.
    pub epoch: Epoch,
    /// Participants.
    pub participants: u32,
}

/// An owner's answer without a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerRefusal {
    /// Final.
    Final(LocateError),
    /// Views differ, or its tables are full: ask again shortly.
    AskAgain,
}

/// A body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is larger than a body may be.
    #[error("placement message of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Its sender runs another version.
    #[error("placement message of version {theirs}; this node reads version {ours}")]
    Version {
        /// The sender's.
        theirs: u16,
        /// This node's.
        ours: u16,
    },
    /// It has this node's version, and is of a kind that this node does not know, or broken.
    #[error("placement message of version {BODY_VERSION} is unreadable: {0}")]
    Malformed(String),
    /// A room name is longer than any may be.
    #[error("room name of {bytes} bytes in a placement message exceeds the limit of {limit}")]
    RoomName {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It registers more rooms than one message may.
    #[error("{rooms} registrations in one placement message exceed the limit of {limit}")]
    Registrations {
        /// How many.
        rooms: usize,
        /// The limit.
        limit: usize,
    },
    /// It cannot be written.
    #[error("placement message cannot be encoded: {0}")]
    Encode(String),
}

#[derive(Serialize)]
struct BodyOut<'a>(u16, &'a Message);

#[derive(Deserialize)]
struct BodyIn(#[expect(dead_code, reason = "read before, by Versioned")] u16, Message);

#[derive(Deserialize)]
struct Versioned(u16, serde::de::IgnoredAny);

impl Message {
    /// The bytes of a body.
    ///
    /// # Errors
    /// [`MessageError::Encode`] and [`MessageError::TooLarge`]; the core makes neither.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let bytes =
            rmp_serde::to_vec(&BodyOut(BODY_VERSION, self)).map_err(|why| MessageError::Encode(why.to_string()))?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge { bytes: bytes.len(), limit: MESSAGE_BYTES_MAX });
        }
        Ok(bytes)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`]: too large, of another version, malformed, or beyond a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge { bytes: bytes.len(), limit: MESSAGE_BYTES_MAX });
        }
        let malformed = |why: rmp_serde::decode::Error| MessageError::Malformed(why.to_string());
        let Versioned(theirs, _) = rmp_serde::from_slice(bytes).map_err(malformed)?;
        if theirs != BODY_VERSION {
            return Err(MessageError::Version { theirs, ours: BODY_VERSION });
        }
        let BodyIn(_, message) = rmp_serde::from_slice(bytes).map_err(malformed)?;
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), MessageError> {
        match self {
            Self::Locate(Locate { room, .. })
            | Self::LocateAnswer { room, .. }
            | Self::Assign { room, .. }
            | Self::AssignAck { room, .. }
            | Self::AssignRefused { room, .. }
            | Self::TooLow { room, .. }
            | Self::Unregister { room, .. }
            | Self::Decision { room, .. }
            | Self::Move(MoveRequest { room, .. })
            | Self::MoveAnswer { room, .. }
            | Self::Prepare { room, .. }
            | Self::Prepared { room, .. }
            | Self::PrepareRefused { room, .. }
            | Self::Freeze { room, .. }
            | Self::Handed { room, .. }
            | Self::HandFailed { room, .. }
            | Self::Abort { room, .. }
            | Self::Taken { room, .. } => check_name(room),
            Self::Register { rooms } if rooms.len() > REGISTRATIONS_MAX => {
                Err(MessageError::Registrations { rooms: rooms.len(), limit: REGISTRATIONS_MAX })
            }
            Self::Register { rooms } => rooms.iter().try_for_each(|registration| check_name(&registration.room)),
            Self::Probe { .. } | Self::ProbeVia { .. } | Self::ProbeAnswer { .. } => Ok(()),
        }
    }
}

fn check_name(room: &str) -> Result<(), MessageError> {
    if room.len() > ROOM_NAME_BYTES_MAX {
        return Err(MessageError::RoomName { bytes: room.len(), limit: ROOM_NAME_BYTES_MAX });
    }
    Ok(())
}
