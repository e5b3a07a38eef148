//! The one-way ring between two workers: one header and the bytes of each media packet, without lock or allocation.
//! Written by one worker's core and read by one other's; who has to wake whom is the shell's.

use crate::codec::Codec;
use crate::egress::MAX_PACKET_BYTES;
use crate::id::TrackKey;
use crate::packet::{PayloadInfo, SourcePacket};

/// Packets that may lie in one ring: 20 ms of 200,000 packets/s, several turns of a worker that is behind.
const PACKETS_MAX: usize = 4_096;
/// Bytes of payloads and extensions that may lie in one ring: 100 ms of 160 Mbit/s. The pages are taken with first use.
const BYTES_MAX: usize = 2 << 20;

/// What is known of one handed packet, apart from its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    pub(super) track: TrackKey,
    /// Which numbering of the source its sequence belongs to.
    pub(super) era: u64,
    pub(super) layer: u8,
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) codec: Codec,
    pub(super) info: PayloadInfo,
    /// It comes late: nothing of its frame has to be waited for.
    pub(super) late: bool,
    payload_length: u16,
    extension_length: u16,
}

impl Handed {
    /// The packet as forwarding sees it; `bytes` is what came with it.
    pub(super) fn source<'a>(&self, bytes: &'a [u8]) -> SourcePacket<'a> {
        let (payload, extension_bytes) = bytes.split_at_checked(self.payload_length.into()).unwrap_or_default();
        SourcePacket {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            codec: self.codec,
            info: self.info,
            payload,
            extension_bytes,
        }
    }

    fn length(&self) -> usize {
        usize::from(self.payload_length) + usize::from(self.extension_length)
    }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct RingWriter {
    headers: rtrb::Producer<Handed>,
    bytes: rtrb::Producer<u8>,
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct RingReader {
    headers: rtrb::Consumer<Handed>,
    bytes: rtrb::Consumer<u8>,
}

/// Makes one ring.
pub(crate) fn ring() -> (RingWriter, RingReader) {
    with_capacity(PACKETS_MAX, BYTES_MAX)
}

pub(crate) fn with_capacity(packets: usize, bytes: usize) -> (RingWriter, RingReader) {
    let (header_writer, header_reader) = rtrb::RingBuffer::new(packets);
    let (byte_writer, byte_reader) = rtrb::RingBuffer::new(bytes);
    (
        RingWriter { headers: header_writer, bytes: byte_writer },
        RingReader { headers: header_reader, bytes: byte_reader },
    )
}

impl RingWriter {
    /// Writes one packet; `false`, and nothing written, if there is no room or it is larger than any history keeps.
    pub(super) fn push(
        &mut self,
        (track, era, layer): (TrackKey, u64, u8),
        packet: &SourcePacket<'_>,
        late: bool,
    ) -> bool {
        let length = packet.payload.len() + packet.extension_bytes.len();
        let (Ok(payload_length), Ok(extension_length)) =
            (u16::try_from(packet.payload.len()), u16::try_from(packet.extension_bytes.len()))
        else {
            return false;
        };
        if length > MAX_PACKET_BYTES || self.headers.is_full() || self.bytes.slots() < length {
            return false;
        }
        let header = Handed {
            track,
            era,
            layer,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            codec: packet.codec,
            info: packet.info,
            late,
            payload_length,
            extension_length,
        };
        // The header goes last: whoever sees it sees the bytes.
        self.bytes.push_entire_slice(packet.payload).is_ok()
            && self.bytes.push_entire_slice(packet.extension_bytes).is_ok()
            && self.headers.push(header).is_ok()
    }
}

impl RingReader {
    /// Takes the oldest packet; its bytes replace those of `bytes`.
    pub(super) fn pop(&mut self, bytes: &mut Vec<u8>) -> Option<Handed> {
        let header = self.headers.pop().ok()?;
        bytes.resize(header.length(), 0);
        self.bytes.pop_entire_slice(bytes).ok()?;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::audio;

    fn push(writer: &mut RingWriter, packet: &SourcePacket<'_>) -> bool {
        writer.push((TrackKey(7), 3, 1), packet, false)
    }

    #[test]
    fn packets_come_out_as_they_went_in_also_around_the_end() {
        let (mut writer, mut reader) = with_capacity(4, 64);
        let mut bytes = Vec::new();
        for sequence in 70_000..70_100 {
            let payload = vec![sequence as u8; 20 + sequence as usize % 20];
            let packet = SourcePacket { extension_bytes: &[0, 1, 30], ..audio(sequence, &payload) };
            assert!(push(&mut writer, &packet));
            let handed = reader.pop(&mut bytes).unwrap();
            let source = handed.source(&bytes);
            assert_eq!((handed.track, handed.era, handed.layer), (TrackKey(7), 3, 1));
            assert_eq!((source.sequence, source.payload), (sequence, &payload[..]));
            assert_eq!(source.extension_bytes, &[0, 1, 30]);
        }
        assert!(reader.pop(&mut bytes).is_none());
    }

    #[test]
    fn a_full_ring_refuses_the_newest_and_keeps_what_it_has() {
        let (mut writer, mut reader) = with_capacity(4, 100);
        let taken = (70_000..70_010).filter(|sequence| push(&mut writer, &audio(*sequence, &[1; 30]))).count();
        assert_eq!(taken, 3, "by bytes");
        let mut bytes = Vec::new();
        assert_eq!(reader.pop(&mut bytes).unwrap().sequence, 70_000);
        let taken = (70_010..70_020).filter(|sequence| push(&mut writer, &audio(*sequence, &[]))).count();
        assert_eq!(taken, 2, "by packets");
        assert!(!push(&mut writer, &audio(70_030, &[0; MAX_PACKET_BYTES + 1])), "no history could keep it");
        let rest: Vec<u64> = std::iter::from_fn(|| reader.pop(&mut bytes)).map(|handed| handed.sequence).collect();
        assert_eq!(rest, [70_001, 70_002, 70_010, 70_011]);
    }

    #[test]
    fn two_threads_lose_and_mix_nothing() {
        let (mut writer, mut reader) = with_capacity(16, 1_000);
        let (mut refused, mut taken) = (0, 0);
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || {
                let mut refused = 0_u64;
                for sequence in 70_000_u64..90_000 {
                    let payload = vec![sequence as u8; sequence as usize % 90];
                    while !push(&mut writer, &audio(sequence, &payload)) {
                        refused += 1;
                        std::thread::yield_now();
                    }
                }
                refused
            });
            let mut bytes = Vec::new();
            let mut next = 70_000;
            while next < 90_000 {
                let Some(handed) = reader.pop(&mut bytes) else {
                    std::thread::yield_now();
                    continue;
                };
                assert_eq!((handed.sequence, bytes.len()), (next, next as usize % 90));
                assert!(bytes.iter().all(|byte| *byte == next as u8));
                (next, taken) = (next + 1, taken + 1);
            }
            refused = sender.join().unwrap();
        });
        assert!(taken == 20_000 && refused > 0, "{taken} taken, {refused} refused");
    }
}
