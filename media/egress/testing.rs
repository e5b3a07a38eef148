//! Test doubles: packets by hand, a sealer that only appends, a sink that records.

use super::{PacketSink, PeerLink};
use crate::codec::{Codec, ExtensionIds, Kind, Payload, SendSection};
use crate::id::TrackKey;
use crate::packet::{PayloadInfo, RtpSeal, SourcePacket};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

/// One instant for all tests of a run.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other source; tests only add to it")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn audio(sequence: u64, payload: &[u8]) -> SourcePacket<'_> {
    SourcePacket {
        sequence,
        timestamp: (sequence as u32).wrapping_mul(960),
        marker: false,
        codec: Codec::Opus,
        info: PayloadInfo { key_frame: true, frame_start: true, frame_end: true, ..PayloadInfo::default() },
        payload,
        extension_bytes: &[],
    }
}

pub(crate) fn section(kind: Kind) -> SendSection {
    let payload = |pt, rtx_pt, codec| Payload { pt, rtx_pt, codec, fmtp: String::new(), nack: true };
    SendSection {
        mid: "3".into(),
        track: TrackKey(1),
        kind,
        ssrc: 0x1111,
        rtx_ssrc: 0x2222,
        payloads: match kind {
            Kind::Audio => vec![payload(111, None, Codec::Opus)],
            Kind::Video => vec![
                payload(96, Some(97), Codec::Vp8),
                payload(98, Some(99), Codec::Vp9),
                payload(102, Some(103), Codec::H264),
            ],
        },
    }
}

/// Remembers what was sealed and panics when one (SSRC, index) is sealed with other bytes.
#[derive(Debug, Default)]
pub(crate) struct RecordingSealer {
    pub(crate) sealed: RefCell<BTreeMap<(u32, u64), Vec<u8>>>,
}

impl RtpSeal for RecordingSealer {
    fn overhead(&self) -> usize {
        16
    }

    fn seal(&self, packet: &mut [u8], header_length: usize, index: u64) {
        assert!(header_length + 16 <= packet.len());
        assert_eq!(packet[2..4], (index as u16).to_be_bytes(), "sequence number is the low half of the index");
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        let body = packet[..packet.len() - 16].to_vec();
        let before = self.sealed.borrow_mut().insert((ssrc, index), body.clone());
        assert!(before.is_none_or(|before| before == body), "({ssrc:x}, {index}) sealed twice with different bytes");
        let end = packet.len() - 16;
        packet[end..].fill(0xee);
    }
}

/// Keeps what was committed, without the sealer's tag.
#[derive(Debug, Default)]
pub(crate) struct RecordingSink {
    slot: Vec<u8>,
    pub(crate) sent: Vec<Vec<u8>>,
}

impl PacketSink for RecordingSink {
    type Destination = u8;

    fn slot(&mut self, length: usize) -> &mut [u8] {
        self.slot.clear();
        self.slot.resize(length, 0xa5);
        &mut self.slot
    }

    fn commit(&mut self, _destination: &u8, length: usize) {
        self.sent.push(self.slot[..length - 16].to_vec());
    }
}

pub(crate) type TestLink = PeerLink<RecordingSealer, u8>;

pub(crate) fn link(now: Instant) -> TestLink {
    let ids = ExtensionIds { mid: Some(4), transport_cc: Some(3), audio_level: Some(1), ..ExtensionIds::default() };
    PeerLink::new(RecordingSealer::default(), 0, ids, 0x9999, now)
}

/// A received packet: header fields and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) padding: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn read(packet: &[u8]) -> Received {
    let mut start = 12;
    if packet[0] & 0x10 != 0 {
        start += 4 + 4 * usize::from(u16::from_be_bytes([packet[14], packet[15]]));
    }
    Received {
        payload_type: packet[1] & 0x7f,
        marker: packet[1] & 0x80 != 0,
        padding: packet[0] & 0x20 != 0,
        sequence: u16::from_be_bytes([packet[2], packet[3]]),
        timestamp: u32::from_be_bytes(packet[4..8].try_into().unwrap()),
        ssrc: u32::from_be_bytes(packet[8..12].try_into().unwrap()),
        payload: packet[start..].to_vec(),
    }
}

/// A VP8 payload: descriptor with 15-bit picture id and TL0PICIDX, temporal layer, then `body`.
pub(crate) fn vp8_payload(first: bool, picture_id: u16, tl0: u8, temporal: u8, key: bool, body: &[u8]) -> Vec<u8> {
    let id = picture_id.to_be_bytes();
    let mut bytes = vec![0x80 | (u8::from(first) << 4), 0xe0, 0x80 | id[0], id[1], tl0, (temporal << 6) | 0x20];
    bytes.push(u8::from(!key));
    bytes.extend_from_slice(body);
    bytes
}

/// Picture id and TL0PICIDX of [`vp8_payload`].
pub(crate) fn vp8_ids(payload: &[u8]) -> (u16, u8) {
    (u16::from_be_bytes([payload[2] & 0x7f, payload[3]]), payload[4])
}
