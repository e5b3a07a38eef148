//! The estimate: cut by growing queues and by heavy loss, raised while the path carries what is sent.

use super::acknowledged::AcknowledgedRate;
use super::flight::{Arrived, Cargo, Flight, Told};
use super::trendline::{Trendline, Usage};
use std::time::{Duration, Instant};

/// First estimate: a 720p stream without its highest layer; doubled each second until the path resists.
pub const ESTIMATE_START_BPS: u64 = 1_000_000;
/// Lowest estimate: one voice.
pub const ESTIMATE_MIN_BPS: u64 = 50_000;
/// Highest estimate; 25 high layers.
pub const ESTIMATE_MAX_BPS: u64 = 100_000_000;

/// What remains of the acknowledged rate after over-use (GCC §5.5, β).
const BACK_OFF: f64 = 0.85;
/// Growth per second at the start, after [`CALM`], and near the last limit.
const GROWTH_START: f64 = 2.0;
const GROWTH_CALM: f64 = 1.25;
const GROWTH_NEAR: f64 = 1.08;
/// Time without over-use after which the old limit no longer counts.
const CALM: Duration = Duration::from_secs(3);
/// Longest time that growth beyond what is sent pauses after it failed again and again.
const TRIAL_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Growth may run ahead of what is wanted by this factor, so that allocation's margin is met.
const WANTED_MARGIN: f64 = 1.25;
/// Growth may run ahead of what arrives by this factor when everything wanted is sent (GCC §5.5).
const ACKNOWLEDGED_MARGIN: f64 = 1.5;
/// Bits per second below which an acknowledged rate does not limit growth: an idle link proves nothing.
const ACKNOWLEDGED_FLOOR: f64 = 100_000.0;
/// Loss above which the estimate is cut, and above which it does not grow (GCC §6).
const LOSS_CUT: f64 = 0.10;
const LOSS_HOLD: f64 = 0.02;
/// Packets and time that one loss measurement spans at least.
const LOSS_PACKETS: u32 = 20;
const LOSS_INTERVAL: Duration = Duration::from_millis(500);
/// Least time between two cuts for over-use, beside one round trip.
const CUT_INTERVAL: Duration = Duration::from_millis(200);
/// Largest arrival time in microseconds, 142 years; leaves room to subtract.
const ARRIVAL_MAX: i64 = 1 << 52;
/// Longest time that one step of growth accounts for.
const GROWTH_STEP_MAX: f64 = 0.5;

/// Send-side bandwidth estimate of one peer.
#[derive(Debug)]
pub struct SendSide {
    flight: Flight,
    opened: Instant,
    trendline: Trendline,
    acknowledged: AcknowledgedRate,
    estimate: f64,
    wanted: u64,
    limit: Option<u64>,
    rtt: Option<Duration>,
    starting: bool,
    grown_at: Option<Instant>,
    congested_at: Option<Instant>,
    trial_pause: Duration,
    loss: f64,
    loss_since: Instant,
    lost: u32,
    counted: u32,
    has_feedback: bool,
}

impl SendSide {
    /// Starts with [`ESTIMATE_START_BPS`].
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            flight: Flight::default(),
            opened: now,
            trendline: Trendline::new(),
            acknowledged: AcknowledgedRate::default(),
            estimate: ESTIMATE_START_BPS as f64,
            wanted: 0,
            limit: None,
            rtt: None,
            starting: true,
            grown_at: None,
            congested_at: None,
            trial_pause: CALM,
            loss: 0.0,
            loss_since: now,
            lost: 0,
            counted: 0,
            has_feedback: false,
        }
    }

    /// Starts with an estimate made elsewhere.
    #[must_use]
    pub fn with_estimate(bps: u64, now: Instant) -> Self {
        let estimate = bps.clamp(ESTIMATE_MIN_BPS, ESTIMATE_MAX_BPS) as f64;
        Self { estimate, starting: false, ..Self::new(now) }
    }

    /// Bits per second that may be sent.
    #[must_use]
    pub fn estimate_bps(&self) -> u64 {
        // Clamped to the bounds, so never negative.
        (self.estimate as u64).min(self.limit.unwrap_or(u64::MAX)).clamp(ESTIMATE_MIN_BPS, ESTIMATE_MAX_BPS)
    }

    /// Bits per second that arrived lately.
    #[must_use]
    pub fn acknowledged_bps(&self) -> Option<u64> {
        self.acknowledged.bps()
    }

    /// Round-trip time by feedback; includes the time that the receiver collects.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Share of packets lost, 0.0 to 1.0, over the last half second or more.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Whether the path has shown a limit; before that nothing should be paused for its sake.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.congested_at.is_some() || self.limit.is_some()
    }

    /// Says what the subscriber's tracks would take if nothing limited them. The estimate grows up to it even while
    /// less is sent: the next higher layer is the probe, and each time it fails the next try waits twice as long.
    pub fn set_wanted(&mut self, bps: u64) {
        self.wanted = bps;
    }

    /// Notes a packet of `size` bytes; `cargo` names what may be repaired if it is lost.
    #[inline]
    pub fn on_sent(&mut self, sequence: u16, size: usize, cargo: Option<Cargo>, now: Instant) {
        let at = self.micros(now);
        self.flight.sent(sequence, size, cargo, at);
    }

    /// Takes transport-wide feedback: numbers in order, each with its arrival in microseconds of the receiver's clock.
    pub fn on_feedback(&mut self, packets: impl IntoIterator<Item = (u16, Option<i64>)>, now: Instant) {
        let now_micros = self.micros(now);
        let mut newest = None;
        for (sequence, arrival) in packets {
            let Some(told) = self.flight.told(sequence, arrival.is_some(), now_micros) else { continue };
            self.counted += 1;
            let (Told::Arrived(Arrived { age, size }), Some(arrival)) = (told, arrival) else {
                self.lost += 1;
                continue;
            };
            let arrival = arrival.clamp(-ARRIVAL_MAX, ARRIVAL_MAX);
            self.acknowledged.add(arrival, size);
            self.trendline.add(-i64::from(age) + i64::try_from(elapsed(self.opened, now)).unwrap_or(0), arrival);
            newest = Some(age);
        }
        let round_trip = self.rtt.and_then(|rtt| u32::try_from(rtt.as_micros()).ok());
        self.flight.conclude(now_micros, round_trip);
        let Some(age) = newest else { return };
        self.has_feedback = true;
        let sample = Duration::from_micros(u64::from(age));
        self.rtt = Some(self.rtt.map_or(sample, |rtt| if sample < rtt { sample } else { (rtt * 15 + sample) / 16 }));
        self.measure_loss(now);
        match self.trendline.usage() {
            Usage::Over => self.cut(now),
            Usage::Under => self.grown_at = Some(now),
            Usage::Normal => self.grow(now),
        }
    }

    /// The next packet that the last feedback has shown as lost, of which no other copy has arrived or may still arrive.
    pub fn next_lost(&mut self, now: Instant) -> Option<Cargo> {
        let now = self.micros(now);
        self.flight.next_lost(now)
    }

    /// Takes the share of packets lost from receiver reports; only for peers without transport-wide feedback.
    pub fn on_report_loss(&mut self, fraction: f64, now: Instant) {
        if self.has_feedback {
            return;
        }
        self.loss = fraction.clamp(0.0, 1.0);
        self.apply_loss(now);
        self.grow(now);
    }

    /// Takes a receiver's estimated maximum; it limits ours.
    pub fn on_remb(&mut self, bps: u64) {
        self.limit = Some(bps);
    }

    fn measure_loss(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.loss_since);
        if self.counted < LOSS_PACKETS || passed < LOSS_INTERVAL {
            return;
        }
        self.loss = f64::from(self.lost) / f64::from(self.counted);
        (self.lost, self.counted, self.loss_since) = (0, 0, now);
        self.apply_loss(now);
    }

    fn apply_loss(&mut self, now: Instant) {
        if self.loss > LOSS_CUT {
            self.set(self.estimate * (1.0 - 0.5 * self.loss));
            self.congested(now);
        }
    }

    fn cut(&mut self, now: Instant) {
        let interval = CUT_INTERVAL + self.rtt.unwrap_or_default();
        if self.congested_at.is_some_and(|at| now.saturating_duration_since(at) < interval) {
            return;
        }
        if let Some(acknowledged) = self.acknowledged.bps() {
            self.set(self.estimate.min(acknowledged as f64 * BACK_OFF));
        } else {
            self.set(self.estimate * BACK_OFF);
        }
        self.congested(now);
    }

    fn congested(&mut self, now: Instant) {
        let calm = self.congested_at.map_or(CALM, |at| now.saturating_duration_since(at));
        if calm > self.trial_pause * 4 {
            self.trial_pause = CALM;
        } else if calm > self.trial_pause {
            // Trouble came back after a trial, not during the same one.
            self.trial_pause = (self.trial_pause * 2).min(TRIAL_PAUSE_MAX);
        }
        self.congested_at = Some(now);
        self.starting = false;
        self.grown_at = Some(now);
    }

    fn grow(&mut self, now: Instant) {
        let Some(before) = self.grown_at.replace(now) else { return };
        if self.loss > LOSS_HOLD {
            return;
        }
        let seconds = now.saturating_duration_since(before).as_secs_f64().min(GROWTH_STEP_MAX);
        let calm = self.congested_at.map(|at| now.saturating_duration_since(at));
        let growth = match calm {
            None if self.starting => GROWTH_START,
            Some(calm) if calm < CALM => GROWTH_NEAR,
            _ => GROWTH_CALM,
        };
        let acknowledged = self.acknowledged.bps().map_or(0.0, |bps| bps as f64).max(ACKNOWLEDGED_FLOOR);
        let proven = acknowledged * ACKNOWLEDGED_MARGIN;
        // Beyond what is proven only as a trial of what is wanted.
        let trial = calm.is_none_or(|calm| calm >= self.trial_pause);
        let ceiling = if trial { proven.max(self.wanted as f64 * WANTED_MARGIN) } else { proven };
        let grown = self.estimate * growth.powf(seconds);
        if self.estimate < ceiling {
            self.set(grown.min(ceiling));
        }
    }

    fn set(&mut self, bps: f64) {
        self.estimate = bps.clamp(ESTIMATE_MIN_BPS as f64, ESTIMATE_MAX_BPS as f64);
    }

    /// Wraps every 71 minutes; only differences within one flight are used.
    fn micros(&self, now: Instant) -> u32 {
        elapsed(self.opened, now) as u32
    }
}

fn elapsed(from: Instant, to: Instant) -> u128 {
    to.saturating_duration_since(from).as_micros()
}

#[cfg(test)]
#[path = "simulation.rs"]
mod simulation;
