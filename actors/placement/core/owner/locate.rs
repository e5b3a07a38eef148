//! Where is the room? Known, waited for, placed, or passed on to who knows.

use super::{Assigning, Owner, Waiters, answer};
use crate::placement::core::effect::LocateError;
use crate::placement::core::epoch::Located;
use crate::placement::core::limits::HOPS_MAX;
use crate::placement::core::message::{Locate, Message, OwnerRefusal};
use crate::placement::core::turn::Turn;

impl Owner {
    /// Rule 1: here, or on to the owner of this node's view.
    pub(in crate::placement::core) fn locate(&mut self, turn: &mut Turn<'_>, locate: Locate) {
        let cluster = turn.cluster;
        match cluster.owner(&locate.room) {
            Some(owner) if owner == turn.me => self.locate_here(turn, locate),
            Some(owner) if locate.hops < HOPS_MAX => {
                let hops = locate.hops + 1;
                turn.send(owner, Message::Locate(Locate { hops, ..locate }));
            }
            // Views differ: they will agree before long.
            _ => answer(turn, locate, Err(OwnerRefusal::AskAgain)),
        }
    }

    pub(super) fn locate_all(&mut self, turn: &mut Turn<'_>, waiters: Waiters) {
        for locate in waiters.into_values() {
            self.locate(turn, locate);
        }
    }

    fn locate_here(&mut self, turn: &mut Turn<'_>, locate: Locate) {
        let known = self.entries.get(&locate.room);
        if let Some(entry) = known.filter(|entry| self.is_active(turn, &entry.host)) {
            let (host, epoch) = (entry.host.clone(), entry.epoch.clone());
            if locate.failed_host.as_ref() == Some(&host) && host != *turn.me {
                self.probe(turn, host, epoch, locate);
            } else {
                answer(turn, locate, Ok(Located { host, epoch }));
            }
            return;
        }
        let existed = known.is_some();
        if !self.has_place_to_wait(turn) {
            answer(turn, locate, Err(OwnerRefusal::AskAgain));
        } else if let Some(Assigning { waiters, .. }) = self.assigning.get_mut(&locate.room) {
            waiters.insert((locate.asker.clone(), locate.request), locate);
        } else if self.is_settling(turn.now) {
            self.unsettled.insert((locate.asker.clone(), locate.request), locate);
        } else if !locate.create && !existed {
            // A room whose host died did exist: its people may have it again without the right to create one.
            answer(turn, locate, Err(OwnerRefusal::Final(LocateError::NotFound)));
        } else {
            self.assign(turn, locate);
        }
    }
}
