//! What can go wrong at a transport's edges.

use super::limits;
use crate::codec::Channel;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a dtls certificate: {0}")]
pub struct CertificateError(pub(super) String);

/// An SRTP or SRTCP packet could not be opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// No keys yet.
    #[error("srtp has no keys before dtls is complete")]
    NotConnected,
    /// Shorter than header and tag.
    #[error("packet of {0} bytes is too short for srtp")]
    TooShort(usize),
    /// Seen before, or older than the replay window.
    #[error("packet was seen before or is older than the replay window")]
    Replayed,
    /// Tag does not match.
    #[error("packet fails authentication")]
    Unauthenticated,
    /// SRTCP without encryption, which DTLS-SRTP never negotiates.
    #[error("srtcp packet is not encrypted")]
    NotEncrypted,
    /// The table of sources is full of sources in use.
    #[error("more than {} sources", limits::MAX_SOURCES)]
    TooManySources,
    /// 2³¹ SRTCP packets were sent: the key is used up (RFC 3711 §9.2).
    #[error("srtcp index is used up")]
    IndexUsedUp,
}

/// A message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendDataError {
    /// The channel is not open.
    #[error("data channel {} is not open", .0.label())]
    NotOpen(Channel),
    /// Larger than the limit.
    #[error("message of {size} bytes exceeds {} bytes", limits::MAX_MESSAGE)]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
    /// Too much waits on this channel; for an unreliable channel this is a drop, as intended.
    #[error("data channel {} has more than {limit} bytes waiting", channel.label())]
    Full {
        /// The channel.
        channel: Channel,
        /// Its limit in bytes.
        limit: usize,
    },
    /// The SCTP association refused it.
    #[error("sctp refused the message")]
    Refused,
}

/// An exported transport cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Written by another version.
    #[error("transport state has version {found}, this node reads version {expected}")]
    Version {
        /// Version of the state.
        found: u16,
        /// Version that this code reads.
        expected: u16,
    },
    /// A part is out of its range; names the part.
    #[error("transport state has an impossible {0}")]
    Invalid(&'static str),
}
