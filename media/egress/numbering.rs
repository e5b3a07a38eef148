//! The numbers of one outgoing stream: which output index, timestamp and picture id a source packet gets, or that it
//! gets none. Layer switches are segments, so that a NACK maps back to the layer and packet that it came from.

use super::picture::{Picture, PictureAnchor, PictureWindow};
use super::target::LayerTarget;
use super::window::{Mark, SequenceWindow, WINDOW};
use crate::codec::Codec;
use crate::packet::SourcePacket;

/// Segments remembered; a NACK that is older than eight switches is not answered.
const SEGMENTS: usize = 8;
/// A source gap of this many packets is a new beginning, not a loss that could be repaired.
const JUMP: u64 = 512;
/// Numbers left out after such a gap, so that the receiver knows of it.
const JUMP_HOLE: u64 = 16;
/// Packets in a row from far before the segment that mean that the source counts anew.
const STALE_MAX: u8 = 64;

/// From one layer switch to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Segment {
    first_position: u64,
    pub(super) first_source: u64,
    picture: PictureAnchor,
    pub(super) timestamp_offset: u32,
    tl0_offset: u8,
    pub(super) layer: u8,
}

/// Numbers of a packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) index: u64,
    pub(super) timestamp: u32,
    pub(super) picture_id: Option<u16>,
    pub(super) tl0: Option<u8>,
    /// Ends a picture although the source's marker is missing.
    pub(super) marker: bool,
}

/// What to do with a source packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Send it.
    Send(Numbers),
    /// It is filtered out, but its number was passed already: fill it with padding.
    Pad(Numbers),
    /// Nothing.
    Nothing,
}

/// What a NACKed number stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) output: u64,
    pub(super) segment: Segment,
    pub(super) source: u64,
    pub(super) mark: Mark,
}

/// All numbers of one outgoing stream.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Numbering {
    window: SequenceWindow,
    pictures: PictureWindow,
    segments: [Segment; SEGMENTS],
    length: u8,
    /// Layer being sent.
    current: Option<u8>,
    spatial: u8,
    temporal: u8,
    /// Highest spatial layer that the stream has shown.
    spatial_seen: u8,
    stale: u8,
    last_tl0: u8,
    pub(super) last_timestamp: u32,
    last_source_timestamp: u32,
    /// Index of the next retransmission.
    pub(super) next_rtx: u64,
}

impl Numbering {
    pub(super) fn new(first_output: u16, first_rtx: u16) -> Self {
        Self {
            window: SequenceWindow::new(u64::from(first_output)),
            pictures: PictureWindow::new(),
            segments: [Segment::default(); SEGMENTS],
            length: 0,
            current: None,
            spatial: 0,
            temporal: 0,
            spatial_seen: 0,
            stale: 0,
            last_tl0: 0,
            last_timestamp: 0,
            last_source_timestamp: 0,
            next_rtx: u64::from(first_rtx),
        }
    }

    pub(super) fn current(&self) -> Option<u8> {
        self.current
    }

    pub(super) fn segment(&self) -> Option<&Segment> {
        self.segments[..usize::from(self.length)].last()
    }

    pub(super) fn next_output(&self) -> u64 {
        self.window.next_output()
    }

    /// Layer being sent, and the source's number of its newest packet.
    pub(super) fn newest_source(&self) -> Option<(u8, u64)> {
        let layer = self.current?;
        let segment = self.segment()?;
        let sent = self.window.newest().checked_sub(segment.first_position)?;
        Some((layer, segment.first_source.saturating_add(sent)))
    }

    /// Stops; what comes next starts a new segment.
    pub(super) fn stop(&mut self) {
        self.current = None;
        self.stale = 0;
    }

    /// A higher spatial layer is wanted than is sent, and the stream has it.
    pub(super) fn waits_for_spatial(&self, target: LayerTarget) -> bool {
        target.spatial != LayerTarget::ALL && self.spatial < target.spatial.min(self.spatial_seen)
    }

    /// Burns numbers that another owner of this stream may have used.
    pub(super) fn burn(&mut self, count: u64) {
        self.window.burn(count);
        self.next_rtx += count;
    }

    /// Whether every field agrees with the others: checked after import.
    pub(super) fn is_sound(&self) -> bool {
        let Some(segments) = self.segments.get(..usize::from(self.length)) else { return false };
        self.window.is_sound()
            && self.pictures.is_sound(segments.iter().map(|segment| segment.picture))
            && self.next_rtx < 1 << 47
            && (self.current.is_none() || !segments.is_empty())
            && segments.iter().all(|it| it.first_position <= self.window.newest() + 1 && it.first_source < 1 << 60)
            && segments.is_sorted_by_key(|segment| segment.first_position)
            && segments.first().is_none_or(|segment| segment.first_position > WINDOW)
    }

    /// Starts a segment at `packet`, whose timestamp becomes `timestamp`.
    pub(super) fn begin(&mut self, layer: u8, packet: &SourcePacket<'_>, timestamp: u32, target: LayerTarget) {
        let picture = match packet.info.picture_id {
            Some((id, _)) if packet.codec == Codec::Vp8 => self.pictures.start(id),
            _ => PictureAnchor::default(),
        };
        let tl0_offset = match packet.info.tl0_picture_index {
            Some(tl0) if self.length > 0 => self.last_tl0.wrapping_add(1).wrapping_sub(tl0),
            _ => 0,
        };
        self.push(Segment {
            first_position: self.window.newest() + 1,
            first_source: packet.sequence,
            picture,
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            tl0_offset,
            layer,
        });
        self.current = Some(layer);
        self.spatial = target.spatial;
        self.temporal = target.temporal;
        self.stale = 0;
    }

    /// Decides about a packet of the current layer. `keep` is false for one that has nothing to send.
    pub(super) fn place(&mut self, packet: &SourcePacket<'_>, target: LayerTarget, keep: bool) -> Placement {
        let Some(segment) = self.segment().copied() else { return Placement::Nothing };
        let Some(offset) = packet.sequence.checked_sub(segment.first_source) else {
            self.count_stale(segment.first_source - packet.sequence);
            return Placement::Nothing;
        };
        self.stale = 0;
        let mut position = segment.first_position.saturating_add(offset);
        let newest = self.window.newest();
        if position > newest {
            if position - newest >= JUMP {
                self.window.advance_to(newest + JUMP_HOLE);
                position = newest + JUMP_HOLE + 1;
                self.push(Segment { first_position: position, first_source: packet.sequence, ..segment });
            }
            self.adapt(packet, target);
            let (keep, picture) = self.picture(packet, keep, true);
            self.window.advance_to(position);
            if !keep {
                self.window.skip_newest();
                return Placement::Nothing;
            }
            self.window.set(position, Mark::Sent);
            Placement::Send(self.numbers(position, picture, packet, true))
        } else {
            if !self.window.contains(position) || self.window.mark(position) != Mark::Reserved {
                return Placement::Nothing;
            }
            let (keep, picture) = self.picture(packet, keep, false);
            self.window.set(position, if keep { Mark::Sent } else { Mark::Padded });
            let numbers = self.numbers(position, picture, packet, false);
            if keep { Placement::Send(numbers) } else { Placement::Pad(numbers) }
        }
    }

    /// What an output sequence number stood for.
    pub(super) fn origin(&self, sequence: u16) -> Option<Origin> {
        let next = self.window.next_output();
        // Numbers run modulo 2¹⁶ and the window is far shorter.
        let output = next.checked_sub(u64::from((next as u16).wrapping_sub(sequence)))?;
        let position = self.window.position_of(output)?;
        let segments = &self.segments[..usize::from(self.length)];
        let segment = *segments.iter().rev().find(|segment| segment.first_position <= position)?;
        let source = segment.first_source + (position - segment.first_position);
        Some(Origin { output, segment, source, mark: self.window.mark(position) })
    }

    /// VP8 ids under which a packet of `segment` was or would have been sent; `None` if it was filtered out.
    pub(super) fn ids_again(&self, segment: &Segment, packet: &SourcePacket<'_>) -> Option<(Option<u16>, Option<u8>)> {
        let (Codec::Vp8, Some((id, width))) = (packet.codec, packet.info.picture_id) else {
            return Some((None, packet.info.tl0_picture_index.map(|tl0| tl0.wrapping_add(segment.tl0_offset))));
        };
        match self.pictures.find(segment.picture, id, width) {
            _ if !segment.picture.is_set() => Some((None, packet.info.tl0_picture_index)),
            (Picture::Kept, position) => Some((
                self.pictures.output_id(position),
                packet.info.tl0_picture_index.map(|tl0| tl0.wrapping_add(segment.tl0_offset)),
            )),
            _ => None,
        }
    }

    /// The packet ends the highest spatial layer that is sent, so nothing of its picture follows.
    pub(super) fn ends_picture(&self, packet: &SourcePacket<'_>) -> bool {
        packet.info.frame_end && packet.info.spatial == self.spatial
    }

    /// Counts packets from far before the segment; too many in a row stop the layer.
    fn count_stale(&mut self, behind: u64) {
        if behind > WINDOW {
            self.stale += 1;
            if self.stale >= STALE_MAX {
                self.stop();
            }
        }
    }

    /// Moves between spatial and temporal layers where the stream allows it.
    fn adapt(&mut self, packet: &SourcePacket<'_>, target: LayerTarget) {
        let info = &packet.info;
        self.spatial_seen = self.spatial_seen.max(info.spatial);
        let picture_start = info.frame_start && info.spatial == 0;
        if !picture_start && packet.timestamp == self.last_source_timestamp {
            return;
        }
        self.last_source_timestamp = packet.timestamp;
        if info.key_frame && picture_start {
            self.spatial = target.spatial;
            self.temporal = target.temporal;
            return;
        }
        self.spatial = self.spatial.min(target.spatial);
        self.temporal = self.temporal.min(target.temporal);
        // One step at a time: a switching point to layer n promises nothing about layers between.
        if info.temporal_switch && info.temporal == self.temporal + 1 && info.temporal <= target.temporal {
            self.temporal = if info.temporal == target.temporal { target.temporal } else { info.temporal };
        }
    }

    /// Whether the packet is sent, and the position of its picture. All packets of a picture share its fate.
    fn picture(&mut self, packet: &SourcePacket<'_>, keep: bool, newest: bool) -> (bool, Option<u64>) {
        let info = &packet.info;
        let wanted = keep && info.spatial <= self.spatial && info.temporal <= self.temporal;
        let (Codec::Vp8, Some((id, width)), false) = (packet.codec, info.picture_id, packet.payload.is_empty()) else {
            return (wanted, None);
        };
        let last = usize::from(self.length) - 1;
        let anchor = &mut self.segments[last].picture;
        if !anchor.is_set() {
            return (wanted, None);
        }
        match self.pictures.find(*anchor, id, width) {
            (Picture::New, position) if newest => {
                self.pictures.append(anchor, id, position, !wanted);
                (wanted, Some(position))
            }
            (Picture::Kept, position) => (keep, Some(position)),
            _ => (false, None),
        }
    }

    fn numbers(&mut self, position: u64, picture: Option<u64>, packet: &SourcePacket<'_>, newest: bool) -> Numbers {
        let segment = &self.segments[usize::from(self.length) - 1];
        let tl0 = packet.info.tl0_picture_index.map(|tl0| tl0.wrapping_add(segment.tl0_offset));
        if let (Some(tl0), true) = (tl0, newest) {
            self.last_tl0 = tl0;
        }
        Numbers {
            index: self.window.output_of(position),
            timestamp: packet.timestamp.wrapping_add(segment.timestamp_offset),
            picture_id: picture.and_then(|position| self.pictures.output_id(position)),
            tl0,
            marker: self.ends_picture(packet),
        }
    }

    fn push(&mut self, segment: Segment) {
        if usize::from(self.length) == SEGMENTS {
            self.segments.copy_within(1.., 0);
            self.length -= 1;
        }
        self.segments[usize::from(self.length)] = segment;
        self.length += 1;
    }
}
