//! Bytes of RTP, RTCP and payload formats, read and written without state (but the dependency descriptor's template structure).

pub mod av1;
pub mod dependency;
pub mod fuzz;
pub mod h264;
pub mod h265;
pub mod opus;
pub mod payload;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod sequence;
pub mod vp8;
pub mod vp9;

pub use payload::PayloadError;

use crate::codec::Codec;

/// What forwarding must know of one payload; read once, at ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadInfo {
    /// The packet belongs to the first frame of a sequence that can be decoded from here (for audio: always true).
    pub key_frame: bool,
    /// First packet of a frame.
    pub frame_start: bool,
    /// Last packet of a frame of this spatial layer.
    pub frame_end: bool,
    /// Spatial layer inside the stream (SVC), 0 otherwise.
    pub spatial: u8,
    /// Temporal layer, 0 where unknown.
    pub temporal: u8,
    /// A receiver of lower temporal layers may switch up to this layer here (VP8 Y, VP9 U, DD switch indication).
    pub temporal_switch: bool,
    /// No later frame of this picture's higher spatial layers needs this frame (VP9 Z bit, or unknown = false).
    pub not_referenced_above: bool,
    /// VP8/VP9 picture id and its width in bits (7 or 15).
    pub picture_id: Option<(u16, u8)>,
    /// VP8 TL0PICIDX.
    pub tl0_picture_index: Option<u8>,
    /// VP8 KEYIDX.
    pub key_index: Option<u8>,
}

/// Header extensions that are handed on to subscribers, under their own ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForwardedExtension {
    /// RFC 6464 audio level.
    AudioLevel,
    /// AV1 dependency descriptor.
    DependencyDescriptor,
    /// 3GPP coordination of video orientation.
    VideoOrientation,
    /// Absolute capture time.
    AbsCaptureTime,
    /// Playout delay.
    PlayoutDelay,
}

/// One media packet of one source layer, after RTX has been undone.
#[derive(Clone, Copy, Debug)]
pub struct SourcePacket<'a> {
    /// Extended sequence number of the source stream (starts at 65536 or above, so that a late packet has a number too).
    pub sequence: u64,
    /// RTP timestamp of the source.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// What it carries.
    pub codec: Codec,
    /// What was read from the payload.
    pub info: PayloadInfo,
    /// Payload, padding removed.
    pub payload: &'a [u8],
    /// Extensions to hand on: `kind, length, bytes` runs; see [`SourcePacket::extensions`].
    pub extension_bytes: &'a [u8],
}

impl<'a> SourcePacket<'a> {
    /// Iterates over the extensions to hand on.
    pub fn extensions(&self) -> impl Iterator<Item = (ForwardedExtension, &'a [u8])> + use<'a> {
        let mut rest = self.extension_bytes;
        std::iter::from_fn(move || {
            let (&kind, tail) = rest.split_first()?;
            let (&length, tail) = tail.split_first()?;
            let (value, tail) = tail.split_at_checked(usize::from(length))?;
            rest = tail;
            Some((ForwardedExtension::from_code(kind)?, value))
        })
    }
}

impl ForwardedExtension {
    /// The code under which [`SourcePacket::extension_bytes`] stores it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Inverse of [`ForwardedExtension::code`].
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::AudioLevel,
            1 => Self::DependencyDescriptor,
            2 => Self::VideoOrientation,
            3 => Self::AbsCaptureTime,
            4 => Self::PlayoutDelay,
            _ => return None,
        })
    }
}

/// Seals outgoing RTP in place. Implemented by the transport; a fake serves in tests.
pub trait RtpSeal {
    /// Bytes that sealing appends.
    fn overhead(&self) -> usize;

    /// Seals `packet` = header, payload, then [`RtpSeal::overhead`] spare bytes. `header_length` covers CSRCs and
    /// extensions; `index` is the 48-bit packet index ROC·2¹⁶ + SEQ of the packet's SSRC (RFC 3711 §3.3.1). The caller
    /// must never pass the same (SSRC, index) with other bytes.
    fn seal(&self, packet: &mut [u8], header_length: usize, index: u64);
}
