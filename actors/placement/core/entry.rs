//! The entry role: asks owners on behalf of this node's sessions until there is an answer.

use super::effect::{Effect, LocateError, Refused, Table};
use super::epoch::{Located, RoomHints};
use super::limits::{LOCATE_ASK_AGAIN, LOCATE_RETRY, LOCATE_TIMEOUT, LOCATES_MAX};
use super::message::{Locate, Message, OwnerRefusal};
use super::turn::Turn;
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::time::Instant;

/// What one caller wants.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) room: String,
    pub(super) create: bool,
    pub(super) hints: RoomHints,
    pub(super) failed_host: Option<MemberId>,
}

/// The Locates of this node.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    wish: Wish,
    asked: Option<MemberId>,
    ask_at: Instant,
    ends_at: Instant,
}

impl Entry {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Rule 1: asks the owner.
    pub(super) fn locate(&mut self, turn: &mut Turn<'_>, request: u64, wish: Wish) {
        if self.pending.len() >= LOCATES_MAX && !self.pending.contains_key(&request) {
            turn.full(Table::Locates);
            let why = format!("{LOCATES_MAX} other rooms are being located");
            turn.effects.push(Effect::Located { request, result: Err(LocateError::Unavailable { why }) });
            return;
        }
        let pending = Pending { wish, asked: None, ask_at: turn.now, ends_at: turn.now + LOCATE_TIMEOUT };
        let pending = self.pending.entry(request).insert_entry(pending).into_mut();
        ask(turn, request, pending);
    }

    pub(super) fn cancel(&mut self, request: u64) {
        self.pending.remove(&request);
    }

    pub(super) fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        request: u64,
        room: &str,
        result: Result<Located, OwnerRefusal>,
    ) {
        let Some(pending) = self.pending.get_mut(&request).filter(|pending| pending.wish.room == room) else {
            turn.refuse(from, Refused::Unasked);
            return;
        };
        let result = match result {
            // The owner has not heard of that death yet.
            Ok(located) if turn.cluster.is_over(&located.host) => Err(OwnerRefusal::AskAgain),
            other => other,
        };
        let result = match result {
            Err(OwnerRefusal::AskAgain) => {
                pending.ask_at = turn.now + LOCATE_ASK_AGAIN;
                return;
            }
            Err(OwnerRefusal::Final(error)) => Err(error),
            Ok(located) => Ok(located),
        };
        self.pending.remove(&request);
        turn.effects.push(Effect::Located { request, result });
    }

    /// Rule 7: who asked an owner that is no owner any more asks the next one at once.
    pub(super) fn cluster_changed(&mut self, turn: &mut Turn<'_>) {
        for (request, pending) in &mut self.pending {
            if turn.cluster.owner(&pending.wish.room) != pending.asked.as_ref() {
                ask(turn, *request, pending);
            }
        }
    }

    /// What was on its way to the owner is gone.
    pub(super) fn lost(&mut self, turn: &Turn<'_>, member: &MemberId) {
        for pending in self.pending.values_mut().filter(|pending| pending.asked.as_ref() == Some(member)) {
            pending.ask_at = pending.ask_at.min(turn.now + LOCATE_ASK_AGAIN);
        }
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        for (request, pending) in self.pending.extract_if(.., |_, pending| pending.ends_at <= now) {
            let asked = pending.asked.map_or_else(|| "nobody".to_owned(), |asked| asked.to_string());
            let why = format!("{asked} was asked last, {} s after the first", LOCATE_TIMEOUT.as_secs());
            turn.effects.push(Effect::Located { request, result: Err(LocateError::Unavailable { why }) });
        }
        for (request, pending) in self.pending.iter_mut().filter(|(_, pending)| pending.ask_at <= now) {
            ask(turn, *request, pending);
        }
    }
}

fn ask(turn: &mut Turn<'_>, request: u64, pending: &mut Pending) {
    let cluster = turn.cluster;
    let Some(owner) = cluster.owner(&pending.wish.room) else {
        pending.ask_at = turn.now + LOCATE_ASK_AGAIN;
        return;
    };
    pending.ask_at = turn.now + LOCATE_RETRY;
    pending.asked = Some(owner.clone());
    let Wish { room, create, hints, failed_host } = &pending.wish;
    let locate = Locate {
        asker: turn.me.clone(),
        request,
        room: room.clone(),
        create: *create,
        hints: hints.clone(),
        failed_host: failed_host.clone(),
        hops: 0,
    };
    turn.send(owner, Message::Locate(locate));
}
