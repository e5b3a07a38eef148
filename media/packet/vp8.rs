//! The VP8 payload descriptor (RFC 7741 §4.2): read, and rewritten in place.

use super::PayloadInfo;
use super::payload::{Cursor, PayloadError};

/// The descriptor and where its rewritable fields lie.
struct Descriptor {
    info: PayloadInfo,
    picture_id_at: Option<usize>,
    tl0_at: Option<usize>,
}

fn read(payload: &[u8]) -> Result<Descriptor, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.byte()?;
    let mut descriptor = Descriptor { info: PayloadInfo::default(), picture_id_at: None, tl0_at: None };
    let info = &mut descriptor.info;
    if first & 0x80 != 0 {
        let flags = cursor.byte()?;
        if flags & 0x80 != 0 {
            descriptor.picture_id_at = Some(cursor.position());
            let high = cursor.byte()?;
            info.picture_id = Some(if high & 0x80 == 0 {
                (u16::from(high), 7)
            } else {
                (u16::from_be_bytes([high & 0x7f, cursor.byte()?]), 15)
            });
        }
        if flags & 0x40 != 0 {
            descriptor.tl0_at = Some(cursor.position());
            info.tl0_picture_index = Some(cursor.byte()?);
        }
        if flags & 0x30 != 0 {
            let byte = cursor.byte()?;
            if flags & 0x20 != 0 {
                info.temporal = byte >> 6;
                info.temporal_switch = byte & 0x20 != 0;
            }
            if flags & 0x10 != 0 {
                info.key_index = Some(byte & 0x1f);
            }
        }
    }
    info.frame_start = first & 0x10 != 0 && first & 0x07 == 0;
    // The first byte of the VP8 payload header carries the inverse key-frame flag (RFC 7741 §4.3).
    let header = cursor.byte()?;
    info.key_frame = info.frame_start && header & 1 == 0;
    Ok(descriptor)
}

/// Reads the descriptor; `key_frame` is known on the first packet of a frame only, `frame_end` is the RTP marker.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    read(payload).map(|descriptor| descriptor.info)
}

/// Writes a picture id and TL0PICIDX over the ones that are present, keeping each field's width.
pub fn rewrite(payload: &mut [u8], picture_id: Option<u16>, tl0: Option<u8>) -> Result<(), PayloadError> {
    let descriptor = read(payload)?;
    if let (Some(id), Some(at), Some((_, width))) = (picture_id, descriptor.picture_id_at, descriptor.info.picture_id) {
        let [high, low] = id.to_be_bytes();
        let bytes: &[u8] = if width == 7 { &[low & 0x7f] } else { &[high | 0x80, low] };
        if let Some(field) = payload.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
    if let (Some(tl0), Some(at)) = (tl0, descriptor.tl0_at)
        && let Some(field) = payload.get_mut(at)
    {
        *field = tl0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_descriptor_of_a_key_frame_is_read() {
        let payload = [0x90, 0xf0, 0x92, 0x34, 0x56, 0b1010_0111, 0x10, 0];
        let info = info(&payload).unwrap();
        assert!(info.key_frame && info.frame_start && info.temporal_switch);
        assert_eq!((info.picture_id, info.tl0_picture_index), (Some((0x1234, 15)), Some(0x56)));
        assert_eq!((info.temporal, info.key_index), (2, Some(7)));
    }

    #[test]
    fn later_packets_and_delta_frames_are_no_key_frames() {
        assert!(!info(&[0x10, 0x01]).unwrap().key_frame);
        let inside = info(&[0x00, 0x00]).unwrap();
        assert!(!inside.key_frame && !inside.frame_start);
        assert!(!info(&[0x11, 0x00]).unwrap().frame_start);
    }

    #[test]
    fn rewriting_keeps_the_width_of_the_picture_id() {
        let mut short = [0x90, 0xc0, 0x05, 0x06, 0x00];
        rewrite(&mut short, Some(0x1ff), Some(9)).unwrap();
        assert_eq!(short, [0x90, 0xc0, 0x7f, 9, 0x00]);
        let mut long = [0x90, 0x80, 0x80, 0x06, 0x00];
        rewrite(&mut long, Some(0x7fff), Some(9)).unwrap();
        assert_eq!(long, [0x90, 0x80, 0xff, 0xff, 0x00]);
    }

    #[test]
    fn a_descriptor_without_payload_is_refused() {
        assert_eq!(info(&[0x90, 0x80, 0x80]), Err(PayloadError::Truncated { length: 3, needed: 4 }));
        assert!(info(&[0x10]).is_err());
    }

    proptest! {
        #[test]
        fn a_rewritten_descriptor_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..12), id in 0u16..0x8000, tl0: u8) {
            let mut copy = bytes.clone();
            if rewrite(&mut copy, Some(id), Some(tl0)).is_ok() {
                let (before, after) = (info(&bytes).unwrap(), info(&copy).unwrap());
                prop_assert_eq!(after.tl0_picture_index, before.tl0_picture_index.map(|_| tl0));
                prop_assert_eq!(after.picture_id, before.picture_id.map(|(_, width)| (if width == 7 { id & 0x7f } else { id }, width)));
                prop_assert_eq!(after.key_frame, before.key_frame);
            }
        }
    }
}
