//! The VP9 payload descriptor (RFC 9628 §4.2), flexible and non-flexible mode.

use super::PayloadInfo;
use super::payload::{Cursor, PayloadError};

/// Reference indices of one flexible-mode frame (RFC 9628 §4.2, P_DIFF).
const REFERENCES_MAX: usize = 3;

/// Reads the descriptor; `key_frame` holds for every packet of the lowest spatial layer of a key picture.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let flags = cursor.byte()?;
    let [picture_id, predicted, layers, flexible] = [0x80, 0x40, 0x20, 0x10].map(|bit| flags & bit != 0);
    let mut info = PayloadInfo {
        frame_start: flags & 0x08 != 0,
        frame_end: flags & 0x04 != 0,
        not_referenced_above: flags & 0x01 != 0,
        ..PayloadInfo::default()
    };
    if picture_id {
        let high = cursor.byte()?;
        info.picture_id = Some(if high & 0x80 == 0 {
            (u16::from(high), 7)
        } else {
            (u16::from_be_bytes([high & 0x7f, cursor.byte()?]), 15)
        });
    }
    if layers {
        let byte = cursor.byte()?;
        info.temporal = byte >> 5;
        info.temporal_switch = byte & 0x10 != 0;
        info.spatial = byte >> 1 & 0x07;
        if !flexible {
            cursor.byte()?;
        }
    }
    if flexible && predicted {
        let mut count = 0;
        while cursor.byte()? & 1 != 0 {
            count += 1;
            if count == REFERENCES_MAX {
                return Err(PayloadError::Malformed("more than 3 vp9 reference indices"));
            }
        }
    }
    if flags & 0x02 != 0 {
        skip_structure(&mut cursor)?;
    }
    cursor.take(1)?;
    info.key_frame = !predicted && info.spatial == 0;
    Ok(info)
}

fn skip_structure(cursor: &mut Cursor<'_>) -> Result<(), PayloadError> {
    let header = cursor.byte()?;
    if header & 0x10 != 0 {
        cursor.take(4 * (usize::from(header >> 5) + 1))?;
    }
    if header & 0x08 != 0 {
        for _ in 0..cursor.byte()? {
            let references = cursor.byte()? >> 2 & 0x03;
            cursor.take(usize::from(references))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_picture_with_scalability_structure_is_read() {
        // I=1 L=1 B=1 V=1, 15-bit id, TID 0 SID 0, TL0, SS with 2 layers, resolutions and a group of 2.
        let mut payload = vec![0xaa, 0x81, 0x02, 0x00, 0x07, 0b0011_1000];
        payload.extend([0; 8]);
        payload.extend([2, 0b0000_0100, 1, 0b0010_1000, 1, 2, 0xaa]);
        let info = info(&payload).unwrap();
        assert!(info.key_frame && info.frame_start && !info.frame_end);
        assert_eq!(info.picture_id, Some((0x0102, 15)));
        payload.truncate(payload.len() - 1);
        assert!(super::info(&payload).is_err());
    }

    #[test]
    fn layers_and_switching_points_are_read() {
        let info = info(&[0b1110_0101, 0x05, 0b0101_0101, 9, 0xaa]).unwrap();
        assert_eq!((info.temporal, info.spatial, info.temporal_switch), (2, 2, true));
        assert!(!info.key_frame && info.frame_end && info.not_referenced_above);
        assert_eq!(info.picture_id, Some((5, 7)));
    }

    #[test]
    fn the_upper_layer_of_a_key_picture_is_no_place_to_start() {
        assert!(!info(&[0b0010_1000, 0b0000_0011, 0, 0xaa]).unwrap().key_frame);
    }

    #[test]
    fn flexible_references_are_skipped_and_limited() {
        assert!(info(&[0b0101_1000, 3, 5, 2, 0xaa]).is_ok());
        assert!(info(&[0b0101_1000, 3, 5, 3, 2, 0xaa]).is_err());
    }
}
