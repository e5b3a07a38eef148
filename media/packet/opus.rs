//! Audio payloads without redundancy: every packet stands alone (RFC 7587 §4.2; RFC 3551 §4.5.14 for G.711).

use super::PayloadInfo;
use super::payload::PayloadError;

/// What every audio packet is: a whole frame that can be decoded from here.
pub(super) const AUDIO: PayloadInfo = PayloadInfo {
    key_frame: true,
    frame_start: true,
    frame_end: true,
    spatial: 0,
    temporal: 0,
    temporal_switch: false,
    not_referenced_above: false,
    picture_id: None,
    tl0_picture_index: None,
    key_index: None,
};

/// Reads an audio payload; only an empty one is refused.
pub const fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Truncated { length: 0, needed: 1 });
    }
    Ok(AUDIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_audio_packet_is_a_whole_frame() {
        assert_eq!(info(&[0xf8]), Ok(AUDIO));
        assert!(info(&[]).is_err());
    }
}
