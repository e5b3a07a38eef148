//! Rules 11 and 12 at the owner: prepare, freeze, commit, and everything that comes in between.

use super::{Bench, member, room_of, sent, serving, view_of};
use crate::placement::core::{
    Effect, Epoch, HandRefusal, Input, Locate, Message, MoveRefusal, OwnerRefusal, PlacementEvent, PrepareRefusal,
    Registration, RoomHints,
};
use starling_cluster::member::MemberId;

pub(super) fn trio() -> [MemberId; 3] {
    [member("ND_a", 1), member("ND_b", 1), member("ND_c", 1)]
}

pub(super) fn epoch(counter: u64, decider: &MemberId) -> Epoch {
    Epoch { counter, decider: decider.clone() }
}

fn register(room: &str, epoch: &Epoch, participants: u32) -> Message {
    Message::Register { rooms: vec![Registration { room: room.to_owned(), epoch: epoch.clone(), participants }] }
}

/// The node sees all of these, of which some drain.
pub(super) fn see_draining(bench: &mut Bench, all: &[&MemberId], draining: &[&MemberId]) -> Vec<Effect> {
    let me = bench.me.clone();
    let seen = |id: &&MemberId| {
        let mut member = serving(&me, id, 1_000, Default::default());
        member.facts.as_mut().unwrap().draining = draining.contains(id);
        member
    };
    bench.give(Input::View(view_of(&me, all.iter().map(seen).collect())))
}

/// `a` owns a room of `b` under epoch 3 with five people; `c` could take it.
fn owner() -> (Bench, [MemberId; 3], String) {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    owner.hear(&b, register(&room, &epoch(3, &b), 5));
    (owner, [a, b, c], room)
}

fn ask(owner: &mut Bench, request: u64, room: &str, to: Option<&MemberId>) -> Vec<Effect> {
    owner.give(Input::Move { request, room: room.to_owned(), to: to.cloned() })
}

fn outcome(effects: &[Effect]) -> Option<Result<(MemberId, Epoch), MoveRefusal>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Moved { result, .. } => Some(result.clone().map(|located| (located.host, located.epoch))),
        _ => None,
    })
}

fn prepares(effects: &[Effect]) -> Vec<(MemberId, Epoch)> {
    let prepare = |(to, message): (&MemberId, &Message)| match message {
        Message::Prepare { epoch, .. } => Some((to.clone(), epoch.clone())),
        _ => None,
    };
    sent(effects).into_iter().filter_map(prepare).collect()
}

fn told(effects: &[Effect], is_meant: impl Fn(&Message) -> bool) -> Vec<MemberId> {
    sent(effects).into_iter().filter(|(_, message)| is_meant(message)).map(|(to, _)| to.clone()).collect()
}

fn aborts(effects: &[Effect]) -> Vec<MemberId> {
    told(effects, |message| matches!(message, Message::Abort { .. }))
}

fn decisions(effects: &[Effect]) -> Vec<MemberId> {
    told(effects, |message| matches!(message, Message::Decision { .. }))
}

fn host_named(owner: &mut Bench, asker: &MemberId, room: &str) -> Option<MemberId> {
    let (asker, room, hints) = (asker.clone(), room.to_owned(), RoomHints::default());
    let locate = Locate { asker: asker.clone(), request: 9, room, create: true, hints, failed_host: None, hops: 0 };
    let effects = owner.hear(&asker, Message::Locate(locate));
    sent(&effects).into_iter().find_map(|(_, message)| match message {
        Message::LocateAnswer { result: Ok(located), .. } => Some(located.host.clone()),
        _ => None,
    })
}

#[test]
fn rule_11_a_move_is_prepared_frozen_and_committed_and_the_entry_changes_only_then() {
    let (mut owner, [a, b, c], room) = owner();
    let effects = ask(&mut owner, 1, &room, Some(&c));
    let [(target, new)] = &prepares(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((target, new), (&c, &epoch(4, &a)));
    assert_eq!(host_named(&mut owner, &c, &room), Some(b.clone()));
    let effects = owner.hear(&c, Message::Prepared { room: room.clone(), epoch: new.clone() });
    assert!(matches!(sent(&effects)[..], [(to, Message::Freeze { to: target, .. })] if *to == b && *target == c));
    assert_eq!(host_named(&mut owner, &c, &room), Some(b.clone()));
    let effects = owner.hear(&b, Message::Handed { room: room.clone(), epoch: new.clone() });
    assert_eq!(decisions(&effects), [c.clone(), b], "the target is told first");
    assert_eq!(outcome(&effects), Some(Ok((c.clone(), epoch(4, &a)))));
    assert_eq!(host_named(&mut owner, &a, &room).or_else(|| owner.knows(&room)), Some(c));
}

#[test]
fn rule_11_messages_that_come_twice_do_nothing_twice() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    let prepared = Message::Prepared { room: room.clone(), epoch: epoch(4, &a) };
    let handed = Message::Handed { room: room.clone(), epoch: epoch(4, &a) };
    assert!(decisions(&owner.hear(&b, handed.clone())).is_empty(), "nothing is handed over before it is prepared");
    assert_eq!(sent(&owner.hear(&c, prepared.clone())).len(), 1);
    assert!(sent(&owner.hear(&c, prepared.clone())).is_empty());
    assert_eq!(decisions(&owner.hear(&b, handed.clone())).len(), 2);
    assert!(sent(&owner.hear(&b, handed)).is_empty());
    assert!(sent(&owner.hear(&c, prepared)).is_empty(), "the target that has it keeps it");
    assert_eq!(owner.knows(&room), Some(c));
}

#[test]
fn rule_11_a_silent_target_is_given_up_and_its_epoch_is_burnt() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    let effects = owner.pass(2_100);
    assert_eq!((aborts(&effects), outcome(&effects)), (vec![b.clone(), c.clone()], Some(Err(MoveRefusal::TimedOut))));
    assert_eq!(owner.knows(&room), Some(b));
    let late = owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(4, &a) });
    assert_eq!(aborts(&late), std::slice::from_ref(&c), "it is told again, and nobody freezes");
    assert_eq!(sent(&late).len(), 1);
    assert_eq!(prepares(&ask(&mut owner, 2, &room, Some(&c))), [(c, epoch(5, &a))]);
}

#[test]
fn rule_11_what_is_handed_over_too_late_is_not_committed_even_before_a_tick() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(4, &a) });
    owner.stall(5_000);
    let effects = owner.hear(&b, Message::Handed { room: room.clone(), epoch: epoch(4, &a) });
    assert!(decisions(&effects).is_empty());
    assert_eq!((aborts(&effects), owner.knows(&room)), (vec![b.clone(), c], Some(b)));
}

#[test]
fn rule_11_a_move_is_refused_with_its_reason() {
    let (mut owner, [a, b, c], room) = owner();
    let gone = member("ND_z", 1);
    assert_eq!(outcome(&ask(&mut owner, 1, "no such", None)), None, "asked of its owner, or answered");
    let effects = ask(&mut owner, 2, &room, Some(&gone));
    assert!(matches!(outcome(&effects), Some(Err(MoveRefusal::TargetNotAble { target, .. })) if target == gone));
    assert_eq!(outcome(&ask(&mut owner, 3, &room, Some(&b))), Some(Ok((b.clone(), epoch(3, &b)))), "it is there");
    ask(&mut owner, 4, &room, None);
    assert_eq!(outcome(&ask(&mut owner, 5, &room, Some(&c))), Some(Err(MoveRefusal::AlreadyMoving)));
    let mut alone = Bench::settled(&a, &[]);
    assert_eq!(outcome(&ask(&mut alone, 1, "r", None)), Some(Err(MoveRefusal::NoSuchRoom)));
    alone.locate(1, "r", None);
    alone.give(Input::RoomStarted { room: "r".to_owned(), epoch: epoch(1, &a) });
    assert!(matches!(outcome(&ask(&mut alone, 2, "r", None)), Some(Err(MoveRefusal::NoCapacity { .. }))));
}

#[test]
fn rule_11_a_move_ends_with_a_refusal_of_either_side() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    let why = PrepareRefusal::Failed;
    let effects = owner.hear(&c, Message::PrepareRefused { room: room.clone(), epoch: epoch(4, &a), why });
    assert!(matches!(outcome(&effects), Some(Err(MoveRefusal::TargetNotAble { .. }))));
    assert_eq!(prepares(&ask(&mut owner, 2, &room, Some(&c))), [(c.clone(), epoch(5, &a))]);
    let why = PrepareRefusal::TooLow { known: 7 };
    let effects = owner.hear(&c, Message::PrepareRefused { room: room.clone(), epoch: epoch(5, &a), why });
    assert_eq!(prepares(&effects), [(c.clone(), epoch(8, &a))], "above what it knows");
    owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(8, &a) });
    let why = HandRefusal::Failed;
    let effects = owner.hear(&b, Message::HandFailed { room: room.clone(), epoch: epoch(8, &a), why });
    assert!(matches!(outcome(&effects), Some(Err(MoveRefusal::Aborted { .. }))));
    assert_eq!((aborts(&effects), owner.knows(&room)), (vec![b.clone(), c], Some(b)));
}

#[test]
fn rule_11_a_node_that_takes_no_moved_rooms_is_asked_once_in_its_life() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    let why = PrepareRefusal::Unsupported;
    owner.hear(&c, Message::PrepareRefused { room: room.clone(), epoch: epoch(4, &a), why });
    let effects = ask(&mut owner, 2, &room, Some(&c));
    assert!(matches!(outcome(&effects), Some(Err(MoveRefusal::TargetNotAble { .. }))) && prepares(&effects).is_empty());
    let reborn = member("ND_c", 2);
    owner.see(&[&b, &reborn]);
    owner.pass(1_000);
    assert_eq!(prepares(&ask(&mut owner, 3, &room, Some(&reborn))).len(), 1);
}

#[test]
fn rule_11_a_move_ends_when_one_of_its_nodes_dies_or_the_name_goes_elsewhere() {
    let events = |effects: &[Effect]| {
        let is_abort = |effect: &&Effect| matches!(effect, Effect::Event(PlacementEvent::MoveAborted { .. }));
        effects.iter().filter(is_abort).count()
    };
    for dies in 1..3 {
        let (mut owner, [a, b, c], room) = owner();
        ask(&mut owner, 1, &room, Some(&c));
        let survivor = if dies == 1 { &c } else { &b };
        let effects = owner.see(&[survivor]);
        assert!(matches!(outcome(&effects), Some(Err(MoveRefusal::Aborted { .. }))), "{effects:?}");
        assert!(decisions(&owner.hear(&b, Message::Handed { room, epoch: epoch(4, &a) })).is_empty());
    }
    let (mut link, [_, b, c], room) = owner();
    ask(&mut link, 1, &room, Some(&c));
    assert_eq!(events(&link.give(Input::Lost(c))), 1);
    assert_eq!(link.knows(&room), Some(b));
    let (mut drains, [a, b, c], room) = owner();
    ask(&mut drains, 1, &room, Some(&c));
    let effects = see_draining(&mut drains, &[&a, &b, &c], &[&a]);
    assert_eq!((events(&effects), aborts(&effects)), (1, vec![b, c]));
}

#[test]
fn rule_11_a_target_that_begins_to_drain_gets_nothing_committed() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(4, &a) });
    see_draining(&mut owner, &[&a, &b, &c], &[&c]);
    let effects = owner.hear(&b, Message::Handed { room: room.clone(), epoch: epoch(4, &a) });
    assert!(decisions(&effects).is_empty());
    assert_eq!(owner.knows(&room), Some(b));
}

#[test]
fn rule_11_a_conflict_decided_meanwhile_ends_the_move() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(4, &a) });
    let effects = owner.hear(&c, register(&room, &epoch(2, &c), 1));
    assert_eq!((aborts(&effects), decisions(&effects)), (vec![b.clone(), c.clone()], vec![c, b.clone()]));
    assert!(decisions(&owner.hear(&b, Message::Handed { room: room.clone(), epoch: epoch(4, &a) })).is_empty());
    assert_eq!(owner.knows(&room), Some(b));
}

#[test]
fn rule_11_a_room_that_ends_on_the_way_is_not_moved() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    let effects = owner.hear(&b, Message::Unregister { room: room.clone(), epoch: epoch(3, &b) });
    assert_eq!(outcome(&effects), Some(Err(MoveRefusal::NoSuchRoom)));
    assert!(decisions(&owner.hear(&b, Message::Handed { room, epoch: epoch(4, &a) })).is_empty());
}

#[test]
fn rule_11_a_source_that_missed_the_commit_is_told_however_late_and_full_it_is() {
    let (mut owner, [a, b, c], room) = owner();
    ask(&mut owner, 1, &room, Some(&c));
    owner.hear(&c, Message::Prepared { room: room.clone(), epoch: epoch(4, &a) });
    owner.hear(&b, Message::Handed { room: room.clone(), epoch: epoch(4, &a) });
    for second in 0..5 {
        owner.pass(1_000);
        owner.hear(&c, register(&room, &epoch(4, &a), 0));
        let effects = owner.hear(&b, register(&room, &epoch(3, &b), 5));
        assert_eq!((decisions(&effects), second), (vec![b.clone()], second));
    }
    assert_eq!(owner.knows(&room), Some(c.clone()));
    // With the target gone, what the source still has is the room.
    owner.see(&[&b]);
    owner.hear(&b, register(&room, &epoch(3, &b), 5));
    assert_eq!(owner.knows(&room), Some(b));
}

#[test]
fn rule_11_an_operator_asks_any_node_and_views_that_differ_are_named() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut node = Bench::settled(&a, &[&b, &c]);
    let effects = ask(&mut node, 1, &room, None);
    let [(to, Message::Move(asked))] = &sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(*to, &b);
    let mut far = asked.clone();
    (far.asker, far.hops) = (c.clone(), 3);
    let effects = node.hear(&c, Message::Move(far));
    assert!(matches!(sent(&effects)[..], [(_, Message::MoveAnswer { result: Err(MoveRefusal::Aborted { .. }), .. })]));
    let answer = Message::MoveAnswer { request: 1, room: room.clone(), result: Err(MoveRefusal::NoSuchRoom) };
    assert_eq!(outcome(&node.hear(&b, answer.clone())), Some(Err(MoveRefusal::NoSuchRoom)));
    assert_eq!(outcome(&node.hear(&b, answer)), None, "answered once");
    ask(&mut node, 2, &room, None);
    assert_eq!(outcome(&node.pass(4_100)), Some(Err(MoveRefusal::TimedOut)));
    ask(&mut node, 3, &room, None);
    assert!(matches!(outcome(&node.give(Input::Lost(b))), Some(Err(MoveRefusal::Aborted { .. }))));
}

#[test]
fn rule_11_a_draining_node_is_emptied_five_rooms_at_a_time() {
    let [a, b, c] = trio();
    let all = [&a, &b, &c];
    let mut owner = Bench::settled(&a, &[&b, &c]);
    see_draining(&mut owner, &all, &[&b]);
    owner.pass(1_000);
    let rooms: Vec<Registration> =
        (0..40).map(|n| Registration { room: format!("room-{n}"), epoch: epoch(1, &b), participants: 1 }).collect();
    owner.hear(&b, Message::Register { rooms });
    let mine = owner.entries();
    assert!(mine > 10, "{mine}");
    owner.pass(1_100);
    let begun = owner.moving();
    assert!(begun.len() == 5 && begun.iter().all(|moving| moving.to != b), "{begun:?}");
    let Some(done) = begun.iter().find(|moving| moving.to == c).cloned() else { panic!("all to itself: {begun:?}") };
    let prepared = Message::Prepared { room: done.room.clone(), epoch: done.epoch.clone() };
    assert_eq!(sent(&owner.hear(&c, prepared)).len(), 1);
    assert_eq!(owner.moving().iter().filter(|moving| moving.freezing).count(), 1);
    assert_eq!(decisions(&owner.hear(&b, Message::Handed { room: done.room.clone(), epoch: done.epoch })), [c, b]);
    owner.pass(100);
    let rooms: Vec<String> = owner.moving().into_iter().map(|moving| moving.room).collect();
    assert!(rooms.len() == 5 && !rooms.contains(&done.room), "one more takes its place: {rooms:?}");
}

#[test]
fn rule_11_a_cancelled_drain_ends_its_moves_and_not_those_of_operators() {
    let (mut owner, [a, b, c], room) = owner();
    see_draining(&mut owner, &[&a, &b, &c], &[&b]);
    owner.pass(1_700);
    assert_eq!(owner.moving().len(), 1, "{room}");
    let effects = owner.see(&[&b, &c]);
    assert_eq!((aborts(&effects).len(), owner.moving().len()), (2, 0));
    owner.pass(1_000);
    ask(&mut owner, 1, &room, Some(&c));
    see_draining(&mut owner, &[&a, &b, &c], &[&b]);
    owner.see(&[&b, &c]);
    assert_eq!(owner.moving().len(), 1);
}

#[test]
fn rule_11_a_draining_node_that_nobody_can_relieve_keeps_its_rooms_and_it_is_said() {
    let [a, b, _] = trio();
    let room = room_of(&a, &[&a, &b]);
    let mut owner = Bench::settled(&a, &[&b]);
    owner.hear(&b, register(&room, &epoch(3, &b), 5));
    see_draining(&mut owner, &[&a, &b], &[&a, &b]);
    let effects = owner.pass(10_000);
    let named = effects.iter().any(|effect| {
        matches!(effect, Effect::Event(PlacementEvent::NotDrained { source, why: MoveRefusal::NoCapacity { .. }, .. })
            if *source == b)
    });
    assert!(named && prepares(&effects).is_empty());
    let asked_again = OwnerRefusal::AskAgain;
    assert!(!format!("{effects:?}").contains(&format!("{asked_again:?}")));
}
