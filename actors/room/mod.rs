//! One meeting: its roster, who may receive which track, data between participants, speakers, timeouts.
//!
//! A participant's own tracks and its session live in its participant actor; the room knows what was announced.

mod actor;
mod data;
mod dynacast;
mod info;
mod message;
mod quality;
mod roster;
mod spread;
mod state;
mod subscription;
#[cfg(test)]
mod tests;
mod tracks;
mod updates;

pub(crate) use actor::{RoomActor, RoomArguments, refused_resume};
pub(crate) use info::{attributes_bytes, told_at_join};
pub(crate) use message::{FromParticipant, RoomCommand, RoomMessage};
pub(crate) use spread::SPREAD_PEERS;
pub(crate) use state::Joined;
