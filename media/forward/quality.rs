//! How well a peer's media flows: LiveKit's simplified E-model over loss, delay and missing layers, smoothed, reported
//! on change only.

use crate::codec::Codec;
use crate::command::Quality;
use std::time::{Duration, Instant};

/// Time between two judgements.
pub const QUALITY_INTERVAL: Duration = Duration::from_secs(5);
const SCORE_MAX: f64 = 100.0;
/// Score below which quality is good, poor, lost.
const SCORE_EXCELLENT: f64 = 80.0;
const SCORE_GOOD: f64 = 40.0;
const SCORE_LOST: f64 = 20.0;
/// Lowest score of a stream that flows.
const SCORE_POOR: f64 = 30.0;
/// Weight of a new score that is better or worse than the old one.
const RISE: f64 = 0.4;
const FALL: f64 = 0.7;
/// Score that one missing spatial layer costs.
const LAYER_COST: f64 = 35.0;

/// What one stream did since the last judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamWindow {
    /// What it carries.
    pub codec: Codec,
    /// Packets that should have come.
    pub expected: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Largest jitter.
    pub jitter: Duration,
    /// Largest round-trip time.
    pub rtt: Duration,
    /// Spatial layers wanted above those that flow.
    pub layers_missing: u8,
    /// Muted or paused by its owner: not judged.
    pub muted: bool,
}

/// Judges one peer over all its streams.
#[derive(Clone, Copy, Debug)]
pub struct QualityJudge {
    score: f64,
    reported: Quality,
    due: Instant,
}

impl QualityJudge {
    /// Starts excellent.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { score: SCORE_MAX, reported: Quality::Excellent, due: now + QUALITY_INTERVAL }
    }

    /// When [`QualityJudge::poll`] is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Quality and score as clients know them.
    #[must_use]
    pub fn current(&self) -> (Quality, f32) {
        (self.reported, opinion(self.score))
    }

    /// Judges the last interval, if it is over; returns quality and opinion score if the quality changed.
    pub fn poll(&mut self, now: Instant, streams: impl IntoIterator<Item = StreamWindow>) -> Option<(Quality, f32)> {
        if now < self.due {
            return None;
        }
        self.due = now + QUALITY_INTERVAL;
        let worst = streams.into_iter().filter(|stream| !stream.muted).map(|stream| score(&stream)).reduce(f64::min);
        // Nothing to judge leaves no grounds for complaint.
        let score = worst.unwrap_or(SCORE_MAX);
        let weight = if score > self.score { RISE } else { FALL };
        self.score = weight * score + (1.0 - weight) * self.score;
        if score <= SCORE_LOST {
            // Nothing at all came: no smoothing hides that.
            self.score = score;
        }
        let quality = quality(self.score);
        (std::mem::replace(&mut self.reported, quality) != quality).then(|| self.current())
    }
}

fn score(stream: &StreamWindow) -> f64 {
    if stream.expected == 0 || stream.lost >= stream.expected {
        return SCORE_LOST;
    }
    // https://www.pingman.com/kb/article/how-is-mos-calculated-in-pingplotter-pro-50.html
    let delay = stream.rtt.as_secs_f64() * 1000.0 / 2.0 + stream.jitter.as_secs_f64() * 1000.0 * 2.0;
    let delay_effect = if delay > 160.0 { (delay - 120.0) / 10.0 } else { delay / 40.0 };
    let percent = stream.lost as f64 * 100.0 / stream.expected as f64;
    let packet = SCORE_MAX - delay_effect - percent * loss_weight(stream.codec);
    let layers = SCORE_MAX - LAYER_COST * f64::from(stream.layers_missing);
    packet.min(layers).clamp(SCORE_POOR, SCORE_MAX)
}

/// Score that one percent of loss costs: redundancy and in-band FEC forgive much.
fn loss_weight(codec: Codec) -> f64 {
    match codec {
        Codec::Red => 2.0,
        Codec::Opus => 4.0,
        Codec::Pcmu | Codec::Pcma => 8.0,
        Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::Av1 | Codec::H265 => 10.0,
    }
}

fn quality(score: f64) -> Quality {
    if score > SCORE_EXCELLENT {
        Quality::Excellent
    } else if score > SCORE_GOOD {
        Quality::Good
    } else if score > SCORE_LOST {
        Quality::Poor
    } else {
        Quality::Lost
    }
}

/// Mean opinion score, 1.0 to 4.5 (ITU-T G.107 Annex B).
fn opinion(score: f64) -> f32 {
    let score = score.clamp(0.0, SCORE_MAX);
    (1.0 + 0.035 * score + 7e-6 * score * (score - 60.0) * (100.0 - score)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(lost: u64) -> StreamWindow {
        StreamWindow {
            codec: Codec::Vp8,
            expected: 1000,
            lost,
            jitter: Duration::from_millis(5),
            rtt: Duration::from_millis(40),
            layers_missing: 0,
            muted: false,
        }
    }

    fn judge(windows: &[StreamWindow]) -> Vec<Quality> {
        let mut now = crate::egress::testing::start();
        let mut judge = QualityJudge::new(now);
        let mut changes = Vec::new();
        for window in windows {
            now += QUALITY_INTERVAL;
            changes.extend(judge.poll(now, [*window]).map(|(quality, _)| quality));
        }
        changes
    }

    #[test]
    fn only_changes_are_reported() {
        assert_eq!(judge(&[stream(0); 5]), []);
        assert_eq!(judge(&[stream(50); 3]), [Quality::Good]);
        assert_eq!(judge(&[stream(200); 4]), [Quality::Good, Quality::Poor]);
        let silent = StreamWindow { expected: 0, ..stream(0) };
        assert_eq!(judge(&[silent, stream(0), stream(0), stream(0)])[0], Quality::Lost);
        let muted = StreamWindow { muted: true, ..silent };
        assert_eq!(judge(&[muted; 3]), []);
    }

    #[test]
    fn a_missing_layer_is_good_and_recovery_takes_time() {
        let lower = StreamWindow { layers_missing: 1, ..stream(0) };
        assert_eq!(judge(&[lower, lower, stream(0), stream(0), stream(0)]), [Quality::Good, Quality::Excellent]);
    }

    #[test]
    fn the_opinion_lies_on_its_scale() {
        assert!((opinion(100.0) - 4.5).abs() < 0.01);
        assert!((opinion(0.0) - 1.0).abs() < 0.01);
    }
}
