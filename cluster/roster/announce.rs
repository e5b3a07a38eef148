//! Asks again and again, less and less often, as long as something is missing.

use crate::limits::{REPAIR_FIRST, REPAIR_LAST};
use crate::member::MemberId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// When each life that lacks something is asked again. Holds no more than what the caller names as missing.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    asked: BTreeMap<(MemberId, SocketAddr), Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    again_at: Instant,
    pause: Duration,
}

impl Repeats {
    /// The addresses to ask at this moment, of all those that lack something; the others are forgotten.
    pub(super) fn due(
        &mut self,
        missing: impl Iterator<Item = (MemberId, SocketAddr)>,
        now: Instant,
    ) -> Vec<SocketAddr> {
        let mut asked = BTreeMap::new();
        let mut due = Vec::new();
        for life in missing {
            let entry = match self.asked.get(&life) {
                Some(entry) if entry.again_at > now => *entry,
                Some(entry) => {
                    due.push(life.1);
                    let pause = (entry.pause * 2).min(REPAIR_LAST);
                    Asked { again_at: now + pause, pause }
                }
                None => {
                    due.push(life.1);
                    Asked { again_at: now + REPAIR_FIRST, pause: REPAIR_FIRST }
                }
            };
            asked.insert(life, entry);
        }
        self.asked = asked;
        due
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.again_at).min()
    }
}
