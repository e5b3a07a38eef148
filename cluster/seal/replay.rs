//! Which counters of one sender were seen: the newest and a window behind it.

use crate::limits::REPLAY_WINDOW;

const WORD_BITS: u64 = 64;
const WORDS: usize = (REPLAY_WINDOW / WORD_BITS) as usize;
const _: () = assert!(REPLAY_WINDOW.is_multiple_of(WORD_BITS));

/// Why a counter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It came before.
    Replayed,
    /// It is behind the window: whether it came before is not known any more.
    TooOld,
}

/// A ring of bits, one per counter of the window; bits ahead of the newest are clear.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    newest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen `first` only.
    pub(super) fn starting_with(first: u64) -> Self {
        let mut window = Self { newest: first, seen: [0; WORDS] };
        window.set(first);
        window
    }

    /// Whether the counter may be taken.
    pub(super) fn check(&self, counter: u64) -> Result<(), Seen> {
        if counter > self.newest {
            Ok(())
        } else if self.newest - counter >= REPLAY_WINDOW {
            Err(Seen::TooOld)
        } else if self.get(counter) {
            Err(Seen::Replayed)
        } else {
            Ok(())
        }
    }

    /// Takes a counter that [`Self::check`] allowed.
    pub(super) fn take(&mut self, counter: u64) {
        if counter > self.newest {
            if counter - self.newest >= REPLAY_WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.newest + 1..counter {
                    self.clear(skipped);
                }
            }
            self.newest = counter;
        }
        self.set(counter);
    }

    fn place(counter: u64) -> (usize, u64) {
        let bit = counter % REPLAY_WINDOW;
        ((bit / WORD_BITS) as usize, 1 << (bit % WORD_BITS))
    }

    fn get(&self, counter: u64) -> bool {
        let (word, bit) = Self::place(counter);
        self.seen[word] & bit != 0
    }

    fn set(&mut self, counter: u64) {
        let (word, bit) = Self::place(counter);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, counter: u64) {
        let (word, bit) = Self::place(counter);
        self.seen[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_window_ends_exactly_where_it_says() {
        let mut window = ReplayWindow::starting_with(5_000);
        let oldest = 5_000 - REPLAY_WINDOW + 1;
        assert_eq!(window.check(oldest - 1), Err(Seen::TooOld));
        assert_eq!(window.check(oldest), Ok(()));
        window.take(oldest);
        assert_eq!(window.check(oldest), Err(Seen::Replayed));
        assert_eq!(window.check(u64::MAX), Ok(()));
        window.take(u64::MAX);
        assert_eq!(window.check(5_000), Err(Seen::TooOld));
        assert_eq!(window.check(u64::MAX - 1), Ok(()));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_all_counters(
            first in 0u64..4_000,
            steps in prop::collection::vec((0u64..3 * REPLAY_WINDOW, any::<bool>()), 0..300),
        ) {
            let mut window = ReplayWindow::starting_with(first);
            let mut all = BTreeSet::from([first]);
            let mut newest = first;
            for (distance, back) in steps {
                let counter = if back { newest.saturating_sub(distance) } else { newest + distance };
                let expected = if newest >= counter + REPLAY_WINDOW {
                    Err(Seen::TooOld)
                } else if all.contains(&counter) {
                    Err(Seen::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(counter), expected);
                if expected.is_ok() {
                    window.take(counter);
                    all.insert(counter);
                    newest = newest.max(counter);
                }
            }
        }
    }
}
