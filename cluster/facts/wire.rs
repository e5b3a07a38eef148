//! Reads a chitchat message before chitchat does and refuses what it must not see. Pure.
//!
//! chitchat takes whatever it can parse: a delta about this very node overwrites its own state, versions out of order
//! fail its assertions, and nothing bounds a message but its datagram (cluster.md §2.3). The format is that of
//! chitchat 0.11, which is pinned.

use crate::limits::{FACT_BYTES_MAX, FACT_DELTA_BYTES_MAX, FACT_KEY_BYTES_MAX, FACT_NODES_MAX, FACT_OPERATIONS_MAX};
use crate::member::MemberId;

const MAGIC: u16 = 45_139;
const VERSION: u8 = 0;
const SYN: u8 = 0;
const SYN_ACK: u8 = 1;
const ACK: u8 = 2;
const BAD_CLUSTER: u8 = 3;
const BLOCK_END: u8 = 0;
const BLOCK_COMPRESSED: u8 = 1;
const BLOCK_PLAIN: u8 = 2;
const OPERATION_NODE: u8 = 0;
const OPERATION_KEY: u8 = 1;
const OPERATION_MAX_VERSION: u8 = 2;
/// Longest id of a node or cluster in a message, bytes; ours are far shorter.
const ID_BYTES_MAX: usize = 256;
/// Heartbeat, garbage-collected version, version.
const NODE_DIGEST_BYTES: usize = 3 * 8;
const STATUS_MAX: u8 = 2;

/// Why a message is not given to chitchat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireRefusal {
    /// It is no message of chitchat 0.11, or one that would fail its assertions.
    #[error("not a chitchat message")]
    Malformed,
    /// It claims to know better what this node says of itself.
    #[error("tells this node about itself")]
    OwnState,
    /// More nodes, keys or bytes than the limits allow.
    #[error("exceeds a limit")]
    TooLarge,
}

impl WireRefusal {
    /// The metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "facts_malformed",
            Self::OwnState => "facts_own_state",
            Self::TooLarge => "facts_too_large",
        }
    }
}

/// Judges a whole message that came for `me`.
///
/// # Errors
/// [`WireRefusal`] when it must not reach chitchat.
pub fn check(message: &[u8], me: &MemberId) -> Result<(), WireRefusal> {
    let mut reader = Reader(message);
    if reader.u16()? != MAGIC || reader.u8()? != VERSION {
        return Err(WireRefusal::Malformed);
    }
    match reader.u8()? {
        SYN => {
            digest(&mut reader)?;
            reader.text(ID_BYTES_MAX)?;
            Ok(())
        }
        SYN_ACK => {
            digest(&mut reader)?;
            delta(&mut reader, me)
        }
        ACK => delta(&mut reader, me),
        BAD_CLUSTER => Ok(()),
        _ => Err(WireRefusal::Malformed),
    }
}

fn digest(reader: &mut Reader<'_>) -> Result<(), WireRefusal> {
    let nodes = usize::from(reader.u16()?);
    if nodes > FACT_NODES_MAX {
        return Err(WireRefusal::TooLarge);
    }
    for _ in 0..nodes {
        reader.node()?;
        reader.take(NODE_DIGEST_BYTES)?;
    }
    Ok(())
}

fn delta(reader: &mut Reader<'_>, me: &MemberId) -> Result<(), WireRefusal> {
    let mut plain = Vec::new();
    loop {
        match reader.u8()? {
            BLOCK_END => break,
            BLOCK_COMPRESSED => {
                let length = usize::from(reader.u16()?);
                let block = zstd::bulk::decompress(reader.take(length)?, usize::from(u16::MAX));
                plain.extend_from_slice(&block.map_err(|_| WireRefusal::Malformed)?);
            }
            BLOCK_PLAIN => {
                let length = usize::from(reader.u16()?);
                plain.extend_from_slice(reader.take(length)?);
            }
            _ => return Err(WireRefusal::Malformed),
        }
        if plain.len() > FACT_DELTA_BYTES_MAX {
            return Err(WireRefusal::TooLarge);
        }
    }
    operations(&mut Reader(&plain), me)
}

fn operations(reader: &mut Reader<'_>, me: &MemberId) -> Result<(), WireRefusal> {
    let (mut nodes, mut operations) = (0, 0);
    // The highest version told of the node at hand.
    let mut version: Option<u64> = None;
    while !reader.0.is_empty() {
        match reader.u8()? {
            OPERATION_NODE => {
                let (node_id, generation) = reader.node()?;
                if node_id == me.node_id.as_str() && generation == me.boot_id.number() {
                    return Err(WireRefusal::OwnState);
                }
                reader.take(2 * 8)?;
                nodes += 1;
                version = Some(0);
            }
            OPERATION_KEY => {
                reader.text(FACT_KEY_BYTES_MAX)?;
                reader.text(FACT_BYTES_MAX)?;
                let told = reader.u64()?;
                if reader.u8()? > STATUS_MAX || version.is_none_or(|highest| told <= highest) {
                    return Err(WireRefusal::Malformed);
                }
                version = Some(told);
            }
            OPERATION_MAX_VERSION => {
                let told = reader.u64()?;
                if version.is_none_or(|highest| told < highest) {
                    return Err(WireRefusal::Malformed);
                }
                version = Some(told);
            }
            _ => return Err(WireRefusal::Malformed),
        }
        operations += 1;
        if nodes > FACT_NODES_MAX || operations > FACT_OPERATIONS_MAX {
            return Err(WireRefusal::TooLarge);
        }
    }
    Ok(())
}

/// What is left of a message; every read is bounded by it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireRefusal> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireRefusal::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireRefusal> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| WireRefusal::Malformed)
    }

    fn u8(&mut self) -> Result<u8, WireRefusal> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, WireRefusal> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireRefusal> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, bytes_max: usize) -> Result<&'a str, WireRefusal> {
        let length = usize::from(self.u16()?);
        if length > bytes_max {
            return Err(WireRefusal::TooLarge);
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| WireRefusal::Malformed)
    }

    /// A node's id and generation; its address is skipped.
    fn node(&mut self) -> Result<(&'a str, u64), WireRefusal> {
        let node_id = self.text(ID_BYTES_MAX)?;
        let generation = self.u64()?;
        let address_bytes = match self.u8()? {
            4 => 4,
            6 => 16,
            _ => return Err(WireRefusal::Malformed),
        };
        self.take(address_bytes)?;
        self.u16()?;
        Ok((node_id, generation))
    }
}
