//! The cluster as this node sees it at one moment.

use crate::member::{Member, MemberId, NodeId};
use serde::Serialize;
use std::collections::BTreeMap;

/// Every member this node knows, dead ones included for a while. A new value is published on every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// This node.
    pub me: MemberId,
    /// Rises with every change of who is alive, drains or restarted; facts and links do not raise it.
    pub generation: u64,
    /// By node id: the newest life of each.
    pub members: BTreeMap<NodeId, Member>,
}

impl View {
    /// The member, if it is that very life and alive.
    #[must_use]
    pub fn alive(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(&id.node_id).filter(|member| member.id == *id && member.is_alive())
    }

    /// Members that are alive.
    pub fn living(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_alive())
    }
}
