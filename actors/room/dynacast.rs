//! Dynacast: a publisher is told which qualities anybody wants; more at once, less after a delay.

use crate::legacy;
use crate::participant::ToParticipant;
use crate::room::state::RoomState;
use crate::signal::Message;
use starling_media::codec::Kind;
use starling_protocol::livekit as lk;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Highest wanted quality (0 to 2) by codec name; absent = nobody wants it.
type Wanted = BTreeMap<String, u8>;

/// The wishes for one track.
#[derive(Debug)]
pub(crate) struct Dynacast {
    wants: BTreeMap<String, (String, u8)>,
    told: Option<Wanted>,
    lower_at: Option<Instant>,
    delay: Duration,
}

impl Dynacast {
    pub(crate) fn new(now: Instant, delay: Duration) -> Self {
        Self { wants: BTreeMap::new(), told: None, lower_at: Some(now + delay), delay }
    }

    /// A subscriber's wish changed. Returns whether the publisher has to hear at once.
    fn set(&mut self, subscriber: &str, want: Option<(String, u8)>, now: Instant) -> bool {
        match want {
            Some(want) => self.wants.insert(subscriber.into(), want),
            None => self.wants.remove(subscriber),
        };
        let wanted = self.wanted();
        let told = self.told.clone().unwrap_or_default();
        let is_more = wanted.iter().any(|(codec, quality)| told.get(codec).is_none_or(|told| quality > told));
        if wanted == told && self.told.is_some() {
            self.lower_at = None;
        } else if !is_more {
            self.lower_at.get_or_insert(now + self.delay);
        }
        is_more
    }

    fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::new();
        for (codec, quality) in self.wants.values() {
            let highest = wanted.entry(codec.clone()).or_insert(*quality);
            *highest = (*highest).max(*quality);
        }
        wanted
    }

    /// What the publisher hears when something rose: what was told, raised where more is wanted.
    fn raise(&mut self, now: Instant) -> Wanted {
        let wanted = self.wanted();
        let mut tell = self.told.clone().unwrap_or_default();
        for (codec, quality) in &wanted {
            let told = tell.entry(codec.clone()).or_insert(*quality);
            *told = (*told).max(*quality);
        }
        self.lower_at = (tell != wanted).then(|| now + self.delay);
        self.told = Some(tell.clone());
        tell
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lower_at
    }

    fn lower(&mut self, now: Instant) -> Option<Wanted> {
        self.lower_at.filter(|at| *at <= now)?;
        self.lower_at = None;
        let wanted = self.wanted();
        if self.told.as_ref() == Some(&wanted) {
            return None;
        }
        self.told = Some(wanted.clone());
        Some(wanted)
    }
}

impl RoomState {
    /// A subscriber's wish for a video track changed.
    pub(crate) fn want(&mut self, sid: &str, track_sid: &str, codec: String, quality: Option<u8>, now: Instant) {
        let owner = self.members.iter_mut().find(|(_, member)| member.tracks.contains_key(track_sid));
        let Some((owner, member)) = owner else { return };
        let Some(track) = member.tracks.get_mut(track_sid).filter(|track| track.facts.kind == Kind::Video) else {
            return;
        };
        if track.dynacast.set(sid, quality.map(|quality| (codec, quality)), now) {
            let wanted = track.dynacast.raise(now);
            let message = quality_update(track_sid, &track.facts.codec_names(), &wanted);
            let owner = owner.clone();
            self.to(&owner, ToParticipant::Signal(message));
        }
    }

    /// A subscriber is gone, and so are its wishes.
    pub(crate) fn forget_wants(&mut self, sid: &str, now: Instant) {
        for member in self.members.values_mut() {
            for track in member.tracks.values_mut() {
                if track.dynacast.wants.contains_key(sid) {
                    track.dynacast.set(sid, None, now);
                }
            }
        }
    }

    /// Tells publishers what nobody has wanted for a while.
    pub(crate) fn update_dynacast(&mut self, now: Instant) {
        let mut messages = Vec::new();
        for (owner, member) in &mut self.members {
            for (track_sid, track) in &mut member.tracks {
                if let Some(wanted) = track.dynacast.lower(now)
                    && track.facts.kind == Kind::Video
                {
                    let message = quality_update(track_sid, &track.facts.codec_names(), &wanted);
                    messages.push((owner.clone(), message));
                }
            }
        }
        for (owner, message) in messages {
            self.to(&owner, ToParticipant::Signal(message));
        }
    }
}

fn qualities(highest: Option<u8>) -> Vec<lk::SubscribedQuality> {
    let all = [lk::VideoQuality::Low, lk::VideoQuality::Medium, lk::VideoQuality::High];
    all.into_iter()
        .map(|quality| lk::SubscribedQuality {
            quality: quality as i32,
            enabled: highest.is_some_and(|highest| quality as i32 <= i32::from(highest)),
        })
        .collect()
}

fn quality_update(track_sid: &str, codecs: &[String], wanted: &Wanted) -> Message {
    let mut names: Vec<&String> = codecs.iter().collect();
    names.extend(wanted.keys().filter(|codec| !codecs.contains(codec)));
    let first = names.first().and_then(|codec| wanted.get(*codec)).copied();
    let codec = |name: &&String| lk::SubscribedCodec {
        codec: (*name).clone(),
        qualities: qualities(wanted.get(*name).copied()),
    };
    let codecs = names.iter().map(codec).collect();
    Message::SubscribedQualityUpdate(legacy::quality_update(track_sid, qualities(first), codecs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn more_is_asked_at_once_and_less_after_the_delay() {
        let now = start();
        let delay = Duration::from_secs(5);
        let mut dynacast = Dynacast::new(now, delay);
        assert!(dynacast.set("PA_b", Some(("vp8".into(), 2)), now));
        assert_eq!(dynacast.raise(now).get("vp8"), Some(&2));
        assert!(!dynacast.set("PA_b", Some(("vp8".into(), 0)), now));
        assert!(dynacast.lower(now + Duration::from_secs(4)).is_none());
        assert_eq!(dynacast.lower(now + delay).and_then(|wanted| wanted.get("vp8").copied()), Some(0));
        dynacast.set("PA_b", None, now + delay);
        assert_eq!(dynacast.lower(now + delay * 2), Some(Wanted::new()));
    }

    #[test]
    fn a_wish_that_returns_within_the_delay_changes_nothing() {
        let now = start();
        let mut dynacast = Dynacast::new(now, Duration::from_secs(5));
        dynacast.set("PA_b", Some(("vp8".into(), 2)), now);
        dynacast.raise(now);
        dynacast.set("PA_b", None, now);
        assert!(!dynacast.set("PA_b", Some(("vp8".into(), 2)), now), "it is still being sent");
        assert_eq!(dynacast.poll_timeout(), None);
    }
}
