//! H.265 payloads (RFC 7798): single NAL unit, aggregation packet and fragmentation unit, without DONL fields.

use super::PayloadInfo;
use super::payload::{Cursor, PayloadError};

/// Intra random access point pictures (ITU-T H.265 table 7-1).
const IRAP: std::ops::RangeInclusive<u8> = 16..=21;
/// Any coded slice segment.
const SLICE_LAST: u8 = 31;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AUD: u8 = 35;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

/// Reads NAL unit types; `key_frame` is set where a parameter set or an IRAP picture starts.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let (first, second) = (cursor.byte()?, cursor.byte()?);
    let mut info = PayloadInfo { temporal: (second & 0x07).saturating_sub(1), ..PayloadInfo::default() };
    match first >> 1 & 0x3f {
        AGGREGATION => {
            while !cursor.rest().is_empty() {
                let length = u16::from_be_bytes([cursor.byte()?, cursor.byte()?]);
                if let Some((&[header, _], rest)) = cursor.take(usize::from(length))?.split_first_chunk::<2>() {
                    note(&mut info, header >> 1 & 0x3f, rest);
                }
            }
        }
        FRAGMENTATION => {
            let header = cursor.byte()?;
            if header & 0x80 != 0 {
                note(&mut info, header & 0x3f, cursor.rest());
            }
        }
        nal @ 0..=47 => note(&mut info, nal, cursor.rest()),
        _ => return Err(PayloadError::Malformed("an h265 packet type other than single nal, ap and fu")),
    }
    Ok(info)
}

fn note(info: &mut PayloadInfo, nal: u8, rest: &[u8]) {
    info.key_frame |= IRAP.contains(&nal) || matches!(nal, VPS | SPS);
    // first_slice_segment_in_pic_flag is the first bit of a slice segment header.
    let first_slice = nal <= SLICE_LAST && rest.first().is_some_and(|byte| byte & 0x80 != 0);
    info.frame_start |= first_slice || matches!(nal, VPS | SPS | AUD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_access_points_start_a_key_frame_in_every_packet_type() {
        assert!(info(&[19 << 1, 1, 0x80]).unwrap().key_frame);
        assert!(info(&[48 << 1, 1, 0, 3, 32 << 1, 1, 0]).unwrap().key_frame);
        assert!(info(&[49 << 1, 1, 0x80 | 19, 0x80]).unwrap().key_frame);
    }

    #[test]
    fn delta_slices_carry_their_temporal_layer() {
        let info = info(&[1 << 1, 3, 0x80]).unwrap();
        assert_eq!((info.key_frame, info.frame_start, info.temporal), (false, true, 2));
        assert!(!super::info(&[49 << 1, 1, 19, 0x80]).unwrap().key_frame);
    }

    #[test]
    fn truncated_and_unknown_packets_are_refused() {
        assert!(info(&[38]).is_err());
        assert!(info(&[48 << 1, 1, 0, 9, 1]).is_err());
        assert!(info(&[50 << 1, 1, 0]).is_err());
    }
}
