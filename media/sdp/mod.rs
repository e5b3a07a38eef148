//! Session descriptions of an SFU: reads what clients send, composes exactly the offers and answers that a server makes.
//!
//! Pure: text in, tables for the media plane and text out. [`Answerer`] serves every connection whose client offers
//! (the v0 publisher, and the one peer connection of v1); [`Offerer`] serves the v0 subscriber.

mod answer;
mod candidates;
mod codecs;
mod compose;
mod extensions;
pub mod fuzz;
mod lines;
mod model;
mod offer;
mod parse;
mod place;
mod publish;
mod validate;

pub use answer::{Answerer, MAX_TRACKS};
pub use candidates::{
    FIRST_LOCAL_PREFERENCE, GENERATION_STRIDE, MAX_LOCAL_CANDIDATES, candidate_generation, candidate_line,
    next_local_preference,
};
pub use offer::Offerer;
pub use parse::{MAX_BYTES, MAX_SECTIONS};
pub use validate::validate_local;

use crate::codec::{
    Candidate, Codec, ExtensionIds, IceCredentials, Kind, ReceiveSection, RemoteTransport, SendSection,
};
use crate::id::TrackKey;
use std::collections::BTreeMap;

/// What every local description of one peer connection needs.
#[derive(Clone, Debug)]
pub struct LocalTransport {
    /// Local ICE credentials of the present generation.
    pub ice: IceCredentials,
    /// Certificate fingerprint (SHA-256).
    pub fingerprint: String,
    /// Addresses of the worker.
    pub candidates: Vec<Candidate>,
    /// Local preference of the candidates (RFC 8445 §5.1.2.1); strictly higher in each new generation.
    pub local_preference: u16,
    /// Whether `a=ice-lite` is said.
    pub ice_lite: bool,
}

/// Codecs that the server accepts, most wanted first (`room.enabled_codecs`).
#[derive(Clone, Debug)]
pub struct CodecPolicy {
    /// Enabled codecs.
    pub enabled: Vec<Codec>,
}

/// A track that was announced by AddTrack and waits for, or has, its section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Media-plane name.
    pub track: TrackKey,
    /// Client's id: the MediaStreamTrack id, second token of `a=msid`.
    pub cid: String,
    /// Further client ids of backup codecs (`simulcast_codecs[].cid`), each with its codec.
    pub codec_cids: Vec<(Codec, String)>,
    /// Audio or video.
    pub kind: Kind,
    /// `usedtx=1` in the answer.
    pub dtx: bool,
    /// `stereo=1` in the answer.
    pub stereo: bool,
    /// RED first in the answer.
    pub red: bool,
}

/// A track to be sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribedTrack {
    /// Media-plane name.
    pub track: TrackKey,
    /// `TR_…`.
    pub track_sid: String,
    /// First token of `a=msid`: `PA_…|camera` or the like; begins with the publisher's sid.
    pub stream_id: String,
    /// Audio or video.
    pub kind: Kind,
    /// What the publisher sends, most wanted first, each with its fmtp (H264 profile).
    pub codecs: Vec<(Codec, String)>,
    /// SSRC to send with.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx_ssrc: u32,
    /// Stereo audio.
    pub stereo: bool,
}

/// A description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Larger than the limit.
    #[error("session description of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A line cannot be read.
    #[error("line {line} of the session description: {reason}")]
    Malformed {
        /// Line number, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Something required is absent.
    #[error("session description lacks {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// Too many of something.
    #[error("session description has {count} {what}, the limit is {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An answer does not fit the offer it answers.
    #[error("answer does not fit the offer: {reason}")]
    Mismatch {
        /// Why.
        reason: &'static str,
    },
    /// The offer needs a DTLS role that a server does not take.
    #[error("remote description demands a=setup:passive; this server is always the DTLS server")]
    UnsupportedSetup,
}

/// The result of one negotiation, for the media plane and for signalling.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// The remote transport.
    pub remote: RemoteTransport,
    /// Whether the remote credentials differ from those of the previous description: an ICE restart.
    pub ice_restart: bool,
    /// Extension ids of the BUNDLE group.
    pub extensions: ExtensionIds,
    /// All receiving sections.
    pub receivers: Vec<ReceiveSection>,
    /// All sending sections.
    pub senders: Vec<SendSection>,
    /// For each published track that has a section: its mid, the codecs the client may send (most wanted first),
    /// the rids, and the `a=msid` track id (LiveKit's `sdp_cid`).
    pub published: Vec<PublishedSection>,
    /// `SessionDescription.mid_to_track_id`: mid → `TR_…` of every subscription that has a section, complete.
    pub mid_to_track_id: BTreeMap<String, String>,
    /// Subscriptions that found no section: (audio, video), for MediaSectionsRequirement.
    pub unplaced: (u32, u32),
    /// Whether a data section (`m=application`) is negotiated.
    pub data: bool,
}

/// One section in which the client publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSection {
    /// The track.
    pub track: TrackKey,
    /// Its mid.
    pub mid: String,
    /// Track id of `a=msid`.
    pub sdp_cid: String,
    /// Codecs answered, most wanted first.
    pub codecs: Vec<Codec>,
    /// Simulcast rids, lowest first.
    pub rids: Vec<String>,
}

#[cfg(test)]
mod tests;
