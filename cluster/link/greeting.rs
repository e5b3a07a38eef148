//! What two nodes say to each other once each has proved the cluster key, and nothing before that. Length-prefixed
//! MessagePack; the reading side bounds it.

use crate::limits;
use crate::member::MemberId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Protocol versions of links that this software speaks, oldest and newest.
pub const PROTOCOL: ProtocolRange = ProtocolRange { oldest: 1, newest: 1 };

/// The versions that a node speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl ProtocolRange {
    /// Whether some version is spoken by both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.oldest <= other.newest && other.oldest <= self.newest
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To ask who is there before joining; ends with the answer.
    Join,
    /// To be the link of two members.
    Link,
}

/// Who a node is, said to one that has proved the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// What it speaks.
    pub protocol: ProtocolRange,
    /// Name of its cluster.
    pub cluster: String,
    /// Who.
    pub member: MemberId,
    /// Where it can be reached.
    pub address: SocketAddr,
    /// Its wall clock, milliseconds since the epoch.
    pub unix_ms: u64,
    /// Its software.
    pub version: String,
    /// What it wants.
    pub purpose: Purpose,
}

/// Why a node that has the key is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another cluster.
    #[error("this is cluster {name:?}")]
    OtherCluster {
        /// Name of the cluster that refuses.
        name: String,
    },
    /// No protocol version in common.
    #[error("no protocol version in common: we speak {} to {}", spoken.oldest, spoken.newest)]
    ProtocolVersion {
        /// What the refusing side speaks.
        spoken: ProtocolRange,
    },
    /// The clocks differ by more than [`limits::CLOCK_SKEW_MS_MAX`].
    #[error("clocks differ by {ms} ms, more than {} ms", limits::CLOCK_SKEW_MS_MAX)]
    ClockOff {
        /// How far the greeting clock is ahead (positive) or behind.
        ms: i64,
    },
    /// Another living process has this node id.
    #[error("node id is in use at {address}")]
    DuplicateNodeId {
        /// Where it lives.
        address: SocketAddr,
    },
    /// Membership does not have it, or not yet.
    #[error("not a member here, or not yet")]
    NotAMember,
    /// The other side dials, by the order of names; or a link is being set up already.
    #[error("link is set up the other way")]
    OtherWay,
}

/// The answer to a greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is welcome.
    Accepted {
        /// Who answers.
        greeting: Greeting,
        /// Living members, for one that joins; at most [`limits::WELCOME_MEMBERS_MAX`].
        members: Vec<(MemberId, SocketAddr)>,
    },
    /// It is not.
    Refused(Refusal),
}

/// A greeting or its answer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GreetingError {
    /// Longer than allowed.
    #[error("greeting of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// Not what we know.
    #[error("greeting cannot be read: {0}")]
    Malformed(String),
}

/// Bytes of the length before a greeting or an answer.
pub(crate) const LENGTH_BYTES: usize = 4;

/// The wire form, length first.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = rmp_serde::to_vec(value).expect("plain data always has a MessagePack form");
    let length = u32::try_from(body.len()).expect("names of nodes and clusters are short");
    let mut wire = length.to_be_bytes().to_vec();
    wire.extend_from_slice(&body);
    wire
}

/// Reads the length and checks it before anything is allocated.
pub(crate) fn length(prefix: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, GreetingError> {
    let bytes = u32::from_be_bytes(prefix) as usize;
    if bytes > limit { Err(GreetingError::TooLarge { bytes, limit }) } else { Ok(bytes) }
}

/// Reads what follows the length.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, GreetingError> {
    rmp_serde::from_slice(body).map_err(|error| GreetingError::Malformed(error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::member::BootId;
    use proptest::prelude::*;

    pub(crate) fn member(node: &str, boot: u64) -> MemberId {
        let node_id = serde_json::from_value(serde_json::json!(node)).expect("a node id is a string");
        MemberId { node_id, boot_id: BootId::after(None, boot) }
    }

    pub(crate) fn greeting(node: &str, boot: u64) -> Greeting {
        Greeting {
            protocol: PROTOCOL,
            cluster: "blue".into(),
            member: member(node, boot),
            address: "10.0.0.1:7946".parse().expect("address"),
            unix_ms: 1_000_000,
            version: "0.1.0".into(),
            purpose: Purpose::Link,
        }
    }

    #[test]
    fn a_greeting_survives_the_wire_and_fits_the_limit() {
        let greeting = greeting("ND_a", 7);
        let wire = encode(&greeting);
        let (prefix, body) = wire.split_at(LENGTH_BYTES);
        let prefix = prefix.try_into().expect("four bytes");
        assert_eq!(length(prefix, limits::GREETING_BYTES_MAX), Ok(body.len()));
        assert_eq!(decode(body), Ok(greeting));
    }

    #[test]
    fn the_largest_welcome_fits_its_limit() {
        let one =
            (member(&"n".repeat(64), u64::MAX), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap());
        let members = vec![one; limits::WELCOME_MEMBERS_MAX];
        let wire = encode(&Answer::Accepted { greeting: greeting("ND_a", 7), members });
        assert!(wire.len() <= limits::WELCOME_BYTES_MAX, "{} bytes", wire.len());
    }

    #[test]
    fn an_endless_greeting_is_refused_by_its_length() {
        let limit = limits::GREETING_BYTES_MAX;
        let bytes = u32::MAX as usize;
        assert_eq!(length([0xff; LENGTH_BYTES], limit), Err(GreetingError::TooLarge { bytes, limit }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<Greeting>(&bytes);
            let _ = decode::<Answer>(&bytes);
        }
    }
}
