//! What workers tell each other beside media: few, each replaced by the next of its kind, never lost.

use super::super::allocate::SourceRate;
use crate::codec::{Codec, Kind};
use crate::command::SpeakerLevel;
use crate::id::{RoomKey, TrackKey};
use std::time::Instant;

/// One message from one worker to another.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    /// The sender has forgotten everything: what it wanted, and what it published.
    Reset,
    /// Which layers of a track the sender has subscribers for, by bit; `None` = no subscriber, or its own publisher.
    Interest {
        track: TrackKey,
        layers: Option<u8>,
        /// Where subscriptions that moved to the sender go on.
        resume: Vec<Resume>,
    },
    /// Subscribers of the sender wait for key frames of these layers, by bit.
    KeyFrames { track: TrackKey, layers: u8 },
    /// Packets that subscribers asked for and the sender's history has not: by era and sequence.
    Repair { track: TrackKey, packets: Vec<(u64, u64)> },
    /// What the sender's publisher sends of a track.
    Facts(TrackFacts),
    /// The sender no longer has the track's publisher.
    Ended { track: TrackKey },
    /// Who speaks of the sender's share of a room; empty = nobody any more.
    Levels { room: RoomKey, levels: Vec<SpeakerLevel> },
}

/// What has been sent of one source already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(super) era: u64,
    /// Sequence of the newest packet sent.
    pub(super) after: u64,
}

/// One track as its publisher's worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct TrackFacts {
    pub(super) track: TrackKey,
    pub(super) kind: Kind,
    pub(super) muted: bool,
    pub(super) sources: Vec<SourceFacts>,
}

/// One source layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceFacts {
    pub(super) layer: u8,
    pub(super) codec: Codec,
    pub(super) era: u64,
    pub(super) rate: SourceRate,
    pub(super) report: Option<SourceReport>,
}

/// A publisher's sender report, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct SourceReport {
    pub(in super::super) at: Instant,
    pub(in super::super) ntp: u64,
    pub(in super::super) rtp: u32,
}
