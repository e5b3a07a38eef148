//! Moves that an operator of this node asked for: each is put to the owner once and answered once.

use super::effect::{Effect, MoveRefusal, Refused};
use super::epoch::Located;
use super::limits::{MOVE_TIMEOUT, MOVES_MAX};
use super::message::{Message, MoveRequest};
use super::turn::Turn;
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::time::Instant;

/// Moves under way for this node's operators.
#[derive(Debug, Default)]
pub(super) struct Mover {
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    room: String,
    asked: MemberId,
    ends_at: Instant,
}

impl Mover {
    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn ask(&mut self, turn: &mut Turn<'_>, request: u64, room: String, to: Option<MemberId>) {
        let cluster = turn.cluster;
        let refusal = match cluster.owner(&room) {
            _ if self.pending.contains_key(&request) => return,
            _ if self.pending.len() >= MOVES_MAX => format!("{MOVES_MAX} other rooms are being moved"),
            None => "this node sees no cluster yet".to_owned(),
            Some(owner) => {
                let pending = Pending { room: room.clone(), asked: owner.clone(), ends_at: turn.now + MOVE_TIMEOUT };
                self.pending.insert(request, pending);
                let asker = turn.me.clone();
                turn.send(owner, Message::Move(MoveRequest { asker, request, room, to, hops: 0 }));
                return;
            }
        };
        turn.effects.push(Effect::Moved { request, result: Err(MoveRefusal::Aborted { why: refusal }) });
    }

    pub(super) fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        request: u64,
        room: &str,
        result: Result<Located, MoveRefusal>,
    ) {
        if self.pending.get(&request).is_none_or(|pending| pending.room != room) {
            turn.refuse(from, Refused::Unasked);
            return;
        }
        self.pending.remove(&request);
        turn.effects.push(Effect::Moved { request, result });
    }

    /// The question or its answer is gone; the room may have moved or not.
    pub(super) fn lost(&mut self, turn: &mut Turn<'_>, member: &MemberId) {
        for (request, _) in self.pending.extract_if(.., |_, pending| pending.asked == *member) {
            let why = "the link to the room's owner broke, look where the room is".to_owned();
            turn.effects.push(Effect::Moved { request, result: Err(MoveRefusal::Aborted { why }) });
        }
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        for (request, _) in self.pending.extract_if(.., |_, pending| pending.ends_at <= now) {
            turn.effects.push(Effect::Moved { request, result: Err(MoveRefusal::TimedOut) });
        }
    }
}
