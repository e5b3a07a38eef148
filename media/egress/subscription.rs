//! One track sent to one peer: the record that the forward path walks over.

use super::header::Header;
use super::link::PeerLink;
use super::numbering::{Numbering, Numbers, Placement};
use super::packetize::{Outgoing, PayloadTable, body, emit};
use super::report::Reports;
use super::resend::ResendLimiter;
use super::sink::PacketSink;
use super::target::LayerTarget;
use crate::bwe::Cargo;
use crate::codec::{Codec, Kind, SendSection};
use crate::command::SubscriptionSnapshot;
use crate::id::TrackKey;
use crate::packet::{RtpSeal, SourcePacket};
use std::time::{Duration, Instant};

/// Packets that carry `a=mid`, until the receiver has bound the SSRC for sure.
const MID_PACKETS: u64 = 50;
/// Longest `a=mid` in a one-byte extension element; ours are numbers.
const MID_BYTES: usize = 16;
/// Time between two requests for the same key frame; the ingress throttles across subscribers.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);
/// Furthest that a mapped timestamp may be from the time that passed; beyond it a source clock is wrong.
const TIMESTAMP_SLACK: Duration = Duration::from_secs(1);
/// Frames per second that the shortest step at a layer switch assumes.
const SWITCH_FRAME_RATE: u32 = 30;
/// A packet of padding only: one byte that counts itself (RFC 3550 §5.1).
const PADDING: &[u8] = &[1];

/// One track sent to one peer.
#[derive(Debug)]
pub struct Subscription {
    track: TrackKey,
    kind: Kind,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) payloads: PayloadTable,
    mid: [u8; MID_BYTES],
    mid_length: u8,
    pub(super) paused: bool,
    pub(super) target: Option<LayerTarget>,
    codec: Option<Codec>,
    pub(super) numbering: Numbering,
    pub(super) counters: Counters,
    pub(super) limiter: ResendLimiter,
    pub(super) reports: Reports,
    pub(super) started: Instant,
    last_at: Instant,
    key_frame_asked: Option<Instant>,
}

/// Sums over the life of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Counters {
    pub(super) packets: u64,
    pub(super) octets: u64,
    pub(super) retransmissions: u64,
    pub(super) nacks: u64,
}

/// What became of a source packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Something was committed to the sink.
    pub sent: bool,
}

/// First indices of media and retransmissions: in [0, 2¹⁵), which leaves room for reordering around the first wrap
/// (RFC 3711 §3.3.1).
const fn first_indices(section: &SendSection) -> (u16, u16) {
    let mix = section.ssrc.wrapping_mul(0x9e37_79b1);
    ((mix >> 17) as u16, (mix & 0x7fff) as u16)
}

impl Subscription {
    /// Makes the subscription of a section. Audio flows at once, video from [`Subscription::set_target`] on.
    ///
    /// An SSRC must be made only once per peer, or its indices would start over under the same key: keep a subscription
    /// paused, or take a fresh SSRC.
    #[must_use]
    pub fn new(section: &SendSection, now: Instant) -> Self {
        let (first, first_rtx) = first_indices(section);
        let mut subscription = Self {
            track: section.track,
            kind: section.kind,
            ssrc: section.ssrc,
            rtx_ssrc: section.rtx_ssrc,
            payloads: PayloadTable::new(section),
            mid: [0; MID_BYTES],
            mid_length: 0,
            paused: false,
            target: (section.kind == Kind::Audio).then_some(LayerTarget::WHOLE),
            codec: None,
            numbering: Numbering::new(first, first_rtx),
            counters: Counters::default(),
            limiter: ResendLimiter::default(),
            reports: Reports::default(),
            started: now,
            last_at: now,
            key_frame_asked: None,
        };
        subscription.set_mid(&section.mid);
        subscription
    }

    /// Takes a new description of the section. The same SSRC keeps its numbers; another one starts anew, and must never
    /// have been used under this peer's keys.
    pub fn reconfigure(&mut self, section: &SendSection, now: Instant) {
        if section.ssrc == self.ssrc && section.rtx_ssrc != self.rtx_ssrc {
            self.rtx_ssrc = section.rtx_ssrc;
            self.numbering.next_rtx = u64::from(first_indices(section).1);
        }
        if section.ssrc != self.ssrc {
            let (target, paused) = (self.target, self.paused);
            *self = Self::new(section, now);
            (self.target, self.paused) = (target, paused);
            return;
        }
        if section.track != self.track {
            self.track = section.track;
            for layer in 0..3 {
                self.reports.forget_source(layer);
            }
            self.numbering.stop();
        }
        self.payloads = PayloadTable::new(section);
        self.set_mid(&section.mid);
    }

    /// The track.
    #[must_use]
    pub fn track(&self) -> TrackKey {
        self.track
    }

    /// SSRC of the media.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// SSRC of the retransmissions.
    #[must_use]
    pub fn rtx_ssrc(&self) -> u32 {
        self.rtx_ssrc
    }

    /// Aims at other layers; `None` stops until there is a target and, for video, a key frame again.
    pub fn set_target(&mut self, target: Option<LayerTarget>) {
        if target.map(|it| it.layer) != self.target.map(|it| it.layer) {
            self.key_frame_asked = None;
        }
        if target.is_none() {
            self.numbering.stop();
        }
        self.target = target;
    }

    /// Whether packets of a source layer are being numbered, so that none of it may be left out.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.numbering.current().is_some() && !self.paused
    }

    /// The source layer being sent, and the source's number of the newest packet that was numbered.
    #[must_use]
    pub fn newest_source(&self) -> Option<(u8, u64)> {
        self.numbering.newest_source()
    }

    /// What it aims at.
    #[must_use]
    pub fn target(&self) -> Option<LayerTarget> {
        self.target
    }

    /// Stops forwarding, whatever the target.
    pub fn pause(&mut self) {
        self.paused = true;
        self.numbering.stop();
    }

    /// Forwards again; video goes on at the next key frame.
    pub fn resume(&mut self) {
        self.paused = false;
        self.key_frame_asked = None;
    }

    /// A source layer has a new SSRC and counts anew: what was mapped to the old one ends.
    pub fn source_restarted(&mut self, layer: u8) {
        self.reports.forget_source(layer);
        if self.numbering.current() == Some(layer) {
            self.numbering.stop();
        }
    }

    /// The layer whose key frame is waited for, at most every 500 ms.
    pub fn wants_key_frame(&mut self, now: Instant) -> Option<u8> {
        let target = self.target.filter(|_| self.kind == Kind::Video && !self.paused)?;
        let started = self.numbering.current() == Some(target.layer);
        if started && !self.numbering.waits_for_spatial(target) {
            self.key_frame_asked = None;
            return None;
        }
        if self.key_frame_asked.is_some_and(|at| now.saturating_duration_since(at) < KEY_FRAME_INTERVAL) {
            return None;
        }
        self.key_frame_asked = Some(now);
        Some(target.layer)
    }

    /// Sends a source packet if it belongs to what is wanted.
    #[inline]
    pub fn forward<S: RtpSeal, K: PacketSink>(
        &mut self,
        now: Instant,
        layer: u8,
        packet: &SourcePacket<'_>,
        link: &mut PeerLink<S, K::Destination>,
        sink: &mut K,
    ) -> Forwarded {
        let nothing = Forwarded { sent: false };
        let Some(target) = self.target.filter(|_| !self.paused) else { return nothing };
        let Some(codec) = self.payloads.outgoing(packet.codec) else { return nothing };
        let Some(body) = body(packet, codec) else { return nothing };
        if self.numbering.current() != Some(layer) || self.restarts_with(packet, codec) {
            if layer != target.layer || !self.can_begin(packet) {
                return nothing;
            }
            let timestamp = self.mapped_timestamp(now, layer, packet);
            self.numbering.begin(layer, packet, timestamp, target);
            self.codec = Some(codec);
        }
        let (numbers, padding) = match self.numbering.place(packet, target, !body.is_empty()) {
            Placement::Send(numbers) => (numbers, false),
            Placement::Pad(numbers) => (numbers, true),
            Placement::Nothing => return nothing,
        };
        // A late packet may be ahead too, when what came after it was filtered.
        let ahead = numbers.timestamp.wrapping_sub(self.numbering.last_timestamp).cast_signed() > 0;
        if ahead || self.counters.packets == 0 {
            self.numbering.last_timestamp = numbers.timestamp;
            self.last_at = now;
        }
        let repairable = !padding && self.payloads.rtx(codec).is_some();
        let outgoing = Outgoing {
            header: self.header(self.payloads.media[codec as usize], packet, &numbers, padding),
            index: numbers.index,
            original_sequence: None,
            cargo: repairable.then_some(Cargo { ssrc: self.ssrc, sequence: numbers.index as u16, copy: 0 }),
            body: if padding { PADDING } else { body },
            vp8_ids: (codec == Codec::Vp8 && !padding).then_some((numbers.picture_id, numbers.tl0)),
        };
        let octets = outgoing.body.len();
        emit(now, outgoing, link, sink);
        self.counters.packets += 1;
        self.counters.octets += octets as u64;
        Forwarded { sent: true }
    }

    /// Counters for tests, metrics and the admin API.
    #[must_use]
    pub fn snapshot(&self) -> SubscriptionSnapshot {
        SubscriptionSnapshot {
            track: self.track,
            layer: self.numbering.current(),
            target: self.target.map(LayerTarget::quality),
            packets: self.counters.packets,
            retransmissions: self.counters.retransmissions,
            nacks: self.counters.nacks,
        }
    }

    /// Layer being sent, its timestamp offset, and the newest timestamp with its time; `None` before the first packet.
    pub(super) fn clock_state(&self) -> Option<(u8, u32, (u32, Instant))> {
        let segment = self.numbering.segment().filter(|_| self.counters.packets > 0)?;
        Some((segment.layer, segment.timestamp_offset, (self.numbering.last_timestamp, self.last_at)))
    }

    pub(super) fn clock_rate(&self) -> u32 {
        match (self.codec, self.kind) {
            (Some(codec), _) => codec.clock_rate(),
            (None, Kind::Audio) => 48_000,
            (None, Kind::Video) => 90_000,
        }
    }

    pub(super) fn header<'a>(
        &'a self,
        pt: u8,
        packet: &'a SourcePacket<'a>,
        numbers: &Numbers,
        padding: bool,
    ) -> Header<'a> {
        let mid = if self.counters.packets < MID_PACKETS { usize::from(self.mid_length) } else { 0 };
        Header {
            payload_type: pt,
            marker: (packet.marker || numbers.marker) && !padding,
            padding,
            // The low half of the index is the sequence number.
            sequence: numbers.index as u16,
            timestamp: numbers.timestamp,
            ssrc: self.ssrc,
            mid: &self.mid[..mid],
            transport_cc: None,
            abs_send_time: 0,
            forwarded: (!padding && !packet.extension_bytes.is_empty()).then_some(packet),
        }
    }

    /// Whether the stream goes on in another codec, which needs a beginning of its own.
    fn restarts_with(&self, packet: &SourcePacket<'_>, codec: Codec) -> bool {
        self.kind == Kind::Video && self.codec.is_some_and(|old| old != codec) && self.can_begin(packet)
    }

    fn can_begin(&self, packet: &SourcePacket<'_>) -> bool {
        let info = &packet.info;
        let decodable = self.kind == Kind::Audio || (info.key_frame && info.frame_start && info.spatial == 0);
        decodable && !packet.payload.is_empty()
    }

    /// Timestamp of the first packet of a segment: by the publisher's clocks where both layers' are known, else by the
    /// time that passed; at least one frame after the newest.
    fn mapped_timestamp(&self, now: Instant, layer: u8, packet: &SourcePacket<'_>) -> u32 {
        let Some(last) = self.numbering.segment().filter(|_| self.counters.packets > 0) else {
            return packet.timestamp;
        };
        let rate = packet.codec.clock_rate();
        let newest = self.numbering.last_timestamp;
        let passed = now.saturating_duration_since(self.last_at).as_secs_f64() * f64::from(rate);
        let slack = TIMESTAMP_SLACK.as_secs_f64() * f64::from(rate);
        let by_source = if last.layer == layer {
            let mapped = packet.timestamp.wrapping_add(last.timestamp_offset);
            Some(f64::from(mapped.wrapping_sub(newest).cast_signed()))
        } else {
            let clocks = (self.reports.source(last.layer), self.reports.source(layer));
            let seconds = |from: f64, to: f64| (to - from) * f64::from(rate);
            if let (Some(old), Some(new)) = clocks {
                let source_newest = newest.wrapping_sub(last.timestamp_offset);
                Some(seconds(old.ntp_of(source_newest, rate), new.ntp_of(packet.timestamp, rate)))
            } else {
                None
            }
        };
        let step = by_source.filter(|step| (step - passed).abs() <= slack).unwrap_or(passed);
        let frame = match self.kind {
            Kind::Video => rate / SWITCH_FRAME_RATE,
            Kind::Audio => 1,
        };
        // Kept below 2³¹, so that the receiver sees time go forward.
        newest.wrapping_add((step.clamp(f64::from(frame), f64::from(i32::MAX))) as u32)
    }

    #[cfg(test)]
    pub(super) fn numbering_for_tests(&self) -> &Numbering {
        &self.numbering
    }

    fn set_mid(&mut self, mid: &str) {
        let bytes = mid.as_bytes();
        let length = if bytes.len() > MID_BYTES { 0 } else { bytes.len() };
        self.mid[..length].copy_from_slice(&bytes[..length]);
        // At most 16.
        self.mid_length = length as u8;
    }
}
