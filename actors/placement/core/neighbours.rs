//! The cluster as placement needs it: who lives, who owns which name, whether this node drains.

use super::rendezvous::{NodeKey, RoomKey, weight};
use starling_cluster::View;
use starling_cluster::member::{Member, MemberId, MemberState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The cluster as placement needs it.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    view: Option<Arc<View>>,
    living: BTreeSet<MemberId>,
    /// Those that own names: alive and not draining; everybody alive when all drain.
    owners: Vec<(NodeKey, MemberId)>,
    draining: BTreeSet<MemberId>,
}

impl Neighbours {
    /// Takes a view; says whether lives, owners or drains changed.
    pub(super) fn update(&mut self, view: Arc<View>) -> bool {
        let living: BTreeSet<MemberId> = view.living().map(|member| member.id.clone()).collect();
        let mut owners: Vec<_> = view.living().filter(|member| !is_draining(member)).map(ranked).collect();
        if owners.is_empty() {
            owners = view.living().map(ranked).collect();
        }
        let draining = view.living().filter(|member| is_draining(member)).map(|member| member.id.clone()).collect();
        let changed = living != self.living || owners != self.owners || draining != self.draining;
        self.view = Some(view);
        self.draining = draining;
        self.living = living;
        self.owners = owners;
        changed
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.iter().flat_map(|view| view.members.values())
    }

    pub(super) fn living(&self) -> &BTreeSet<MemberId> {
        &self.living
    }

    pub(super) fn is_alive(&self, id: &MemberId) -> bool {
        self.living.contains(id)
    }

    /// Whether that very life is known to be over.
    pub(super) fn is_over(&self, id: &MemberId) -> bool {
        let known = self.view.as_ref().and_then(|view| view.members.get(&id.node_id));
        known.is_some_and(|member| member.id.boot_id > id.boot_id || (member.id == *id && !member.is_alive()))
    }

    /// Whether this node is on its way out.
    pub(super) fn is_draining(&self) -> bool {
        self.view.as_ref().is_some_and(|view| self.draining.contains(&view.me))
    }

    /// Whether that living member is on its way out.
    pub(super) fn drains(&self, id: &MemberId) -> bool {
        self.draining.contains(id)
    }

    /// Living members on their way out.
    pub(super) fn draining(&self) -> impl Iterator<Item = &MemberId> {
        self.draining.iter()
    }

    /// Who answers for the room name; `None` before the first view.
    pub(super) fn owner(&self, room: &str) -> Option<&MemberId> {
        let room = RoomKey::of(room);
        self.owners.iter().max_by_key(|(node, id)| (weight(*node, room), &id.node_id)).map(|(_, id)| id)
    }

    /// The owner and who would be owner without it.
    pub(super) fn first_two(&self, room: &str) -> [Option<&MemberId>; 2] {
        let room = RoomKey::of(room);
        let mut best: [Option<(u64, &MemberId)>; 2] = [None, None];
        for (node, id) in &self.owners {
            let ranked = Some((weight(*node, room), id));
            if ranked > best[0] {
                best = [ranked, best[0]];
            } else if ranked > best[1] {
                best[1] = ranked;
            }
        }
        best.map(|ranked| ranked.map(|(_, id)| id))
    }
}

fn ranked(member: &Member) -> (NodeKey, MemberId) {
    (NodeKey::of(&member.id.node_id), member.id.clone())
}

/// Draining members own no names and get no rooms, suspect or not.
fn is_draining(member: &Member) -> bool {
    member.state == MemberState::Draining || member.facts.as_ref().is_some_and(|facts| facts.draining)
}
