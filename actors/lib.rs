//! The signalling brain: who is in which room, who publishes what, who is sent what.
//!
//! [`Rooms`] is the only door. A `supervisor` owns the `room` actors and, for the sake of crashes, every `participant`
//! actor; `placement` says whether a room may live here. Decisions are pure states; actors perform their effects.
//! Media packets never come here: the media plane gets `MediaCommand`s and answers with `MediaEvent`s.

mod alarm;
mod api;
mod clock;
mod config;
mod error;
mod ids;
mod inbox;
mod legacy;
mod limits;
mod participant;
mod permission;
mod placement;
mod registry;
mod relay;
mod room;
mod rooms;
mod router;
mod session;
mod signal;
mod snapshot;
mod supervisor;
#[cfg(test)]
mod tests;
mod track;

pub use api::ParticipantChange;
pub use config::{Limits, NodeIdentity, RoomSettings, RoomsConfig, TokenSigner};
pub use error::{JoinError, RelocateError, StartError};
pub use inbox::{ClusterDoor, InboxReceiver, inbox};
pub use placement::core as placement_core;
pub use rooms::Rooms;
pub use session::{
    Join, SESSION_REQUESTS_MAX, SESSION_RESPONSES_MAX, Session, SessionError, SessionInput, SessionOutput,
};
pub use snapshot::{ParticipantSnapshot, RoomSnapshot, RoomsSnapshot};
