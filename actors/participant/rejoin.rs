//! Subscriptions of a client that joins anew because a `Leave{RECONNECT}` told it to.
//!
//! livekit-client (2.23) says "reconnected" as soon as its connection stands and its tracks are published again, but
//! goes on counting as reconnecting for two seconds after the join at least (`RTCEngine.waitForPCReconnected`). A track
//! that comes in between is put into a buffer that nobody empties (`Room.emitWhenConnected`): its application never hears
//! of it. So its subscriptions start after that.

use crate::limits;
use crate::participant::state::ParticipantState;
use crate::track::TrackFacts;
use starling_protocol::livekit::client_info::Sdk;
use std::collections::BTreeMap;
use std::time::Instant;

/// The tracks that wait, by sid.
#[derive(Debug)]
pub(crate) struct Waiting {
    until: Instant,
    tracks: BTreeMap<String, TrackFacts>,
}

impl Waiting {
    /// What a client that joins at `now` has to wait for, if it is one that must.
    pub(crate) fn new(rejoins: bool, sdk: i32, now: Instant) -> Option<Self> {
        // React Native runs the same engine.
        let is_livekit_client = sdk == Sdk::Js as i32 || sdk == Sdk::ReactNative as i32;
        (rejoins && is_livekit_client)
            .then(|| Self { until: now + limits::REJOIN_SUBSCRIPTION_WAIT, tracks: BTreeMap::new() })
    }
}

impl ParticipantState {
    /// Keeps a track for later; returns it when nothing has to wait.
    pub(crate) fn wait_with(&mut self, facts: TrackFacts) -> Option<TrackFacts> {
        match &mut self.waiting {
            Some(waiting) => {
                waiting.tracks.insert(facts.info.sid.clone(), facts);
                None
            }
            None => Some(facts),
        }
    }

    /// A track that waits has other layers or codecs than before.
    pub(crate) fn changed_while_waiting(&mut self, facts: TrackFacts) {
        if let Some(waiting) = &mut self.waiting {
            waiting.tracks.entry(facts.info.sid.clone()).and_modify(|waits| *waits = facts);
        }
    }

    /// Forgets a track that waits.
    pub(crate) fn wait_no_more_for(&mut self, track_sid: &str) {
        if let Some(waiting) = &mut self.waiting {
            waiting.tracks.remove(track_sid);
        }
    }

    /// The client looks at its connection each 50 ms: what connects late is waited for a little longer.
    pub(crate) fn connected_while_waiting(&mut self, now: Instant) {
        if let Some(waiting) = &mut self.waiting {
            waiting.until = waiting.until.max(now + limits::REJOIN_CONNECTED_WAIT);
        }
    }

    /// When the waiting ends; an unconnected client's ends by its connection.
    pub(crate) fn waiting_deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().filter(|_| self.was_connected).map(|waiting| waiting.until)
    }

    /// Starts what has waited.
    pub(crate) fn end_waiting(&mut self, now: Instant) {
        for facts in self.waiting.take().map(|waiting| waiting.tracks).unwrap_or_default().into_values() {
            self.subscribe(facts, now);
        }
    }
}
