//! Who speaks, how well connections do, and which streams congestion has paused.

use crate::participant::ToParticipant;
use crate::room::state::RoomState;
use crate::signal::Message;
use starling_media::command::{Quality, SpeakerLevel};
use starling_media::id::TrackKey;
use starling_protocol::livekit as lk;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Steps of the level that clients hear (LiveKit's quantisation): smaller changes are not told.
const LEVEL_STEPS: f32 = 8.0;
/// Longest pretended speech.
const SIMULATED_SPEECH_MAX: Duration = Duration::from_secs(60);

/// Who is known to speak.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    told: BTreeMap<String, f32>,
    simulated: BTreeMap<String, Instant>,
}

impl Speakers {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.simulated.values().copied().min()
    }
}

impl RoomState {
    /// The media plane says who speaks.
    pub(crate) fn speakers(&mut self, levels: &[SpeakerLevel]) {
        let mut loudest: BTreeMap<String, f32> = BTreeMap::new();
        for level in levels {
            let Some((sid, _)) = self.track_owners.get(&level.track) else { continue };
            let stepped = (level.level * LEVEL_STEPS).ceil() / LEVEL_STEPS;
            let entry = loudest.entry(sid.clone()).or_insert(stepped);
            *entry = entry.max(stepped);
        }
        loudest.extend(self.speakers.simulated.keys().map(|sid| (sid.clone(), 1.0)));
        self.tell_speakers(loudest);
    }

    /// A client pretends to speak.
    pub(crate) fn simulate_speaker(&mut self, sid: &str, seconds: u32, now: Instant) {
        let length = Duration::from_secs(seconds.into()).min(SIMULATED_SPEECH_MAX);
        self.speakers.simulated.insert(sid.into(), now + length);
        let mut speaking = self.speakers.told.clone();
        speaking.insert(sid.into(), 1.0);
        self.tell_speakers(speaking);
    }

    pub(crate) fn end_simulated_speakers(&mut self, now: Instant) {
        let due: Vec<String> =
            self.speakers.simulated.iter().filter(|(_, at)| **at <= now).map(|(sid, _)| sid.clone()).collect();
        if due.is_empty() {
            return;
        }
        let mut speaking = self.speakers.told.clone();
        for sid in due {
            self.speakers.simulated.remove(&sid);
            speaking.remove(&sid);
        }
        self.tell_speakers(speaking);
    }

    /// Tells the difference to what was told, to each only of those whom it hears.
    fn tell_speakers(&mut self, speaking: BTreeMap<String, f32>) {
        let changed = speaking.iter().filter(|(sid, level)| self.speakers.told.get(*sid) != Some(level));
        let started = changed.map(|(sid, level)| lk::SpeakerInfo { sid: sid.clone(), level: *level, active: true });
        let silent = self.speakers.told.keys().filter(|sid| !speaking.contains_key(*sid));
        let stopped = silent.map(|sid| lk::SpeakerInfo { sid: sid.clone(), level: 0.0, active: false });
        let changes: Vec<lk::SpeakerInfo> = started.chain(stopped).collect();
        self.speakers.told = speaking;
        if changes.is_empty() {
            return;
        }
        let mut messages = Vec::new();
        for (sid, member) in &self.members {
            let hears = |speaker: &&lk::SpeakerInfo| {
                speaker.sid == *sid || member.subscribed.values().any(|publisher| *publisher == speaker.sid)
            };
            let speakers: Vec<_> = changes.iter().filter(hears).cloned().collect();
            if !speakers.is_empty() {
                messages.push((sid.clone(), Message::SpeakersChanged(lk::SpeakersChanged { speakers })));
            }
        }
        for (sid, message) in messages {
            self.to(&sid, ToParticipant::Signal(message));
        }
    }

    pub(crate) fn set_quality(&mut self, sid: &str, quality: Quality, score: f32) {
        if let Some(member) = self.members.get_mut(sid) {
            member.quality = (quality, score);
        }
    }

    /// Tells everybody the changed qualities of itself and of those whom it receives.
    pub(crate) fn tell_quality(&mut self) {
        let current: BTreeMap<String, (Quality, f32)> =
            self.members.iter().map(|(sid, member)| (sid.clone(), member.quality)).collect();
        let mut messages = Vec::new();
        for (sid, member) in &mut self.members {
            let mut about: Vec<&String> = member.subscribed.values().chain([sid]).collect();
            about.sort_unstable();
            about.dedup();
            let mut updates = Vec::new();
            for other in about {
                let Some((quality, score)) = current.get(other) else { continue };
                let quality = wire_quality(*quality, member.protocol);
                if member.quality_told.insert(other.clone(), quality) != Some(quality) {
                    updates.push(lk::ConnectionQualityInfo { participant_sid: other.clone(), quality, score: *score });
                }
            }
            member.quality_told.retain(|other, _| current.contains_key(other));
            if !updates.is_empty() {
                messages.push((sid.clone(), Message::ConnectionQuality(lk::ConnectionQualityUpdate { updates })));
            }
        }
        for (sid, message) in messages {
            self.to(&sid, ToParticipant::Signal(message));
        }
    }

    /// Congestion paused or resumed what a subscriber receives.
    pub(crate) fn stream_paused(&mut self, sid: &str, track: TrackKey, paused: bool) {
        let Some((participant_sid, track_sid)) = self.track_owners.get(&track).cloned() else { return };
        let state = if paused { lk::StreamState::Paused } else { lk::StreamState::Active } as i32;
        let stream_states = vec![lk::StreamStateInfo { participant_sid, track_sid, state }];
        let update = Message::StreamStateUpdate(lk::StreamStateUpdate { stream_states });
        self.to(sid, ToParticipant::Signal(update));
    }
}

/// LOST exists from protocol 11 on.
fn wire_quality(quality: Quality, protocol: i32) -> i32 {
    let quality = match quality {
        Quality::Lost if protocol < 11 => lk::ConnectionQuality::Poor,
        Quality::Lost => lk::ConnectionQuality::Lost,
        Quality::Poor => lk::ConnectionQuality::Poor,
        Quality::Good => lk::ConnectionQuality::Good,
        Quality::Excellent => lk::ConnectionQuality::Excellent,
    };
    quality as i32
}
