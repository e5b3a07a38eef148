//! Names: LiveKit's sids, and the media plane's numbers.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_protocol::livekit as lk;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Random characters of a sid: 62^12 names, LiveKit's length.
const SID_RANDOM_CHARACTERS: usize = 12;

/// Random sids and SSRCs; a seed repeats them.
#[derive(Debug)]
pub(crate) struct Ids(StdRng);

impl Ids {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn random() -> Self {
        Self(StdRng::from_os_rng())
    }

    /// A seed for a child state.
    pub(crate) fn seed(&mut self) -> u64 {
        self.0.random()
    }

    pub(crate) fn sid(&mut self, prefix: &str) -> String {
        let random = (0..SID_RANDOM_CHARACTERS).map(|_| char::from(self.0.sample(rand::distr::Alphanumeric)));
        prefix.chars().chain(random).collect()
    }

    /// `TR_`, kind letter, source letter, random characters.
    pub(crate) fn track_sid(&mut self, kind: lk::TrackType, source: lk::TrackSource) -> String {
        let kind = if kind == lk::TrackType::Video { 'V' } else { 'A' };
        let source = match source {
            lk::TrackSource::Camera => "C",
            lk::TrackSource::Microphone => "M",
            lk::TrackSource::ScreenShare => "S",
            lk::TrackSource::ScreenShareAudio => "s",
            lk::TrackSource::Unknown => "",
        };
        self.sid(&format!("TR_{kind}{source}"))
    }

    /// An SSRC; 0 is left to implementations that mean "none" by it.
    pub(crate) fn ssrc(&mut self) -> u32 {
        self.0.random_range(1..=u32::MAX)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.random()).collect()
    }
}

/// Numbers that are unique for the life of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Arc<AtomicU64>);

impl Numbers {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn peer(&self) -> PeerId {
        PeerId(self.next())
    }

    pub(crate) fn room(&self) -> RoomKey {
        RoomKey(self.next())
    }

    pub(crate) fn track(&self) -> TrackKey {
        TrackKey(self.next())
    }
}

/// Ties the monotonic clock to the calendar, so that states need only be told one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    pub(crate) at: Instant,
    pub(crate) unix_ms: i64,
}

impl Calendar {
    /// Milliseconds since the epoch.
    pub(crate) fn unix_ms(&self, now: Instant) -> i64 {
        let passed = i64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.saturating_add(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_sid_tells_kind_and_source() {
        let mut ids = Ids::from_seed(1);
        assert!(ids.track_sid(lk::TrackType::Video, lk::TrackSource::Camera).starts_with("TR_VC"));
        assert!(ids.track_sid(lk::TrackType::Audio, lk::TrackSource::ScreenShareAudio).starts_with("TR_As"));
        assert_eq!(ids.track_sid(lk::TrackType::Audio, lk::TrackSource::Unknown).len(), 4 + SID_RANDOM_CHARACTERS);
    }
}
