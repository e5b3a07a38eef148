//! Parent of every room and participant of this node: creates rooms, hears deaths, cleans up after them.

mod actor;
mod message;
mod state;

pub(crate) use actor::{SupervisorActor, SupervisorArguments};
pub(crate) use message::SupervisorMessage;
