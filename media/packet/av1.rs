//! The AV1 aggregation header and its OBU elements (AV1 RTP payload format §4.4). Layers come from the dependency
//! descriptor, see [`super::dependency`].

use super::PayloadInfo;
use super::payload::{Cursor, PayloadError};

/// OBU elements of one packet; an encoder writes a handful.
const ELEMENTS_MAX: usize = 64;
/// Bytes of a leb128 number (AV1 specification §4.10.5).
const LEB128_MAX: u32 = 8;

/// Reads the aggregation header; `key_frame` is the N bit: the packet starts a coded video sequence.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let header = cursor.byte()?;
    let (continues, announced, starts) = (header & 0x80 != 0, usize::from(header >> 4 & 0x03), header & 0x08 != 0);
    if continues && starts {
        return Err(PayloadError::Malformed("an av1 packet that both continues and starts a sequence"));
    }
    for index in 1..=ELEMENTS_MAX {
        if index == announced || cursor.rest().is_empty() {
            break;
        }
        let length = leb128(&mut cursor)?;
        cursor.take(length)?;
    }
    if payload.len() < 2 {
        return Err(PayloadError::Truncated { length: payload.len(), needed: 2 });
    }
    Ok(PayloadInfo { key_frame: starts, frame_start: !continues, ..PayloadInfo::default() })
}

fn leb128(cursor: &mut Cursor<'_>) -> Result<usize, PayloadError> {
    let mut value = 0u64;
    for index in 0..LEB128_MAX {
        let byte = cursor.byte()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| PayloadError::Malformed("an av1 element of over 32 bits"));
        }
    }
    Err(PayloadError::Malformed("an av1 element length of over 8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_n_bit_marks_a_key_frame() {
        let info = info(&[0b0001_1000, 0x0a, 1, 2]).unwrap();
        assert!(info.key_frame && info.frame_start);
        let later = super::info(&[0b1001_0000, 1, 2]).unwrap();
        assert!(!later.key_frame && !later.frame_start);
    }

    #[test]
    fn elements_with_lengths_are_walked() {
        assert!(info(&[0b0010_0000, 2, 1, 1, 9, 9, 9]).is_ok());
        assert!(info(&[0b0010_0000, 9, 1, 1]).is_err());
        assert!(info(&[0b0000_0000, 1, 7, 2, 8, 8]).is_ok());
        assert!(info(&[0b0000_0000, 1, 7, 3, 8, 8]).is_err());
    }

    #[test]
    fn contradictions_and_endless_lengths_are_refused() {
        assert!(info(&[0b1000_1000, 1]).is_err());
        assert!(info(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(info(&[0b0001_0000]).is_err());
    }
}
