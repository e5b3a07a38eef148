//! The plain part of a sealed datagram: who sent which one, of what kind, under which key.

use crate::member::MemberId;
use aws_lc_rs::aead::{NONCE_LEN, Nonce};
use aws_lc_rs::digest;

/// Version of the format; others are refused.
pub(super) const VERSION: u8 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 27;
/// Bytes of the tag.
pub(super) const TAG_BYTES: usize = 16;
/// What sealing adds to a payload, bytes.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Who reads a datagram's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Life: [`crate::membership`].
    Foca,
    /// Facts.
    Chitchat,
}

impl Kind {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Foca => b'F',
            Self::Chitchat => b'C',
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'F' => Some(Self::Foca),
            b'C' => Some(Self::Chitchat),
            _ => None,
        }
    }
}

/// A life of a node as datagrams name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderId {
    /// The first 8 bytes of the node id's SHA-256.
    pub node: u64,
    /// The boot id.
    pub boot: u64,
}

impl SenderId {
    /// How this life of a node is named in datagrams.
    #[must_use]
    pub fn of(member: &MemberId) -> Self {
        let hash = digest::digest(&digest::SHA256, member.node_id.as_str().as_bytes());
        let mut node = [0; 8];
        node.copy_from_slice(&hash.as_ref()[..8]);
        Self { node: u64::from_be_bytes(node), boot: member.boot_id.number() }
    }
}

impl std::fmt::Display for SenderId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}@{}", self.node, self.boot)
    }
}

/// The header's fields, of version [`VERSION`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) key_id: u8,
    pub(super) sender: SenderId,
    pub(super) counter: u64,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Version(u8),
    Kind(u8),
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind.to_byte();
        bytes[2] = self.key_id;
        bytes[3..11].copy_from_slice(&self.sender.node.to_be_bytes());
        bytes[11..19].copy_from_slice(&self.sender.boot.to_be_bytes());
        bytes[19..27].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Result<Self, NoHeader> {
        if bytes[0] != VERSION {
            return Err(NoHeader::Version(bytes[0]));
        }
        let kind = Kind::from_byte(bytes[1]).ok_or(NoHeader::Kind(bytes[1]))?;
        let sender = SenderId { node: number(bytes, 3), boot: number(bytes, 11) };
        Ok(Self { kind, key_id: bytes[2], sender, counter: number(bytes, 19) })
    }

    pub(super) fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.counter.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

fn number(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(eight)
}
