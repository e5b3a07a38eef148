//! Looks through a datagram before foca does, so that everything wrong with it has a name and nothing half-applies.

use super::identity::SwimIdentity;
use crate::limits::{SWIM_MEMBERS_MAX, SWIM_PAYLOAD_BYTES_MAX};
use bytes::Buf as _;
use foca::{Codec as _, PostcardCodec};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A datagram was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// Larger than any that we send.
    #[error("datagram of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not in foca's words.
    #[error("datagram is not in foca's words: {0}")]
    Unreadable(String),
    /// It says that it comes from this node's own address: a wrong `--advertise` on one of the two.
    #[error("another node says that it is at our address, as {0}")]
    OurAddress(String),
    /// It names a member where nobody can be: no address, no port, or many at once.
    #[error("no member can be at {0}")]
    NoAddress(SocketAddr),
    /// It would add a member beyond the limit.
    #[error("more than {SWIM_MEMBERS_MAX} members")]
    TooManyMembers,
    /// foca refused it.
    #[error("foca refused the datagram: {0}")]
    Refused(String),
}

impl DatagramError {
    /// The error's kind, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Unreadable(_) => "unreadable",
            Self::OurAddress(_) => "our_address",
            Self::NoAddress(_) => "no_address",
            Self::TooManyMembers => "too_many_members",
            Self::Refused(_) => "refused",
        }
    }
}

/// Reads a whole datagram and holds it against the limits.
pub(super) fn inspect<'a>(
    mut payload: &[u8],
    own: &SwimIdentity,
    table: impl ExactSizeIterator<Item = &'a foca::Member<SwimIdentity>>,
) -> Result<(), DatagramError> {
    if payload.len() > SWIM_PAYLOAD_BYTES_MAX {
        return Err(DatagramError::TooLarge { bytes: payload.len(), limit: SWIM_PAYLOAD_BYTES_MAX });
    }
    let unreadable =
        |error: <PostcardCodec as foca::Codec<SwimIdentity>>::Error| DatagramError::Unreadable(error.to_string());
    let header = PostcardCodec.decode_header(&mut payload).map_err(unreadable)?;
    let source: SwimIdentity = header.src;
    if source.address == own.address {
        return Err(DatagramError::OurAddress(source.member().to_string()));
    }
    let mut named = vec![source.address];
    if payload.remaining() >= 2 {
        let members = payload.get_u16();
        for _ in 0..members {
            let member: foca::Member<SwimIdentity> = PostcardCodec.decode_member(&mut payload).map_err(unreadable)?;
            named.push(member.id().address);
        }
    }
    if payload.has_remaining() {
        return Err(DatagramError::Unreadable(format!("{} bytes too many", payload.remaining())));
    }
    if let Some(address) = named.iter().find(|address| !can_be_reached(address)) {
        return Err(DatagramError::NoAddress(*address));
    }
    // The cheap test first: a table far from its limit needs no count.
    if table.len() + named.len() > SWIM_MEMBERS_MAX {
        let known: BTreeSet<_> = table.map(|member| member.id().address).collect();
        let added = named.iter().filter(|address| !known.contains(address)).collect::<BTreeSet<_>>().len();
        if added > 0 && known.len() + added > SWIM_MEMBERS_MAX {
            return Err(DatagramError::TooManyMembers);
        }
    }
    Ok(())
}

fn can_be_reached(address: &SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}
