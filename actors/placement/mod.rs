//! Which node hosts a room. A node alone hosts every room that fits into its limits.

mod actor;
pub mod core;
mod message;
mod state;

pub(crate) use actor::PlacementActor;
pub(crate) use message::PlacementMessage;
