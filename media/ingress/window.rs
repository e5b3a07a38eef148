//! Which sequence numbers of one stream have arrived: extends 16-bit numbers, tells duplicates, finds gaps and restarts.

use crate::packet::sequence;
use std::ops::Range;

/// Sequence numbers remembered behind the highest one.
const WINDOW: u64 = 4096;
const WORDS: usize = (WINDOW / 64) as usize;
/// A jump further than this restarts the window: about a second of a 20 Mbit/s stream.
const JUMP_MAX: u64 = 2000;

/// What one sequence number means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Not seen before.
    New {
        /// Its extended number.
        sequence: u64,
        /// Numbers skipped between the highest one before and this one.
        gap: Range<u64>,
        /// It is the highest one now.
        newest: bool,
        /// The stream began anew here.
        restarted: bool,
    },
    /// Seen before.
    Duplicate,
    /// Older than the stream's begin or the window.
    Old,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Window {
    started: bool,
    highest: u64,
    base: u64,
    seen: Vec<u64>,
    /// The number after one that lay far behind; a second one in order restarts the window (RFC 3550 A.1).
    resync: Option<u16>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { started: false, highest: 0, base: 0, seen: vec![0; WORDS], resync: None }
    }

    /// Whether the bitmap has the size that this version works with.
    pub(super) fn is_sound(&self) -> bool {
        self.seen.len() == WORDS && self.base <= self.highest
    }

    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Sequence numbers from the first to the highest one.
    pub(super) const fn expected(&self) -> u64 {
        if self.started { self.highest - self.base + 1 } else { 0 }
    }

    /// Notes one arrival; a `recovered` packet never restarts the window.
    pub(super) fn insert(&mut self, wire: u16, recovered: bool) -> Arrival {
        if !self.started {
            if recovered {
                return Arrival::Old;
            }
            self.started = true;
            self.restart(sequence::first(wire));
            return Arrival::New { sequence: self.highest, gap: 0..0, newest: true, restarted: false };
        }
        let number = sequence::unwrap(self.highest, wire);
        if number > self.highest {
            return self.advance(number, recovered);
        }
        if number + JUMP_MAX < self.highest {
            return self.far_behind(number, wire, recovered);
        }
        if number < self.base {
            return Arrival::Old;
        }
        if self.is_seen(number) {
            return Arrival::Duplicate;
        }
        self.set(number, true);
        Arrival::New { sequence: number, gap: 0..0, newest: false, restarted: false }
    }

    fn advance(&mut self, number: u64, recovered: bool) -> Arrival {
        let gap = self.highest + 1..number;
        if number - self.highest > JUMP_MAX {
            if recovered {
                return Arrival::Old;
            }
            self.restart(number);
            return Arrival::New { sequence: number, gap: 0..0, newest: true, restarted: true };
        }
        for skipped in gap.clone() {
            self.set(skipped, false);
        }
        self.set(number, true);
        self.highest = number;
        self.resync = None;
        Arrival::New { sequence: number, gap, newest: true, restarted: false }
    }

    fn far_behind(&mut self, number: u64, wire: u16, recovered: bool) -> Arrival {
        if recovered {
            return Arrival::Old;
        }
        if self.resync != Some(wire) {
            self.resync = Some(wire.wrapping_add(1));
            return Arrival::Old;
        }
        // Extended numbers never go back: the same wire number, one turn on.
        let number = number + (1 << 16);
        self.restart(number);
        Arrival::New { sequence: number, gap: 0..0, newest: true, restarted: true }
    }

    fn restart(&mut self, number: u64) {
        self.seen.fill(0);
        self.highest = number;
        self.base = number;
        self.resync = None;
        self.set(number, true);
    }

    pub(super) fn is_seen(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, number: u64, value: bool) {
        let (word, bit) = place(number);
        if let Some(word) = self.seen.get_mut(word) {
            if value { *word |= bit } else { *word &= !bit }
        }
    }
}

const fn place(number: u64) -> (usize, u64) {
    ((number % WINDOW / 64) as usize, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(arrival: &Arrival) -> Option<u64> {
        if let Arrival::New { sequence, .. } = arrival { Some(*sequence) } else { None }
    }

    #[test]
    fn a_gap_is_named_once_and_a_late_packet_fills_it() {
        let mut window = Window::new();
        assert_eq!(number(&window.insert(0xffff, false)), Some(0x1_ffff));
        assert_eq!(
            window.insert(2, false),
            Arrival::New { sequence: 0x2_0002, gap: 0x2_0000..0x2_0002, newest: true, restarted: false }
        );
        assert_eq!(number(&window.insert(0, true)), Some(0x2_0000));
        assert_eq!(window.insert(0, false), Arrival::Duplicate);
        assert_eq!(window.insert(0xfffe, false), Arrival::Old);
        assert_eq!(window.expected(), 4);
    }

    #[test]
    fn a_long_jump_forward_restarts_unless_it_is_a_retransmission() {
        let mut window = Window::new();
        window.insert(0, false);
        assert_eq!(window.insert(3000, true), Arrival::Old);
        assert!(matches!(window.insert(3000, false), Arrival::New { restarted: true, .. }));
        assert_eq!(window.expected(), 1);
    }

    #[test]
    fn two_packets_in_order_far_behind_restart_and_numbers_still_grow() {
        let mut window = Window::new();
        window.insert(20_000, false);
        assert_eq!(window.insert(100, false), Arrival::Old);
        let Arrival::New { sequence, restarted: true, .. } = window.insert(101, false) else { panic!("no restart") };
        assert_eq!(sequence, 2 * 65_536 + 101);
    }

    proptest! {
        #[test]
        fn no_number_is_new_twice(wires in proptest::collection::vec((any::<u16>(), any::<bool>()), 1..400), near: bool) {
            let mut window = Window::new();
            let mut seen = std::collections::BTreeSet::new();
            for (wire, recovered) in wires {
                let wire = if near { wire % 700 } else { wire };
                if let Some(sequence) = number(&window.insert(wire, recovered)) {
                    prop_assert!(seen.insert(sequence));
                    prop_assert_eq!(sequence::low(sequence), wire);
                }
            }
        }
    }
}
