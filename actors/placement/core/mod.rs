//! Which node hosts a room: the whole protocol as one pure state machine (cluster.md §5.3, its rules by number).
//!
//! Give it every [`Input`] with the time, do its [`Effect`]s in order, and give it [`Input::Tick`] at
//! [`PlacementCore::next_deadline`]. It knows no actor, socket or clock.

mod effect;
mod epoch;
mod input;
pub mod limits;
mod message;
mod snapshot;

pub use effect::{AttachRefusal, Effect, LocateError, PlacementEvent, Refused, Table};
pub use epoch::{Epoch, Located, RoomHints};
pub use input::Input;
pub use message::{BODY_VERSION, Locate, Message, MessageError, OwnerRefusal, Registration};
pub use snapshot::{DirectoryEntry, HostedRoom, PlacementSnapshot};

use starling_cluster::member::MemberId;
use std::time::Instant;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct PlacementSettings {
    /// Rooms of this node; 0 = [`limits::ROOMS_MAX`], which it never exceeds.
    pub rooms_max: usize,
}

impl Default for PlacementSettings {
    fn default() -> Self {
        Self { rooms_max: limits::ROOMS_MAX }
    }
}

/// One node's part in the placement of rooms.
#[derive(Debug)]
pub struct PlacementCore {
    me: MemberId,
}

impl PlacementCore {
    /// The placement of the node `me`; `seed` leads its random choices.
    #[must_use]
    pub fn new(me: MemberId, settings: PlacementSettings, seed: u64) -> Self {
        let _ = (settings, seed);
        Self { me }
    }

    /// Takes one input; appends what is to be done to `effects`.
    pub fn handle(&mut self, input: Input, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (&mut self.me, input, now, effects);
    }

    /// When [`Input::Tick`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// What it knows.
    #[must_use]
    pub fn snapshot(&self) -> PlacementSnapshot {
        PlacementSnapshot::default()
    }
}
