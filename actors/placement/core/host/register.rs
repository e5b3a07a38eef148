//! Registrations in batches that do not block a link.

use crate::placement::core::limits::{REGISTER_BYTES_MAX, REGISTRATIONS_MAX};
use crate::placement::core::message::{Message, Registration};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use starling_cluster::peers::Urgency;
use std::collections::BTreeMap;

/// Bytes of a registration beside its room name and decider: two numbers, a boot id, MessagePack's headers.
const REGISTRATION_OVERHEAD_BYTES: usize = 48;

/// Registrations on their way to several owners.
#[derive(Default)]
pub(super) struct Batches {
    open: BTreeMap<MemberId, Batch>,
}

#[derive(Default)]
struct Batch {
    rooms: Vec<Registration>,
    bytes: usize,
}

impl Batches {
    pub(super) fn add(&mut self, turn: &mut Turn<'_>, owner: &MemberId, registration: Registration) {
        let decider = registration.epoch.decider.node_id.as_str().len();
        let bytes = registration.room.len() + decider + REGISTRATION_OVERHEAD_BYTES;
        if !self.open.contains_key(owner) {
            self.open.insert(owner.clone(), Batch::default());
        }
        let Some(batch) = self.open.get_mut(owner) else { return };
        if batch.bytes + bytes > REGISTER_BYTES_MAX || batch.rooms.len() >= REGISTRATIONS_MAX {
            send(turn, owner, std::mem::take(batch).rooms);
        }
        batch.bytes += bytes;
        batch.rooms.push(registration);
    }

    pub(super) fn finish(self, turn: &mut Turn<'_>) {
        for (owner, batch) in self.open {
            send(turn, &owner, batch.rooms);
        }
    }
}

/// The next second's registrations say the same or more.
fn send(turn: &mut Turn<'_>, owner: &MemberId, rooms: Vec<Registration>) {
    turn.send_with(owner, Message::Register { rooms }, Urgency::Droppable);
}
