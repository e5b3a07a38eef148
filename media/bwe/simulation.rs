//! The estimator against a simulated path: bottleneck with a queue, random loss, feedback each 50 ms, in virtual time.

use super::*;
use std::collections::VecDeque;

const DELAY: u64 = 25_000;
const STEP: u64 = 1_000;
const QUEUE_BYTES: f64 = 30_000.0;

struct Path {
    start: Instant,
    now: u64,
    bwe: SendSide,
    capacity_bps: f64,
    loss: f64,
    queue_bytes: f64,
    sequence: u16,
    reported: u16,
    arrivals: VecDeque<(u64, u16, Option<i64>)>,
    credit: f64,
    random: u64,
}

impl Path {
    fn new(capacity_bps: f64, loss: f64) -> Self {
        let start = crate::egress::testing::start();
        Self {
            start,
            now: 0,
            bwe: SendSide::new(start),
            capacity_bps,
            loss,
            queue_bytes: 0.0,
            sequence: 0,
            reported: 0,
            arrivals: VecDeque::new(),
            credit: 0.0,
            random: 1,
        }
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / (1u64 << 24) as f64
    }

    /// Sends `rate(estimate)` for `seconds`; returns the estimate at the end of each second.
    fn run(&mut self, seconds: u64, rate: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut estimates = Vec::new();
        for _ in 0..seconds {
            for _ in 0..1_000_000 / STEP {
                self.step(&rate);
            }
            estimates.push(self.bwe.estimate_bps());
        }
        estimates
    }

    fn step(&mut self, rate: &impl Fn(u64) -> u64) {
        self.now += STEP;
        let now = self.start + Duration::from_micros(self.now);
        self.queue_bytes = (self.queue_bytes - self.capacity_bps / 8.0 * STEP as f64 / 1e6).max(0.0);
        self.credit += rate(self.bwe.estimate_bps()) as f64 / 8.0 * STEP as f64 / 1e6;
        while self.credit >= 1000.0 {
            self.credit -= 1000.0;
            self.sequence = self.sequence.wrapping_add(1);
            self.bwe.on_sent(self.sequence, 1000, None, now);
            let lost = self.chance() < self.loss || self.queue_bytes + 1000.0 > QUEUE_BYTES;
            if !lost {
                self.queue_bytes += 1000.0;
            }
            let at = self.now + DELAY + (self.queue_bytes * 8e6 / self.capacity_bps) as u64;
            self.arrivals.push_back((at, self.sequence, (!lost).then_some(at as i64 + 5_000_000)));
        }
        if self.now.is_multiple_of(50_000) {
            // Feedback takes DELAY back: it speaks of what had arrived by then.
            let mut report = Vec::new();
            while self.arrivals.front().is_some_and(|(at, ..)| at + DELAY <= self.now) {
                let (_, sequence, arrival) = self.arrivals.pop_front().unwrap();
                self.reported = sequence;
                report.push((sequence, arrival));
            }
            self.bwe.on_feedback(report, now);
        }
    }
}

#[test]
fn a_bottleneck_is_found_from_above() {
    let mut path = Path::new(300_000.0, 0.0);
    path.bwe.set_wanted(2_000_000);
    let estimates = path.run(40, |estimate| estimate.min(2_000_000));
    let settled = &estimates[10..];
    let mean = settled.iter().sum::<u64>() / settled.len() as u64;
    assert!((150_000..300_000).contains(&mean), "{mean}: {estimates:?}");
    assert!(settled.iter().all(|bps| (120_000..450_000).contains(bps)), "{estimates:?}");
}

#[test]
fn five_percent_random_loss_takes_nothing_away() {
    let mut path = Path::new(10_000_000.0, 0.05);
    path.bwe.set_wanted(1_500_000);
    let estimates = path.run(30, |estimate| estimate.min(1_500_000));
    assert!(estimates.iter().all(|bps| *bps >= 900_000), "{estimates:?}");
}

#[test]
fn a_path_that_recovers_is_used_again() {
    let mut path = Path::new(300_000.0, 0.0);
    path.bwe.set_wanted(2_000_000);
    path.run(20, |estimate| estimate.min(2_000_000));
    path.capacity_bps = 5_000_000.0;
    let estimates = path.run(14, |estimate| estimate.min(2_000_000));
    assert!(estimates[9] >= 1_000_000, "{estimates:?}");
}

#[test]
fn little_traffic_does_not_shrink_the_estimate_and_what_is_wanted_is_tried() {
    let mut path = Path::new(5_000_000.0, 0.0);
    let before = path.bwe.estimate_bps();
    assert!(path.run(20, |_| 40_000).iter().all(|bps| *bps >= before));
    path.bwe.set_wanted(3_000_000);
    let estimates = path.run(10, |_| 150_000);
    assert!(estimates[9] >= 3_000_000, "{estimates:?}");
}

#[test]
fn heavy_loss_cuts_and_light_loss_by_reports_does_not() {
    let start = crate::egress::testing::start();
    let mut bwe = SendSide::new(start);
    for second in 0..10 {
        bwe.on_report_loss(0.05, start + Duration::from_secs(second));
    }
    assert_eq!(bwe.estimate_bps(), ESTIMATE_START_BPS);
    bwe.on_report_loss(0.5, start + Duration::from_secs(11));
    assert_eq!(bwe.estimate_bps(), 750_000);
    bwe.on_remb(200_000);
    assert_eq!(bwe.estimate_bps(), 200_000);
}

#[test]
fn forged_feedback_neither_panics_nor_counts() {
    let start = crate::egress::testing::start();
    let mut bwe = SendSide::new(start);
    bwe.on_feedback([(1, Some(5)), (2, None)], start);
    bwe.on_sent(7, 70_000, None, start);
    bwe.on_feedback([(7, Some(i64::MAX)), (7, Some(i64::MIN)), (9, None)], start);
    bwe.on_sent(8, 1000, None, start);
    bwe.on_feedback([(8, Some(i64::MIN))], start);
    assert!(bwe.estimate_bps() >= ESTIMATE_MIN_BPS);
}

#[test]
fn the_estimator_stays_small() {
    assert!(std::mem::size_of::<SendSide>() <= 768, "{}", std::mem::size_of::<SendSide>());
}
