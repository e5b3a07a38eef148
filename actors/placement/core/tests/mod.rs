//! The rules of cluster.md §5.3, each by its number, on cores that are driven by hand.

mod choice;
mod messages;
mod moving;
mod moving_sides;
mod rules;

use crate::placement::core::{
    Effect, Epoch, Input, Message, MovingRoom, PlacementCore, PlacementSettings, PlacementSnapshot, RoomHints,
};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use starling_cluster::View;
use starling_cluster::member::{
    BootId, Capacity, LinkState, Load, Member, MemberFacts, MemberId, MemberState, NodeId, Role,
};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) fn member(node: &str, boot: u64) -> MemberId {
    let name: Result<NodeId, Error> = NodeId::deserialize(node.into_deserializer());
    MemberId { node_id: name.expect("a node id is a string"), boot_id: BootId::after(None, boot) }
}

pub(super) fn serving(me: &MemberId, id: &MemberId, capacity: u32, load: Load) -> Member {
    let facts = MemberFacts {
        member: id.clone(),
        region: String::new(),
        version: String::new(),
        roles: BTreeSet::from([Role::Room]),
        capacity: Capacity { cpu_millicores: capacity, egress_mbps: capacity },
        load,
        http: String::new(),
        ready: true,
        draining: false,
    };
    let link = if me == id { LinkState::Own } else { LinkState::Up };
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 7946);
    Member { id: id.clone(), address, state: MemberState::Serving, link, facts: Some(facts) }
}

pub(super) fn view_of(me: &MemberId, members: Vec<Member>) -> Arc<View> {
    let members = members.into_iter().map(|member| (member.id.node_id.clone(), member)).collect();
    Arc::new(View { me: me.clone(), generation: 1, members })
}

/// One core, its clock, and what it wanted last.
pub(super) struct Bench {
    pub(super) me: MemberId,
    core: PlacementCore,
    start: Instant,
    now: Instant,
}

impl Bench {
    /// The node `me` among others, all serving with the same capacity, past the settle window.
    pub(super) fn settled(me: &MemberId, others: &[&MemberId]) -> Self {
        let mut bench = Self::unsettled(me, others);
        bench.pass(1_000);
        bench
    }

    #[expect(clippy::disallowed_methods, reason = "an instant cannot be made from nothing")]
    pub(super) fn unsettled(me: &MemberId, others: &[&MemberId]) -> Self {
        let core = PlacementCore::new(me.clone(), PlacementSettings::default(), 1);
        let start = Instant::now();
        let mut bench = Self { me: me.clone(), core, start, now: start };
        bench.see(others);
        bench
    }

    pub(super) fn see(&mut self, others: &[&MemberId]) -> Vec<Effect> {
        let me = self.me.clone();
        let ids = others.iter().copied().chain([&me]);
        let view = view_of(&me, ids.map(|id| serving(&me, id, 1_000, Load::default())).collect());
        self.give(Input::View(view))
    }

    pub(super) fn give(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.core.handle(input, self.now, &mut effects);
        effects
    }

    pub(super) fn hear(&mut self, from: &MemberId, message: Message) -> Vec<Effect> {
        self.give(Input::Heard { from: from.clone(), message })
    }

    pub(super) fn locate(&mut self, request: u64, room: &str, failed_host: Option<&MemberId>) -> Vec<Effect> {
        let (room, hints, failed_host) = (room.to_owned(), RoomHints::default(), failed_host.cloned());
        self.give(Input::Locate { request, room, create: true, hints, failed_host })
    }

    /// Lets time pass, with every tick that the core wants.
    pub(super) fn pass(&mut self, milliseconds: u64) -> Vec<Effect> {
        let end = self.now + Duration::from_millis(milliseconds);
        let mut effects = Vec::new();
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            effects.extend(self.give(Input::Tick));
        }
        self.now = end;
        assert!(self.now >= self.start);
        effects
    }

    /// Time passes while the node stands still.
    pub(super) fn stall(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    pub(super) fn snapshot(&self) -> PlacementSnapshot {
        self.core.snapshot()
    }

    pub(super) fn entries(&self) -> usize {
        self.core.snapshot().entries.len()
    }

    pub(super) fn moving(&self) -> Vec<MovingRoom> {
        self.core.snapshot().moves
    }

    pub(super) fn hosts(&self, room: &str) -> Option<Epoch> {
        self.core.snapshot().rooms.into_iter().find(|hosted| hosted.room == room).map(|hosted| hosted.epoch)
    }

    pub(super) fn knows(&self, room: &str) -> Option<MemberId> {
        self.core.snapshot().entries.into_iter().find(|entry| entry.room == room).map(|entry| entry.host)
    }
}

pub(super) fn sent(effects: &[Effect]) -> Vec<(&MemberId, &Message)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, message, .. } => Some((to, message)),
            _ => None,
        })
        .collect()
}

/// A room name that this member owns among these.
pub(super) fn room_of(owner: &MemberId, all: &[&MemberId]) -> String {
    let mut neighbours = crate::placement::core::neighbours::Neighbours::default();
    let members = all.iter().map(|id| serving(owner, id, 1_000, Load::default())).collect();
    neighbours.update(view_of(owner, members));
    let names = (0..10_000).map(|number| format!("room-{number}"));
    names.into_iter().find(|name| neighbours.owner(name) == Some(owner)).expect("each owns a share")
}
