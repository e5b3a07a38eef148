//! What the server API asks of a room at another node.

use crate::relay::blob::Blob;
use prost::Message;
use serde::{Deserialize, Serialize};
use starling_media::codec::Channel;

/// Data channels by their number on the wire.
pub(crate) const CHANNELS: [Channel; 3] = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum RoomCall {
    /// Changes a participant.
    UpdateParticipant {
        identity: String,
        name: Option<String>,
        metadata: Option<String>,
        attributes: Vec<(String, String)>,
        permission: Option<Blob>,
    },
    /// Mutes or unmutes a track.
    MuteTrack { identity: String, track_sid: String, muted: bool },
    /// Sends a participant away.
    RemoveParticipant { identity: String },
    /// Changes the room's metadata.
    UpdateMetadata { metadata: String },
    /// Subscribes or unsubscribes a participant.
    UpdateSubscriptions { identity: String, request: Blob },
    /// Sends data as the server; the channel is a place in [`CHANNELS`].
    SendData { packet: Blob, channel: u8 },
    /// Ends the room.
    Delete,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum RoomAnswer {
    /// No such room, participant or track, or it is not allowed.
    Nothing,
    /// It was done.
    Done,
    /// The participant, room or track that came of it.
    Is(Blob),
}

impl RoomAnswer {
    /// What came of something that answers with a message.
    pub(crate) fn of(message: Option<impl Message>) -> Self {
        message.map_or(Self::Nothing, |message| Self::Is(Blob::of(&message)))
    }

    /// What came of something that is done or not.
    pub(crate) fn done(done: bool) -> Self {
        if done { Self::Done } else { Self::Nothing }
    }

    /// The message in it.
    pub(crate) fn message<M: Message + Default>(self) -> Option<M> {
        match self {
            Self::Is(blob) => blob.read().ok(),
            Self::Nothing | Self::Done => None,
        }
    }

    /// Whether it was done.
    pub(crate) fn is_done(&self) -> bool {
        *self != Self::Nothing
    }
}
