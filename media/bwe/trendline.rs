//! Whether queues grow along the path: the slope of one-way delay over packet groups (draft-ietf-rmcat-gcc-02 §5,
//! constants as in Chromium's trendline estimator).

/// Packets sent within this time are one group.
const GROUP_MICROS: i64 = 5_000;
/// Groups in the regression.
const GROUPS: usize = 20;
/// Weight of the old value when delay is smoothed.
const SMOOTHING: f64 = 0.9;
/// Multiplies the slope, with the number of groups up to [`GAIN_GROUPS_MAX`].
const GAIN: f64 = 4.0;
const GAIN_GROUPS_MAX: u32 = 60;
/// Threshold at the start and its bounds, in milliseconds.
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// How fast the threshold follows the trend, up and down, per millisecond.
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A trend further than this above the threshold does not move it.
const THRESHOLD_REACH: f64 = 15.0;
/// Over-use must last this long.
const OVERUSE_MILLIS: f64 = 10.0;
/// A gap or a step back of this size between groups starts over.
const RESET_MICROS: i64 = 3_000_000;

/// What the path's queues do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// They drain.
    Under,
    /// They stay.
    #[default]
    Normal,
    /// They grow.
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    last_arrival: i64,
}

/// The detector.
#[derive(Debug)]
pub(super) struct Trendline {
    current: Option<Group>,
    previous: Option<Group>,
    origin: i64,
    /// Arrival and smoothed delay of the newest groups, in milliseconds.
    points: [(f32, f32); GROUPS],
    count: u32,
    accumulated: f64,
    smoothed: f64,
    threshold: f64,
    trend: f64,
    over_for: f64,
    over_count: u32,
    usage: Usage,
}

impl Trendline {
    pub(super) fn new() -> Self {
        Self {
            current: None,
            previous: None,
            origin: 0,
            points: [(0.0, 0.0); GROUPS],
            count: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            threshold: THRESHOLD_START,
            trend: 0.0,
            over_for: 0.0,
            over_count: 0,
            usage: Usage::Normal,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes one packet; both times in microseconds of clocks that need not agree.
    pub(super) fn add(&mut self, sent: i64, arrival: i64) {
        let Some(group) = &mut self.current else {
            self.current = Some(Group { first_sent: sent, last_sent: sent, last_arrival: arrival });
            return;
        };
        if sent < group.first_sent {
            return;
        }
        let burst =
            arrival - group.last_arrival <= GROUP_MICROS && arrival - group.last_arrival < sent - group.last_sent;
        if sent - group.first_sent <= GROUP_MICROS || burst {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrival = group.last_arrival.max(arrival);
            return;
        }
        let complete = *group;
        *group = Group { first_sent: sent, last_sent: sent, last_arrival: arrival };
        let Some(previous) = self.previous.replace(complete) else {
            self.origin = complete.last_arrival;
            return;
        };
        let sent_delta = complete.last_sent - previous.last_sent;
        let arrival_delta = complete.last_arrival - previous.last_arrival;
        if arrival_delta.abs() > RESET_MICROS || arrival_delta < 0 {
            let threshold = self.threshold;
            *self = Self { current: self.current, threshold, ..Self::new() };
            return;
        }
        self.update(complete.last_arrival, sent_delta as f64 / 1000.0, arrival_delta as f64 / 1000.0);
    }

    fn update(&mut self, arrival: i64, sent_delta: f64, arrival_delta: f64) {
        self.accumulated += arrival_delta - sent_delta;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        let point = (((arrival - self.origin) as f64 / 1000.0) as f32, self.smoothed as f32);
        self.points[self.count as usize % GROUPS] = point;
        self.count = self.count.wrapping_add(1).max(GROUPS as u32 * u32::from(self.count == u32::MAX));
        if self.count < GROUPS as u32 {
            return;
        }
        let gain = f64::from(self.count.min(GAIN_GROUPS_MAX)) * GAIN;
        self.detect(self.slope() * gain, sent_delta, arrival_delta);
    }

    fn slope(&self) -> f64 {
        let count = GROUPS as f64;
        let mean = |pick: fn(&(f32, f32)) -> f32| self.points.iter().map(|it| f64::from(pick(it))).sum::<f64>() / count;
        let (x_mean, y_mean) = (mean(|it| it.0), mean(|it| it.1));
        let (mut above, mut below) = (0.0, 0.0);
        for (x, y) in &self.points {
            above += (f64::from(*x) - x_mean) * (f64::from(*y) - y_mean);
            below += (f64::from(*x) - x_mean).powi(2);
        }
        if below > 0.0 { above / below } else { 0.0 }
    }

    fn detect(&mut self, trend: f64, sent_delta: f64, arrival_delta: f64) {
        if trend > self.threshold {
            self.over_for += sent_delta;
            self.over_count += 1;
            if self.over_for > OVERUSE_MILLIS && self.over_count > 1 && trend >= self.trend {
                (self.over_for, self.over_count) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.over_for, self.over_count) = (0.0, 0);
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.trend = trend;
        if trend.abs() <= self.threshold + THRESHOLD_REACH {
            let follow = if trend.abs() < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
            self.threshold += follow * (trend.abs() - self.threshold) * arrival_delta.min(100.0);
            self.threshold = self.threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_is_not() {
        let mut trendline = Trendline::new();
        for group in 0..100 {
            trendline.add(group * 20_000, group * 20_000 + 7_000_000);
        }
        assert_eq!(trendline.usage(), Usage::Normal);
        for group in 100..160 {
            trendline.add(group * 20_000, 9_000_000 + (group - 100) * 24_000);
        }
        assert_eq!(trendline.usage(), Usage::Over);
        for group in 160..260 {
            trendline.add(group * 20_000, 9_000_000 + 60 * 24_000 + (group - 160) * 17_000);
        }
        assert_ne!(trendline.usage(), Usage::Over);
    }
}
