//! One meeting: its roster, who may receive which track, data between participants, speakers, timeouts.
//!
//! A participant's own tracks and its session live in its participant actor; the room knows what was announced.

mod actor;
mod data;
mod dynacast;
mod info;
mod message;
mod quality;
mod state;
mod subscription;
#[cfg(test)]
mod tests;
mod tracks;

pub(crate) use state::Joined;

pub(crate) use actor::{RoomActor, RoomArguments, refused_resume};
pub(crate) use message::{FromParticipant, RoomCommand, RoomMessage};
