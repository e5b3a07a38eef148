//! Reception statistics of one stream: jitter, receiver report blocks, loss and bit rate.

use super::window::Window;
use crate::packet::rtcp::ReportBlock;

/// A transit difference above this many seconds is a clock jump and says nothing of jitter.
const JITTER_SECONDS_MAX: i64 = 2;

/// The last sender report of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SenderReport {
    pub(super) ntp: u64,
    pub(super) rtp: u32,
    pub(super) at_us: i64,
}

/// Expected and arrived packets at some moment.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Mark {
    expected: u64,
    arrived: u64,
    bytes: u64,
    at_us: i64,
}

/// Difference of two marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) expected: u64,
    pub(super) lost: u64,
    pub(super) bitrate_bps: u64,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Reception {
    /// Distinct packets that came by themselves since the window began.
    received: u64,
    /// Distinct packets that came as retransmissions since the window began.
    recovered: u64,
    /// Packets and losses of windows before the present one.
    packets_before: u64,
    missing_before: u64,
    recovered_before: u64,
    /// Sequence numbers asked for again.
    pub(super) nacked: u64,
    bytes: u64,
    /// Jitter in 1/16 clock units (RFC 3550 A.8).
    jitter_16: i64,
    last: Option<(i64, u32)>,
    pub(super) sender_report: Option<SenderReport>,
    reported: Mark,
    asked: Mark,
    rated: Mark,
    rate_bps: u64,
}

impl Reception {
    /// The window began anew; `expected` is what the old one had expected.
    pub(super) fn restart(&mut self, expected: u64) {
        self.missing_before += expected.saturating_sub(self.received + self.recovered);
        self.packets_before += self.received + self.recovered;
        self.recovered_before += self.recovered;
        self.received = 0;
        self.recovered = 0;
        self.last = None;
        for mark in [&mut self.reported, &mut self.asked] {
            mark.expected = 0;
            mark.arrived = 0;
        }
    }

    /// Counts a packet that had not been seen before.
    pub(super) const fn count(&mut self, bytes: usize, recovered: bool) {
        self.bytes += bytes as u64;
        if recovered {
            self.recovered += 1;
        } else {
            self.received += 1;
        }
    }

    /// Feeds the jitter estimate with a packet that came by itself and in order.
    pub(super) fn time(&mut self, at_us: i64, timestamp: u32, clock_rate: u32) {
        if let Some((last_us, last_timestamp)) = self.last {
            let clock = i64::from(clock_rate);
            let elapsed = at_us.saturating_sub(last_us).saturating_mul(clock) / 1_000_000;
            let media = i64::from(timestamp.wrapping_sub(last_timestamp).cast_signed());
            let difference = (elapsed - media).abs();
            if difference < JITTER_SECONDS_MAX * clock {
                self.jitter_16 += difference - ((self.jitter_16 + 8) >> 4);
            }
        }
        self.last = Some((at_us, timestamp));
    }

    pub(super) const fn jitter(&self) -> u32 {
        (self.jitter_16 >> 4) as u32
    }

    pub(super) const fn packets(&self) -> u64 {
        self.packets_before + self.received + self.recovered
    }

    pub(super) const fn recovered(&self) -> u64 {
        self.recovered_before + self.recovered
    }

    pub(super) const fn missing(&self, window: &Window) -> u64 {
        self.missing_before + window.expected().saturating_sub(self.received + self.recovered)
    }

    pub(super) const fn rate_bps(&self) -> u64 {
        self.rate_bps
    }

    /// Returns the report block since the last one, or `None` if nothing has been expected since.
    ///
    /// A packet that only came as a retransmission counts as lost: the path did lose it, and on its own SSRC.
    pub(super) fn report(&mut self, at_us: i64, ssrc: u32, window: &Window) -> Option<ReportBlock> {
        let mark = Mark { expected: window.expected(), arrived: self.received, bytes: self.bytes, at_us };
        let elapsed = at_us - self.rated.at_us;
        if elapsed > 0 {
            self.rate_bps = bitrate(self.bytes - self.rated.bytes, elapsed);
            self.rated = mark;
        }
        let expected = mark.expected.saturating_sub(self.reported.expected);
        if expected == 0 && mark.arrived == self.reported.arrived {
            return None;
        }
        let lost = expected.saturating_sub(mark.arrived.saturating_sub(self.reported.arrived));
        self.reported = mark;
        let (last_sr, delay) = self.sender_report.map_or((0, 0), |report| {
            ((report.ntp >> 16) as u32, ((at_us - report.at_us).max(0) * 65_536 / 1_000_000) as u32)
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: if expected == 0 { 0 } else { (lost * 256 / expected).min(255) as u8 },
            cumulative_lost: i32::try_from(mark.expected.saturating_sub(mark.arrived)).unwrap_or(i32::MAX),
            highest: window.highest().wrapping_sub(crate::packet::sequence::FIRST_EXTENDED) as u32,
            jitter: self.jitter(),
            last_sr,
            delay,
        })
    }

    /// Returns what has happened since the last call; here a recovered packet is not lost.
    pub(super) fn interval(&mut self, at_us: i64, window: &Window) -> Interval {
        let arrived = self.received + self.recovered;
        let mark = Mark { expected: window.expected(), arrived, bytes: self.bytes, at_us };
        let before = std::mem::replace(&mut self.asked, mark);
        let expected = mark.expected.saturating_sub(before.expected);
        let lost = expected.saturating_sub(mark.arrived.saturating_sub(before.arrived));
        Interval { expected, lost, bitrate_bps: bitrate(mark.bytes - before.bytes, at_us - before.at_us) }
    }

    /// Starts all intervals at `at_us`.
    pub(super) const fn begin(&mut self, at_us: i64) {
        self.asked.at_us = at_us;
        self.rated.at_us = at_us;
    }
}

fn bitrate(bytes: u64, elapsed_us: i64) -> u64 {
    let elapsed = u64::try_from(elapsed_us).unwrap_or(0);
    if elapsed == 0 { 0 } else { bytes.saturating_mul(8_000_000) / elapsed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_packets_are_lost_for_the_sender_but_not_for_the_listener() {
        let (mut window, mut reception) = (Window::new(), Reception::default());
        reception.begin(0);
        for wire in 0..8 {
            let recovered = wire == 3 || wire == 5;
            if wire != 6 {
                window.insert(wire, recovered);
                reception.count(1000, recovered);
            }
        }
        let block = reception.report(1_000_000, 7, &window).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest), (96, 3, 7));
        assert_eq!(reception.rate_bps(), 56_000);
        let interval = reception.interval(1_000_000, &window);
        assert_eq!((interval.expected, interval.lost, interval.bitrate_bps), (8, 1, 56_000));
        assert_eq!((reception.packets(), reception.recovered(), reception.missing(&window)), (7, 2, 1));
        assert_eq!(reception.report(2_000_000, 7, &window), None);
    }

    #[test]
    fn the_block_echoes_the_sender_report_and_its_age() {
        let (mut window, mut reception) = (Window::new(), Reception::default());
        window.insert(0, false);
        reception.count(1, false);
        reception.sender_report = Some(SenderReport { ntp: 0x1234_5678_9abc_def0, rtp: 0, at_us: 0 });
        let block = reception.report(500_000, 7, &window).unwrap();
        assert_eq!((block.last_sr, block.delay), (0x5678_9abc, 32_768));
    }

    #[test]
    fn jitter_grows_with_uneven_arrival_and_ignores_clock_jumps() {
        let mut reception = Reception::default();
        for index in 0..100i64 {
            reception.time(index * 20_000, (index * 960) as u32, 48_000);
        }
        assert_eq!(reception.jitter(), 0);
        reception.time(100 * 20_000, 90_000_000, 48_000);
        assert_eq!(reception.jitter(), 0);
        for index in 101..300i64 {
            let late = if index % 2 == 0 { 10_000 } else { 0 };
            reception.time(index * 20_000 + late, 90_000_000 + ((index - 100) * 960) as u32, 48_000);
        }
        assert!((400..=480).contains(&reception.jitter()), "{}", reception.jitter());
    }
}
