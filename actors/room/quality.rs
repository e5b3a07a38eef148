//! Who speaks, how well connections do, and which streams congestion has paused.

use crate::participant::ToParticipant;
use crate::room::state::RoomState;
use crate::signal::Message;
use starling_media::command::{Quality, SpeakerLevel};
use starling_media::id::TrackKey;
use starling_protocol::livekit as lk;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Steps of the level that clients hear (LiveKit's quantisation): smaller changes are not told.
const LEVEL_STEPS: f32 = 8.0;
/// Longest pretended speech.
const SIMULATED_SPEECH_MAX: Duration = Duration::from_secs(60);

/// Who is known to speak.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    current: BTreeMap<String, f32>,
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
        let mut speaking = self.speakers.current.clone();
        speaking.insert(sid.into(), 1.0);
        self.tell_speakers(speaking);
    }

    pub(crate) fn end_simulated_speakers(&mut self, now: Instant) {
        let due: Vec<String> =
            self.speakers.simulated.iter().filter(|(_, at)| **at <= now).map(|(sid, _)| sid.clone()).collect();
        if due.is_empty() {
            return;
        }
        let mut speaking = self.speakers.current.clone();
        for sid in due {
            self.speakers.simulated.remove(&sid);
            speaking.remove(&sid);
        }
        self.tell_speakers(speaking);
    }

    /// Tells each participant the difference to what it was told: of itself, and of those whom it receives.
    fn tell_speakers(&mut self, speaking: BTreeMap<String, f32>) {
        let mut messages = Vec::new();
        for (sid, member) in &mut self.members {
            if speaking.is_empty() && member.speakers_told.is_empty() {
                continue;
            }
            let publishers: BTreeSet<&String> = member.subscribed.values().map(|track| &track.publisher).collect();
            let heard: BTreeMap<String, f32> = speaking
                .iter()
                .filter(|(speaker, _)| *speaker == sid || publishers.contains(speaker))
                .map(|(speaker, level)| (speaker.clone(), *level))
                .collect();
            let told = std::mem::replace(&mut member.speakers_told, heard);
            let heard = &member.speakers_told;
            let changed = heard.iter().filter(|(speaker, level)| told.get(*speaker) != Some(level));
            let speakers =
                changed.map(|(sid, level)| lk::SpeakerInfo { sid: sid.clone(), level: *level, active: true });
            let silent = told.keys().filter(|speaker| !heard.contains_key(*speaker));
            let silent = silent.map(|sid| lk::SpeakerInfo { sid: sid.clone(), level: 0.0, active: false });
            let speakers: Vec<lk::SpeakerInfo> = speakers.chain(silent).collect();
            if !speakers.is_empty() {
                messages.push((sid.clone(), Message::SpeakersChanged(lk::SpeakersChanged { speakers })));
            }
        }
        self.speakers.current = speaking;
        for (sid, message) in messages {
            self.to(&sid, ToParticipant::Signal(message));
        }
    }

    /// A participant is gone: clients forget themselves that it spoke.
    pub(crate) fn forget_speaker(&mut self, sid: &str) {
        self.speakers.current.remove(sid);
        self.speakers.simulated.remove(sid);
        for member in self.members.values_mut() {
            member.speakers_told.remove(sid);
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
            let mut about: Vec<&String> =
                member.subscribed.values().map(|track| &track.publisher).chain([sid]).collect();
            about.sort_unstable();
            about.dedup();
            let mut updates = Vec::new();
            for other in about {
                let Some((quality, score)) = current.get(other) else { continue };
                let quality = wire_quality(*quality, member.protocol, other == sid);
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

/// LOST exists from protocol 11 on. Nobody hears it of itself: whom this message reaches is connected, and livekit-client
/// joins anew when it is told for 10 s that its own connection is lost.
fn wire_quality(quality: Quality, protocol: i32, is_self: bool) -> i32 {
    let quality = match quality {
        Quality::Lost if is_self || protocol < 11 => lk::ConnectionQuality::Poor,
        Quality::Lost => lk::ConnectionQuality::Lost,
        Quality::Poor => lk::ConnectionQuality::Poor,
        Quality::Good => lk::ConnectionQuality::Good,
        Quality::Excellent => lk::ConnectionQuality::Excellent,
    };
    quality as i32
}
