//! The directory of this node's rooms.

use ractor::{ActorId, ActorRef};
use starling_media::id::RoomKey;
use std::collections::BTreeMap;

use crate::room::RoomMessage;

/// One room.
#[derive(Clone, Debug)]
pub(crate) struct RoomSlot {
    pub(crate) key: RoomKey,
    pub(crate) actor: ActorRef<RoomMessage>,
}

#[derive(Debug, Default)]
pub(crate) struct SupervisorState {
    pub(crate) rooms: BTreeMap<String, RoomSlot>,
    pub(crate) is_closing: bool,
    created: usize,
}

impl SupervisorState {
    /// The worker for the next room: each in turn.
    pub(crate) fn next_worker(&mut self, workers: usize) -> usize {
        let worker = self.created % workers.max(1);
        self.created = self.created.wrapping_add(1);
        worker
    }

    /// A child died: the room that it was, if it was one.
    pub(crate) fn remove(&mut self, id: ActorId) -> Option<(String, RoomSlot)> {
        let name = self.rooms.iter().find(|(_, slot)| slot.actor.get_id() == id)?.0.clone();
        let slot = self.rooms.remove(&name)?;
        Some((name, slot))
    }
}
