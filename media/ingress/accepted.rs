//! What ingress hands on of a packet.

use crate::codec::Codec;
use crate::id::TrackKey;
use crate::packet::{ForwardedExtension, PayloadInfo, SourcePacket};
use std::ops::{Deref, Range};

/// Bytes of forwarded header extensions: a dependency descriptor with the structure of nine layers is about 130 bytes.
pub const EXTENSION_BYTES_MAX: usize = 192;

/// A speaker's level (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// dBov below full scale: 0 loudest, 127 silence.
    pub level: u8,
    /// The sender hears voice.
    pub voice: bool,
}

/// Forwarded header extensions in the format of [`SourcePacket::extension_bytes`], held in place.
#[derive(Clone, Copy)]
pub struct ExtensionBytes {
    bytes: [u8; EXTENSION_BYTES_MAX],
    length: u8,
}

impl Default for ExtensionBytes {
    fn default() -> Self {
        Self { bytes: [0; EXTENSION_BYTES_MAX], length: 0 }
    }
}

impl std::fmt::Debug for ExtensionBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExtensionBytes").field(&&**self).finish()
    }
}

impl Deref for ExtensionBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl ExtensionBytes {
    /// Appends one extension; one that does not fit is left out.
    pub fn push(&mut self, kind: ForwardedExtension, value: &[u8]) {
        let start = usize::from(self.length);
        let end = start + 2 + value.len();
        if let (Ok(length), Ok(total)) = (u8::try_from(value.len()), u8::try_from(end))
            && let Some([code, size, rest @ ..]) = self.bytes.get_mut(start..end)
        {
            *code = kind.code();
            *size = length;
            rest.copy_from_slice(value);
            self.length = total;
        }
    }
}

/// One packet to hand on, or a sequence number to close up.
///
/// A padding-only packet of the publisher gives an `Accepted` with an empty payload: it took a sequence number and
/// carries nothing, so whoever renumbers packets closes the gap ([`Accepted::is_gap`]).
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Stable small index of the stream among this peer's streams; reused when a client publishes the layer anew.
    pub stream: usize,
    /// Its track.
    pub track: TrackKey,
    /// Simulcast layer, 0 lowest.
    pub layer: u8,
    /// First packet of the stream: a new layer, or a layer published anew under another SSRC.
    pub first: bool,
    /// The sequence numbers jumped too far to have been lost packets; nothing in between will come.
    pub restarted: bool,
    /// Extended sequence number; grows for the life of the stream.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// What it carries.
    pub codec: Codec,
    /// What was read from the payload; default for a gap.
    pub info: PayloadInfo,
    /// Where the payload lies in the packet, without padding and without RTX's original sequence number.
    pub payload: Range<usize>,
    /// Audio level, where sent.
    pub audio: Option<AudioLevel>,
    /// Header extensions to hand on.
    pub extension_bytes: ExtensionBytes,
    /// SSRC of the stream (not of its retransmissions).
    pub ssrc: u32,
    /// It came as a retransmission.
    pub recovered: bool,
}

impl Accepted {
    /// Whether this only tells that a sequence number was used for padding.
    #[must_use]
    pub const fn is_gap(&self) -> bool {
        self.payload.start >= self.payload.end
    }

    /// Returns the packet as forwarding sees it; `packet` is what was given to ingress.
    #[must_use]
    pub fn source<'a>(&'a self, packet: &'a [u8]) -> SourcePacket<'a> {
        SourcePacket {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            codec: self.codec,
            info: self.info,
            payload: packet.get(self.payload.clone()).unwrap_or_default(),
            extension_bytes: &self.extension_bytes,
        }
    }
}
