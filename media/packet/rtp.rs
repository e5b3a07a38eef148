//! The RTP fixed header (RFC 3550 §5.1) and its extension block (RFC 8285), read from the wire as it stands.
//! Offsets come from the bytes, never from a re-serialised size.

use std::ops::Range;

/// Length of the fixed header in bytes.
pub const FIXED_HEADER_LENGTH: usize = 12;

/// Profile of the one-byte extension form (RFC 8285 §4.2).
const ONE_BYTE_PROFILE: u16 = 0xbede;
/// Profile of the two-byte form in its upper 12 bits (RFC 8285 §4.3).
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than what its own header announces.
    #[error("rtp packet of {length} bytes, its header needs {needed}")]
    Truncated {
        /// Bytes present.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// Not version 2.
    #[error("rtp version {0}, expected 2")]
    Version(u8),
    /// The padding count is zero or longer than the payload.
    #[error("rtp padding of {padding} bytes in a payload of {payload}")]
    Padding {
        /// The count in the last byte.
        padding: u8,
        /// Bytes after the header.
        payload: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExtensionForm {
    None,
    OneByte,
    TwoByte,
}

/// A parsed RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Padding bit.
    pub padding: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Bytes of the whole header with CSRCs and extensions.
    pub length: usize,
    extensions_start: usize,
    form: ExtensionForm,
}

/// Reads the header of `packet`.
pub fn parse(packet: &[u8]) -> Result<RtpHeader, RtpError> {
    let truncated = |needed| RtpError::Truncated { length: packet.len(), needed };
    let Some((fixed, _)) = packet.split_first_chunk::<FIXED_HEADER_LENGTH>() else {
        return Err(truncated(FIXED_HEADER_LENGTH));
    };
    let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
    if first >> 6 != 2 {
        return Err(RtpError::Version(first >> 6));
    }
    let mut length = FIXED_HEADER_LENGTH + 4 * usize::from(first & 0x0f);
    let mut extensions_start = length;
    let mut form = ExtensionForm::None;
    if first & 0x10 != 0 {
        let Some(&[p0, p1, w0, w1]) = packet.get(length..length + 4) else { return Err(truncated(length + 4)) };
        extensions_start = length + 4;
        length = extensions_start + 4 * usize::from(u16::from_be_bytes([w0, w1]));
        form = match u16::from_be_bytes([p0, p1]) {
            ONE_BYTE_PROFILE => ExtensionForm::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => ExtensionForm::TwoByte,
            _ => ExtensionForm::None,
        };
    }
    if length > packet.len() {
        return Err(truncated(length));
    }
    Ok(RtpHeader {
        payload_type: second & 0x7f,
        marker: second & 0x80 != 0,
        padding: first & 0x20 != 0,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        length,
        extensions_start,
        form,
    })
}

impl RtpHeader {
    /// Returns the bytes of the header extension `id` of the packet that this header was read from.
    #[must_use]
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        if id == 0 {
            return None;
        }
        self.extensions(packet).find_map(|(other, value)| (other == id).then_some(value))
    }

    /// Iterates over the header extensions; stops at the first malformed element and at id 15 of the one-byte form
    /// (RFC 8285 §4.2).
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let form = self.form;
        let mut rest = match form {
            ExtensionForm::None => &[][..],
            _ => packet.get(self.extensions_start..self.length).unwrap_or_default(),
        };
        std::iter::from_fn(move || {
            loop {
                let (&first, tail) = rest.split_first()?;
                if first == 0 {
                    rest = tail;
                    continue;
                }
                let (id, length, tail) = match form {
                    ExtensionForm::None => return None,
                    ExtensionForm::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, tail),
                    ExtensionForm::TwoByte => {
                        let (&length, tail) = tail.split_first()?;
                        (first, usize::from(length), tail)
                    }
                };
                if form == ExtensionForm::OneByte && (id == 0 || id == 15) {
                    rest = &[];
                    return None;
                }
                let Some((value, tail)) = tail.split_at_checked(length) else {
                    rest = &[];
                    return None;
                };
                rest = tail;
                return Some((id, value));
            }
        })
    }

    /// Returns where the payload lies in `packet`, padding removed; empty for a padding-only packet.
    pub fn payload(&self, packet: &[u8]) -> Result<Range<usize>, RtpError> {
        let payload = packet.len().saturating_sub(self.length);
        if !self.padding {
            return Ok(self.length..self.length + payload);
        }
        let padding = packet.last().copied().unwrap_or(0);
        if padding == 0 || usize::from(padding) > payload {
            return Err(RtpError::Padding { padding, payload });
        }
        Ok(self.length..self.length + payload - usize::from(padding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(profile: u16, extensions: &[u8], tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x91, 0x80 | 96, 0x12, 0x34, 0, 0, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4];
        bytes.extend(profile.to_be_bytes());
        bytes.extend(u16::try_from(extensions.len() / 4).unwrap().to_be_bytes());
        bytes.extend(extensions);
        bytes.extend(tail);
        bytes
    }

    #[test]
    fn the_header_length_covers_csrcs_and_extensions() {
        let bytes = packet(0xbede, &[0x10, 7, 0, 0x21, 8, 9, 0, 0], b"payload");
        let header = parse(&bytes).unwrap();
        assert_eq!((header.payload_type, header.marker, header.sequence), (96, true, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (7, 9));
        assert_eq!(&bytes[header.payload(&bytes).unwrap()], b"payload");
        assert_eq!(header.extension(&bytes, 1), Some(&[7][..]));
        assert_eq!(header.extension(&bytes, 2), Some(&[8, 9][..]));
        assert_eq!(header.extension(&bytes, 3), None);
    }

    #[test]
    fn id_fifteen_ends_the_one_byte_block_but_not_the_packet() {
        let bytes = packet(0xbede, &[0x10, 7, 0xf0, 1, 0x20, 5, 0, 0], b"x");
        let header = parse(&bytes).unwrap();
        assert_eq!(header.extension(&bytes, 1), Some(&[7][..]));
        assert_eq!(header.extension(&bytes, 2), None);
        assert_eq!(&bytes[header.payload(&bytes).unwrap()], b"x");
    }

    #[test]
    fn the_two_byte_form_allows_empty_elements_and_high_ids() {
        let bytes = packet(0x1003, &[200, 0, 15, 2, 6, 7, 0, 0], b"x");
        let header = parse(&bytes).unwrap();
        assert_eq!(header.extension(&bytes, 200), Some(&[][..]));
        assert_eq!(header.extension(&bytes, 15), Some(&[6, 7][..]));
    }

    #[test]
    fn an_element_that_leaves_the_block_is_not_returned() {
        let bytes = packet(0xbede, &[0x1f, 1, 2, 3], b"payload bytes behind");
        assert_eq!(parse(&bytes).unwrap().extension(&bytes, 1), None);
    }

    #[test]
    fn padding_is_removed_and_a_bad_count_is_refused() {
        let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 0, 2];
        let header = parse(&bytes).unwrap();
        assert_eq!(header.payload(&bytes), Ok(12..14));
        bytes[15] = 5;
        assert_eq!(header.payload(&bytes), Err(RtpError::Padding { padding: 5, payload: 4 }));
        bytes[15] = 0;
        assert!(header.payload(&bytes).is_err());
    }

    #[test]
    fn short_and_foreign_packets_are_refused() {
        assert_eq!(parse(&[0x80; 11]), Err(RtpError::Truncated { length: 11, needed: 12 }));
        assert_eq!(parse(&[0x00; 12]), Err(RtpError::Version(0)));
        assert!(matches!(parse(&packet(0xbede, &[0; 8], b"")[..24]), Err(RtpError::Truncated { needed: 28, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), profile in any::<bool>()) {
            let mut bytes = bytes;
            if bytes.len() > 16 {
                bytes[0] = 0x90;
                bytes[12..14].copy_from_slice(&if profile { 0xbedeu16 } else { 0x1000 }.to_be_bytes());
                bytes[14] = 0;
                bytes[15] %= 12;
            }
            if let Ok(header) = parse(&bytes) {
                prop_assert!(header.length <= bytes.len());
                prop_assert!(header.extensions(&bytes).count() <= bytes.len());
                if let Ok(range) = header.payload(&bytes) {
                    prop_assert!(range.end <= bytes.len() && range.start <= range.end);
                }
            }
        }
    }
}
