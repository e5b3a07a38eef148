//! H.264 payloads (RFC 6184): single NAL unit, STAP-A and FU-A, which are all that WebRTC negotiates.

use super::PayloadInfo;
use super::payload::{Cursor, PayloadError};

const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_AUD: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Reads NAL unit types; `key_frame` is set where an SPS or an IDR slice starts, `frame_end` is the RTP marker.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let mut info = PayloadInfo::default();
    match cursor.byte()? & 0x1f {
        nal @ 1..=23 => note(&mut info, nal, cursor.rest()),
        STAP_A => {
            while !cursor.rest().is_empty() {
                let length = u16::from_be_bytes([cursor.byte()?, cursor.byte()?]);
                if let Some((&header, rest)) = cursor.take(usize::from(length))?.split_first() {
                    note(&mut info, header & 0x1f, rest);
                }
            }
        }
        FU_A => {
            let header = cursor.byte()?;
            if header & 0x80 != 0 {
                note(&mut info, header & 0x1f, cursor.rest());
            }
        }
        _ => return Err(PayloadError::Malformed("an h264 packet type other than single nal, stap-a and fu-a")),
    }
    Ok(info)
}

fn note(info: &mut PayloadInfo, nal: u8, rest: &[u8]) {
    info.key_frame |= matches!(nal, NAL_IDR | NAL_SPS);
    // first_mb_in_slice is the first Exp-Golomb number of a slice header; a leading one bit means zero.
    let first_slice = matches!(nal, NAL_SLICE | NAL_IDR) && rest.first().is_some_and(|byte| byte & 0x80 != 0);
    info.frame_start |= first_slice || matches!(nal, NAL_SPS | NAL_AUD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idr_and_sps_start_a_key_frame_in_every_packet_type() {
        assert!(info(&[0x65, 0x88]).unwrap().key_frame);
        assert!(info(&[0x67, 0x42]).unwrap().key_frame);
        assert!(info(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]).unwrap().key_frame);
        assert!(info(&[0x7c, 0x85, 0x88]).unwrap().key_frame);
    }

    #[test]
    fn delta_slices_and_later_fragments_are_no_key_frames() {
        let delta = info(&[0x41, 0x9a]).unwrap();
        assert!(!delta.key_frame && delta.frame_start);
        let fragment = info(&[0x7c, 0x05, 0x88]).unwrap();
        assert!(!fragment.key_frame && !fragment.frame_start);
        assert!(!info(&[0x41, 0x1a]).unwrap().frame_start);
    }

    #[test]
    fn truncated_aggregates_and_unknown_types_are_refused() {
        assert!(info(&[0x78, 0, 9, 0x67]).is_err());
        assert!(info(&[0x7c]).is_err());
        assert!(info(&[0x79, 0, 0]).is_err());
        assert!(info(&[]).is_err());
    }
}
