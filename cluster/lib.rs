//! Who is alive, what they say of themselves, and the links to them. Knows nodes; has never heard of rooms, media or
//! browsers.
//!
//! Life = foca, facts = chitchat, links follow foca (cluster.md §4.1). [`View`] is what the three make together.

mod alone;
mod clock;
pub mod config;
mod gateway;
pub mod key;
pub mod limits;
pub mod link;
pub mod member;
mod metrics;
pub mod peers;
pub mod view;

pub use alone::Alone;
pub use view::View;
