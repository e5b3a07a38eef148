//! What nodes say of themselves: chitchat behind [`NodeFacts`]. Never says who lives; that is foca's.
//!
//! Own facts go [`encode`]d into chitchat; the others' come out as [`Told`]. chitchat's datagrams go through
//! channels to whoever owns the socket and seals them.

mod codec;
mod gossip;
mod pace;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

pub use codec::{FactTooLarge, decode, encode, quantised};
pub use gossip::{ChitchatFacts, FactsConfig, FactsError};
pub use pace::LoadPace;
pub use transport::{Datagram, FactsPort};
pub use wire::{WireRefusal, check};

use crate::member::{MemberFacts, MemberId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// What each life of each node says of itself; `None` while its facts are incomplete. At most
/// [`crate::limits::FACT_NODES_MAX`].
pub type Told = BTreeMap<(MemberId, SocketAddr), Option<MemberFacts>>;

/// Spreads this node's facts and collects the others'.
pub trait NodeFacts: std::fmt::Debug + Send + Sync {
    /// Says this of this node from now on.
    ///
    /// # Errors
    /// [`FactTooLarge`]; then nothing is said of it at all and the earlier facts stand.
    fn tell(&self, facts: &MemberFacts) -> Result<(), FactTooLarge>;
    /// Gossips with whoever is at this address.
    fn meet(&self, address: SocketAddr);
    /// What the others say, now and on every change.
    fn told(&self) -> watch::Receiver<Arc<Told>>;
}
