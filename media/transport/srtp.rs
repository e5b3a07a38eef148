//! SRTP and SRTCP: key derivation, sealing and opening in place, and the receive state per source (RFC 3711, RFC 7714,
//! RFC 5764 §4.2). Our own, so that every index can be exported and nothing is kept for packets that prove nothing.

use std::sync::Arc;

use super::error::SrtpError;
use super::limits;
use super::replay::ReplayWindow;
use super::srtp_cipher::{Cipher, Purpose};
use crate::packet::RtpSeal;

/// Length of the RTCP header that stays readable.
const RTCP_HEADER: usize = 8;
/// Shortest RTP header.
const RTP_HEADER: usize = 12;
/// E bit and index at the end of SRTCP.
const RTCP_TRAILER: usize = 4;
/// The E bit: the payload is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// Packet indices are 48 bits wide (RFC 3711 §3.3.1).
pub(super) const INDEX_LIMIT: u64 = 1 << 48;

/// The protection profiles that are negotiated (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// Bytes of master salt.
    const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes that the DTLS exporter must give: two keys, two salts.
    pub(super) const fn keying_material_length(self) -> usize {
        2 * (16 + self.salt_length())
    }

    /// Bytes of authentication tag.
    const fn tag_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
        }
    }
}

/// Keys of one direction.
#[derive(Debug)]
pub(super) struct Keys {
    rtp: Cipher,
    rtcp: Cipher,
    tag: usize,
}

impl Keys {
    fn new(profile: SrtpProfile, key: &[u8; 16], salt: &[u8]) -> Self {
        Self {
            rtp: Cipher::derive(profile, key, salt, Purpose::Rtp),
            rtcp: Cipher::derive(profile, key, salt, Purpose::Rtcp),
            tag: profile.tag_length(),
        }
    }

    /// Splits exporter output into the client's and the server's keys (RFC 5764 §4.2).
    pub(super) fn from_keying_material(profile: SrtpProfile, material: &[u8]) -> Option<(Self, Self)> {
        if material.len() != profile.keying_material_length() {
            return None;
        }
        let (client_key, rest) = material.split_first_chunk::<16>()?;
        let (server_key, rest) = rest.split_first_chunk::<16>()?;
        let (client_salt, server_salt) = rest.split_at(profile.salt_length());
        Some((Self::new(profile, client_key, client_salt), Self::new(profile, server_key, server_salt)))
    }
}

/// Seals outgoing RTP; a cheap handle on the keys.
#[derive(Clone, Debug)]
pub struct RtpSealer {
    keys: Arc<Keys>,
}

impl RtpSeal for RtpSealer {
    fn overhead(&self) -> usize {
        self.keys.tag
    }

    fn seal(&self, packet: &mut [u8], header_length: usize, index: u64) {
        let ssrc = ssrc_at(packet, 8).expect("the caller passes a whole RTP header");
        let plain = packet.len().checked_sub(self.keys.tag).expect("the caller leaves room for the tag");
        let (message, tag) = packet.split_at_mut(plain);
        let (header, payload) = message.split_at_mut(header_length);
        self.keys.rtp.seal_rtp(header, payload, tag, ssrc, index);
    }
}

/// What is known of one source that has proved authentic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Source {
    /// Its SSRC.
    pub(super) ssrc: u32,
    /// Accepted packet indices.
    pub(super) window: ReplayWindow,
    /// Value of [`Sources::opened`] when it was last heard.
    last: u64,
}

/// Receive state of all sources, ordered by SSRC; bounded, and grown only by authentic packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sources {
    pub(super) entries: Vec<Source>,
    /// Packets opened so far, over all sources.
    opened: u64,
}

impl Sources {
    fn window(&self, ssrc: u32) -> Option<&ReplayWindow> {
        let at = self.entries.binary_search_by_key(&ssrc, |source| source.ssrc).ok()?;
        Some(&self.entries[at].window)
    }

    /// Says whether a packet of `ssrc` could be kept track of.
    fn has_room(&self, ssrc: u32) -> bool {
        self.entries.len() < limits::MAX_SOURCES || self.window(ssrc).is_some() || self.rested().is_some()
    }

    /// The source that has rested for longest, if long enough to lose its place.
    fn rested(&self) -> Option<usize> {
        let (at, source) = self.entries.iter().enumerate().min_by_key(|(_, source)| source.last)?;
        (self.opened.saturating_sub(source.last) >= limits::SOURCE_REST).then_some(at)
    }

    fn accept(&mut self, ssrc: u32, index: u64) {
        self.opened += 1;
        let last = self.opened;
        match self.entries.binary_search_by_key(&ssrc, |source| source.ssrc) {
            Ok(at) => {
                self.entries[at].last = last;
                self.entries[at].window.accept(index);
            }
            Err(_) => {
                if self.entries.len() >= limits::MAX_SOURCES {
                    let Some(at) = self.rested() else { return };
                    self.entries.remove(at);
                }
                let mut window = ReplayWindow::default();
                window.accept(index);
                let at = self.entries.partition_point(|source| source.ssrc < ssrc);
                self.entries.insert(at, Source { ssrc, window, last });
            }
        }
    }

    /// Says whether an imported table keeps this type's promises.
    pub(super) fn is_sound(&self, limit: u64) -> bool {
        self.entries.len() <= limits::MAX_SOURCES
            && self.entries.is_sorted_by(|one, other| one.ssrc < other.ssrc)
            && self.opened < u64::MAX / 2
            && self.entries.iter().all(|source| source.window.highest().is_some_and(|index| index < limit))
    }
}

/// SRTP of one transport: keys of both directions and all receive state.
#[derive(Debug)]
pub(super) struct Srtp {
    inbound: Keys,
    outbound: Arc<Keys>,
    pub(super) rtp_sources: Sources,
    pub(super) rtcp_sources: Sources,
    /// Index of the next SRTCP packet that we send; one counter serves all our SSRCs.
    pub(super) next_rtcp_index: u32,
}

impl Srtp {
    /// Starts with the keys of a server.
    pub(super) fn new((client, server): (Keys, Keys)) -> Self {
        Self {
            inbound: client,
            outbound: Arc::new(server),
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
            next_rtcp_index: 1,
        }
    }

    pub(super) fn sealer(&self) -> RtpSealer {
        RtpSealer { keys: self.outbound.clone() }
    }

    /// Opens an RTP packet in place and returns its length without the tag.
    pub(super) fn open_rtp(&mut self, packet: &mut [u8], header_length: usize) -> Result<usize, SrtpError> {
        let length = packet.len();
        let plain = length.checked_sub(self.inbound.tag).ok_or(SrtpError::TooShort(length))?;
        if header_length < RTP_HEADER || plain < header_length {
            return Err(SrtpError::TooShort(length));
        }
        let ssrc = ssrc_at(packet, 8).ok_or(SrtpError::TooShort(length))?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        if !self.rtp_sources.has_room(ssrc) {
            return Err(SrtpError::TooManySources);
        }
        let window = self.rtp_sources.window(ssrc);
        let index = estimate_index(window.and_then(ReplayWindow::highest), sequence).ok_or(SrtpError::Replayed)?;
        if window.is_some_and(|window| !window.is_fresh(index)) {
            return Err(SrtpError::Replayed);
        }
        let (header, payload) = packet.split_at_mut(header_length);
        self.inbound.rtp.open_rtp(header, payload, ssrc, index)?;
        self.rtp_sources.accept(ssrc, index);
        Ok(plain)
    }

    /// Opens an RTCP packet in place and returns its length without index and tag.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let length = packet.len();
        let overhead = RTCP_TRAILER + self.inbound.tag;
        let plain =
            length.checked_sub(overhead).filter(|plain| *plain >= RTCP_HEADER).ok_or(SrtpError::TooShort(length))?;
        let ssrc = ssrc_at(packet, 4).ok_or(SrtpError::TooShort(length))?;
        let trailer = self.inbound.rtcp.rtcp_trailer_offset(length);
        let word = ssrc_at(packet, trailer).ok_or(SrtpError::TooShort(length))?;
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        if !self.rtcp_sources.has_room(ssrc) {
            return Err(SrtpError::TooManySources);
        }
        let index = u64::from(word & !ENCRYPTED);
        if self.rtcp_sources.window(ssrc).is_some_and(|window| !window.is_fresh(index)) {
            return Err(SrtpError::Replayed);
        }
        self.inbound.rtcp.open_rtcp(packet, plain, ssrc, word)?;
        self.rtcp_sources.accept(ssrc, index);
        Ok(plain)
    }

    /// Seals a compound RTCP packet under the next index.
    pub(super) fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc =
            ssrc_at(packet, 4).filter(|_| packet.len() >= RTCP_HEADER).ok_or(SrtpError::TooShort(packet.len()))?;
        if self.next_rtcp_index >= ENCRYPTED {
            return Err(SrtpError::IndexUsedUp);
        }
        let word = ENCRYPTED | self.next_rtcp_index;
        self.next_rtcp_index += 1;
        self.outbound.rtcp.seal_rtcp(packet, ssrc, word);
        Ok(())
    }
}

/// Reads 32 bits in network order.
fn ssrc_at(packet: &[u8], offset: usize) -> Option<u32> {
    packet.get(offset..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Guesses the packet index from the highest one so far (RFC 3711 appendix A); `None` before index 0.
fn estimate_index(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else { return Some(u64::from(sequence)) };
    let (rollover, last) = (highest >> 16, i32::from(highest as u16));
    let distance = i32::from(sequence) - last;
    let rollover = match distance {
        i32::MIN..-0x8000 => rollover + 1,
        -0x8000..=0x8000 => rollover,
        _ => rollover.checked_sub(1)?,
    };
    let index = rollover << 16 | u64::from(sequence);
    (index < INDEX_LIMIT).then_some(index)
}

#[cfg(test)]
#[path = "srtp_test.rs"]
mod tests;
