//! Links between nodes: in order, delayed, held while the other side is unreachable, lost when they break.

use rand::Rng;
use rand::rngs::SmallRng;

/// All directed links.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    /// Side of a partition that each node is on.
    pub(crate) side: Vec<u8>,
    /// Raised when the link breaks: what was sent before never arrives. By unordered pair.
    generation: Vec<u64>,
    /// No link before this time, by unordered pair.
    down_until: Vec<u64>,
    /// Arrival of the last message, by ordered pair.
    last: Vec<u64>,
}

impl Network {
    pub(crate) fn new(nodes: usize) -> Self {
        let pairs = nodes * nodes;
        Self {
            nodes,
            side: vec![0; nodes],
            generation: vec![0; pairs],
            down_until: vec![0; pairs],
            last: vec![0; pairs],
        }
    }

    fn pair(&self, a: usize, b: usize) -> usize {
        a.min(b) * self.nodes + a.max(b)
    }

    pub(crate) fn same_side(&self, a: usize, b: usize) -> bool {
        self.side[a] == self.side[b]
    }

    pub(crate) fn generation(&self, a: usize, b: usize) -> u64 {
        self.generation[self.pair(a, b)]
    }

    pub(crate) fn is_linked(&self, a: usize, b: usize, now: u64) -> bool {
        self.down_until[self.pair(a, b)] <= now
    }

    pub(crate) fn break_link(&mut self, a: usize, b: usize, until: u64) {
        let pair = self.pair(a, b);
        self.generation[pair] += 1;
        self.down_until[pair] = self.down_until[pair].max(until);
    }

    /// When a message sent at this time arrives, behind all sent before it.
    pub(crate) fn arrival(&mut self, from: usize, to: usize, now: u64, random: &mut SmallRng) -> u64 {
        let slow = if random.random_ratio(1, 50) { random.random_range(20..200) } else { 0 };
        let at = (now + random.random_range(1..6) + slow).max(self.last[from * self.nodes + to]);
        self.last[from * self.nodes + to] = at;
        at
    }
}
