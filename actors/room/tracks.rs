//! Announced tracks: their life, and muting them from outside.

use crate::participant::ToParticipant;
use crate::room::dynacast::Dynacast;
use crate::room::state::{RoomState, RoomTrack};
use crate::track::TrackFacts;
use starling_protocol::livekit as lk;
use std::time::Instant;

impl RoomState {
    /// A track is announced, or its facts changed. Everybody hears of it before anybody is sent it.
    pub(crate) fn track_changed(&mut self, sid: &str, facts: TrackFacts, now: Instant) {
        let track_sid = facts.info.sid.clone();
        let Some(member) = self.members.get_mut(sid) else { return };
        self.track_owners.insert(facts.key, (sid.into(), track_sid.clone()));
        let is_new = match member.tracks.get_mut(&track_sid) {
            Some(track) => {
                track.facts = facts.clone();
                false
            }
            None => {
                let dynacast = Dynacast::new(now, self.config.dynacast_pause_delay);
                member
                    .tracks
                    .insert(track_sid.clone(), RoomTrack { facts: facts.clone(), dynacast, subscribed_once: false });
                true
            }
        };
        self.announce(sid, false, now);
        if is_new {
            self.count_participants(now);
            self.reconcile_track(sid, &track_sid);
        } else {
            for subscriber in self.subscribers_of(&track_sid) {
                self.to(&subscriber, ToParticipant::TrackChanged(Box::new(facts.clone())));
            }
        }
    }

    /// A track is over.
    pub(crate) fn track_unpublished(&mut self, sid: &str, track_sid: &str, now: Instant) {
        let Some(track) = self.members.get_mut(sid).and_then(|member| member.tracks.remove(track_sid)) else { return };
        self.track_owners.remove(&track.facts.key);
        self.drop_subscribers(track_sid);
        self.announce(sid, false, now);
        self.count_participants(now);
    }

    /// The server API mutes a track. `None`: unknown, or unmuting is not enabled.
    pub(crate) fn mute_track(&mut self, identity: &str, track_sid: &str, muted: bool) -> Option<lk::TrackInfo> {
        let sid = self.identities.get(identity)?.clone();
        let track = self.members.get(&sid)?.tracks.get(track_sid)?;
        let mut info = track.facts.info.clone();
        if info.muted && !muted && !self.config.room.enable_remote_unmute {
            return None;
        }
        info.muted = muted;
        self.to(&sid, ToParticipant::MuteTrack { track_sid: track_sid.into(), muted });
        Some(info)
    }

    /// Who is sent a track.
    pub(crate) fn subscribers_of(&self, track_sid: &str) -> Vec<String> {
        let subscribers = self.members.iter().filter(|(_, member)| member.subscribed.contains_key(track_sid));
        subscribers.map(|(sid, _)| sid.clone()).collect()
    }

    /// Ends every subscription of a track that is gone.
    pub(crate) fn drop_subscribers(&mut self, track_sid: &str) {
        let subscribers = self.subscribers_of(track_sid);
        for subscriber in &subscribers {
            self.to(subscriber, ToParticipant::Unsubscribe { track_sid: track_sid.into() });
        }
        for member in self.members.values_mut() {
            member.subscribed.remove(track_sid);
            member.refused.remove(track_sid);
            member.crowded_out.remove(track_sid);
            member.choices.remove(track_sid);
        }
        for subscriber in &subscribers {
            self.fill_places(subscriber);
        }
    }
}
