//! Which output number each recent source packet has, or would have, or will never have.
//!
//! Source packets lie on one line of *positions* that continues over layer switches. A position is reserved (nothing
//! seen yet, its number waits), sent, padded (sent as padding) or skipped (it never gets a number, so the receiver sees
//! no hole). Output numbers count the positions that are not skipped.

/// Positions remembered; a later or NACKed packet beyond it is not served. Matches the video history.
pub(super) const WINDOW: u64 = 1024;
const WORDS: usize = 16;

/// What has become of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing was sent yet; the number waits for the packet.
    Reserved,
    /// The packet was sealed under its number.
    Sent,
    /// The packet has no number.
    Skipped,
    /// Padding was sealed under the number.
    Padded,
}

/// Positions and output numbers of the newest [`WINDOW`] source packets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SequenceWindow {
    /// Low bit of each position's mark: sent or padded.
    low: [u64; WORDS],
    /// High bit: skipped or padded.
    high: [u64; WORDS],
    /// Newest position.
    newest: u64,
    /// Oldest position that has a meaning.
    floor: u64,
    /// Output index that the next position gets.
    next_output: u64,
}

impl SequenceWindow {
    pub(super) fn new(first_output: u64) -> Self {
        Self { low: [0; WORDS], high: [0; WORDS], newest: WINDOW, floor: WINDOW + 1, next_output: first_output }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn next_output(&self) -> u64 {
        self.next_output
    }

    /// Whether the fields agree and leave room to count: checked after import.
    pub(super) fn is_sound(&self) -> bool {
        self.newest >= WINDOW
            && self.newest < 1 << 60
            && self.floor > WINDOW
            && self.floor <= self.newest + 1
            && self.next_output < 1 << 47
            // Every number of the window lies at or above 0.
            && self.next_output >= (self.newest + 1 - self.floor).min(WINDOW)
                - self.skipped_from(self.floor.max((self.newest + 1).saturating_sub(WINDOW)))
    }

    /// Appends positions up to `position`, each with a number of its own.
    pub(super) fn advance_to(&mut self, position: u64) {
        let count = position - self.newest;
        if count >= WINDOW {
            self.low = [0; WORDS];
            self.high = [0; WORDS];
        } else {
            for fresh in self.newest + 1..=position {
                let (word, bit) = place(fresh);
                self.low[word] &= !bit;
                self.high[word] &= !bit;
            }
        }
        self.newest = position;
        self.next_output += count;
    }

    /// Gives the number of the newest position back: nothing was or will be sealed under it.
    pub(super) fn skip_newest(&mut self) {
        self.set(self.newest, Mark::Skipped);
        self.next_output -= 1;
    }

    /// Burns `count` output numbers and forgets what lies before: the other side of a take-over may have used them.
    pub(super) fn burn(&mut self, count: u64) {
        self.next_output += count;
        self.floor = self.newest + 1;
    }

    pub(super) fn contains(&self, position: u64) -> bool {
        position >= self.floor && position <= self.newest && self.newest - position < WINDOW
    }

    pub(super) fn mark(&self, position: u64) -> Mark {
        let (word, bit) = place(position);
        match (self.low[word] & bit != 0, self.high[word] & bit != 0) {
            (false, false) => Mark::Reserved,
            (true, false) => Mark::Sent,
            (false, true) => Mark::Skipped,
            (true, true) => Mark::Padded,
        }
    }

    pub(super) fn set(&mut self, position: u64, mark: Mark) {
        let (word, bit) = place(position);
        let (low, high) = match mark {
            Mark::Reserved => (false, false),
            Mark::Sent => (true, false),
            Mark::Skipped => (false, true),
            Mark::Padded => (true, true),
        };
        self.low[word] = if low { self.low[word] | bit } else { self.low[word] & !bit };
        self.high[word] = if high { self.high[word] | bit } else { self.high[word] & !bit };
    }

    /// Output index of a position that the window contains and that is not skipped.
    pub(super) fn output_of(&self, position: u64) -> u64 {
        self.next_output - (self.newest - position + 1 - self.skipped_from(position))
    }

    /// Position of an output index, if it is still known.
    pub(super) fn position_of(&self, output: u64) -> Option<u64> {
        let mut remaining = self.next_output.checked_sub(output).filter(|back| (1..=WINDOW).contains(back))?;
        let mut position = self.newest;
        while self.contains(position) {
            let (word, _) = place(position);
            let bit = position & 63;
            let below = if bit == 63 { u64::MAX } else { (1 << (bit + 1)) - 1 };
            let mut numbered = !(self.high[word] & !self.low[word]) & below;
            let count = u64::from(numbered.count_ones());
            if count >= remaining {
                while remaining > 1 {
                    numbered &= !(1 << (63 - numbered.leading_zeros()));
                    remaining -= 1;
                }
                let found = position - bit + u64::from(63 - numbered.leading_zeros());
                return self.contains(found).then_some(found);
            }
            remaining -= count;
            position = (position - bit).checked_sub(1)?;
        }
        None
    }

    fn skipped_from(&self, position: u64) -> u64 {
        let (mut at, mut count) = (position, 0);
        while at <= self.newest {
            let (word, _) = place(at);
            let bit = at & 63;
            let span = (64 - bit).min(self.newest - at + 1);
            let mask = if span == 64 { u64::MAX } else { ((1 << span) - 1) << bit };
            count += u64::from((self.high[word] & !self.low[word] & mask).count_ones());
            at += span;
        }
        count
    }
}

fn place(position: u64) -> (usize, u64) {
    ((position >> 6) as usize % WORDS, 1 << (position & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_positions_leave_no_hole_and_map_back() {
        let mut window = SequenceWindow::new(10);
        let first = window.newest() + 1;
        let mut expected = Vec::new();
        for offset in 0..3000 {
            window.advance_to(first + offset);
            if offset % 3 == 1 {
                window.skip_newest();
            } else {
                window.set(first + offset, Mark::Sent);
                expected.push(first + offset);
            }
        }
        assert_eq!(window.next_output(), 10 + expected.len() as u64);
        for (count, position) in expected.iter().enumerate() {
            let output = 10 + count as u64;
            if window.contains(*position) {
                assert_eq!(window.output_of(*position), output);
                assert_eq!(window.position_of(output), Some(*position));
            } else {
                assert_eq!(window.position_of(output), None);
            }
        }
        assert!(window.is_sound());
    }

    #[test]
    fn numbers_before_the_first_and_after_the_newest_are_unknown() {
        let mut window = SequenceWindow::new(10);
        assert_eq!(window.position_of(9), None);
        window.advance_to(window.newest() + 4);
        assert_eq!(window.position_of(9), None);
        assert_eq!(window.position_of(10), Some(WINDOW + 1));
        assert_eq!(window.position_of(14), None);
        window.burn(100);
        window.advance_to(window.newest() + 1);
        assert_eq!(window.position_of(50), None, "burnt");
        assert_eq!(window.position_of(114), Some(window.newest()));
    }
}
