//! One session of one participant: its signalling, its negotiation, its own tracks and what it receives.
//!
//! Whom it may receive and who hears of it is its room's to decide.

mod actor;
mod description;
mod leave;
mod media;
mod message;
mod negotiate;
mod publish;
mod rejoin;
mod request;
mod state;
mod subscribe;
#[cfg(test)]
mod tests;

pub(crate) use actor::{ParticipantActor, ParticipantArguments};
pub(crate) use message::{ParticipantMessage, Resume, ToParticipant};
