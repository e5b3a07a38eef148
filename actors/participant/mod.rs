//! One session of one participant.

mod message;

pub use message::ParticipantMessage;
