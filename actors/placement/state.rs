//! The rooms that were placed on this node, and whether another one fits.

use crate::error::JoinError;
use crate::placement::message::Host;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct PlacementState {
    hosted: BTreeSet<String>,
    rooms_max: usize,
}

impl PlacementState {
    /// `rooms_max` 0 = no limit.
    pub(crate) fn new(rooms_max: usize) -> Self {
        Self { hosted: BTreeSet::new(), rooms_max }
    }

    /// Finds a room, or places it when `create` allows.
    pub(crate) fn locate(&mut self, room: String, create: bool) -> Result<Host, JoinError> {
        if self.hosted.contains(&room) {
            return Ok(Host::ThisNode);
        }
        if !create {
            return Err(JoinError::RoomNotFound);
        }
        if self.rooms_max > 0 && self.hosted.len() >= self.rooms_max {
            return Err(JoinError::NodeFull { what: "rooms", limit: self.rooms_max });
        }
        self.hosted.insert(room);
        Ok(Host::ThisNode)
    }

    pub(crate) fn ended(&mut self, room: &str) {
        self.hosted.remove(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_node_takes_no_further_room_until_one_ends() {
        let mut state = PlacementState::new(1);
        assert_eq!(state.locate("a".into(), true), Ok(Host::ThisNode));
        assert_eq!(state.locate("b".into(), true), Err(JoinError::NodeFull { what: "rooms", limit: 1 }));
        assert_eq!(state.locate("a".into(), false), Ok(Host::ThisNode));
        state.ended("a");
        assert_eq!(state.locate("a".into(), false), Err(JoinError::RoomNotFound));
        assert_eq!(state.locate("b".into(), true), Ok(Host::ThisNode));
    }
}
