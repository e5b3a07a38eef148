//! STUN messages of ICE, read without allocation and written whole (RFC 8489, RFC 8445 §16). Decides nothing.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::{constant_time, hmac};

use super::limits;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
const INTEGRITY_BYTES: usize = 20;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;
/// draft-thatcher-ice-renomination, as libwebrtc numbers it.
const NOMINATION: u16 = 0xc001;

/// XOR of the FINGERPRINT attribute (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// The types of a Binding message, the only method that ICE uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageType {
    Request,
    Indication,
    Success,
    Error,
}

impl MessageType {
    const fn code(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Indication => 0x0011,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }

    fn from_code(code: u16) -> Option<Self> {
        [Self::Request, Self::Indication, Self::Success, Self::Error].into_iter().find(|kind| kind.code() == code)
    }
}

/// A message whose FINGERPRINT is right; its attributes count only after [`Message::is_authentic`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// Offset of MESSAGE-INTEGRITY, where the authenticated part ends.
    integrity: Option<usize>,
    pub(super) kind: MessageType,
    pub(super) transaction: [u8; 12],
    pub(super) username: Option<&'a [u8]>,
    pub(super) use_candidate: bool,
    pub(super) controlling: Option<u64>,
    pub(super) controlled: Option<u64>,
    /// PRIORITY and NOMINATION of a request: read by tests, a server does not choose by them.
    #[cfg(test)]
    pub(super) priority: Option<u32>,
    #[cfg(test)]
    pub(super) nomination: Option<u32>,
    pub(super) error_code: Option<u16>,
}

/// Yields `(offset, type, value)` of each attribute; ends at the first malformed one.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (usize, u16, &[u8])> {
    let mut offset = HEADER;
    std::iter::from_fn(move || {
        let head = bytes.get(offset..offset + 4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = bytes.get(offset + 4..offset + 4 + length)?;
        let at = offset;
        offset += 4 + length.next_multiple_of(4);
        Some((at, kind, value))
    })
}

/// Says whether a datagram has the header of STUN.
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == COOKIE
}

/// Reads the part of USERNAME before the colon, for routing only: nothing is authenticated.
pub(super) fn local_ufrag(datagram: &[u8]) -> Option<&[u8]> {
    if !is_stun(datagram) || datagram.len() > limits::MAX_STUN_BYTES {
        return None;
    }
    let (_, _, name) = attributes(datagram).find(|(_, kind, _)| *kind == USERNAME)?;
    name.split(|byte| *byte == b':').next()
}

impl<'a> Message<'a> {
    /// Reads a message; `None` unless it is well-formed and ends with a right FINGERPRINT, which ICE requires.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !is_stun(bytes) || bytes.len() > limits::MAX_STUN_BYTES || !bytes.len().is_multiple_of(4) {
            return None;
        }
        if usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) != bytes.len() - HEADER {
            return None;
        }
        let mut message = Message {
            bytes,
            integrity: None,
            kind: MessageType::from_code(u16::from_be_bytes([bytes[0], bytes[1]]))?,
            transaction: bytes[8..HEADER].try_into().ok()?,
            username: None,
            use_candidate: false,
            controlling: None,
            controlled: None,
            #[cfg(test)]
            priority: None,
            #[cfg(test)]
            nomination: None,
            error_code: None,
        };
        for (offset, kind, value) in attributes(bytes) {
            if kind == FINGERPRINT {
                let right = (crc32(&bytes[..offset]) ^ FINGERPRINT_XOR).to_be_bytes();
                return (value == right && offset + 8 == bytes.len()).then_some(message);
            }
            // What follows MESSAGE-INTEGRITY is not authenticated and must not count.
            if message.integrity.is_none() {
                message.read(offset, kind, value)?;
            }
        }
        None
    }

    fn read(&mut self, offset: usize, kind: u16, value: &'a [u8]) -> Option<()> {
        match kind {
            USERNAME => self.username = Some(value),
            USE_CANDIDATE => self.use_candidate = true,
            ICE_CONTROLLING => self.controlling = Some(u64::from_be_bytes(value.try_into().ok()?)),
            ICE_CONTROLLED => self.controlled = Some(u64::from_be_bytes(value.try_into().ok()?)),
            #[cfg(test)]
            PRIORITY => self.priority = Some(u32::from_be_bytes(value.try_into().ok()?)),
            #[cfg(test)]
            NOMINATION => self.nomination = Some(u32::from_be_bytes(value.try_into().ok()?)),
            ERROR_CODE => {
                let (class, number) = (*value.get(2)?, *value.get(3)?);
                self.error_code = Some(u16::from(class & 7) * 100 + u16::from(number));
            }
            MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => self.integrity = Some(offset),
            MESSAGE_INTEGRITY => return None,
            _ => {}
        }
        Some(())
    }

    /// Checks MESSAGE-INTEGRITY with a short-term password.
    pub(super) fn is_authentic(&self, password: &str) -> bool {
        let Some(offset) = self.integrity else { return false };
        let tag = integrity(&self.bytes[..offset], password);
        let value = &self.bytes[offset + 4..offset + 4 + INTEGRITY_BYTES];
        constant_time::verify_slices_are_equal(tag.as_ref(), value).is_ok()
    }
}

/// HMAC-SHA1 over `message` as if MESSAGE-INTEGRITY were its last attribute (RFC 8489 §14.5).
fn integrity(message: &[u8], password: &str) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let length = (message.len() - HEADER + 4 + INTEGRITY_BYTES) as u16;
    let mut context = hmac::Context::with_key(&key);
    context.update(&message[..2]);
    context.update(&length.to_be_bytes());
    context.update(&message[4..]);
    context.sign()
}

/// Writes one message.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: MessageType, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.code().to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&transaction);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let length = (self.0.len() - HEADER) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    pub(super) fn username(self, name: &str) -> Self {
        self.attribute(USERNAME, name.as_bytes())
    }

    pub(super) fn priority(self, priority: u32) -> Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE, and NOMINATION for a side that understands renomination.
    pub(super) fn nominate(self, nomination: u32) -> Self {
        self.attribute(USE_CANDIDATE, &[]).attribute(NOMINATION, &nomination.to_be_bytes())
    }

    pub(super) fn controlling(self, tie_breaker: u64) -> Self {
        self.attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    pub(super) fn controlled(self, tie_breaker: u64) -> Self {
        self.attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// ERROR-CODE 487, role conflict (RFC 8445 §7.3.1.1).
    pub(super) fn role_conflict(self) -> Self {
        self.attribute(ERROR_CODE, b"\x00\x00\x04\x57Role Conflict")
    }

    pub(super) fn xor_mapped_address(self, address: SocketAddr) -> Self {
        let port = address.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        let mut value = vec![0, 1];
        value.extend_from_slice(&port.to_be_bytes());
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask)),
            IpAddr::V6(ip) => {
                value[1] = 2;
                let mask = COOKIE.iter().chain(&self.0[8..HEADER]);
                value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
        }
        self.attribute(XOR_MAPPED_ADDRESS, &value)
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT.
    pub(super) fn finish(self, password: &str) -> Vec<u8> {
        let tag = integrity(&self.0, password);
        let mut signed = self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        let length = (signed.0.len() - HEADER + 8) as u16;
        signed.0[2..4].copy_from_slice(&length.to_be_bytes());
        let sum = crc32(&signed.0) ^ FINGERPRINT_XOR;
        signed.attribute(FINGERPRINT, &sum.to_be_bytes()).0
    }
}

/// CRC-32 of ISO 3309 (RFC 8489 §14.7).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum: u32, byte| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8))
}
