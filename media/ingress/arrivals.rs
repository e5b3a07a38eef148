//! Arrival times of transport-wide sequence numbers, for feedback to the publisher's congestion control.

use crate::packet::rtcp;
use crate::packet::sequence;

/// Arrival times remembered; at 50 ms between feedbacks this covers 40 000 packets per second.
const WINDOW: usize = 2048;
/// Marks a slot whose packet has not arrived.
const NEVER: i64 = i64::MIN;
/// Time between two feedback packets in microseconds.
const INTERVAL_US: i64 = 50_000;
/// How far a late packet reaches back behind what has been reported, to be reported after all.
const LATE_MAX: u64 = 500;

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Arrivals {
    /// Ring indexed by the low bits of the sequence number; empty until the first packet.
    #[serde(skip)]
    times_us: Vec<i64>,
    /// Highest number seen; 0 before the first one.
    highest: u64,
    /// First number that the next feedback names.
    next: u64,
    feedback_count: u8,
    media_ssrc: u32,
    #[serde(skip)]
    due_us: Option<i64>,
}

impl Arrivals {
    pub(super) const fn due_us(&self) -> Option<i64> {
        self.due_us
    }

    /// Notes the arrival of a packet, be it media, retransmission or padding.
    pub(super) fn record(&mut self, at_us: i64, wire: u16, ssrc: u32) {
        if self.times_us.is_empty() {
            self.times_us = vec![NEVER; WINDOW];
        }
        self.media_ssrc = ssrc;
        if self.highest == 0 {
            self.highest = sequence::first(wire);
            self.next = self.highest;
        }
        let number = sequence::unwrap(self.highest, wire);
        if number + WINDOW as u64 <= self.highest {
            return;
        }
        if number >= self.highest + WINDOW as u64 {
            self.times_us.fill(NEVER);
            self.next = number;
            self.highest = number;
        }
        for skipped in self.highest + 1..=number {
            self.put(skipped, NEVER);
        }
        self.highest = self.highest.max(number);
        if self.time_us(number).is_some() {
            return;
        }
        if number < self.next {
            if number + LATE_MAX < self.next {
                return;
            }
            self.next = number;
        }
        self.put(number, at_us);
        self.due_us.get_or_insert(at_us + INTERVAL_US);
    }

    /// Appends one feedback packet if one is due and fits; more may be due afterwards.
    pub(super) fn write_due(&mut self, at_us: i64, sender: u32, bytes_max: usize, out: &mut Vec<u8>) {
        if self.due_us.is_none_or(|due| due > at_us) {
            return;
        }
        let oldest = (self.highest + 1).saturating_sub(WINDOW as u64);
        let mut from = self.next.max(oldest);
        // A gap longer than a packet can name is skipped: its absence says the same.
        if let Some(first) = (from..=self.highest).find(|number| self.time_us(*number).is_some())
            && first - from >= rtcp::FEEDBACK_STATUSES_MAX as u64
        {
            from = first;
        }
        let mut statuses = [None; rtcp::FEEDBACK_STATUSES_MAX];
        let mut count = 0;
        for (slot, number) in statuses.iter_mut().zip(from..=self.highest) {
            *slot = self.time_us(number);
            count += 1;
        }
        let written = rtcp::transport_feedback(
            out,
            (sender, self.media_ssrc),
            sequence::low(from),
            self.feedback_count,
            statuses.get(..count).unwrap_or_default(),
            bytes_max,
        );
        if written.statuses == 0 {
            // Either the rest of the compound was too small, and it goes into the next one, or nothing has arrived.
            if statuses.iter().all(Option::is_none) {
                self.next = self.highest + 1;
                self.due_us = None;
            }
            return;
        }
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.next = from + written.statuses as u64;
        if (self.next..=self.highest).all(|number| self.time_us(number).is_none()) {
            self.due_us = None;
        }
    }

    fn time_us(&self, number: u64) -> Option<i64> {
        self.times_us.get(number as usize % WINDOW).copied().filter(|time| *time != NEVER)
    }

    fn put(&mut self, number: u64, time_us: i64) {
        if let Some(slot) = self.times_us.get_mut(number as usize % WINDOW) {
            *slot = time_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::rtcp::RtcpItem;

    fn feedback(arrivals: &mut Arrivals, at_us: i64) -> Vec<(u16, Option<i64>)> {
        let mut out = Vec::new();
        arrivals.write_due(at_us, 1, 1200, &mut out);
        let mut all = Vec::new();
        rtcp::visit(&out, |item| {
            if let RtcpItem::TransportFeedback(feedback) = item {
                all.extend(feedback.statuses());
            }
        })
        .unwrap();
        all
    }

    #[test]
    fn a_feedback_names_what_came_and_what_did_not_across_the_wrap() {
        let mut arrivals = Arrivals::default();
        arrivals.record(1_000, 65_534, 9);
        arrivals.record(2_000, 0, 9);
        assert_eq!(feedback(&mut arrivals, 50_999), []);
        assert_eq!(feedback(&mut arrivals, 51_000), [(65_534, Some(1_000)), (65_535, None), (0, Some(2_000))]);
        assert_eq!(arrivals.due_us(), None);
        arrivals.record(60_000, 2, 9);
        assert_eq!(feedback(&mut arrivals, 110_000), [(1, None), (2, Some(60_000))]);
    }

    #[test]
    fn a_late_packet_is_reported_after_all() {
        let mut arrivals = Arrivals::default();
        arrivals.record(0, 10, 9);
        arrivals.record(1_000, 12, 9);
        feedback(&mut arrivals, 50_000);
        arrivals.record(60_000, 11, 9);
        assert_eq!(feedback(&mut arrivals, 110_000), [(11, Some(60_000)), (12, Some(1_000))]);
    }

    #[test]
    fn a_jump_beyond_the_window_starts_anew() {
        let mut arrivals = Arrivals::default();
        arrivals.record(0, 10, 9);
        arrivals.record(1_000, 5_000, 9);
        assert_eq!(feedback(&mut arrivals, 60_000), [(5_000, Some(1_000))]);
    }

    #[test]
    fn more_packets_than_one_feedback_holds_go_into_several() {
        let mut arrivals = Arrivals::default();
        for index in 0..1500u16 {
            arrivals.record(i64::from(index) * 10, index, 9);
        }
        let (mut named, mut rounds) = (0, 0);
        while arrivals.due_us().is_some() {
            named += feedback(&mut arrivals, 100_000).len();
            rounds += 1;
            assert!(rounds < 5);
        }
        assert_eq!(named, 1500);
        assert!(rounds >= 2);
    }
}
