//! What a node must know to take part in a cluster.

use crate::member::MemberFacts;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A cluster's settings on one node.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Name of the cluster; nodes of another one are refused.
    pub name: String,
    /// Seals and proves; `None` = this node stays alone and opens no port.
    pub keys: Option<crate::key::ClusterKeys>,
    /// Where the UDP and the TCP port open; port 0 = any, the same for both.
    pub listen: SocketAddr,
    /// The address that others are told; `None` = the one that was opened (then `listen` names an address).
    pub advertise: Option<SocketAddr>,
    /// `HOST:PORT` of nodes to join; names are resolved again and again, all their addresses count.
    pub seeds: Vec<String>,
    /// Where the last known members are kept; `None` = nowhere.
    pub data_dir: Option<PathBuf>,
    /// What this node says of itself at the start; `member` is who it is.
    pub facts: MemberFacts,
    /// How long a node with seeds waits for an answer before it serves alone (and goes on asking).
    pub join_wait: Duration,
}
