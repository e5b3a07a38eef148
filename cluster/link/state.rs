//! Which links this node has and makes: follows membership's wishes. Pure; one small state machine per member.
//!
//! Of two members the one with the greater session name dials; there is never more than one session per pair
//! (cluster.md §1.3), so a replacement opens only when the old one has ended.

use crate::gateway::session_name;
use crate::limits;
use crate::link::event::LinkEvent;
use crate::link::greeting::Refusal;
use crate::member::MemberId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Connect, prove, greet; the outcome comes back as [`LinkTable::dialled`].
    Dial { member: MemberId, address: SocketAddr },
    /// Only see whether somebody listens; the outcome comes back as [`LinkTable::probed`].
    Probe { member: MemberId, address: SocketAddr },
    /// Make the proved connection with this number a session.
    Open { link: u64 },
    /// Close it, session or not.
    Close { link: u64 },
    /// Tell.
    Event(LinkEvent),
}

/// How a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialFailure {
    /// The host says that nobody listens, or another life of the node answered.
    Gone,
    /// Anything that says nothing of its life.
    Other,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    wanted: bool,
    phase: Phase,
    /// Dials that failed since messages flowed.
    failures: u32,
    probes: u32,
    /// When an open link ended that this side did not close; taken by the hint that follows from it.
    lost_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No link; dials or probes then.
    Idle { next: Option<Instant> },
    /// A dial or a probe runs.
    Asking,
    /// Proved, and no message flows yet.
    Opening { link: u64, until: Instant },
    /// Messages flow.
    Up { link: u64, silent: bool },
    /// Its session is ending; `next` has proved and waits for that.
    Closing { link: u64, until: Instant, next: Option<u64> },
}

/// The links of this node.
#[derive(Debug)]
pub(crate) struct LinkTable {
    me: MemberId,
    /// As many as members.
    peers: BTreeMap<MemberId, Peer>,
    random: StdRng,
    effects: VecDeque<Effect>,
}

impl LinkTable {
    pub(crate) fn new(me: MemberId, seed: u64) -> Self {
        Self { me, peers: BTreeMap::new(), random: StdRng::seed_from_u64(seed), effects: VecDeque::new() }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`LinkTable::tick`] wants to be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.phase.deadline()).min()
    }

    /// The members that life has.
    pub(crate) fn want(&mut self, members: Vec<(MemberId, SocketAddr)>, now: Instant) {
        let wanted: BTreeMap<MemberId, SocketAddr> =
            members.into_iter().filter(|(member, _)| member.node_id != self.me.node_id).collect();
        let left: Vec<MemberId> = self.peers.keys().filter(|member| !wanted.contains_key(member)).cloned().collect();
        for member in left {
            self.unwant(&member, now);
        }
        for (member, address) in wanted {
            let next = self.dials(&member).then_some(now);
            let peer = self.peers.entry(member).or_insert_with(|| Peer {
                address,
                wanted: true,
                phase: Phase::Idle { next },
                failures: 0,
                probes: 0,
                lost_at: None,
            });
            peer.wanted = true;
            peer.address = address;
        }
        self.tick(now);
    }

    /// Living members with their addresses.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (MemberId, SocketAddr)> {
        self.peers.iter().filter(|(_, peer)| peer.wanted).map(|(member, peer)| (member.clone(), peer.address))
    }

    /// The life of that node whose link is up and was heard lately, unless it is that very one.
    pub(crate) fn other_life(&self, member: &MemberId) -> Option<(&MemberId, SocketAddr)> {
        self.peers.iter().find_map(|(other, peer)| {
            let heard = matches!(peer.phase, Phase::Up { silent: false, .. });
            (heard && other.node_id == member.node_id && other != member).then_some((other, peer.address))
        })
    }

    /// Links on which messages flow.
    pub(crate) fn links_up(&self) -> usize {
        self.peers.values().filter(|peer| matches!(peer.phase, Phase::Up { .. })).count()
    }

    /// A member has dialled, proved and greeted.
    ///
    /// # Errors
    /// [`Refusal`] when there shall be no such link.
    pub(crate) fn incoming(&mut self, member: &MemberId, link: u64, now: Instant) -> Result<(), Refusal> {
        let dials = self.dials(member);
        let peer = self.peers.get_mut(member).filter(|peer| peer.wanted).ok_or(Refusal::NotAMember)?;
        if dials {
            return Err(Refusal::OtherWay);
        }
        peer.phase = match peer.phase {
            Phase::Idle { .. } | Phase::Asking => {
                self.effects.push_back(Effect::Open { link });
                Phase::Opening { link, until: now + limits::LINK_OPEN_TIME }
            }
            // It dials only when it has no link: what we have is a leftover.
            Phase::Up { link: old, .. } | Phase::Opening { link: old, .. } => {
                self.effects.push_back(Effect::Close { link: old });
                if matches!(peer.phase, Phase::Up { .. }) {
                    self.effects.push_back(Effect::Event(LinkEvent::Lost(member.clone())));
                }
                Phase::Closing { link: old, until: now + limits::LINK_REPLACE_TIME, next: Some(link) }
            }
            Phase::Closing { link: old, until, next } => {
                self.effects.extend(next.map(|link| Effect::Close { link }));
                Phase::Closing { link: old, until, next: Some(link) }
            }
        };
        Ok(())
    }

    /// A dial has ended; with the number of the proved connection if it went well.
    pub(crate) fn dialled(&mut self, member: &MemberId, outcome: Result<u64, DialFailure>, now: Instant) {
        let asking = self.peers.get_mut(member).filter(|peer| peer.wanted && peer.phase == Phase::Asking);
        match (asking, outcome) {
            (Some(peer), Ok(link)) => {
                peer.phase = Phase::Opening { link, until: now + limits::LINK_OPEN_TIME };
                self.effects.push_back(Effect::Open { link });
            }
            (None, Ok(link)) => self.effects.push_back(Effect::Close { link }),
            (Some(_), Err(failure)) => {
                if failure == DialFailure::Gone {
                    self.hint(member, now);
                }
                self.back_off(member, now);
            }
            (None, Err(_)) => {}
        }
        self.forget_unwanted(member);
    }

    /// A probe has ended: does the host say that nobody listens?
    pub(crate) fn probed(&mut self, member: &MemberId, refused: bool, now: Instant) {
        let Some(peer) = self.peers.get_mut(member).filter(|peer| peer.phase == Phase::Asking) else { return };
        peer.probes += 1;
        let again = !refused && peer.probes < limits::PROBES_MAX;
        let next = again.then(|| now + limits::DIAL_BACKOFF_FIRST * peer.probes);
        peer.phase = Phase::Idle { next };
        if refused {
            self.hint(member, now);
        }
        self.forget_unwanted(member);
    }

    /// Messages flow.
    pub(crate) fn opened(&mut self, link: u64) {
        let Some((member, peer)) = self.by_link(link) else { return };
        if let Phase::Opening { link, .. } = peer.phase {
            peer.phase = Phase::Up { link, silent: false };
            peer.failures = 0;
            peer.probes = 0;
            peer.lost_at = None;
            self.effects.push_back(Effect::Event(LinkEvent::Up(member)));
        }
    }

    /// Nothing was heard on it for a while, or something was again.
    pub(crate) fn silence(&mut self, link: u64, is_silent: bool) {
        let Some((member, peer)) = self.by_link(link) else { return };
        if let Phase::Up { silent, .. } = &mut peer.phase
            && *silent != is_silent
        {
            *silent = is_silent;
            let event = if is_silent { LinkEvent::Silent(member) } else { LinkEvent::Heard(member) };
            self.effects.push_back(Effect::Event(event));
        }
    }

    /// It is of no use any more.
    pub(crate) fn useless(&mut self, link: u64, now: Instant) {
        if let Some((member, _)) = self.by_link(link) {
            self.close(&member, now);
        }
    }

    /// Its session is gone.
    pub(crate) fn ended(&mut self, link: u64, now: Instant) {
        let Some((member, peer)) = self.by_link(link) else { return };
        match peer.phase {
            Phase::Up { .. } => {
                peer.lost_at = Some(now);
                peer.probes = 0;
                peer.phase = Phase::Idle { next: Some(now) };
                self.effects.push_back(Effect::Event(LinkEvent::Lost(member.clone())));
            }
            Phase::Closing { next: Some(link), .. } => {
                peer.phase = Phase::Opening { link, until: now + limits::LINK_OPEN_TIME };
                self.effects.push_back(Effect::Open { link });
            }
            Phase::Opening { .. } | Phase::Closing { next: None, .. } => self.back_off(&member, now),
            Phase::Idle { .. } | Phase::Asking => {}
        }
        self.forget_unwanted(&member);
        self.tick(now);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        let due = |peer: &Peer| peer.phase.deadline().is_some_and(|at| at <= now);
        let members: Vec<MemberId> =
            self.peers.iter().filter(|(_, peer)| due(peer)).map(|(member, _)| member.clone()).collect();
        for member in members {
            self.due(&member, now);
        }
    }

    fn due(&mut self, member: &MemberId, now: Instant) {
        let dials = self.dials(member);
        let Some(peer) = self.peers.get_mut(member) else { return };
        match peer.phase {
            Phase::Idle { .. } => {
                peer.phase = Phase::Asking;
                let (member, address) = (member.clone(), peer.address);
                let effect = if dials { Effect::Dial { member, address } } else { Effect::Probe { member, address } };
                self.effects.push_back(effect);
            }
            Phase::Opening { .. } => self.close(member, now),
            // ractor has not said that it ended; what waits for it waits no longer.
            Phase::Closing { link, .. } => self.ended(link, now),
            Phase::Asking | Phase::Up { .. } => {}
        }
    }

    fn unwant(&mut self, member: &MemberId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(member) {
            peer.wanted = false;
            peer.lost_at = None;
        }
        self.close(member, now);
        self.forget_unwanted(member);
    }

    /// Closes the link, if there is one. Its end is no news of the member.
    fn close(&mut self, member: &MemberId, now: Instant) {
        let Some(peer) = self.peers.get_mut(member) else { return };
        let until = now + limits::LINK_REPLACE_TIME;
        match peer.phase {
            Phase::Up { link, .. } | Phase::Opening { link, .. } => {
                self.effects.push_back(Effect::Close { link });
                if matches!(peer.phase, Phase::Up { .. }) {
                    self.effects.push_back(Effect::Event(LinkEvent::Lost(member.clone())));
                }
                peer.phase = Phase::Closing { link, until, next: None };
            }
            Phase::Closing { link, until, next: Some(next) } => {
                self.effects.push_back(Effect::Close { link: next });
                peer.phase = Phase::Closing { link, until, next: None };
            }
            Phase::Closing { next: None, .. } | Phase::Idle { .. } | Phase::Asking => {}
        }
    }

    fn forget_unwanted(&mut self, member: &MemberId) {
        let gone = |peer: &Peer| !peer.wanted && matches!(peer.phase, Phase::Idle { .. } | Phase::Asking);
        if self.peers.get(member).is_some_and(gone) {
            self.peers.remove(member);
        }
    }

    fn back_off(&mut self, member: &MemberId, now: Instant) {
        let dials = self.dials(member);
        let jitter = self.random.random_range(0.5..1.0);
        let Some(peer) = self.peers.get_mut(member) else { return };
        peer.failures = peer.failures.saturating_add(1);
        let wait = backoff(peer.failures).mul_f64(jitter);
        peer.phase = Phase::Idle { next: dials.then_some(now + wait) };
    }

    fn hint(&mut self, member: &MemberId, now: Instant) {
        let Some(peer) = self.peers.get_mut(member) else { return };
        let lost_at = peer.lost_at.take();
        if peer.wanted && lost_at.is_some_and(|at| now < at + limits::REFUSAL_HINT_TIME) {
            self.effects.push_back(Effect::Event(LinkEvent::Refused(member.clone())));
        }
    }

    fn dials(&self, member: &MemberId) -> bool {
        session_name(&self.me) > session_name(member)
    }

    fn by_link(&mut self, number: u64) -> Option<(MemberId, &mut Peer)> {
        let carries = |peer: &Peer| match peer.phase {
            Phase::Opening { link, .. } | Phase::Up { link, .. } | Phase::Closing { link, .. } => link == number,
            Phase::Idle { .. } | Phase::Asking => false,
        };
        let (member, peer) = self.peers.iter_mut().find(|(_, peer)| carries(peer))?;
        Some((member.clone(), peer))
    }
}

impl Phase {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Idle { next } => next,
            Self::Opening { until, .. } | Self::Closing { until, .. } => Some(until),
            Self::Asking | Self::Up { .. } => None,
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (limits::DIAL_BACKOFF_FIRST * 2_u32.pow(doublings)).min(limits::DIAL_BACKOFF_MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
