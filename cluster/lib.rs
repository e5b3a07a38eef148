//! Who is alive, what they say of themselves, and the links to them. Knows nodes; has never heard of rooms, media or
//! browsers.
//!
//! Life = foca, facts = chitchat, links follow foca (cluster.md §4.1). [`View`] is what the three make together.

mod alone;
mod clock;
pub mod config;
pub mod facts;
mod gateway;
pub mod identity;
pub mod key;
pub mod limits;
pub mod link;
pub mod member;
pub mod membership;
mod metrics;
pub mod node;
pub mod peers;
pub mod roster;
pub mod seal;
pub mod seeds;
pub mod view;

pub use alone::Alone;
pub use node::{Cluster, JoinError};
pub use view::View;
