//! Where rooms went that this host lost.

use super::epoch::Epoch;
use super::limits::{REDIRECT, REDIRECTS_MAX};
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::time::Instant;

/// Where rooms went that this host lost.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    rooms: BTreeMap<String, Redirect>,
    /// Oldest first; the number keeps those of one moment apart.
    order: BTreeMap<(Instant, u64), String>,
    made: u64,
}

#[derive(Debug)]
struct Redirect {
    winner: MemberId,
    epoch: Epoch,
    place: (Instant, u64),
}

impl Redirects {
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    pub(super) fn get(&self, room: &str, now: Instant) -> Option<(&MemberId, &Epoch)> {
        let redirect = self.rooms.get(room).filter(|redirect| now < redirect.place.0 + REDIRECT)?;
        Some((&redirect.winner, &redirect.epoch))
    }

    pub(super) fn insert(&mut self, room: &str, winner: MemberId, epoch: Epoch, now: Instant) {
        self.remove(room);
        self.made += 1;
        let place = (now, self.made);
        self.order.insert(place, room.to_owned());
        self.rooms.insert(room.to_owned(), Redirect { winner, epoch, place });
        while self.rooms.len() > REDIRECTS_MAX {
            self.forget_oldest();
        }
    }

    pub(super) fn remove(&mut self, room: &str) {
        if let Some(redirect) = self.rooms.remove(room) {
            self.order.remove(&redirect.place);
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.first_key_value().is_some_and(|((made, _), _)| *made + REDIRECT <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, room)) = self.order.pop_first() {
            self.rooms.remove(&room);
        }
    }
}
