//! One entry for all payload formats: codec and bytes in, [`PayloadInfo`] out.

use super::{PayloadInfo, av1, h264, h265, opus, red, vp8, vp9};
use crate::codec::Codec;

/// Why a payload is not of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It ends inside its own header.
    #[error("payload of {length} bytes, its header needs {needed}")]
    Truncated {
        /// Bytes present.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// A value that the format does not allow.
    #[error("payload with {0}")]
    Malformed(&'static str),
}

/// Reads what forwarding must know of one payload of `codec`.
///
/// `frame_end` stays false for formats that tell it by the RTP marker bit alone; the caller knows the marker.
pub fn info(codec: Codec, payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => opus::info(payload),
        Codec::Red => red::info(payload),
        Codec::Vp8 => vp8::info(payload),
        Codec::Vp9 => vp9::info(payload),
        Codec::H264 => h264::info(payload),
        Codec::H265 => h265::info(payload),
        Codec::Av1 => av1::info(payload),
    }
}

/// Reads bytes from the front and remembers how far it came.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) fn byte(&mut self) -> Result<u8, PayloadError> {
        let byte = self.bytes.get(self.position).copied().ok_or_else(|| self.truncated(1))?;
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], PayloadError> {
        let slice = self.rest().get(..count).ok_or_else(|| self.truncated(count))?;
        self.position += count;
        Ok(slice)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    const fn truncated(&self, more: usize) -> PayloadError {
        PayloadError::Truncated { length: self.bytes.len(), needed: self.position.saturating_add(more) }
    }
}
