//! RTP headers of outgoing packets (RFC 3550 §5.1, extensions RFC 8285), measured first and then written in place.

use crate::codec::ExtensionIds;
use crate::packet::{ForwardedExtension, SourcePacket};

/// Largest id and length of a one-byte extension element (RFC 8285 §4.2).
const ONE_BYTE_MAX_ID: u8 = 14;
const ONE_BYTE_MAX_LENGTH: usize = 16;

/// Everything that a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) padding: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// `a=mid`, empty to leave it out.
    pub(super) mid: &'a [u8],
    pub(super) transport_cc: Option<u16>,
    /// 24-bit 6.18 fixed point seconds.
    pub(super) abs_send_time: u32,
    /// The packet whose extensions are handed on.
    pub(super) forwarded: Option<&'a SourcePacket<'a>>,
}

/// How long the header is and which extension form it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) length: usize,
    two_byte: bool,
}

impl Header<'_> {
    /// Measures the header.
    pub(super) fn layout(&self, ids: &ExtensionIds) -> Layout {
        let (mut bytes, mut count, mut two_byte) = (0, 0, false);
        self.elements(ids, |id, value| {
            bytes += value.len();
            count += 1;
            two_byte |= id > ONE_BYTE_MAX_ID || value.len() > ONE_BYTE_MAX_LENGTH || value.is_empty();
        });
        let elements = bytes + count * if two_byte { 2 } else { 1 };
        let block = if count == 0 { 0 } else { 4 + elements.next_multiple_of(4) };
        Layout { length: 12 + block, two_byte }
    }

    /// Writes the header to the first [`Layout::length`] bytes of `out`.
    pub(super) fn write(&self, ids: &ExtensionIds, layout: Layout, out: &mut [u8]) {
        let extended = layout.length > 12;
        out[0] = 0x80 | (u8::from(self.padding) << 5) | (u8::from(extended) << 4);
        out[1] = (u8::from(self.marker) << 7) | self.payload_type;
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        if !extended {
            return;
        }
        out[12..14].copy_from_slice(&if layout.two_byte { [0x10, 0x00] } else { [0xbe, 0xde] });
        let words = u16::try_from((layout.length - 16) / 4).expect("a few elements of at most 255 bytes");
        out[14..16].copy_from_slice(&words.to_be_bytes());
        let mut at = 16;
        self.elements(ids, |id, value| {
            // Lengths are at most 255: they were read from one byte or are ours.
            if layout.two_byte {
                out[at..at + 2].copy_from_slice(&[id, value.len() as u8]);
                at += 2;
            } else {
                out[at] = (id << 4) | (value.len() as u8 - 1);
                at += 1;
            }
            out[at..at + value.len()].copy_from_slice(value);
            at += value.len();
        });
        out[at..layout.length].fill(0);
    }

    fn elements(&self, ids: &ExtensionIds, mut each: impl FnMut(u8, &[u8])) {
        if let (Some(id), Some(number)) = (ids.transport_cc, self.transport_cc) {
            each(id, &number.to_be_bytes());
        }
        if let Some(id) = ids.abs_send_time {
            each(id, &self.abs_send_time.to_be_bytes()[1..]);
        }
        if let (Some(id), false) = (ids.mid, self.mid.is_empty()) {
            each(id, self.mid);
        }
        let Some(packet) = self.forwarded else { return };
        for (kind, value) in packet.extensions() {
            let id = match kind {
                ForwardedExtension::AudioLevel => ids.audio_level,
                ForwardedExtension::DependencyDescriptor => ids.dependency_descriptor,
                ForwardedExtension::VideoOrientation => ids.video_orientation,
                ForwardedExtension::AbsCaptureTime => ids.abs_capture_time,
                ForwardedExtension::PlayoutDelay => ids.playout_delay,
            };
            if let Some(id) = id {
                each(id, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::audio;

    fn header<'a>(mid: &'a [u8], packet: &'a SourcePacket<'a>) -> Header<'a> {
        Header {
            payload_type: 96,
            marker: true,
            padding: false,
            sequence: 0x1234,
            timestamp: 5,
            ssrc: 6,
            mid,
            transport_cc: Some(0x0102),
            abs_send_time: 0x00aa_bbcc,
            forwarded: Some(packet),
        }
    }

    #[test]
    fn one_byte_elements_are_renumbered_and_padded() {
        let ids = ExtensionIds {
            mid: Some(4),
            transport_cc: Some(3),
            abs_send_time: Some(2),
            audio_level: Some(1),
            ..ExtensionIds::default()
        };
        let packet = SourcePacket { extension_bytes: &[0, 1, 0x9e, 2, 1, 7], ..audio(1, b"") };
        let header = header(b"10", &packet);
        let layout = header.layout(&ids);
        let mut out = vec![0xff; layout.length];
        header.write(&ids, layout, &mut out);
        assert_eq!(out[..4], [0x90, 0xe0, 0x12, 0x34]);
        assert_eq!(out[12..16], [0xbe, 0xde, 0, 3]);
        assert_eq!(out[16..], [0x31, 1, 2, 0x22, 0xaa, 0xbb, 0xcc, 0x41, b'1', b'0', 0x10, 0x9e]);
    }

    #[test]
    fn a_long_dependency_descriptor_takes_the_two_byte_form() {
        let ids = ExtensionIds { transport_cc: Some(3), dependency_descriptor: Some(12), ..ExtensionIds::default() };
        let mut forwarded = vec![1, 20];
        forwarded.extend([5; 20]);
        let packet = SourcePacket { extension_bytes: &forwarded, ..audio(1, b"") };
        let header = header(b"", &packet);
        let layout = header.layout(&ids);
        let mut out = vec![0xff; layout.length];
        header.write(&ids, layout, &mut out);
        assert_eq!(out[12..16], [0x10, 0, 0, 7]);
        assert_eq!(out[16..22], [3, 2, 1, 2, 12, 20]);
        assert_eq!(out[42..], [0, 0]);
    }

    #[test]
    fn nothing_negotiated_is_a_bare_header() {
        let packet = SourcePacket { extension_bytes: &[0, 1, 9], ..audio(1, b"") };
        let header = header(b"0", &packet);
        let layout = header.layout(&ExtensionIds::default());
        let mut out = [0; 12];
        header.write(&ExtensionIds::default(), layout, &mut out);
        assert_eq!((layout.length, out[0]), (12, 0x80));
    }
}
