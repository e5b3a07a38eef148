//! RTCP of one subscription: sender reports out (RFC 3550 §6.4.1), report blocks in.

use super::subscription::Subscription;
use crate::packet::rtcp::ReportBlock;
use std::time::{Duration, Instant};

/// Sender reports remembered for the round-trip time; receivers answer at least every 5 s.
const REPORTS_KEPT: usize = 4;
/// How long a stream waits for the publisher's own clock before it reports by ours: Chromium sends its first report
/// of an audio stream within 5 s. Reports of one publisher must share a clock, or lips go out of sync.
const SOURCE_CLOCK_GRACE: Duration = Duration::from_secs(6);
/// NTP fixed point: 2³² per second.
const NTP_SECOND: f64 = 4_294_967_296.0;

/// What a report block tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reported {
    /// Round-trip time, if the block answers a report that we remember.
    pub rtt: Option<Duration>,
    /// Share of packets lost, 0.0 to 1.0.
    pub loss: f32,
    /// Interarrival jitter.
    pub jitter: Duration,
}

/// A publisher's sender report as one layer had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceClock {
    ntp: u64,
    timestamp: u32,
    at: Instant,
}

impl SourceClock {
    /// NTP time of a timestamp of this layer.
    pub(super) fn ntp_of(&self, timestamp: u32, clock_rate: u32) -> f64 {
        let ticks = timestamp.wrapping_sub(self.timestamp).cast_signed();
        self.ntp as f64 / NTP_SECOND + f64::from(ticks) / f64::from(clock_rate)
    }
}

/// When reports were sent and by which clocks.
#[derive(Debug, Default)]
pub(super) struct Reports {
    sources: [Option<SourceClock>; 3],
    sent: [Option<(u32, Instant)>; REPORTS_KEPT],
    count: usize,
    /// A report block has come: the receiver knows the SSRC.
    pub(super) answered: bool,
}

impl Reports {
    pub(super) fn source(&self, layer: u8) -> Option<&SourceClock> {
        self.sources.get(usize::from(layer))?.as_ref()
    }

    pub(super) fn forget_source(&mut self, layer: u8) {
        if let Some(clock) = self.sources.get_mut(usize::from(layer)) {
            *clock = None;
        }
    }
}

impl Subscription {
    /// Takes a sender report of a source layer: NTP time and the source's timestamp then.
    pub fn handle_source_report(&mut self, now: Instant, layer: u8, ntp: u64, timestamp: u32) {
        if let Some(clock) = self.reports.sources.get_mut(usize::from(layer)) {
            *clock = Some(SourceClock { ntp, timestamp, at: now });
        }
    }

    /// Appends a sender report if anything was sent. `ntp` is the local clock; the publisher's is used where known.
    pub fn sender_report(&mut self, now: Instant, ntp: u64, out: &mut Vec<u8>) {
        let Some((layer, offset, last)) = self.clock_state() else { return };
        let clock_rate = self.clock_rate();
        let (ntp, timestamp) = if let Some(clock) = self.reports.source(layer) {
            let elapsed = now.saturating_duration_since(clock.at).as_secs_f64();
            let ticks = (elapsed * f64::from(clock_rate)) as u64 as u32;
            (
                clock.ntp.wrapping_add((elapsed * NTP_SECOND) as u64),
                clock.timestamp.wrapping_add(offset).wrapping_add(ticks),
            )
        } else {
            if now.saturating_duration_since(self.started) < SOURCE_CLOCK_GRACE {
                return;
            }
            let elapsed = now.saturating_duration_since(last.1).as_secs_f64();
            (ntp, last.0.wrapping_add((elapsed * f64::from(clock_rate)) as u64 as u32))
        };
        out.extend_from_slice(&[0x80, 200, 0, 6]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&ntp.to_be_bytes());
        out.extend_from_slice(&timestamp.to_be_bytes());
        // Both counters are 32 bits on the wire and wrap.
        out.extend_from_slice(&(self.counters.packets as u32).to_be_bytes());
        out.extend_from_slice(&(self.counters.octets as u32).to_be_bytes());
        let reports = &mut self.reports;
        reports.sent[reports.count % REPORTS_KEPT] = Some(((ntp >> 16) as u32, now));
        reports.count = reports.count.wrapping_add(1);
    }

    /// Takes a report block about this stream.
    pub fn handle_report_block(&mut self, now: Instant, block: &ReportBlock) -> Reported {
        self.reports.answered = true;
        let answered = self.reports.sent.iter().flatten().find(|(middle, _)| *middle == block.last_sr);
        let rtt = answered.filter(|_| block.last_sr != 0).and_then(|(_, at)| {
            let held = Duration::from_secs_f64(f64::from(block.delay) / 65_536.0);
            now.saturating_duration_since(*at).checked_sub(held)
        });
        Reported {
            rtt,
            loss: f32::from(block.fraction_lost) / 256.0,
            jitter: Duration::from_secs_f64(f64::from(block.jitter) / f64::from(self.clock_rate())),
        }
    }
}
