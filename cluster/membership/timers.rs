//! foca's timers in the order in which they are due. Bounded: what a restart of foca's clockwork made void is dropped.

use super::identity::SwimIdentity;
use foca::{Timer, TimerToken};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Timers that wait.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// By instant, then in foca's own order, then in the order of arrival.
    waiting: BTreeMap<(Instant, u8, u64), Timer<SwimIdentity>>,
    /// When the dead at an address are forgotten: only the latest death there counts.
    forgetting: BTreeMap<SocketAddr, (Instant, SwimIdentity)>,
    arrived: u64,
    token: Option<TimerToken>,
}

impl Timers {
    pub(super) fn insert(&mut self, due: Instant, timer: Timer<SwimIdentity>) {
        if let Timer::RemoveDown(identity) = timer {
            self.forgetting.insert(identity.address, (due, identity));
            return;
        }
        if let Some(token) = token(&timer)
            && self.token.replace(token) != Some(token)
        {
            // foca has begun anew and ignores every timer from before.
            self.waiting.clear();
        }
        self.arrived += 1;
        self.waiting.insert((due, urgency(&timer), self.arrived), timer);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.waiting.first_key_value().map(|((due, ..), _)| *due);
        let forgetting = self.forgetting.values().map(|(due, _)| *due).min();
        [waiting, forgetting].into_iter().flatten().min()
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer<SwimIdentity>> {
        if self.waiting.first_key_value().is_some_and(|((due, ..), _)| *due <= now) {
            return self.waiting.pop_first().map(|(_, timer)| timer);
        }
        let due = self.forgetting.iter().find(|(_, (due, _))| *due <= now);
        let address = due.map(|(address, _)| *address)?;
        self.forgetting.remove(&address).map(|(_, identity)| Timer::RemoveDown(identity))
    }

    /// Where somebody died, the latest first.
    pub(super) fn latest_dead(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let mut dead: Vec<_> = self.forgetting.iter().map(|(address, (due, _))| (*due, *address)).collect();
        dead.sort_unstable_by(|left, right| right.cmp(left));
        dead.into_iter().map(|(_, address)| address)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Among timers due at one instant foca wants the indirect probe before the next probe; the others in any order.
fn urgency(timer: &Timer<SwimIdentity>) -> u8 {
    match timer {
        Timer::SendIndirectProbe { .. } => 0,
        Timer::ProbeRandomMember(_) => 1,
        Timer::ChangeSuspectToDown { .. } => 2,
        Timer::PeriodicAnnounce(_) => 3,
        Timer::PeriodicGossip(_) => 4,
        Timer::RemoveDown(_) => 5,
        Timer::PeriodicAnnounceDown(_) => 6,
    }
}

fn token(timer: &Timer<SwimIdentity>) -> Option<TimerToken> {
    match timer {
        Timer::SendIndirectProbe { token, .. }
        | Timer::ChangeSuspectToDown { token, .. }
        | Timer::ProbeRandomMember(token)
        | Timer::PeriodicAnnounce(token)
        | Timer::PeriodicAnnounceDown(token)
        | Timer::PeriodicGossip(token) => Some(*token),
        Timer::RemoveDown(_) => None,
    }
}
