//! Lets load through at most once per interval, and only when it differs in the steps that are told. Pure.

use super::quantised;
use crate::limits::LOAD_INTERVAL;
use crate::member::Load;
use std::time::Instant;

/// The pace of this node's load.
#[derive(Debug)]
pub struct LoadPace {
    told: Load,
    waiting: Option<Load>,
    earliest: Instant,
}

impl LoadPace {
    /// A pace for a node that has told `told`; the next load may be told at `now`.
    #[must_use]
    pub fn new(told: Load, now: Instant) -> Self {
        Self { told: quantised(told), waiting: None, earliest: now }
    }

    /// Takes the load of this moment; see [`Self::due`].
    pub fn offer(&mut self, load: Load) {
        let load = quantised(load);
        self.waiting = (load != self.told).then_some(load);
    }

    /// The load that must be told at this moment, if any.
    pub fn due(&mut self, now: Instant) -> Option<Load> {
        if self.earliest > now {
            return None;
        }
        self.told = self.waiting.take()?;
        self.earliest = now + LOAD_INTERVAL;
        Some(self.told)
    }

    /// When [`Self::due`] has something; in the past when at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.map(|_| self.earliest)
    }
}
