//! What a payload becomes for one subscriber: VP8 ids made continuous, redundancy taken off.

/// Primary block of a RED payload (RFC 2198 §3); `None` if it is cut short.
pub(super) fn red_primary(payload: &[u8]) -> Option<&[u8]> {
    let (mut at, mut redundant) = (0, 0);
    while payload.get(at)? & 0x80 != 0 {
        let header = payload.get(at..at + 4)?;
        redundant += (usize::from(header[2] & 0x03) << 8) | usize::from(header[3]);
        at += 4;
    }
    payload.get(at + 1 + redundant..)
}

/// Writes picture id and TL0PICIDX over those that a VP8 descriptor has (RFC 7741 §4.2), each in its width.
pub(super) fn vp8_rewrite(payload: &mut [u8], picture_id: Option<u16>, tl0: Option<u8>) {
    let [first, flags, rest @ ..] = payload else { return };
    if *first & 0x80 == 0 {
        return;
    }
    let mut at = 0;
    if *flags & 0x80 != 0 {
        let wide = rest.first().is_some_and(|byte| byte & 0x80 != 0);
        match (picture_id, &mut rest[..]) {
            (Some(id), [high, low, ..]) if wide => {
                *high = 0x80 | id.to_be_bytes()[0];
                *low = id.to_be_bytes()[1];
            }
            (Some(id), [short, ..]) if !wide => *short = id.to_be_bytes()[1] & 0x7f,
            _ => {}
        }
        at = if wide { 2 } else { 1 };
    }
    if let (true, Some(tl0), Some(byte)) = (*flags & 0x40 != 0, tl0, rest.get_mut(at)) {
        *byte = tl0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::{vp8_ids, vp8_payload};

    #[test]
    fn the_primary_block_follows_all_redundant_ones() {
        let payload = [0x80 | 111, 0x0f, 0x00, 3, 0x80 | 111, 0x07, 0x80, 2, 111, 1, 1, 1, 2, 2, 9, 8, 7];
        assert_eq!(red_primary(&payload), Some(&[9, 8, 7][..]));
        assert_eq!(red_primary(&[111, 5]), Some(&[5][..]));
        for length in 0..9 {
            assert_eq!(red_primary(&payload[..length]), None);
        }
    }

    #[test]
    fn vp8_ids_keep_their_width() {
        let mut payload = vp8_payload(true, 300, 7, 1, false, b"x");
        vp8_rewrite(&mut payload, Some(0x1234), Some(200));
        assert_eq!(vp8_ids(&payload), (0x1234, 200));
        let mut short = [0x90, 0x80, 5, 0xaa];
        vp8_rewrite(&mut short, Some(0x1ff), Some(3));
        assert_eq!(short, [0x90, 0x80, 0x7f, 0xaa]);
        for length in 0..payload.len() {
            vp8_rewrite(&mut payload.clone()[..length], Some(1), Some(1));
        }
    }
}
