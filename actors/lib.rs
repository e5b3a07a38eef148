//! The signalling brain: who is in which room, who publishes what, who is sent what.
//!
//! [`Rooms`] is the only door. A `supervisor` owns the `room` actors and, for the sake of crashes, every `participant`
//! actor; `placement` says whether a room may live here. Decisions are pure states; actors perform their effects.
//! Media packets never come here: the media plane gets `MediaCommand`s and answers with `MediaEvent`s.

pub mod config;
pub mod error;
pub mod participant;
pub mod rooms;
pub mod session;
pub mod snapshot;

pub use config::{Limits, NodeIdentity, RoomSettings, RoomsConfig, TokenSigner};
pub use error::{JoinError, StartError};
pub use rooms::Rooms;
pub use session::{Join, Session, SessionError, SessionInput, SessionOutput};
pub use snapshot::{ParticipantSnapshot, RoomSnapshot, RoomsSnapshot};
