//! The rules of cluster.md §5.3, each by its number, on cores that are wired by hand.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use starling_cluster::member::{BootId, MemberId, NodeId};

pub(super) fn member(node: &str, boot: u64) -> MemberId {
    let name: Result<NodeId, Error> = NodeId::deserialize(node.into_deserializer());
    MemberId { node_id: name.expect("a node id is a string"), boot_id: BootId::after(None, boot) }
}
