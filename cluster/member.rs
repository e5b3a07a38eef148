//! A node as others see it: its identity, the facts it tells of itself, and what we make of both.

use serde::{Deserialize, Serialize};
pub use starling_protocol::id::NodeId;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// One life of a node: milliseconds since the epoch at its start, strictly rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(u64);

impl BootId {
    /// The life that starts at `started_ms` (milliseconds since the epoch) after the life `previous`, if any is known.
    #[must_use]
    pub fn after(previous: Option<Self>, started_ms: u64) -> Self {
        Self(previous.map_or(started_ms, |previous| started_ms.max(previous.0.saturating_add(1))))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Which life of which node: two lives of one node are two members.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberId {
    /// The node.
    pub node_id: NodeId,
    /// Its life.
    pub boot_id: BootId,
}

impl std::fmt::Display for MemberId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}", self.node_id, self.boot_id.number())
    }
}

/// What a node does for the cluster (`--roles`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Hosts rooms.
    Room,
    /// Captures recordings.
    Record,
    /// Composes recordings.
    Transcode,
}

/// What a node can carry (`--capacity`; detected by default).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Thousandths of a CPU core.
    pub cpu_millicores: u32,
    /// Megabits per second that it may send.
    pub egress_mbps: u32,
}

/// What a node carries at present, quantised so that idle nodes do not gossip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Thousandths of a CPU core in use by this process.
    pub cpu_millicores: u32,
    /// Megabits per second that it sends.
    pub egress_mbps: u32,
    /// Hosted rooms.
    pub rooms: u32,
    /// Participants of hosted rooms.
    pub participants: u32,
}

/// What a member says of itself. Gossiped: keep it small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// Who.
    pub member: MemberId,
    /// Where it stands, as the operator named it; may be empty.
    pub region: String,
    /// Its software.
    pub version: String,
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// What it can carry.
    pub capacity: Capacity,
    /// What it carries.
    pub load: Load,
    /// URL of its HTTP and WebSocket port as other nodes reach it, such as `http://10.0.0.1:7880`; may be empty.
    pub http: String,
    /// It takes rooms: false until it has joined.
    pub ready: bool,
    /// It takes no new rooms and hands over those that it has.
    pub draining: bool,
}

/// What the cluster makes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Alive.
    Serving,
    /// Alive as far as is known; somebody doubts it, or its link is silent. Gets no new rooms.
    Suspect,
    /// Alive and on its way out. Gets no new rooms.
    Draining,
    /// Gone. Kept for a while so that operators see it.
    Dead,
}

/// The link to a member as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// This node itself.
    Own,
    /// None yet, or none any more.
    Down,
    /// Messages flow.
    Up,
    /// Connected, and nothing heard for longer than [`crate::limits::LINK_SILENCE`].
    Silent,
}

/// A member in a [`crate::View`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// Where its cluster port is, UDP and TCP.
    pub address: SocketAddr,
    /// What we make of it.
    pub state: MemberState,
    /// The link to it.
    pub link: LinkState,
    /// What it says of itself; `None` until its facts for exactly this life have come.
    pub facts: Option<MemberFacts>,
}

impl Member {
    /// Whether life (foca) has it: it may host rooms that it already has, and own directory entries unless it drains.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state != MemberState::Dead
    }

    /// Whether a new room may be placed there: alive without doubt, ready, not draining, with the role.
    #[must_use]
    pub fn takes_rooms(&self) -> bool {
        let link = matches!(self.link, LinkState::Own | LinkState::Up);
        let able = self
            .facts
            .as_ref()
            .is_some_and(|facts| facts.ready && !facts.draining && facts.roles.contains(&Role::Room));
        self.state == MemberState::Serving && link && able
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_rises_even_when_the_clock_went_back() {
        let first = BootId::after(None, 1_000);
        assert_eq!(first.number(), 1_000);
        assert_eq!(BootId::after(Some(first), 900).number(), 1_001);
        assert_eq!(BootId::after(Some(first), 2_000).number(), 2_000);
    }
}
