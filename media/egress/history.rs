//! Payloads of one source layer, kept once for all its subscribers, so that any of them can be sent again.

use crate::codec::{Codec, Kind};
use crate::packet::{PayloadInfo, SourcePacket};

/// Video packets kept per layer: 3 s of 1080p at 2.5 Mbit/s, longer than any receiver asks back (Chromium: 1 s).
pub const VIDEO_HISTORY_PACKETS: usize = 1024;
/// Audio packets kept per track: 2.5 s of 20 ms frames, and twice what one turn receives before it forwards.
pub const AUDIO_HISTORY_PACKETS: usize = 128;
/// Bytes of payload and extensions in one kept packet; Ethernet's MTU, nothing larger arrives in one datagram.
pub const MAX_PACKET_BYTES: usize = 1500;

/// The newest packets of one source layer, by sequence number.
#[derive(Debug)]
pub struct History {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// 0 = empty; source numbers start at 65536.
    sequence: u64,
    timestamp: u32,
    payload_length: u16,
    marker: bool,
    codec: Codec,
    info: PayloadInfo,
    /// Payload, then extensions. Grows to the largest packet the slot has held and is then reused.
    bytes: Vec<u8>,
}

impl History {
    /// Makes an empty history; its buffers grow with use.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let length = match kind {
            Kind::Audio => AUDIO_HISTORY_PACKETS,
            Kind::Video => VIDEO_HISTORY_PACKETS,
        };
        let empty = || Slot {
            sequence: 0,
            timestamp: 0,
            payload_length: 0,
            marker: false,
            codec: Codec::Opus,
            info: PayloadInfo::default(),
            bytes: Vec::new(),
        };
        Self { slots: (0..length).map(|_| empty()).collect() }
    }

    /// Keeps a packet, in place of the one a whole history ago. Returns whether it was kept: one that is larger than
    /// [`MAX_PACKET_BYTES`] or older than what its slot holds is not.
    pub fn insert(&mut self, packet: &SourcePacket<'_>) -> bool {
        if packet.payload.len() + packet.extension_bytes.len() > MAX_PACKET_BYTES {
            return false;
        }
        let place = self.place(packet.sequence);
        let slot = &mut self.slots[place];
        if packet.sequence < slot.sequence || packet.sequence == 0 {
            return false;
        }
        slot.sequence = packet.sequence;
        slot.timestamp = packet.timestamp;
        slot.payload_length = u16::try_from(packet.payload.len()).expect("bounded by MAX_PACKET_BYTES");
        slot.marker = packet.marker;
        slot.codec = packet.codec;
        slot.info = packet.info;
        slot.bytes.clear();
        slot.bytes.extend_from_slice(packet.payload);
        slot.bytes.extend_from_slice(packet.extension_bytes);
        true
    }

    /// Finds a packet.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<SourcePacket<'_>> {
        let slot = &self.slots[self.place(sequence)];
        if slot.sequence != sequence || sequence == 0 {
            return None;
        }
        let (payload, extension_bytes) = slot.bytes.split_at(usize::from(slot.payload_length));
        Some(SourcePacket {
            sequence,
            timestamp: slot.timestamp,
            marker: slot.marker,
            codec: slot.codec,
            info: slot.info,
            payload,
            extension_bytes,
        })
    }

    /// Forgets everything: the source has started to count anew.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.sequence = 0;
        }
    }

    fn place(&self, sequence: u64) -> usize {
        // Both lengths are powers of two; the remainder is below usize::MAX.
        (sequence % self.slots.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::audio;

    #[test]
    fn a_packet_is_found_until_its_slot_is_taken_again() {
        let mut history = History::new(Kind::Audio);
        for sequence in 65_536..65_536 + 129 {
            assert!(history.insert(&audio(sequence, &[sequence as u8; 10])));
        }
        assert!(history.get(65_536).is_none(), "129 packets in 128 slots");
        assert_eq!(history.get(65_537).unwrap().payload, &[1; 10]);
        assert!(!history.insert(&audio(65_536, &[9])), "a late packet must not push out a newer one");
        assert_eq!(history.get(65_568).unwrap().payload, &[32; 10]);
        history.clear();
        assert!(history.get(65_568).is_none());
    }

    #[test]
    fn payload_and_extensions_come_back_apart() {
        let mut history = History::new(Kind::Video);
        let packet = SourcePacket { extension_bytes: &[0, 1, 30], ..audio(70_000, b"payload") };
        history.insert(&packet);
        let kept = history.get(70_000).unwrap();
        assert_eq!((kept.payload, kept.extension_bytes), (&b"payload"[..], &[0, 1, 30][..]));
        assert!(!history.insert(&audio(70_001, &[0; 1501])));
        assert!(history.get(70_001).is_none());
    }
}
