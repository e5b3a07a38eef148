//! What foca calls an identity: a life of a node at an address, and how often that life came back from the dead.

use crate::member::{BootId, MemberId, NodeId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The renewal that is no renewal: the mark under which a node leaves, so that others tell it from a death.
const LEAVING: u32 = u32::MAX;

/// A life of a node at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SwimIdentity {
    pub(super) address: SocketAddr,
    pub(super) node_id: NodeId,
    pub(super) boot_id: BootId,
    /// Renewals after false deaths. The process is the same, nothing is lost (cluster.md §3.1).
    pub(super) bump: u32,
}

impl SwimIdentity {
    pub(super) fn new(member: MemberId, address: SocketAddr) -> Self {
        Self { address, node_id: member.node_id, boot_id: member.boot_id, bump: 0 }
    }

    /// Stands for whoever is at the address: foca reads nothing else of an announcement's destination.
    pub(super) fn whoever_is_at(address: SocketAddr, placeholder: &NodeId) -> Self {
        Self { address, node_id: placeholder.clone(), boot_id: BootId::after(None, 0), bump: 0 }
    }

    pub(super) fn member(&self) -> MemberId {
        MemberId { node_id: self.node_id.clone(), boot_id: self.boot_id }
    }

    /// This identity on its way out: it beats all earlier renewals of this life and loses to the next life.
    pub(super) fn leaving(&self) -> Self {
        Self { bump: LEAVING, ..self.clone() }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.bump == LEAVING
    }

    fn rank(&self) -> (BootId, &NodeId, u32) {
        (self.boot_id, &self.node_id, self.bump)
    }
}

impl foca::Identity for SwimIdentity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        let bump = self.bump.checked_add(1).filter(|bump| *bump != LEAVING)?;
        Some(Self { bump, ..self.clone() })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The later life wins; lives that began in the same millisecond are told apart by node id.
    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.rank() > adversary.rank()
    }
}
