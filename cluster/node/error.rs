//! Why a node cannot be part of its cluster.

use crate::facts::{FactTooLarge, FactsError};
use crate::link::{GreetError, LinksError};
use crate::seal::SealError;
use std::net::SocketAddr;

/// What must be put right before this node can be part of the cluster. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The cluster port.
    #[error("cluster port {listen} cannot be opened: {error}")]
    Port {
        /// Where it should have been.
        listen: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// No address that others could be told.
    #[error("cluster port {listen} is on every address: say which one the others reach (--advertise)")]
    NoAddress {
        /// Where the port is.
        listen: SocketAddr,
    },
    /// One of this node's own facts.
    #[error(transparent)]
    Fact(#[from] FactTooLarge),
    /// chitchat.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// Links.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// Sealing.
    #[error("gossip cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// Whoever answered does not want this node.
    #[error("cluster refuses this node: {0}")]
    Refused(GreetError),
}
