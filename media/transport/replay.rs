//! A sliding window over packet numbers: each number is accepted once (RFC 6479). Holds no keys and reads no packets.

/// Words of the window.
const WORDS: usize = 16;
/// Numbers behind the highest one that can still be accepted.
const SPAN: u64 = (WORDS as u64 - 1) * 64;

/// Remembers which of the last 960 numbers were accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ReplayWindow {
    /// Highest accepted number plus one; 0 while there is none.
    next: u64,
    /// Ring of bits: number n is bit n % 64 of word (n / 64) % 16.
    words: [u64; WORDS],
}

impl ReplayWindow {
    /// Returns the highest accepted number.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Says whether `number` may be accepted: neither accepted before nor too old.
    pub(crate) fn is_fresh(&self, number: u64) -> bool {
        if number >= self.next {
            return true;
        }
        self.next - number <= SPAN && (self.words[Self::word(number)] >> (number % 64)) & 1 == 0
    }

    /// Marks `number` as accepted; call it only after the packet proved authentic.
    pub(crate) fn accept(&mut self, number: u64) {
        if number >= self.next {
            let before = self.next.saturating_sub(1) / 64;
            for word in (before + 1..=number / 64).take(WORDS) {
                self.words[Self::word(word * 64)] = 0;
            }
            self.next = number + 1;
        }
        self.words[Self::word(number)] |= 1 << (number % 64);
    }

    fn word(number: u64) -> usize {
        (number / 64 % WORDS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_accepted_once() {
        let mut window = ReplayWindow::default();
        for number in [5, 3, 4, 70, 6] {
            assert!(window.is_fresh(number));
            window.accept(number);
            assert!(!window.is_fresh(number));
        }
        assert_eq!(window.highest(), Some(70));
    }

    #[test]
    fn a_number_behind_the_window_is_refused_though_never_seen() {
        let mut window = ReplayWindow::default();
        window.accept(10_000);
        assert!(!window.is_fresh(10_000 - SPAN));
        assert!(window.is_fresh(10_001 - SPAN));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_number_is_ever_accepted_twice(steps in prop::collection::vec((0u64..3000, any::<bool>()), 1..400)) {
            let mut window = ReplayWindow::default();
            let mut seen = std::collections::BTreeSet::new();
            let mut base = 0;
            for (step, forward) in steps {
                let number = if forward { base + step } else { u64::saturating_sub(base, step) };
                base = base.max(number);
                if window.is_fresh(number) {
                    prop_assert!(seen.insert(number));
                    window.accept(number);
                } else {
                    prop_assert!(seen.contains(&number) || number + SPAN <= base);
                }
            }
        }
    }
}
