//! What everybody hears of participants. Publishers' changes are told at once; in a large room those of listeners wait
//! for company, since each by itself would be a message to everybody.

use crate::limits;
use crate::participant::ToParticipant;
use crate::room::state::RoomState;
use crate::signal;
use starling_protocol::livekit as lk;
use std::time::Instant;

/// Changes that wait, in the order in which they first happened; the latest of each session.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    waiting: Vec<lk::ParticipantInfo>,
    due: Option<Instant>,
}

impl Updates {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Forgets what was to be told of a session.
    pub(crate) fn forget(&mut self, sid: &str) {
        self.waiting.retain(|info| info.sid != sid);
    }

    /// A change may wait. Its place is that of the first: an older session's end stays before the next one's begin.
    fn add(&mut self, info: lk::ParticipantInfo, now: Instant) {
        self.due.get_or_insert(now + limits::UPDATE_BATCH_INTERVAL);
        match self.waiting.iter_mut().find(|waiting| waiting.sid == info.sid) {
            Some(waiting) => *waiting = info,
            None => self.waiting.push(info),
        }
    }

    /// What has to be told before news of this session: the end of earlier ones of its identity.
    fn take_before(&mut self, info: &lk::ParticipantInfo) -> Vec<lk::ParticipantInfo> {
        let mut earlier = Vec::new();
        self.waiting.retain(|waiting| {
            if waiting.identity != info.identity {
                return true;
            }
            if waiting.sid != info.sid {
                earlier.push(waiting.clone());
            }
            false
        });
        earlier
    }
}

impl RoomState {
    /// Tells everybody (a hidden participant only itself) what a participant is like; raises its version.
    pub(crate) fn announce(&mut self, sid: &str, is_join: bool, now: Instant) {
        let Some(member) = self.members.get_mut(sid) else { return };
        let was_publisher = member.info.is_publisher;
        if !is_join {
            member.info.version += 1;
        }
        member.info.tracks = member.tracks.values().map(|track| track.facts.info.clone()).collect();
        member.info.is_publisher = !member.tracks.is_empty();
        let info = member.info.clone();
        let visible = member.visible();
        if !is_join {
            self.to(sid, ToParticipant::Signal(signal::update(vec![info.clone()])));
        }
        if visible {
            let urgent = was_publisher || info.is_publisher;
            self.spread(info, urgent, now);
        }
    }

    /// Tells the others of a participant, at once or with the next batch.
    pub(crate) fn spread(&mut self, info: lk::ParticipantInfo, urgent: bool, now: Instant) {
        if !urgent && self.members.len() > limits::LARGE_ROOM_PARTICIPANTS {
            self.updates.add(info, now);
            if self.updates.waiting.len() >= limits::UPDATE_BATCH_MAX {
                self.tell_updates();
            }
            return;
        }
        let mut infos = self.updates.take_before(&info);
        let sid = info.sid.clone();
        infos.push(info);
        self.broadcast(&signal::update(infos), Some(&sid));
    }

    /// Tells the batch, if it is due.
    pub(crate) fn end_update_batch(&mut self, now: Instant) {
        if self.updates.due.is_some_and(|at| at <= now) {
            self.tell_updates();
        }
    }

    /// Nobody hears of sessions of its own identity: its own changes were told to it already, and clients would take
    /// an earlier session's end for theirs.
    fn tell_updates(&mut self) {
        self.updates.due = None;
        let infos = std::mem::take(&mut self.updates.waiting);
        let receivers: Vec<(String, String)> =
            self.members.iter().map(|(sid, member)| (sid.clone(), member.info.identity.clone())).collect();
        for (sid, identity) in receivers {
            let others = infos.iter().filter(|info| info.identity != identity).cloned().collect();
            for message in signal::updates(others) {
                self.to(&sid, ToParticipant::Signal(message));
            }
        }
    }
}
