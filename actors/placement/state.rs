//! Who waits for an answer of the core, by number.

use std::collections::BTreeMap;

/// Callers in order of their questions.
#[derive(Debug)]
pub(crate) struct Callers<T> {
    waiting: BTreeMap<u64, T>,
    next: u64,
    max: usize,
}

impl<T> Callers<T> {
    /// At most `max` at a time.
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, max }
    }

    /// Gives a caller its number.
    ///
    /// # Errors
    /// The caller, when too many wait.
    pub(crate) fn add(&mut self, caller: T) -> Result<u64, T> {
        if self.waiting.len() >= self.max {
            return Err(caller);
        }
        self.next += 1;
        self.waiting.insert(self.next, caller);
        Ok(self.next)
    }

    /// The caller of a number; it waits no longer.
    pub(crate) fn take(&mut self, number: u64) -> Option<T> {
        self.waiting.remove(&number)
    }

    /// Numbers of those who gave up; they wait no longer.
    pub(crate) fn take_gone(&mut self, is_gone: impl Fn(&T) -> bool) -> Vec<u64> {
        let gone: Vec<u64> =
            self.waiting.iter().filter(|(_, caller)| is_gone(caller)).map(|(number, _)| *number).collect();
        for number in &gone {
            self.waiting.remove(number);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_limited_and_each_is_answered_once() {
        let mut callers = Callers::new(2);
        let (one, two) = (callers.add("one").unwrap(), callers.add("two").unwrap());
        assert_eq!(callers.add("three"), Err("three"));
        assert_eq!((callers.take(one), callers.take(one)), (Some("one"), None));
        let three = callers.add("three").unwrap();
        assert!(three > two, "a number is not used again");
    }

    #[test]
    fn those_who_gave_up_are_named_once() {
        let mut callers = Callers::new(9);
        let one = callers.add(1).unwrap();
        callers.add(2).unwrap();
        assert_eq!(callers.take_gone(|caller| *caller == 1), [one]);
        assert!(callers.take_gone(|caller| *caller == 1).is_empty());
    }
}
