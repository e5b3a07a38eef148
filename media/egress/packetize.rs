//! Puts one outgoing packet together in the arena: header, payload for this subscriber, seal.

use super::header::Header;
use super::link::PeerLink;
use super::sink::PacketSink;
use crate::bwe::Cargo;
use crate::codec::{Codec, SendSection};
use crate::packet::{RtpSeal, SourcePacket, red, vp8};
use std::time::Instant;

/// Codecs that a payload table has places for.
const CODECS: usize = 9;
const NOT_NEGOTIATED: u8 = 0xff;

/// Payload types by codec.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadTable {
    pub(super) media: [u8; CODECS],
    rtx: [u8; CODECS],
}

impl PayloadTable {
    pub(super) fn new(section: &SendSection) -> Self {
        let mut table = Self { media: [NOT_NEGOTIATED; CODECS], rtx: [NOT_NEGOTIATED; CODECS] };
        // The first payload of a codec wins.
        for payload in section.payloads.iter().rev() {
            table.media[payload.codec as usize] = payload.pt & 0x7f;
            table.rtx[payload.codec as usize] = payload.rtx_pt.map_or(NOT_NEGOTIATED, |pt| pt & 0x7f);
        }
        table
    }

    /// The codec that a packet is sent as: its own, or Opus for RED where only that is negotiated.
    pub(super) fn outgoing(&self, codec: Codec) -> Option<Codec> {
        let has = |codec: Codec| self.media[codec as usize] != NOT_NEGOTIATED;
        match codec {
            _ if has(codec) => Some(codec),
            Codec::Red if has(Codec::Opus) => Some(Codec::Opus),
            _ => None,
        }
    }

    pub(super) fn rtx(&self, codec: Codec) -> Option<u8> {
        Some(self.rtx[codec as usize]).filter(|pt| *pt != NOT_NEGOTIATED)
    }
}

/// A packet about to be written.
pub(super) struct Outgoing<'a> {
    pub(super) header: Header<'a>,
    pub(super) index: u64,
    pub(super) original_sequence: Option<u16>,
    /// What to repair if feedback shows the packet as lost.
    pub(super) cargo: Option<Cargo>,
    pub(super) body: &'a [u8],
    /// VP8 picture id and TL0PICIDX to write over those of the body.
    pub(super) vp8_ids: Option<(Option<u16>, Option<u8>)>,
}

/// Bytes that a packet is sent with; `None` if they cannot be read.
pub(super) fn body<'a>(packet: &SourcePacket<'a>, outgoing: Codec) -> Option<&'a [u8]> {
    if packet.codec == Codec::Red && outgoing == Codec::Opus && !packet.payload.is_empty() {
        red::primary(packet.payload).ok()
    } else {
        Some(packet.payload)
    }
}

/// Writes, seals and commits a packet; returns its size.
pub(super) fn emit<S: RtpSeal, K: PacketSink>(
    now: Instant,
    outgoing: Outgoing<'_>,
    link: &mut PeerLink<S, K::Destination>,
    sink: &mut K,
) -> usize {
    let Outgoing { mut header, index, original_sequence, cargo, body, vp8_ids } = outgoing;
    header.transport_cc = link.extensions.transport_cc.map(|_| 0);
    let layout = header.layout(&link.extensions);
    let start = layout.length + if original_sequence.is_some() { 2 } else { 0 };
    let total = start + body.len() + link.sealer.overhead();
    header.transport_cc = link.stamp(total, cargo, now);
    header.abs_send_time = link.abs_send_time(now);
    let slot = sink.slot(total);
    header.write(&link.extensions, layout, slot);
    if let Some(sequence) = original_sequence {
        slot[layout.length..start].copy_from_slice(&sequence.to_be_bytes());
    }
    let payload = &mut slot[start..start + body.len()];
    payload.copy_from_slice(body);
    if let Some((picture_id, tl0)) = vp8_ids {
        // Ingress has read this descriptor already; one that it could not read goes out as it came.
        let _ = vp8::rewrite(payload, picture_id, tl0);
    }
    link.sealer.seal(slot, layout.length, index);
    sink.commit(&link.destination, total);
    total
}
