//! Where messages of other nodes come in, and the door through which rooms reach the cluster.

use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use starling_cluster::Alone;
use starling_cluster::member::{MemberFacts, MemberId};
use starling_cluster::peers::{Hear, Inbound, Peers};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// The way from rooms to other nodes and back.
#[derive(Debug)]
pub struct ClusterDoor {
    /// To other nodes.
    pub peers: Arc<dyn Peers>,
    /// From other nodes.
    pub inbound: InboxReceiver,
}

impl ClusterDoor {
    /// The door of a node that is a cluster of its own.
    #[must_use]
    pub fn alone(facts: MemberFacts) -> Self {
        let (_, inbound) = inbox();
        Self { peers: Arc::new(Alone::new(facts)), inbound }
    }
}

/// Makes an inbox: the cluster fills the first half, [`crate::Rooms`] empty the second.
#[must_use]
pub fn inbox() -> (Arc<dyn Hear>, InboxReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    let inbox = Inbox { sender, waiting: Arc::clone(&waiting) };
    (Arc::new(inbox), InboxReceiver { receiver, waiting })
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message.
    Message(Inbound),
    /// The link to this life of a node is gone.
    Lost(MemberId),
}

/// What waits in the inbox.
#[derive(Debug, Default)]
struct Waiting {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Inbox {
    sender: mpsc::UnboundedSender<Heard>,
    waiting: Arc<Waiting>,
}

impl Hear for Inbox {
    /// Beyond the limits a message is dropped and counted: sessions notice the gap, calls get no answer, placement
    /// says everything again.
    fn hear(&self, inbound: Inbound) {
        let messages = self.waiting.messages.fetch_add(1, Ordering::AcqRel);
        let bytes = self.waiting.bytes.fetch_add(inbound.body.len(), Ordering::AcqRel);
        let size = inbound.body.len();
        let fits = messages < INBOX_MESSAGES_MAX && bytes + size <= INBOX_BYTES_MAX;
        if !fits || self.sender.send(Heard::Message(inbound)).is_err() {
            self.waiting.messages.fetch_sub(1, Ordering::AcqRel);
            self.waiting.bytes.fetch_sub(size, Ordering::AcqRel);
            metrics::counter!("starling_actors_inbox_dropped_total").increment(1);
        }
    }

    fn lost(&self, member: &MemberId) {
        // Rooms that ended hear nothing.
        let _ = self.sender.send(Heard::Lost(member.clone()));
    }
}

/// The half of an inbox that [`crate::Rooms`] empty.
#[derive(Debug)]
pub struct InboxReceiver {
    receiver: mpsc::UnboundedReceiver<Heard>,
    waiting: Arc<Waiting>,
}

impl InboxReceiver {
    /// The next thing, or `None` when the cluster is gone.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        let heard = self.receiver.recv().await?;
        if let Heard::Message(inbound) = &heard {
            self.waiting.messages.fetch_sub(1, Ordering::AcqRel);
            self.waiting.bytes.fetch_sub(inbound.body.len(), Ordering::AcqRel);
        }
        Some(heard)
    }
}
