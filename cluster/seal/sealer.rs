//! Seals this node's datagrams, each under the next counter.

use super::GossipKey;
use super::header::{HEADER_BYTES, Header, Kind, OVERHEAD_BYTES, SenderId};
use crate::key::ClusterKeys;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::member::MemberId;
use aws_lc_rs::aead::{Aad, LessSafeKey, Tag};

/// A payload cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// UDP does not carry it.
    #[error("a payload of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The counter has reached its end: this life of the node seals nothing more.
    #[error("this life of the node has sealed all it may")]
    Exhausted,
    /// No randomness for the first counter.
    #[error("no random bytes for the first counter")]
    NoRandomness,
}

/// Seals datagrams of one life of this node. One per process: two would use the same nonces.
pub struct Sealer {
    key: LessSafeKey,
    key_id: u8,
    sender: SenderId,
    next_counter: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sealer")
            .field("sender", &self.sender)
            .field("next_counter", &self.next_counter)
            .finish()
    }
}

impl Sealer {
    /// Seals with the primary key. The first counter is random: should a boot id ever come twice (no data directory,
    /// a clock that was set back), the nonces still differ.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn new(keys: &ClusterKeys, cluster_name: &str, me: &MemberId) -> Result<Self, SealError> {
        let mut random = [0; 4];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| SealError::NoRandomness)?;
        // The upper half, without its top bit: 2^32 datagrams lie between two starts, and 2^63 before the end.
        let first = u64::from(u32::from_be_bytes(random) >> 1) << 32;
        Ok(Self::starting_at(keys, cluster_name, me, first))
    }

    /// Seals with the primary key and this counter first; for simulations.
    #[must_use]
    pub fn starting_at(keys: &ClusterKeys, cluster_name: &str, me: &MemberId, first_counter: u64) -> Self {
        let gossip = GossipKey::new(&keys.primary, cluster_name);
        let sender = SenderId::of(me);
        Self { key: gossip.for_sender(sender), key_id: gossip.id, sender, next_counter: first_counter }
    }

    /// How this node is named in its datagrams.
    #[must_use]
    pub fn sender(&self) -> SenderId {
        self.sender
    }

    /// Writes the sealed datagram over `datagram`, whose memory is used again.
    ///
    /// # Errors
    /// When the payload is too large or the counter exhausted; `datagram` is then empty.
    pub fn seal(&mut self, kind: Kind, payload: &[u8], datagram: &mut Vec<u8>) -> Result<(), SealError> {
        datagram.clear();
        let limit = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES;
        if payload.len() > limit {
            return Err(SealError::TooLarge { bytes: payload.len(), limit });
        }
        let header = Header { kind, key_id: self.key_id, sender: self.sender, counter: self.next_counter };
        self.next_counter = self.next_counter.checked_add(1).ok_or(SealError::Exhausted)?;
        let plain = header.to_bytes();
        datagram.extend_from_slice(&plain);
        datagram.extend_from_slice(payload);
        let tag = self.encrypt(&header, plain, &mut datagram[HEADER_BYTES..]);
        datagram.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn encrypt(&self, header: &Header, plain: [u8; HEADER_BYTES], payload: &mut [u8]) -> Tag {
        let sealed = self.key.seal_in_place_separate_tag(header.nonce(), Aad::from(plain), payload);
        sealed.expect("ChaCha20-Poly1305 seals up to 256 GiB")
    }
}
