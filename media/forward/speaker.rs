//! Who speaks: RFC 6464 levels smoothed as LiveKit does, with its numbers, so that clients show what they are used to.

use crate::command::SpeakerLevel;
use crate::id::TrackKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Levels of this many dB below overload or louder count as speech.
const ACTIVE_LEVEL: u8 = 30;
/// Share of an interval, in percent, that must be speech.
const MIN_PERCENTILE: u32 = 40;
/// Length of an interval of observation and between two reports.
pub const UPDATE_INTERVAL: Duration = Duration::from_millis(500);
/// Intervals that exponential smoothing covers.
const SMOOTH_INTERVALS: f64 = 4.0;
/// Reported levels are rounded up to multiples of 1/8, so that small changes make no message.
const LEVEL_STEPS: f64 = 8.0;
/// Silence in RFC 6464.
const SILENCE: u8 = 127;
/// Longest time that one packet stands for (RFC 7587 §4.2: 120 ms).
const PACKET_MILLIS_MAX: u32 = 120;

/// Loudness of one track.
#[derive(Clone, Copy, Debug)]
pub struct SpeakerMeter {
    loudest: u8,
    active_millis: u32,
    observed_millis: u32,
    smoothed: f64,
    observed_at: Instant,
}

impl SpeakerMeter {
    /// Starts silent.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { loudest: SILENCE, active_millis: 0, observed_millis: 0, smoothed: 0.0, observed_at: now }
    }

    /// Takes one packet's level (0 loudest to 127 silent, in −dBov) and how long it lasts in milliseconds.
    pub fn observe(&mut self, level: u8, millis: u32, now: Instant) {
        let millis = millis.min(PACKET_MILLIS_MAX);
        self.observed_at = now;
        self.observed_millis += millis;
        if level <= ACTIVE_LEVEL {
            self.active_millis += millis;
            self.loudest = self.loudest.min(level);
        }
        let interval = UPDATE_INTERVAL.as_millis() as u32;
        if self.observed_millis < interval {
            return;
        }
        let linear = if self.active_millis >= interval * MIN_PERCENTILE / 100 {
            let weight = 20.0 * (f64::from(self.active_millis) / f64::from(interval)).log10();
            linear(f64::from(self.loudest) - weight)
        } else {
            0.0
        };
        self.smooth(linear);
        (self.loudest, self.active_millis, self.observed_millis) = (SILENCE, 0, 0);
    }

    /// Smoothed level, if it counts as speaking.
    #[must_use]
    pub fn speaking(&self) -> Option<f64> {
        (self.smoothed >= linear(f64::from(ACTIVE_LEVEL))).then_some(self.smoothed)
    }

    /// Falls while nothing comes: a muted track or one in DTX sends no levels.
    fn decay(&mut self, now: Instant) {
        if now.saturating_duration_since(self.observed_at) >= UPDATE_INTERVAL {
            self.smooth(0.0);
            (self.loudest, self.active_millis, self.observed_millis) = (SILENCE, 0, 0);
        }
    }

    fn smooth(&mut self, linear: f64) {
        self.smoothed += (linear - self.smoothed) * 2.0 / (SMOOTH_INTERVALS + 1.0);
    }
}

/// 0.0 (silent) to 1.0 of a level in dB below overload.
fn linear(level: f64) -> f64 {
    10_f64.powf(-level / 20.0).min(1.0)
}

/// When a room's speakers are reported, and whether anybody spoke last time.
#[derive(Clone, Copy, Debug)]
pub struct SpeakerReporter {
    due: Instant,
    spoke: bool,
}

impl SpeakerReporter {
    /// First report after one interval.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { due: now + UPDATE_INTERVAL, spoke: false }
    }

    /// When [`SpeakerReporter::poll`] is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether anybody spoke at the last report.
    #[must_use]
    pub fn spoke(&self) -> bool {
        self.spoke
    }

    /// Returns the speakers, with those who speak `elsewhere`, loudest first, each interval while anybody speaks and
    /// once with nobody.
    pub fn poll(
        &mut self,
        now: Instant,
        meters: &mut BTreeMap<TrackKey, SpeakerMeter>,
        elsewhere: impl IntoIterator<Item = SpeakerLevel>,
    ) -> Option<Vec<SpeakerLevel>> {
        if now < self.due {
            return None;
        }
        self.due = now + UPDATE_INTERVAL;
        let mut speakers = Vec::new();
        for (track, meter) in meters {
            meter.decay(now);
            if let Some(level) = meter.speaking() {
                let level = (level * LEVEL_STEPS).ceil() / LEVEL_STEPS;
                speakers.push(SpeakerLevel { track: *track, level: level as f32 });
            }
        }
        speakers.extend(elsewhere);
        speakers.sort_by(|a, b| b.level.total_cmp(&a.level).then(a.track.cmp(&b.track)));
        let spoke = std::mem::replace(&mut self.spoke, !speakers.is_empty());
        (spoke || self.spoke).then_some(speakers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speak(meter: &mut SpeakerMeter, level: u8, packets: u64, from: Instant) -> Instant {
        for packet in 1..=packets {
            meter.observe(level, 20, from + Duration::from_millis(20 * packet));
        }
        from + Duration::from_millis(20 * packets)
    }

    #[test]
    fn a_loud_track_speaks_and_falls_silent_once() {
        let start = crate::egress::testing::start();
        let mut reporter = SpeakerReporter::new(start);
        let mut meters = BTreeMap::from([
            (TrackKey(1), SpeakerMeter::new(start)),
            (TrackKey(2), SpeakerMeter::new(start)),
            (TrackKey(3), SpeakerMeter::new(start)),
        ]);
        speak(meters.get_mut(&TrackKey(1)).unwrap(), 20, 50, start);
        speak(meters.get_mut(&TrackKey(2)).unwrap(), 5, 50, start);
        let mut now = speak(meters.get_mut(&TrackKey(3)).unwrap(), 60, 50, start);
        let speakers = reporter.poll(now, &mut meters, []).unwrap();
        assert_eq!(speakers.iter().map(|it| it.track.0).collect::<Vec<_>>(), [2, 1]);
        assert!(speakers.iter().all(|it| it.level > 0.0 && it.level <= 1.0 && it.level * 8.0 % 1.0 == 0.0));
        assert_eq!(reporter.poll(now, &mut meters, []), None, "not due");
        let mut reports = Vec::new();
        for _ in 0..20 {
            now += UPDATE_INTERVAL;
            reports.extend(reporter.poll(now, &mut meters, []));
        }
        assert_eq!(reports.last(), Some(&Vec::new()));
        assert_eq!(reports.iter().filter(|report| report.is_empty()).count(), 1);
    }

    #[test]
    fn a_cough_is_not_speech() {
        let start = crate::egress::testing::start();
        let mut meter = SpeakerMeter::new(start);
        let now = speak(&mut meter, 10, 8, start);
        speak(&mut meter, 127, 17, now);
        assert_eq!(meter.speaking(), None, "160 ms of 500 ms");
    }
}
