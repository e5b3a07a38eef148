//! Which node hosts a room: the shell around the placement core.

mod actor;
pub mod core;
mod message;
mod state;

pub(crate) use actor::{PlacementActor, PlacementArguments};
pub(crate) use message::PlacementMessage;
