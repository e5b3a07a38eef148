//! Packets of one stream that have not arrived, and when to ask for each again.

use crate::packet::sequence;
use std::collections::VecDeque;
use std::ops::Range;

/// Missing packets tracked per stream; beyond it the oldest are given up.
pub(super) const MISSING_MAX: usize = 512;
/// Requests for one packet.
const TRIES_MAX: u8 = 10;
/// How far behind the highest number a request still makes sense.
const BEHIND_MAX: u64 = 900;
/// Time that a reordered packet gets before it is asked for, in microseconds.
const REORDER_GRACE_US: i64 = 8_000;
/// Repeat interval limits in microseconds.
const REPEAT_US: Range<i64> = 20_000..400_000;
/// Round-trip time assumed before one is measured, in microseconds.
const RTT_DEFAULT_US: i64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    due_us: i64,
    tries: u8,
    asked_us: i64,
}

/// What became of the packets that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requested {
    /// Numbers to put into a NACK now.
    pub(super) asked: usize,
    /// Packets given up.
    pub(super) given_up: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    /// In ascending order of sequence numbers.
    entries: VecDeque<Entry>,
    /// When the next one is due, or earlier.
    earliest_us: Option<i64>,
}

impl Missing {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.earliest_us = None;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn due_us(&self) -> Option<i64> {
        self.earliest_us
    }

    /// Tracks a fresh gap, which lies behind everything tracked so far; returns how many had to be given up for it.
    pub(super) fn add(&mut self, at_us: i64, gap: Range<u64>) -> usize {
        let mut given_up = 0;
        for sequence in gap {
            if self.entries.len() == MISSING_MAX {
                self.entries.pop_front();
                given_up += 1;
            }
            let due_us = at_us + REORDER_GRACE_US;
            self.entries.push_back(Entry { sequence, due_us, tries: 0, asked_us: 0 });
            self.earliest_us = Some(self.earliest_us.map_or(due_us, |earliest| earliest.min(due_us)));
        }
        given_up
    }

    /// Forgets a packet that has arrived; returns the round-trip time if it was asked for exactly once.
    pub(super) fn arrived(&mut self, at_us: i64, sequence: u64) -> Option<i64> {
        let index = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok()?;
        let entry = self.entries.remove(index)?;
        if self.entries.is_empty() {
            self.earliest_us = None;
        }
        (entry.tries == 1).then_some(at_us - entry.asked_us)
    }

    /// Appends at most `limit` numbers that are due to `out` and drops the hopeless ones.
    pub(super) fn take_due(
        &mut self,
        at_us: i64,
        rtt_us: Option<i64>,
        highest: u64,
        limit: usize,
        out: &mut Vec<u16>,
    ) -> Requested {
        let mut result = Requested::default();
        if self.earliest_us.is_none_or(|earliest| earliest > at_us) {
            return result;
        }
        let repeat_us = (rtt_us.unwrap_or(RTT_DEFAULT_US) * 3 / 2).clamp(REPEAT_US.start, REPEAT_US.end);
        let before = self.entries.len();
        self.entries.retain(|entry| {
            entry.due_us > at_us || (entry.tries < TRIES_MAX && entry.sequence + BEHIND_MAX >= highest)
        });
        result.given_up = before - self.entries.len();
        self.earliest_us = None;
        for entry in &mut self.entries {
            if entry.due_us <= at_us && result.asked < limit {
                entry.tries += 1;
                entry.asked_us = at_us;
                entry.due_us = at_us + repeat_us;
                out.push(sequence::low(entry.sequence));
                result.asked += 1;
            }
            self.earliest_us = Some(self.earliest_us.map_or(entry.due_us, |earliest| earliest.min(entry.due_us)));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(missing: &mut Missing, at_us: i64, highest: u64) -> (Vec<u16>, usize) {
        let mut out = Vec::new();
        let result = missing.take_due(at_us, Some(40_000), highest, 1000, &mut out);
        assert_eq!(result.asked, out.len());
        (out, result.given_up)
    }

    #[test]
    fn the_first_request_waits_for_reordering_and_the_next_for_the_round_trip() {
        let mut missing = Missing::default();
        missing.add(0, 100..102);
        assert_eq!(due(&mut missing, 7_999, 102), (vec![], 0));
        assert_eq!(due(&mut missing, 8_000, 102), (vec![100, 101], 0));
        assert_eq!(missing.due_us(), Some(68_000));
        assert_eq!(due(&mut missing, 67_999, 102), (vec![], 0));
        assert_eq!(due(&mut missing, 68_000, 102), (vec![100, 101], 0));
    }

    #[test]
    fn only_a_packet_asked_for_once_tells_the_round_trip_time() {
        let mut missing = Missing::default();
        missing.add(0, 100..103);
        assert_eq!(missing.arrived(1_000, 100), None);
        due(&mut missing, 8_000, 103);
        assert_eq!(missing.arrived(38_000, 101), Some(30_000));
        due(&mut missing, 68_000, 103);
        assert_eq!(missing.arrived(90_000, 102), None);
        assert_eq!(missing.due_us(), None);
    }

    #[test]
    fn a_packet_is_given_up_after_ten_requests_or_far_behind() {
        let mut missing = Missing::default();
        missing.add(0, 100..101);
        let mut asked = 0;
        let mut given_up = 0;
        for step in 1..40 {
            let (out, gone) = due(&mut missing, step * 60_000, 101);
            asked += out.len();
            given_up += gone;
        }
        assert_eq!((asked, given_up, missing.len()), (10, 1, 0));
        missing.add(0, 200..201);
        assert_eq!(due(&mut missing, 8_000, 1101), (vec![], 1));
    }

    #[test]
    fn no_more_than_the_limit_is_tracked() {
        let mut missing = Missing::default();
        assert_eq!(missing.add(0, 0..600), 600 - MISSING_MAX);
        assert_eq!(missing.len(), MISSING_MAX);
    }
}
