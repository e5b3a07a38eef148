//! Puts life (foca), facts (chitchat) and links together into the [`View`]: cluster.md §4.1, rules 1-6. Pure.
//!
//! Life alone decides who is a member. Facts describe members, links cast doubt on them; neither makes nor ends one.

mod announce;
mod change;
#[cfg(test)]
mod tests;

pub use change::{Effect, Input};

use crate::facts::Told;
use crate::limits::{DEAD_MEMBER_KEPT, DEAD_MEMBERS_MAX};
use crate::link::LinkEvent;
use crate::member::{LinkState, Member, MemberFacts, MemberId, MemberState, NodeId};
use crate::membership::MembershipChange;
use crate::view::View;
use announce::Repeats;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Who is in the cluster, as this node sees it.
#[derive(Debug)]
pub struct Roster {
    me: MemberId,
    address: SocketAddr,
    own: MemberFacts,
    others: BTreeMap<NodeId, Other>,
    /// Links that are there, also of lives that foca has not announced yet; as many as the link shell holds.
    links: BTreeMap<MemberId, LinkState>,
    told: Arc<Told>,
    /// Lives that chitchat knows and foca does not.
    strangers: Repeats,
    /// Members whose facts have not come.
    silent_tellers: Repeats,
    view: Arc<View>,
}

/// The newest life of another node.
#[derive(Debug)]
struct Other {
    id: MemberId,
    address: SocketAddr,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// foca has it.
    Alive { suspected: bool },
    /// foca gave it up, or it left.
    Dead { since: Instant },
}

impl Roster {
    /// A roster of this node alone.
    #[must_use]
    pub fn new(own: MemberFacts, address: SocketAddr) -> Self {
        let me = own.member.clone();
        let view = View { me: me.clone(), generation: 1, members: BTreeMap::new() };
        let mut roster = Self {
            me,
            address,
            own,
            others: BTreeMap::new(),
            links: BTreeMap::new(),
            told: Arc::default(),
            strangers: Repeats::default(),
            silent_tellers: Repeats::default(),
            view: Arc::new(view),
        };
        let members = roster.members();
        roster.view = Arc::new(View { me: roster.me.clone(), generation: 1, members });
        roster
    }

    /// The cluster as last published.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Takes one input; what follows from it is appended to `effects`.
    pub fn handle(&mut self, input: Input, now: Instant, effects: &mut Vec<Effect>) {
        let mut rejoined = false;
        match input {
            Input::Life(change) => rejoined = self.life(change, now, effects),
            Input::Told(told) => self.told = told,
            Input::Link(event) => self.link(event, effects),
            Input::Own(facts) => {
                debug_assert_eq!(facts.member, self.me, "this node's facts are of this life");
                self.own = facts;
            }
            Input::Tick => {}
        }
        self.forget_dead(now);
        self.repair_discovery(now, effects);
        self.publish(rejoined, effects);
    }

    /// When a [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let forget = self.others.values().filter_map(|other| match other.life {
            Life::Dead { since } => Some(since + DEAD_MEMBER_KEPT),
            Life::Alive { .. } => None,
        });
        forget.chain(self.strangers.next_deadline()).chain(self.silent_tellers.next_deadline()).min()
    }

    /// Returns whether the others took this node for dead in between.
    fn life(&mut self, change: MembershipChange, now: Instant, effects: &mut Vec<Effect>) -> bool {
        match change {
            MembershipChange::Up { id, address } => self.up(id, address, effects),
            MembershipChange::Restarted { old, new, address } => {
                // Another node may have taken the address; nobody says that the one before is down.
                self.down(&old, now, effects);
                self.up(new, address, effects);
            }
            // The same process under another foca identity: nothing was lost, links stay.
            MembershipChange::Renewed { id } | MembershipChange::Refuted { id } => self.suspect(&id, false),
            MembershipChange::Suspected { id } => self.suspect(&id, true),
            MembershipChange::Down { id } | MembershipChange::Left { id } => self.down(&id, now, effects),
            MembershipChange::CutOff => {}
            MembershipChange::Rejoined => return true,
        }
        false
    }

    fn up(&mut self, id: MemberId, address: SocketAddr, effects: &mut Vec<Effect>) {
        if id.node_id == self.me.node_id {
            return;
        }
        match self.others.get(&id.node_id) {
            Some(known) if known.id.boot_id > id.boot_id => return,
            Some(known) if known.id == id && known.address == address && known.is_alive() => return,
            Some(_) | None => {}
        }
        let life = Life::Alive { suspected: false };
        self.others.insert(id.node_id.clone(), Other { id, address, life });
        self.want_links(effects);
    }

    fn down(&mut self, id: &MemberId, now: Instant, effects: &mut Vec<Effect>) {
        let Some(other) = self.living_mut(id) else { return };
        other.life = Life::Dead { since: now };
        self.want_links(effects);
    }

    fn suspect(&mut self, id: &MemberId, doubted: bool) {
        if let Some(Other { life: Life::Alive { suspected }, .. }) = self.living_mut(id) {
            *suspected = doubted;
        }
    }

    /// Links are hints: only the refusal of a host that answers says that a process is gone.
    fn link(&mut self, event: LinkEvent, effects: &mut Vec<Effect>) {
        match event {
            LinkEvent::Up(id) | LinkEvent::Heard(id) => {
                self.links.insert(id, LinkState::Up);
            }
            LinkEvent::Silent(id) => {
                self.links.insert(id, LinkState::Silent);
            }
            LinkEvent::Lost(id) => {
                self.links.remove(&id);
            }
            LinkEvent::Refused(id) => {
                self.links.remove(&id);
                if self.living_mut(&id).is_some() {
                    effects.push(Effect::DownHint(id));
                }
            }
        }
    }

    fn living_mut(&mut self, id: &MemberId) -> Option<&mut Other> {
        self.others.get_mut(&id.node_id).filter(|other| other.id == *id && other.is_alive())
    }

    fn want_links(&self, effects: &mut Vec<Effect>) {
        let living = self.others.values().filter(|other| other.is_alive());
        effects.push(Effect::Links(living.map(|other| (other.id.clone(), other.address)).collect()));
    }

    fn forget_dead(&mut self, now: Instant) {
        self.others.retain(|_, other| match other.life {
            Life::Dead { since } => now.saturating_duration_since(since) < DEAD_MEMBER_KEPT,
            Life::Alive { .. } => true,
        });
        let mut dead: Vec<(Instant, NodeId)> = self
            .others
            .values()
            .filter_map(|other| match other.life {
                Life::Dead { since } => Some((since, other.id.node_id.clone())),
                Life::Alive { .. } => None,
            })
            .collect();
        if dead.len() > DEAD_MEMBERS_MAX {
            dead.sort();
            for (_, node_id) in dead.iter().take(dead.len() - DEAD_MEMBERS_MAX) {
                self.others.remove(node_id);
            }
        }
    }

    /// A life that only chitchat knows is asked to join through foca; a member without facts is asked for them.
    fn repair_discovery(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let strangers: Vec<_> = self.told.keys().filter(|(id, _)| self.is_stranger(id)).cloned().collect();
        effects.extend(self.strangers.due(strangers.into_iter(), now).into_iter().map(Effect::Announce));
        let without = self.others.values().filter(|other| other.is_alive() && self.facts_of(other).is_none());
        let without: Vec<_> = without.map(|other| (other.id.clone(), other.address)).collect();
        effects.extend(self.silent_tellers.due(without.into_iter(), now).into_iter().map(Effect::Meet));
    }

    /// Not this node, and neither a life that foca has or had nor one before it.
    fn is_stranger(&self, id: &MemberId) -> bool {
        let known = self.others.get(&id.node_id);
        id.node_id != self.me.node_id && known.is_none_or(|known| known.id.boot_id < id.boot_id)
    }

    fn facts_of(&self, other: &Other) -> Option<&MemberFacts> {
        self.told.get(&(other.id.clone(), other.address))?.as_ref()
    }

    fn publish(&mut self, rejoined: bool, effects: &mut Vec<Effect>) {
        let members = self.members();
        if members == self.view.members && !rejoined {
            return;
        }
        let rises = rejoined || life_of(&members) != life_of(&self.view.members);
        let generation = self.view.generation + u64::from(rises);
        self.view = Arc::new(View { me: self.me.clone(), generation, members });
        effects.push(Effect::View(self.view.clone()));
    }

    fn members(&self) -> BTreeMap<NodeId, Member> {
        let own_state = if self.own.draining { MemberState::Draining } else { MemberState::Serving };
        let own = Member {
            id: self.me.clone(),
            address: self.address,
            state: own_state,
            link: LinkState::Own,
            facts: Some(self.own.clone()),
        };
        let others = self.others.values().map(|other| self.member(other));
        others.chain([own]).map(|member| (member.id.node_id.clone(), member)).collect()
    }

    fn member(&self, other: &Other) -> Member {
        let facts = self.facts_of(other).cloned();
        let draining = facts.as_ref().is_some_and(|facts| facts.draining);
        let link = if other.is_alive() { self.links.get(&other.id).copied() } else { None };
        let link = link.unwrap_or(LinkState::Down);
        let state = match other.life {
            Life::Dead { .. } => MemberState::Dead,
            // Draining before suspect: it says more, and a passing doubt must not shift directory owners.
            Life::Alive { .. } if draining => MemberState::Draining,
            Life::Alive { suspected } if suspected || link == LinkState::Silent => MemberState::Suspect,
            Life::Alive { .. } => MemberState::Serving,
        };
        Member { id: other.id.clone(), address: other.address, state, link, facts }
    }
}

impl Other {
    fn is_alive(&self) -> bool {
        matches!(self.life, Life::Alive { .. })
    }
}

/// What raises the generation: which lives there are and which of them drain.
fn life_of(members: &BTreeMap<NodeId, Member>) -> Vec<(&MemberId, bool)> {
    let living = members.values().filter(|member| member.is_alive());
    living.map(|member| (&member.id, member.state == MemberState::Draining)).collect()
}
