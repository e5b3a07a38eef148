//! A node as others see it: its identity and the facts it tells of itself.

use serde::{Deserialize, Serialize};
pub use starling_protocol::id::NodeId;

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

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// Who.
    pub member: MemberId,
    /// Where it stands, as the operator named it; may be empty.
    pub region: String,
    /// Its software.
    pub version: String,
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
