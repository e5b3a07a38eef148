//! Who is alive: foca (SWIM) behind our words, with what foca lacks (cluster.md §3): the guard against its false
//! `TurnUndead`, announcements while alone, and a mark that tells leaving from dying. Pure: told the time, sends nothing.
//!
//! Feed every input, then drain [`Membership::poll_output`], then sleep until [`Membership::next_deadline`]. Read
//! datagrams that wait before a `tick`: after a stall the answers to probes are among them.

mod change;
mod identity;
mod inspect;
#[cfg(test)]
mod tests;
mod timers;
mod tuned;

pub use change::{MembershipChange, Output};
pub use inspect::DatagramError;

use crate::limits::{
    HEAL_ANNOUNCEMENTS_MAX, HEAL_PAUSE, LONELY_TICK, SEED_ADDRESSES_MAX, SEED_REMINDER, SETTLED_WITH_MEMBERS, SETTLING,
    SETTLING_QUESTIONS, SWIM_SENDS_WAITING_MAX,
};
use crate::member::MemberId;
use change::ToldMembers;
use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification, PostcardCodec, State, Timer};
use identity::SwimIdentity;
use rand_swim::SeedableRng as _;
use rand_swim::rngs::SmallRng;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Instant;
use timers::Timers;
use tuned::tuned;

type Swim = Foca<SwimIdentity, PostcardCodec, SmallRng, NoCustomBroadcast>;

/// Bursts of gossip with which a leaving node says so: 12 datagrams to random members, then it may exit.
const FAREWELL_BURSTS: usize = 4;

/// Who is alive, as one node knows it.
pub struct Membership {
    me: MemberId,
    swim: Swim,
    runtime: AccumulatingRuntime<SwimIdentity>,
    timers: Timers,
    told: ToldMembers,
    seeds: BTreeSet<SocketAddr>,
    next_lonely: Instant,
    next_reminder: Instant,
    settling_until: Option<Instant>,
    /// Where the next questions while settling go, in the order of addresses.
    settling_asked: usize,
    /// When the dead are asked whether they live; somebody has just come back.
    next_heal: Option<Instant>,
    last_heal: Option<Instant>,
    sized_for: NonZeroU32,
    cut_off: bool,
    has_left: bool,
    outputs: VecDeque<Output>,
    sends_waiting: usize,
    counts: MembershipCounts,
    #[cfg(test)]
    without_guard: bool,
}

/// What happened since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MembershipCounts {
    /// Suspicions that had been refuted when their time ran out: foca would have told a healthy member that it is dead.
    pub guarded: u64,
    /// Times that this node renewed its identity because others had declared it dead.
    pub rejoins: u64,
    /// Announcements made while alone.
    pub lonely_announcements: u64,
    /// Datagrams dropped because nobody drained them.
    pub sends_dropped: u64,
    /// Errors of foca that no input explains.
    pub faults: u64,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Membership")
            .field("me", &self.me)
            .field("members", &self.swim.num_members())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Membership {
    /// A node that knows nobody. Others reach it at `address`; the same seed makes the same random choices.
    #[must_use]
    pub fn new(me: MemberId, address: SocketAddr, seed_rng: u64, now: Instant) -> Self {
        let sized_for = NonZeroU32::MIN;
        let identity = SwimIdentity::new(me.clone(), address);
        let swim = Foca::new(identity, tuned(sized_for), SmallRng::seed_from_u64(seed_rng), PostcardCodec);
        Self {
            me,
            swim,
            runtime: AccumulatingRuntime::new(),
            timers: Timers::default(),
            told: ToldMembers::default(),
            seeds: BTreeSet::new(),
            next_lonely: now,
            next_reminder: now + SEED_REMINDER,
            settling_until: None,
            settling_asked: 0,
            next_heal: None,
            last_heal: None,
            sized_for,
            cut_off: false,
            has_left: false,
            outputs: VecDeque::new(),
            sends_waiting: 0,
            counts: MembershipCounts::default(),
            #[cfg(test)]
            without_guard: false,
        }
    }

    /// Who this node is.
    #[must_use]
    pub fn me(&self) -> &MemberId {
        &self.me
    }

    /// Takes an opened datagram of kind [`crate::seal::Kind::Foca`].
    ///
    /// # Errors
    /// When it is no datagram of foca, names places where nobody can be, or would make the table of members too large:
    /// nothing has changed then. [`DatagramError::Refused`]: it contradicts itself, the rest of it was taken.
    pub fn datagram(&mut self, payload: &[u8], now: Instant) -> Result<(), DatagramError> {
        if self.has_left {
            return Ok(());
        }
        inspect::inspect(payload, self.swim.identity(), self.swim.iter_membership_state())?;
        let result = self.swim.handle_data(payload, &mut self.runtime);
        self.settle(now);
        result.map_err(|error| DatagramError::Refused(error.to_string()))
    }

    /// Asks whoever is at the address to let this node in, once. For addresses that chitchat has found or a seed gave.
    pub fn announce(&mut self, to: SocketAddr, now: Instant) {
        if self.has_left || to == self.swim.identity().address {
            return;
        }
        let whoever = SwimIdentity::whoever_is_at(to, &self.me.node_id);
        let result = self.swim.announce(whoever, &mut self.runtime);
        self.note_fault(result);
        self.settle(now);
    }

    /// Takes proof that a member's process is gone (its host refuses connections) and spreads it. Whether that very
    /// life was alive until this moment.
    pub fn down_hint(&mut self, member: &MemberId, now: Instant) -> bool {
        let is_it = |known: &&foca::Member<SwimIdentity>| known.id().member() == *member;
        let Some(known) = self.swim.iter_members().find(is_it) else { return false };
        if self.has_left {
            return false;
        }
        let down = foca::Member::new(known.id().clone(), known.incarnation(), State::Down);
        let result = self.swim.apply_many(std::iter::once(down), true, &mut self.runtime);
        self.note_fault(result);
        let result = self.swim.gossip(&mut self.runtime);
        self.note_fault(result);
        self.settle(now);
        true
    }

    /// Tells the others that this node goes. It hears and says nothing afterwards.
    pub fn leave(&mut self, now: Instant) {
        if self.has_left {
            return;
        }
        let leaving = self.swim.identity().leaving();
        // What the change of identity itself would send still calls the node alive.
        let mut unsent = AccumulatingRuntime::new();
        let result = self.swim.change_identity(leaving, &mut unsent);
        self.note_fault(result);
        let result = self.swim.leave_cluster(&mut self.runtime);
        self.note_fault(result);
        for _ in 1..FAREWELL_BURSTS {
            let result = self.swim.gossip(&mut self.runtime);
            self.note_fault(result);
        }
        while self.runtime.to_notify().is_some() {}
        self.settle(now);
        self.has_left = true;
        self.timers.clear();
    }

    /// The addresses to announce to while alone; later ones replace earlier ones.
    pub fn set_seeds(&mut self, seeds: impl IntoIterator<Item = SocketAddr>) {
        let own = self.swim.identity().address;
        self.seeds = seeds.into_iter().filter(|seed| *seed != own).take(SEED_ADDRESSES_MAX).collect();
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        if self.has_left {
            return;
        }
        while let Some(timer) = self.timers.pop_due(now) {
            if self.is_void(&timer) {
                self.counts.guarded += 1;
                continue;
            }
            let result = self.swim.handle_timer(timer, &mut self.runtime);
            self.note_fault(result);
            self.schedule(now);
        }
        if now >= self.next_lonely {
            self.next_lonely = now + LONELY_TICK;
            self.announce_if_alone(now);
            self.ask_while_settling(now);
        }
        if now >= self.next_reminder {
            self.next_reminder = now + SEED_REMINDER;
            self.announce_to_absent_seeds(now);
        }
        if self.next_heal.is_some_and(|due| now >= due) {
            self.next_heal = None;
            self.last_heal = Some(now);
            self.announce_to_dead(now);
        }
        self.settle(now);
    }

    /// When [`Self::tick`] is due next; `None` after leaving.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.has_left {
            return None;
        }
        let ours = self.next_lonely.min(self.next_reminder);
        [self.timers.next_due(), self.next_heal].into_iter().flatten().chain([ours]).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        if matches!(output, Output::Send { .. }) {
            self.sends_waiting -= 1;
        }
        Some(output)
    }

    /// The other living members, where they are, and whether somebody doubts that they live.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, SocketAddr, bool)> + '_ {
        self.told.iter()
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> MembershipCounts {
        self.counts
    }

    /// foca 2.0.0 tells a member that it is dead even when the suspicion was refuted (cluster.md §3.2): such a timer
    /// must not reach it.
    fn is_void(&self, timer: &Timer<SwimIdentity>) -> bool {
        #[cfg(test)]
        if self.without_guard {
            return false;
        }
        let Timer::ChangeSuspectToDown { member_id, incarnation, .. } = timer else { return false };
        !self.swim.iter_membership_state().any(|known| {
            known.id() == member_id && known.incarnation() == *incarnation && known.state() == State::Suspect
        })
    }

    fn announce_if_alone(&mut self, now: Instant) {
        if self.swim.num_members() > 0 {
            return;
        }
        for seed in self.seeds.clone() {
            self.announce(seed, now);
            self.counts.lonely_announcements += 1;
        }
    }

    fn ask_while_settling(&mut self, now: Instant) {
        let known = self.swim.num_members();
        if known < SETTLED_WITH_MEMBERS || self.settling_until.is_none_or(|until| now >= until) {
            return;
        }
        let addresses: Vec<_> = self.told.iter().map(|(_, address, _)| address).collect();
        for address in addresses.into_iter().cycle().skip(self.settling_asked % known).take(SETTLING_QUESTIONS) {
            self.announce(address, now);
            self.settling_asked += 1;
        }
    }

    /// Two groups that never knew each other do not find each other by gossip: the seeds are what they have in common.
    fn announce_to_absent_seeds(&mut self, now: Instant) {
        let present: BTreeSet<_> = self.told.iter().map(|(_, address, _)| address).collect();
        let absent: Vec<_> = self.seeds.difference(&present).copied().collect();
        for seed in absent {
            self.announce(seed, now);
        }
    }

    /// Each side of a partition takes the other for dead, and death is final for an identity: everyone must be told to
    /// renew. Gossip does that by chance; asking all at once does it now.
    fn announce_to_dead(&mut self, now: Instant) {
        let dead: BTreeSet<_> = self
            .swim
            .iter_membership_state()
            .filter(|known| known.state() == State::Down && !known.id().is_leaving())
            .map(|known| known.id().address)
            .collect();
        let latest_first = self.timers.latest_dead().filter(|address| dead.contains(address));
        for address in latest_first.take(HEAL_ANNOUNCEMENTS_MAX).collect::<Vec<_>>() {
            self.announce(address, now);
        }
    }

    /// Takes over what foca wants done.
    fn settle(&mut self, now: Instant) {
        self.schedule(now);
        while let Some((to, payload)) = self.runtime.to_send() {
            if self.sends_waiting >= SWIM_SENDS_WAITING_MAX {
                self.counts.sends_dropped += 1;
                continue;
            }
            self.sends_waiting += 1;
            self.outputs.push_back(Output::Send { to: to.address, payload });
        }
        let changes = self.told.follow(self.swim.iter_membership_state());
        let all_left_by_will = !changes.iter().any(|change| matches!(change, MembershipChange::Down { .. }));
        self.outputs.extend(changes.into_iter().map(Output::Changed));
        self.heed_notifications(all_left_by_will, now);
        self.resize();
    }

    fn schedule(&mut self, now: Instant) {
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.insert(now + after, timer);
        }
    }

    /// `Up`, `Down` and the like are read off the table instead.
    fn heed_notifications(&mut self, all_left_by_will: bool, now: Instant) {
        let (mut i_am_back, mut another_is_back) = (false, false);
        let mut renamed = None;
        while let Some(notification) = self.runtime.to_notify() {
            match notification {
                OwnedNotification::Idle => self.cut_off_unless(all_left_by_will),
                OwnedNotification::Defunct => self.cut_off_unless(false),
                OwnedNotification::Rejoin(_) => {
                    self.counts.rejoins += 1;
                    i_am_back = true;
                }
                OwnedNotification::Active => {
                    i_am_back |= self.cut_off;
                    self.settling_until = Some(now + SETTLING);
                }
                OwnedNotification::Rename(_, new) => renamed = Some(new),
                OwnedNotification::MemberUp(new) => another_is_back |= renamed.as_ref() == Some(&new),
                OwnedNotification::MemberDown(_) => {}
            }
        }
        if i_am_back {
            self.cut_off = false;
            self.outputs.push_back(Output::Changed(MembershipChange::Rejoined));
        }
        if i_am_back || another_is_back {
            self.next_heal = Some(self.last_heal.map_or(now, |last| now.max(last + HEAL_PAUSE)));
        }
    }

    /// Rule 6 of cluster.md §4.1: a node without others says so, once, unless they went by their own will.
    fn cut_off_unless(&mut self, all_left_by_will: bool) {
        if !all_left_by_will && !self.cut_off {
            self.cut_off = true;
            self.outputs.push_back(Output::Changed(MembershipChange::CutOff));
        }
    }

    fn resize(&mut self) {
        let nodes = u32::try_from(self.swim.num_members()).unwrap_or(u32::MAX).saturating_add(1);
        let Some(nodes) = NonZeroU32::new(nodes).filter(|nodes| *nodes != self.sized_for) else { return };
        self.sized_for = nodes;
        let result = self.swim.set_config(tuned(nodes));
        self.note_fault(result);
    }

    fn note_fault(&mut self, result: Result<(), foca::Error>) {
        if result.is_err() {
            self.counts.faults += 1;
        }
    }
}
