//! Rules 1-6 of cluster.md §4.1, one story each, and what bounds the view.

use super::*;
use crate::member::{BootId, Capacity, Load, Role};
use std::collections::BTreeSet;
use std::time::Duration;

fn id(node: &str, boot: u64) -> MemberId {
    let node_id = serde_json::from_value(serde_json::json!(node)).expect("a plain name is a node id");
    MemberId { node_id, boot_id: BootId::after(None, boot) }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7_946))
}

fn facts(member: &MemberId) -> MemberFacts {
    MemberFacts {
        member: member.clone(),
        region: String::new(),
        version: "1".to_owned(),
        roles: BTreeSet::from([Role::Room]),
        capacity: Capacity::default(),
        load: Load::default(),
        http: String::new(),
        ready: true,
        draining: false,
    }
}

/// A roster with its own clock that keeps what the last input led to.
struct World {
    roster: Roster,
    now: Instant,
    effects: Vec<Effect>,
}

#[expect(clippy::disallowed_methods, reason = "virtual time needs some beginning")]
fn world() -> World {
    World { roster: Roster::new(facts(&id("a", 1)), address(1)), now: Instant::now(), effects: Vec::new() }
}

impl World {
    fn give(&mut self, input: Input) {
        self.effects.clear();
        self.roster.handle(input, self.now, &mut self.effects);
    }

    fn up(&mut self, id: &MemberId, at: u8) {
        self.give(Input::Life(MembershipChange::Up { id: id.clone(), address: address(at) }));
    }

    fn tell(&mut self, told: &[(&MemberId, u8, Option<MemberFacts>)]) {
        let rows = told.iter().map(|(id, at, facts)| (((*id).clone(), address(*at)), facts.clone()));
        self.give(Input::Told(Arc::new(rows.collect())));
    }

    /// A member in its prime: alive, linked, with facts.
    fn serve(&mut self, id: &MemberId, at: u8) {
        self.up(id, at);
        self.give(Input::Link(LinkEvent::Up(id.clone())));
        self.tell(&[(id, at, Some(facts(id)))]);
    }

    fn member(&self, id: &MemberId) -> Member {
        let member = self.roster.view().members.get(&id.node_id).cloned().expect("a member of that node");
        assert_eq!(member.id, *id, "which life");
        member
    }

    fn generation(&self) -> u64 {
        self.roster.view().generation
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.give(Input::Tick);
    }
}

/// Rule 1.
#[test]
fn another_life_of_a_node_is_another_member_and_the_older_one_never_returns() {
    let mut world = world();
    let (old, new) = (id("b", 10), id("b", 11));
    world.serve(&old, 2);
    let before = world.generation();
    world.give(Input::Life(MembershipChange::Restarted { old: old.clone(), new: new.clone(), address: address(2) }));
    assert_eq!(world.generation(), before + 1);
    assert_eq!(world.member(&new).facts, None, "facts of the life before say nothing about this one");
    assert_eq!(world.member(&new).link, LinkState::Down, "nor does its link");
    assert!(world.roster.view().alive(&old).is_none());
    world.up(&old, 2);
    world.give(Input::Life(MembershipChange::Down { id: old }));
    assert_eq!(world.member(&new).state, MemberState::Serving, "what is said of the old life is nothing to the new");
    assert_eq!(world.generation(), before + 1);
}

/// Rule 1: an address can change hands, and nobody tells of the end of its holder.
#[test]
fn a_node_whose_address_another_node_has_taken_is_dead() {
    let mut world = world();
    let (b, c) = (id("b", 10), id("c", 20));
    world.serve(&b, 2);
    world.give(Input::Life(MembershipChange::Restarted { old: b.clone(), new: c.clone(), address: address(2) }));
    assert_eq!((world.member(&b).state, world.member(&c).state), (MemberState::Dead, MemberState::Serving));
}

/// Rule 2.
#[test]
fn facts_count_only_for_exactly_the_life_and_address_that_foca_has() {
    let mut world = world();
    let b = id("b", 10);
    world.up(&b, 2);
    world.tell(&[(&id("b", 9), 2, Some(facts(&id("b", 9)))), (&b, 3, Some(facts(&b)))]);
    assert_eq!(world.member(&b).facts, None);
    world.tell(&[(&b, 2, Some(facts(&b)))]);
    assert_eq!(world.member(&b).facts, Some(facts(&b)));
}

/// Rule 2: life is foca's alone.
#[test]
fn a_node_that_vanishes_from_chitchat_lives_on() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    world.tell(&[]);
    assert!(world.member(&b).is_alive());
}

/// Rule 3.
#[test]
fn a_node_that_only_chitchat_knows_is_announced_to_and_is_no_member() {
    let mut world = world();
    let b = id("b", 10);
    world.tell(&[(&b, 2, Some(facts(&b)))]);
    assert_eq!(world.effects, [Effect::Announce(address(2))]);
    assert!(!world.roster.view().members.contains_key(&b.node_id));
    world.advance(Duration::from_millis(999));
    assert_eq!(world.effects, [], "not more often than once in a second");
    world.advance(Duration::from_millis(1));
    assert_eq!(world.effects, [Effect::Announce(address(2))]);
    world.advance(Duration::from_millis(1_999));
    assert_eq!(world.effects, [], "and less and less often");
    world.up(&b, 2);
    world.advance(Duration::from_secs(60));
    assert!(!world.effects.contains(&Effect::Announce(address(2))), "once it is a member no more");
}

/// Rule 3: what foca has ended, and what it has replaced, is not called back by chitchat's long memory.
#[test]
fn dead_and_older_lives_and_this_node_are_not_announced_to() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    world.give(Input::Life(MembershipChange::Down { id: b.clone() }));
    world.tell(&[(&b, 2, None), (&id("b", 9), 2, None), (&id("a", 2), 1, None)]);
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Announce(_))), "{:?}", world.effects);
    world.tell(&[(&id("b", 11), 2, None)]);
    assert!(world.effects.contains(&Effect::Announce(address(2))), "a later life is somebody else");
}

/// Rule 3.
#[test]
fn a_member_without_facts_lives_and_takes_no_rooms_until_it_says_that_it_is_ready() {
    let mut world = world();
    let b = id("b", 10);
    world.up(&b, 2);
    assert!(world.effects.contains(&Effect::Meet(address(2))), "chitchat is made to meet it at once");
    world.give(Input::Link(LinkEvent::Up(b.clone())));
    assert!(world.member(&b).is_alive() && !world.member(&b).takes_rooms());
    world.advance(Duration::from_secs(1));
    assert_eq!(world.effects, [Effect::Meet(address(2))], "and again while they are missing");
    world.tell(&[(&b, 2, Some(MemberFacts { ready: false, ..facts(&b) }))]);
    assert!(!world.member(&b).takes_rooms());
    world.tell(&[(&b, 2, Some(facts(&b)))]);
    assert!(world.member(&b).takes_rooms());
    world.advance(Duration::from_secs(60));
    assert_eq!(world.effects, []);
}

/// Rule 4.
#[test]
fn links_are_wanted_to_the_living_and_a_renewed_life_keeps_its_own() {
    let mut world = world();
    let (b, c) = (id("b", 10), id("c", 20));
    world.up(&b, 2);
    world.up(&c, 3);
    assert!(world.effects.contains(&Effect::Links(vec![(b.clone(), address(2)), (c.clone(), address(3))])));
    world.give(Input::Link(LinkEvent::Up(b.clone())));
    world.give(Input::Life(MembershipChange::Renewed { id: b.clone() }));
    assert_eq!(world.effects, [], "same process, same link");
    let later = id("b", 11);
    world.give(Input::Life(MembershipChange::Restarted { old: b, new: later.clone(), address: address(2) }));
    assert!(world.effects.contains(&Effect::Links(vec![(later.clone(), address(2)), (c.clone(), address(3))])));
    world.give(Input::Life(MembershipChange::Down { id: later }));
    assert!(world.effects.contains(&Effect::Links(vec![(c, address(3))])));
}

/// Rule 4: the link of a joiner may come before foca's word.
#[test]
fn a_link_that_is_up_before_foca_knows_the_member_counts_once_it_does() {
    let mut world = world();
    let b = id("b", 10);
    world.give(Input::Link(LinkEvent::Up(b.clone())));
    assert_eq!(world.effects, []);
    world.up(&b, 2);
    assert_eq!(world.member(&b).link, LinkState::Up);
}

/// Rule 5.
#[test]
fn only_a_refused_link_hints_that_a_member_is_down_and_foca_decides() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    let before = world.generation();
    world.give(Input::Link(LinkEvent::Lost(b.clone())));
    assert!(!world.effects.contains(&Effect::DownHint(b.clone())));
    assert!(world.member(&b).is_alive() && !world.member(&b).takes_rooms());
    world.give(Input::Link(LinkEvent::Refused(b.clone())));
    assert_eq!(world.effects, [Effect::DownHint(b.clone())]);
    assert!(world.member(&b).is_alive());
    assert_eq!(world.generation(), before);
    world.give(Input::Life(MembershipChange::Down { id: b.clone() }));
    assert_eq!(world.member(&b).state, MemberState::Dead);
    assert_eq!(world.generation(), before + 1);
    world.give(Input::Link(LinkEvent::Refused(b)));
    assert_eq!(world.effects, [], "no hint about the dead");
}

/// Rule 5.
#[test]
fn a_silent_link_and_a_doubt_of_foca_keep_new_rooms_away_and_move_none() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    let before = world.generation();
    assert!(world.member(&b).takes_rooms());
    world.give(Input::Link(LinkEvent::Silent(b.clone())));
    assert_eq!((world.member(&b).state, world.member(&b).link), (MemberState::Suspect, LinkState::Silent));
    assert!(!world.member(&b).takes_rooms());
    world.give(Input::Link(LinkEvent::Heard(b.clone())));
    assert!(world.member(&b).takes_rooms());
    world.give(Input::Life(MembershipChange::Suspected { id: b.clone() }));
    assert_eq!(world.member(&b).state, MemberState::Suspect);
    world.give(Input::Life(MembershipChange::Refuted { id: b.clone() }));
    assert!(world.member(&b).takes_rooms());
    assert_eq!(world.generation(), before, "doubt is no change of who lives");
}

/// Rule 6.
#[test]
fn a_node_that_was_cut_off_keeps_its_view_and_says_so_when_it_is_back() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    let before = world.generation();
    world.give(Input::Life(MembershipChange::CutOff));
    assert_eq!(world.effects, []);
    world.give(Input::Life(MembershipChange::Rejoined));
    assert_eq!(world.generation(), before + 1, "hosts register their rooms again at every generation");
    assert!(matches!(world.effects[..], [Effect::View(_)]));
}

#[test]
fn the_generation_rises_with_life_and_drain_and_with_nothing_else() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    let before = world.generation();
    let busy = MemberFacts { load: Load { rooms: 3, ..Load::default() }, ..facts(&b) };
    world.tell(&[(&b, 2, Some(busy))]);
    assert!(matches!(world.effects[..], [Effect::View(_)]), "load is published");
    assert_eq!(world.generation(), before);
    world.tell(&[(&b, 2, Some(MemberFacts { draining: true, ..facts(&b) }))]);
    assert_eq!((world.generation(), world.member(&b).state), (before + 1, MemberState::Draining));
    world.give(Input::Life(MembershipChange::Suspected { id: b.clone() }));
    assert_eq!((world.generation(), world.member(&b).state), (before + 1, MemberState::Draining));
    world.give(Input::Own(MemberFacts { draining: true, ..facts(&id("a", 1)) }));
    assert_eq!((world.generation(), world.member(&id("a", 1)).state), (before + 2, MemberState::Draining));
    world.give(Input::Own(MemberFacts { draining: true, ..facts(&id("a", 1)) }));
    assert_eq!(world.effects, [], "nothing changed, nothing is published");
}

#[test]
fn the_dead_are_shown_for_ten_minutes() {
    let mut world = world();
    let b = id("b", 10);
    world.serve(&b, 2);
    world.tell(&[]);
    world.give(Input::Life(MembershipChange::Left { id: b.clone() }));
    let generation = world.generation();
    assert_eq!(world.roster.next_deadline(), Some(world.now + DEAD_MEMBER_KEPT));
    world.advance(DEAD_MEMBER_KEPT - Duration::from_millis(1));
    assert_eq!(world.member(&b).state, MemberState::Dead);
    world.advance(Duration::from_millis(1));
    assert!(!world.roster.view().members.contains_key(&b.node_id));
    assert_eq!(world.generation(), generation);
    assert_eq!(world.roster.next_deadline(), None);
}

#[test]
fn of_too_many_dead_the_first_are_forgotten() {
    let mut world = world();
    for number in 0..=DEAD_MEMBERS_MAX {
        let member = id(&format!("n{number:04}"), 1);
        world.up(&member, 2);
        world.give(Input::Life(MembershipChange::Down { id: member }));
        world.now += Duration::from_millis(1);
    }
    let view = world.roster.view();
    assert_eq!(view.members.len(), DEAD_MEMBERS_MAX + 1, "and this node");
    assert!(!view.members.contains_key(&id("n0000", 1).node_id));
    assert!(view.members.contains_key(&id("n0001", 1).node_id));
}

#[test]
fn whatever_is_said_of_this_node_changes_nothing() {
    let mut world = world();
    let me = id("a", 1);
    let lie = MemberFacts { draining: true, ..facts(&me) };
    world.tell(&[(&me, 1, Some(lie))]);
    world.up(&id("a", 5), 9);
    world.give(Input::Life(MembershipChange::Down { id: me.clone() }));
    assert_eq!(world.roster.view().members.len(), 1);
    assert_eq!(world.member(&me).facts, Some(facts(&me)));
    assert_eq!(world.generation(), 1);
}
