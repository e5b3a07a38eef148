//! What links are given at the start and what they tell.

use crate::key::ClusterKeys;
use crate::link::greeting::{Greeting, Refusal};
use crate::member::MemberId;
use crate::peers::Hear;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A further say in who is let in, after the checks of `admission`; must not block.
pub type Admit = Arc<dyn Fn(&Greeting) -> Result<(), Refusal> + Send + Sync>;

/// What links start from.
pub struct LinkConfig {
    /// This life of this node.
    pub me: MemberId,
    /// Name of the cluster.
    pub cluster: String,
    /// The address that others are told.
    pub advertise: SocketAddr,
    /// This software.
    pub version: String,
    /// Prove; both are accepted.
    pub keys: ClusterKeys,
    /// The cluster port, TCP.
    pub listener: TcpListener,
    /// Takes what others send.
    pub hear: Arc<dyn Hear>,
    /// Told what happens to links.
    pub events: mpsc::Sender<LinkEvent>,
    /// Has the last word.
    pub admit: Admit,
}

impl std::fmt::Debug for LinkConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("LinkConfig");
        fields.field("me", &self.me).field("cluster", &self.cluster).field("advertise", &self.advertise);
        fields.finish_non_exhaustive()
    }
}

/// What happened to the link to a member that life has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Messages flow.
    Up(MemberId),
    /// Nothing was heard for [`crate::limits::LINK_SILENCE`].
    Silent(MemberId),
    /// Something was heard again.
    Heard(MemberId),
    /// It ended. It is dialled again as long as the member is wanted.
    Lost(MemberId),
    /// It ended, and the host said that nobody listens there any more, or another life of the node does: a hint that
    /// the member is down.
    Refused(MemberId),
}

/// What a node says to one that wants to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Who answered.
    pub member: MemberId,
    /// Where it says it is.
    pub address: SocketAddr,
    /// The members that it knows to be alive, itself not among them.
    pub members: Vec<(MemberId, SocketAddr)>,
}

/// A node was asked who is there, and that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetError {
    /// No connection, or it ended before anything was proved.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// It accepts connections and says nothing in time.
    #[error("{address} accepts connections and does not answer")]
    Silent {
        /// Who was asked.
        address: SocketAddr,
    },
    /// It has another cluster key.
    #[error("{address} has another cluster key")]
    WrongKey {
        /// Who was asked.
        address: SocketAddr,
    },
    /// It is of another cluster with the same key.
    #[error("{address} belongs to cluster {name:?}")]
    OtherCluster {
        /// Who was asked.
        address: SocketAddr,
        /// Its cluster.
        name: String,
    },
    /// Another living process has this node's id.
    #[error("node id is in use at {holder}")]
    DuplicateNodeId {
        /// Where that process is.
        holder: SocketAddr,
    },
    /// The clocks are too far apart.
    #[error("clock differs from that of {address} by {ms} ms")]
    ClockOff {
        /// Who was asked.
        address: SocketAddr,
        /// How far our clock is ahead (positive) or behind.
        ms: i64,
    },
    /// Refused for another reason.
    #[error("{address} refuses: {refusal}")]
    Refused {
        /// Who was asked.
        address: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// Its answer cannot be read: another version of our software, or not our software.
    #[error("answer of {address} cannot be read: {why}")]
    Unreadable {
        /// Who was asked.
        address: SocketAddr,
        /// Why.
        why: String,
    },
    /// The node at the address is this very process.
    #[error("{address} is this node itself")]
    Ourselves {
        /// Who was asked.
        address: SocketAddr,
    },
}

/// Links cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// No certificate for this boot.
    #[error("certificate for links cannot be made: {0}")]
    Certificate(String),
    /// ractor's actors or its loopback port.
    #[error("gateway cannot start: {0}")]
    Gateway(String),
    /// Links run in this process already.
    #[error("links run once per process")]
    AlreadyRunning,
}
