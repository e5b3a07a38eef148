//! What relays say to each other, and its bytes: one byte of version, then MessagePack with field names.

use crate::error::JoinError;
use crate::placement::core::Epoch;
use crate::relay::api::RoomCall;
use crate::relay::blob::Blob;
use crate::relay::join::WireJoin;
use crate::snapshot::RoomSnapshot;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use starling_cluster::limits::BODY_BYTES_MAX;
use starling_cluster::member::MemberId;
use starling_cluster::peers::Topic;

/// Bodies of [`crate::placement::core::Message`].
pub(crate) const PLACEMENT: Topic = Topic(0x0100);
/// Bodies of [`Cast`] and [`Call`].
pub(crate) const RELAY: Topic = Topic(0x0200);
/// Version of the bodies. Variants and fields may be added under it; a change that an older node would misread raises it.
const VERSION: u8 = 1;

/// What needs no answer. Session numbers are the entry's; each direction of a session counts its frames from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cast {
    /// Entry to host: signal requests, the first of them with this number.
    Requests { session: u64, first: u64, frames: Vec<Blob> },
    /// Host to entry: signal responses, the first of them with this number.
    Responses { session: u64, first: u64, frames: Vec<Blob> },
    /// Entry to host: the WebSocket is gone.
    EntryClosed { session: u64 },
    /// Host to entry: the session is over after `frames` responses.
    HostClosed { session: u64, frames: u64, end: HostEnd },
}

/// How a host ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HostEnd {
    /// Close the WebSocket.
    Close,
    /// It goes on at another WebSocket, or its participant is gone.
    Over,
    /// A frame is missing, unreadable, or one too many.
    Broken,
    /// The host does not know it.
    Unknown,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// A client joins or resumes; answered by [`OpenAnswer`].
    Open { session: u64, epoch: Epoch, join: WireJoin },
    /// Would a join be refused? Answered by `Result<(), JoinError>`.
    Validate { join: WireJoin },
    /// The host's rooms whose names come after this one; answered by [`RoomsPage`].
    Rooms { after: Option<String> },
    /// The server API asks something of a room; answered by [`crate::relay::RoomAnswer`].
    Room { room: String, call: RoomCall },
}

/// What becomes of a join at its host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum OpenAnswer {
    /// The first response; nothing follows unless `serves`.
    Opened { first: Blob, serves: bool },
    /// It is refused.
    Refused(JoinError),
    /// The room goes on elsewhere.
    Moved { winner: MemberId, epoch: Epoch },
    /// The room is not here.
    NotHere,
}

/// Some rooms of a node, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RoomsPage {
    /// The rooms.
    pub(crate) rooms: Vec<RoomSnapshot>,
    /// More come after this name.
    pub(crate) next: Option<String>,
}

/// A body cannot be read or written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// Nothing in it.
    #[error("relay message is empty")]
    Empty,
    /// Its sender runs another version.
    #[error("relay message of version {theirs}; this node reads version {VERSION}")]
    Version {
        /// The sender's.
        theirs: u8,
    },
    /// Larger than a body may be.
    #[error("relay message of {bytes} bytes exceeds the limit of {BODY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Of a kind that this node does not know, or broken.
    #[error("relay message of version {VERSION} is unreadable: {0}")]
    Malformed(String),
}

/// The bytes of a body.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Bytes, WireError> {
    let mut bytes = vec![VERSION];
    rmp_serde::encode::write_named(&mut bytes, message).map_err(|error| WireError::Malformed(error.to_string()))?;
    if bytes.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes.into())
}

/// Reads a body.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { bytes: body.len() });
    }
    let (version, message) = body.split_first().ok_or(WireError::Empty)?;
    if *version != VERSION {
        return Err(WireError::Version { theirs: *version });
    }
    rmp_serde::from_slice(message).map_err(|error| WireError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back_as_they_went_and_cost_few_bytes_more() {
        let frames = vec![Blob::from(vec![200; 1_000]), Blob::from(Vec::new())];
        let cast = Cast::Requests { session: 7, first: 3, frames };
        let body = encode(&cast).unwrap();
        assert!(body.len() < 1_060, "{}", body.len());
        assert_eq!(decode::<Cast>(&body).unwrap(), cast);
    }

    #[test]
    fn another_version_an_empty_body_and_one_cut_short_are_named() {
        let mut body = encode(&Cast::EntryClosed { session: 1 }).unwrap().to_vec();
        assert!(matches!(decode::<Cast>(&body[..body.len() - 1]), Err(WireError::Malformed(_))));
        body[0] = 9;
        assert_eq!(decode::<Cast>(&body), Err(WireError::Version { theirs: 9 }));
        assert_eq!(decode::<Cast>(&[]), Err(WireError::Empty));
        assert!(matches!(encode(&vec![Blob::from(vec![0; BODY_BYTES_MAX])]), Err(WireError::TooLarge { .. })));
    }

    #[test]
    fn every_refusal_of_a_join_crosses_the_wire() {
        let errors = [
            JoinError::PermissionDenied,
            JoinError::RoomNotFound,
            JoinError::RoomFull { limit: 3 },
            JoinError::NodeFull { what: "tracks".into(), limit: 9 },
            JoinError::ParticipantFieldTooLong { what: "name".into(), bytes: 9, limit: 8 },
            JoinError::NoCapacity { why: "all drain".into() },
            JoinError::Unavailable { reason: "room is closing".into() },
        ];
        for error in errors {
            let body = encode(&OpenAnswer::Refused(error.clone())).unwrap();
            assert!(matches!(decode(&body), Ok(OpenAnswer::Refused(same)) if same == error), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_make_reading_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = VERSION;
            let _ = decode::<Cast>(&bytes);
            let _ = decode::<Call>(&bytes);
            let _ = decode::<OpenAnswer>(&bytes);
        }
    }
}
