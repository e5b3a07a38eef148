//! Packets of one subscription sent again over RTX: asked for by NACK, shown as lost by feedback, or as a probe.

use super::link::PeerLink;
use super::numbering::Numbers;
use super::packetize::{Outgoing, body, emit};
use super::sink::PacketSink;
use super::subscription::Subscription;
use super::window::Mark;
use crate::bwe::Cargo;
use crate::codec::Codec;
use crate::packet::{RtpSeal, SourcePacket};
use std::time::Instant;

/// Loss from which a retransmission goes out twice: it is lost as easily as the packet, and a receiver that cannot
/// measure the round trip asks again after 100 ms only (libwebrtc), which is seen as a freeze.
const LOSSY_PATH: f64 = 0.02;
/// Share of the retransmission budget that unasked repairs leave to what the receiver asks for by number.
const KEPT_FOR_REQUESTS: f64 = 0.5;

/// Why a packet is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The receiver asked for it.
    Asked,
    /// The same, once more at once.
    Twice,
    /// Feedback has shown that this copy of it was lost.
    Lost(u8),
    /// To fill the path.
    Probe,
}

impl Reason {
    /// Whether one packet is sent again for it once per round trip only.
    fn is_limited(self) -> bool {
        matches!(self, Self::Asked | Self::Lost(_))
    }

    /// Number of the new copy; `None` if its loss is of no matter.
    fn copy(self) -> Option<u8> {
        match self {
            Self::Asked | Self::Twice => Some(1),
            Self::Lost(copy) => Some(copy.saturating_add(1)),
            Self::Probe => None,
        }
    }
}

impl Subscription {
    /// Answers one NACKed sequence number over RTX; without RTX never, since a packet cannot be sealed again with
    /// another transport-wide number. Returns whether it was sent.
    pub fn retransmit<'h, S: RtpSeal, K: PacketSink>(
        &mut self,
        now: Instant,
        sequence: u16,
        history: impl Fn(u8, u64) -> Option<SourcePacket<'h>>,
        link: &mut PeerLink<S, K::Destination>,
        sink: &mut K,
    ) -> bool {
        self.counters.nacks += 1;
        let sent = self.send_again(now, sequence, Reason::Asked, &history, link, sink).is_some();
        let twice = sent
            && link.bwe.loss() >= LOSSY_PATH
            && self.send_again(now, sequence, Reason::Twice, &history, link, sink).is_some();
        self.counters.retransmissions += u64::from(sent) + u64::from(twice);
        sent
    }

    /// Sends a packet again over RTX that feedback has shown as lost, before the receiver has asked, whose request may
    /// be lost too; once per packet and round trip, together with the answers to requests. Returns whether it was sent.
    pub fn repair<'h, S: RtpSeal, K: PacketSink>(
        &mut self,
        now: Instant,
        lost: Cargo,
        history: impl Fn(u8, u64) -> Option<SourcePacket<'h>>,
        link: &mut PeerLink<S, K::Destination>,
        sink: &mut K,
    ) -> bool {
        let sent = self.send_again(now, lost.sequence, Reason::Lost(lost.copy), &history, link, sink).is_some();
        self.counters.retransmissions += u64::from(sent);
        sent
    }

    /// Sends the newest packet again over RTX, to probe for bandwidth. Returns its size in bytes.
    pub fn probe<'h, S: RtpSeal, K: PacketSink>(
        &mut self,
        now: Instant,
        history: impl Fn(u8, u64) -> Option<SourcePacket<'h>>,
        link: &mut PeerLink<S, K::Destination>,
        sink: &mut K,
    ) -> Option<usize> {
        let newest = self.numbering.next_output().checked_sub(1)? as u16;
        self.send_again(now, newest, Reason::Probe, history, link, sink)
    }

    fn send_again<'h, S: RtpSeal, K: PacketSink>(
        &mut self,
        now: Instant,
        sequence: u16,
        reason: Reason,
        history: impl Fn(u8, u64) -> Option<SourcePacket<'h>>,
        link: &mut PeerLink<S, K::Destination>,
        sink: &mut K,
    ) -> Option<usize> {
        let origin = self.numbering.origin(sequence)?;
        if reason.is_limited() && !self.limiter.allows(origin.output, link.rtt_or_default(), now) {
            return None;
        }
        let packet = history(origin.segment.layer, origin.source)?;
        let codec = self.payloads.outgoing(packet.codec)?;
        let payload_type = self.payloads.rtx(codec)?;
        let mut body = body(&packet, codec)?;
        let mut ids = None;
        if origin.mark == Mark::Padded {
            body = &[];
        } else {
            ids = Some(self.numbering.ids_again(&origin.segment, &packet)?);
        }
        let kept = if matches!(reason, Reason::Lost(_)) { KEPT_FOR_REQUESTS } else { 0.0 };
        if !link.spend(body.len() + 14 + link.sealer.overhead(), kept, now) {
            return None;
        }
        let numbers = Numbers {
            index: self.numbering.next_rtx,
            timestamp: packet.timestamp.wrapping_add(origin.segment.timestamp_offset),
            picture_id: None,
            tl0: None,
            marker: self.numbering.ends_picture(&packet),
        };
        let mut header = self.header(payload_type, &packet, &numbers, false);
        header.ssrc = self.rtx_ssrc;
        let outgoing = Outgoing {
            header,
            index: numbers.index,
            original_sequence: Some(sequence),
            cargo: reason.copy().map(|copy| Cargo { ssrc: self.ssrc, sequence, copy }),
            body,
            vp8_ids: ids.filter(|_| codec == Codec::Vp8),
        };
        let size = emit(now, outgoing, link, sink);
        self.numbering.next_rtx += 1;
        if reason.is_limited() {
            self.limiter.sent(origin.output, now);
        }
        Some(size)
    }
}
