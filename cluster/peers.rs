//! Messages to and from other nodes, as everything above this crate sees them: bytes under a topic.

use crate::member::MemberId;
use crate::view::View;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What a message is about; each topic's bodies are made and read by one module of another crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topic(pub u16);

/// How much a message matters when a peer's window is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// May be left out: the next one says the same or more.
    Droppable,
    /// Must arrive or the sender must know.
    Needed,
}

/// A cast was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// No link to that very life of the node.
    #[error("no link to {0}")]
    NoLink(MemberId),
    /// Its window is full.
    #[error("{0} does not take messages")]
    Congested(MemberId),
    /// The body is larger than [`crate::limits::BODY_BYTES_MAX`].
    #[error("message of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// A call has no answer. Whether it was carried out is unknown in every case but `Cast` and `Unreadable`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not sent.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// No answer in time.
    #[error("{to} did not answer within {timeout:?}")]
    Timeout {
        /// Who.
        to: MemberId,
        /// How long we waited.
        timeout: Duration,
    },
    /// The link ended before the answer.
    #[error("link to {0} ended")]
    LinkLost(MemberId),
    /// The other side cannot read it: another version of our software.
    #[error("{to} cannot read it: {why}")]
    Unreadable {
        /// Who.
        to: MemberId,
        /// What it said.
        why: String,
    },
}

/// A future of a trait object.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The way to other nodes. Messages of one topic from one node to another on one link arrive in order, each at most
/// once; small ones of other topics pass a body above [`crate::limits::PART_BYTES`] on its way.
pub trait Peers: std::fmt::Debug + Send + Sync {
    /// The cluster, now and on every change.
    fn view(&self) -> watch::Receiver<Arc<View>>;
    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`CastError`] when it was not put on a link.
    fn cast(&self, to: &MemberId, topic: Topic, urgency: Urgency, body: Bytes) -> Result<(), CastError>;
    /// Sends and waits for the answer.
    fn call<'a>(
        &'a self,
        to: &'a MemberId,
        topic: Topic,
        body: Bytes,
        timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>>;
}

/// A message from another node.
#[derive(Debug)]
pub struct Inbound {
    /// Who sent it: the very life that the link was authenticated for.
    pub from: MemberId,
    /// What it is about.
    pub topic: Topic,
    /// The body.
    pub body: Bytes,
    /// Where the answer goes, when one is wanted.
    pub reply: Option<oneshot::Sender<Result<Bytes, Unreadable>>>,
}

/// Said instead of an answer by a node that cannot read a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Why.
    pub why: String,
}

/// Takes what other nodes send. Must not block: it runs on the link's task.
pub trait Hear: std::fmt::Debug + Send + Sync {
    /// Takes one message.
    fn hear(&self, inbound: Inbound);
    /// The link to this life of a node is gone, with everything that was on its way.
    fn lost(&self, member: &MemberId);
}
