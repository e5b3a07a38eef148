//! A bounded memory of one value per room that forgets the room not heard of for longest.

use std::collections::BTreeMap;

/// A bounded memory of one value per room.
#[derive(Debug)]
pub(super) struct Recent<V> {
    values: BTreeMap<String, (V, u64)>,
    /// By when they were heard of, oldest first.
    order: BTreeMap<u64, String>,
    heard: u64,
    limit: usize,
}

impl<V: Ord + Clone> Recent<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { values: BTreeMap::new(), order: BTreeMap::new(), heard: 0, limit }
    }

    pub(super) fn get(&self, room: &str) -> Option<&V> {
        self.values.get(room).map(|(value, _)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Keeps the greater of `value` and what is known.
    pub(super) fn raise(&mut self, room: &str, value: &V) {
        if let Some((known, heard)) = self.values.get_mut(room) {
            if value > known {
                known.clone_from(value);
            }
            // Moving it in the order at each hearing would cost more than the order is worth.
            if self.heard - *heard < self.limit as u64 / 2 {
                return;
            }
            let stale = std::mem::replace(heard, self.heard);
            if let Some(name) = self.order.remove(&stale) {
                self.order.insert(self.heard, name);
            }
        } else {
            self.values.insert(room.to_owned(), (value.clone(), self.heard));
            self.order.insert(self.heard, room.to_owned());
        }
        self.heard += 1;
        while self.values.len() > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_only_rise_and_the_longest_unheard_room_goes_first() {
        let mut recent = Recent::new(3);
        for (room, value) in [("a", 5), ("b", 1), ("c", 1), ("a", 3), ("b", 2)] {
            recent.raise(room, &value);
        }
        assert_eq!((recent.get("a"), recent.get("b")), (Some(&5), Some(&2)));
        recent.raise("d", &1);
        assert_eq!((recent.len(), recent.get("c")), (3, None));
        assert_eq!(recent.get("a"), Some(&5));
    }
}
