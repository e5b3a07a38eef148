//! Taking a room over, at its target (rule 11): a copy that serves nobody until the owner commits.

use super::Host;
use crate::placement::core::effect::Effect;
use crate::placement::core::epoch::Epoch;
use crate::placement::core::limits::{OFFER_KEPT, PREPARED_MAX};
use crate::placement::core::message::{Message, PrepareRefusal};
use crate::placement::core::turn::Turn;
use starling_cluster::member::MemberId;
use std::time::Instant;

/// A copy of a room that runs elsewhere.
#[derive(Debug)]
pub(super) struct Prepared {
    epoch: Epoch,
    source: MemberId,
    is_ready: bool,
    /// Dropped then: the owner gave up long before, or its word is lost.
    ends_at: Instant,
}

/// A room that came from another host, which may not have heard that it did.
#[derive(Debug)]
pub(super) struct Taken {
    source: MemberId,
    epoch: Epoch,
    until: Instant,
}

impl Host {
    /// An owner wants the room to come here.
    pub(in crate::placement::core) fn prepare(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        room: String,
        epoch: Epoch,
        source: MemberId,
    ) {
        if !self.may_decide(turn, from, &epoch) {
            return;
        }
        if let Some(prepared) = self.prepared.get(&room).filter(|prepared| prepared.epoch == epoch) {
            if prepared.is_ready {
                turn.send(from, Message::Prepared { room, epoch });
            }
            return;
        }
        if let Some(why) = self.why_not_prepare(turn, &room, &epoch, &source) {
            turn.send(from, Message::PrepareRefused { room, epoch, why });
            return;
        }
        self.drop_prepared_if(turn, &room, |_| true);
        turn.floors.raise(&room, &epoch.counter);
        let ends_at = turn.now + PREPARED_MAX;
        let prepared = Prepared { epoch: epoch.clone(), source: source.clone(), is_ready: false, ends_at };
        self.prepared.insert(room.clone(), prepared);
        turn.effects.push(Effect::PrepareRoom { room, epoch, from: source });
    }

    fn why_not_prepare(
        &self,
        turn: &mut Turn<'_>,
        room: &str,
        epoch: &Epoch,
        source: &MemberId,
    ) -> Option<PrepareRefusal> {
        let newer = self.prepared.get(room).filter(|prepared| prepared.epoch > *epoch);
        let known = self.bar(turn, room).counter.max(newer.map_or(0, |prepared| prepared.epoch.counter));
        if self.rooms.contains_key(room) {
            Some(PrepareRefusal::Here)
        } else if newer.is_some() || !self.is_above(turn, room, epoch) {
            Some(PrepareRefusal::TooLow { known })
        } else if turn.cluster.is_draining() {
            Some(PrepareRefusal::Draining)
        } else if !turn.cluster.is_alive(source) || source == turn.me {
            Some(PrepareRefusal::UnknownSource)
        } else {
            (!self.prepared.contains_key(room) && self.is_full(turn)).then_some(PrepareRefusal::Full)
        }
    }

    /// The copy is there and follows the source.
    pub(in crate::placement::core) fn prepared(&mut self, turn: &mut Turn<'_>, room: String, epoch: Epoch) {
        let Some(prepared) = self.prepared.get_mut(&room).filter(|prepared| prepared.epoch == epoch) else { return };
        prepared.is_ready = true;
        let owner = epoch.decider.clone();
        turn.send(&owner, Message::Prepared { room, epoch });
    }

    /// This node could not make the copy.
    pub(in crate::placement::core) fn prepare_refused(
        &mut self,
        turn: &mut Turn<'_>,
        room: String,
        epoch: Epoch,
        why: PrepareRefusal,
    ) {
        if self.prepared.get(&room).is_some_and(|prepared| prepared.epoch == epoch) {
            self.prepared.remove(&room);
            let owner = epoch.decider.clone();
            turn.send(&owner, Message::PrepareRefused { room, epoch, why });
        }
    }

    pub(super) fn is_prepared(&self, room: &str, epoch: &Epoch) -> bool {
        self.prepared.get(room).is_some_and(|prepared| prepared.is_ready && prepared.epoch == *epoch)
    }

    /// How the room begins here: from the copy that was made for this epoch, or anew.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>, room: String, epoch: Epoch) {
        if !self.is_prepared(&room, &epoch) {
            self.drop_prepared_if(turn, &room, |_| true);
            turn.effects.push(Effect::StartRoom { room, epoch });
            return;
        }
        if let Some(prepared) = self.prepared.remove(&room) {
            turn.effects.push(Effect::ServeRoom { room: room.clone(), epoch: epoch.clone() });
            turn.send(&prepared.source, Message::Taken { room: room.clone(), epoch: epoch.clone() });
            self.taken.insert(room, Taken { source: prepared.source, epoch, until: turn.now + OFFER_KEPT });
        }
    }

    /// Tells sources again, with the registrations: the owner that committed may be gone with its word.
    pub(super) fn tell_taken(&mut self, turn: &mut Turn<'_>) {
        let (now, rooms) = (turn.now, &self.rooms);
        self.taken.retain(|room, taken| now < taken.until && rooms.contains_key(room));
        for (room, Taken { source, epoch, .. }) in &self.taken {
            turn.send(source, Message::Taken { room: room.clone(), epoch: epoch.clone() });
        }
    }

    pub(super) fn drop_prepared_if(&mut self, turn: &mut Turn<'_>, room: &str, is_meant: impl Fn(&Epoch) -> bool) {
        if self.prepared.get(room).is_some_and(|prepared| is_meant(&prepared.epoch))
            && let Some(prepared) = self.prepared.remove(room)
        {
            turn.effects.push(Effect::DropPrepared { room: room.to_owned(), epoch: prepared.epoch });
        }
    }

    /// Copies that nobody committed go. Was the commit's word lost, then the owner learns that the room is not here.
    pub(super) fn tick_prepared(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let ended: Vec<_> = self.prepared.extract_if(.., |_, prepared| prepared.ends_at <= now).collect();
        for (room, Prepared { epoch, .. }) in ended {
            turn.effects.push(Effect::DropPrepared { room: room.clone(), epoch: epoch.clone() });
            turn.send_to_owner(&room, Message::Unregister { room: room.clone(), epoch });
        }
    }

    pub(super) fn prepared_deadline(&self) -> Option<Instant> {
        self.prepared.values().map(|prepared| prepared.ends_at).min()
    }
}
