//! Rules 11 and 12 at the source, the target, and the node that leaves.

use super::moving::{epoch, see_draining, trio};
use super::{Bench, member, sent};
use crate::placement::core::{AttachRefusal, Effect, HandRefusal, Input, Message, PrepareRefusal};
use starling_cluster::member::MemberId;

const ROOM: &str = "r";

fn room() -> String {
    ROOM.to_owned()
}

/// `a` runs the room under epoch 1 of `b`, which wants it moved to `c` under epoch 2.
fn source() -> (Bench, [MemberId; 3]) {
    let [a, b, c] = trio();
    let mut source = Bench::settled(&a, &[&b, &c]);
    source.hear(&b, Message::Assign { room: room(), epoch: epoch(1, &b) });
    source.give(Input::RoomStarted { room: room(), epoch: epoch(1, &b) });
    (source, [a, b, c])
}

fn freeze(source: &mut Bench, owner: &MemberId, counter: u64, to: &MemberId) -> Vec<Effect> {
    source.hear(owner, Message::Freeze { room: room(), epoch: epoch(counter, owner), to: to.clone() })
}

fn attach(bench: &mut Bench, request: u64, counter: u64, decider: &MemberId) -> Vec<Effect> {
    bench.give(Input::Attach { request, room: room(), epoch: Some(epoch(counter, decider)) })
}

fn thaws(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::ThawRoom { .. })).count()
}

fn retires_to(effects: &[Effect]) -> Option<MemberId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Retire { winner, .. } => Some(winner.clone()),
        _ => None,
    })
}

/// `a` is asked by `b` to take over the room of `c` under epoch 2.
fn target() -> (Bench, [MemberId; 3]) {
    let [a, b, c] = trio();
    let mut target = Bench::settled(&a, &[&b, &c]);
    let effects = target.hear(&b, Message::Prepare { room: room(), epoch: epoch(2, &b), from: c.clone() });
    assert!(matches!(&effects[..], [Effect::PrepareRoom { from, .. }] if *from == c));
    (target, [a, b, c])
}

#[test]
fn rule_11_a_frozen_source_answers_those_who_come_with_the_outcome() {
    let (mut source, [a, b, c]) = source();
    assert!(matches!(&freeze(&mut source, &b, 2, &c)[..], [Effect::FreezeRoom { to, .. }] if *to == c));
    assert!(attach(&mut source, 1, 1, &b).is_empty(), "it waits");
    let effects = source.give(Input::Handed { room: room(), epoch: epoch(2, &b) });
    assert!(matches!(sent(&effects)[..], [(to, Message::Handed { .. })] if *to == b));
    let effects = source.hear(&b, Message::Decision { room: room(), winner: c.clone(), epoch: epoch(2, &b) });
    let moved = AttachRefusal::Moved { winner: c.clone(), epoch: epoch(2, &b) };
    assert!(effects.contains(&Effect::Attached { request: 1, result: Err(moved) }));
    assert_eq!((retires_to(&effects), thaws(&effects), source.hosts(ROOM)), (Some(c), 0, None));
    assert!(source.pass(1_000).iter().all(|effect| !matches!(effect, Effect::ThawRoom { .. })), "{a}");
}

#[test]
fn rule_11_a_source_whose_move_is_given_up_goes_on_as_if_nothing_had_been() {
    let (mut source, [_, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    attach(&mut source, 1, 1, &b);
    let effects = source.hear(&b, Message::Abort { room: room(), epoch: epoch(2, &b) });
    assert!(effects.contains(&Effect::Attached { request: 1, result: Ok(epoch(1, &b)) }));
    assert_eq!((thaws(&effects), source.hosts(ROOM)), (1, Some(epoch(1, &b))));
    assert_eq!(thaws(&source.hear(&b, Message::Abort { room: room(), epoch: epoch(2, &b) })), 0);
}

#[test]
fn rule_11_a_source_that_hears_nothing_thaws_by_itself_and_hands_nothing_over_later() {
    let (mut source, [_, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    assert_eq!(thaws(&source.pass(399)), 0);
    let effects = source.pass(1);
    assert_eq!(thaws(&effects), 1);
    assert!(matches!(sent(&effects)[..], [(_, Message::HandFailed { why: HandRefusal::TooLate, .. })]), "{effects:?}");
    assert!(source.give(Input::Handed { room: room(), epoch: epoch(2, &b) }).is_empty());
    assert!(
        matches!(sent(&freeze(&mut source, &b, 2, &c))[..], [(_, Message::HandFailed { .. })]),
        "that epoch is over"
    );
    // The owner had committed in the last moment.
    let effects = source.hear(&b, Message::Decision { room: room(), winner: c.clone(), epoch: epoch(2, &b) });
    assert_eq!(retires_to(&effects), Some(c));
}

#[test]
fn rule_11_a_stalled_source_does_not_hand_over_what_it_should_have_thawed() {
    let (mut source, [_, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    source.stall(2_000);
    assert!(sent(&source.give(Input::Handed { room: room(), epoch: epoch(2, &b) })).is_empty());
}

#[test]
fn rule_11_the_target_can_say_that_the_room_is_taken_and_nobody_else_can() {
    let (mut source, [_, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    source.give(Input::Handed { room: room(), epoch: epoch(2, &b) });
    let taken = |counter| Message::Taken { room: room(), epoch: epoch(counter, &b) };
    assert_eq!(retires_to(&source.hear(&b, taken(2))), None);
    assert_eq!(retires_to(&source.hear(&c, taken(3))), None);
    // The owner died with its word, and the source has thawed meanwhile.
    source.see(&[&c]);
    source.pass(600);
    assert_eq!(retires_to(&source.hear(&c, taken(2))), Some(c));
}

#[test]
fn rule_11_freezes_that_cannot_be_are_refused_with_their_reason() {
    let (mut source, [a, b, c]) = source();
    let refusal = |effects: &[Effect]| match sent(effects)[..] {
        [(_, Message::HandFailed { why, .. })] => Some(*why),
        _ => None,
    };
    assert_eq!(refusal(&freeze(&mut source, &b, 1, &c)), Some(HandRefusal::TooLate));
    assert_eq!(refusal(&freeze(&mut source, &b, 2, &a)), Some(HandRefusal::NotHere));
    assert_eq!(refusal(&freeze(&mut source, &b, 2, &member("ND_z", 1))), Some(HandRefusal::UnknownTarget));
    assert_eq!(refusal(&freeze(&mut source, &b, 2, &c)), None);
    assert_eq!(refusal(&freeze(&mut source, &b, 3, &c)), Some(HandRefusal::Busy));
    for n in 0..5 {
        let name = format!("more-{n}");
        source.hear(&b, Message::Assign { room: name.clone(), epoch: epoch(1, &b) });
        source.give(Input::RoomStarted { room: name.clone(), epoch: epoch(1, &b) });
        let effects = source.hear(&b, Message::Freeze { room: name, epoch: epoch(2, &b), to: c.clone() });
        assert_eq!(refusal(&effects), (n == 4).then_some(HandRefusal::Busy));
    }
}

#[test]
fn rule_11_a_decision_for_the_source_overtakes_the_move() {
    let (mut source, [a, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    let effects = source.hear(&c, Message::Decision { room: room(), winner: a, epoch: epoch(5, &c) });
    assert_eq!((thaws(&effects), source.hosts(ROOM)), (1, Some(epoch(5, &c))));
    let effects = source.hear(&b, Message::Decision { room: room(), winner: c, epoch: epoch(2, &b) });
    assert_eq!(retires_to(&effects), None, "an old commit moves nothing");
}

#[test]
fn rule_11_a_room_that_ends_while_frozen_leaves_nobody_waiting() {
    let (mut source, [_, b, c]) = source();
    freeze(&mut source, &b, 2, &c);
    attach(&mut source, 1, 1, &b);
    let effects = source.give(Input::RoomEnded { room: room() });
    assert!(effects.contains(&Effect::Attached { request: 1, result: Err(AttachRefusal::NotHere) }));
    assert_eq!(thaws(&source.pass(1_000)), 0);
}

#[test]
fn rule_11_a_target_serves_its_copy_after_the_commit_and_tells_the_source() {
    let (mut target, [a, b, c]) = target();
    let again = target.hear(&b, Message::Prepare { room: room(), epoch: epoch(2, &b), from: c.clone() });
    assert!(again.is_empty(), "one copy is made");
    let effects = target.give(Input::Prepared { room: room(), epoch: epoch(2, &b) });
    assert!(matches!(sent(&effects)[..], [(to, Message::Prepared { .. })] if *to == b));
    assert_eq!(target.hosts(ROOM), None);
    let effects = target.hear(&b, Message::Decision { room: room(), winner: a, epoch: epoch(2, &b) });
    assert!(matches!(&effects[..], [Effect::ServeRoom { .. }, Effect::Send { to, message: Message::Taken { .. }, .. }]
        if *to == c));
    assert_eq!(target.hosts(ROOM), Some(epoch(2, &b)));
    assert!(target.hear(&b, Message::Abort { room: room(), epoch: epoch(2, &b) }).is_empty(), "what is served stays");
}

#[test]
fn rule_11_a_target_tells_the_source_again_for_a_while_with_its_registrations() {
    let (mut target, [a, b, _]) = target();
    target.give(Input::Prepared { room: room(), epoch: epoch(2, &b) });
    target.hear(&b, Message::Decision { room: room(), winner: a, epoch: epoch(2, &b) });
    let tells = |effects: &[Effect]| {
        sent(effects).into_iter().filter(|(_, message)| matches!(message, Message::Taken { .. })).count()
    };
    assert!((4..=6).contains(&tells(&target.pass(6_000))));
    assert_eq!(tells(&target.pass(6_000)), 0);
}

#[test]
fn rule_11_people_who_were_sent_on_bring_a_commit_that_was_lost() {
    let (mut target, [_, b, _]) = target();
    target.give(Input::Prepared { room: room(), epoch: epoch(2, &b) });
    let effects = attach(&mut target, 1, 2, &b);
    assert!(matches!(&effects[..], [Effect::ServeRoom { .. }, ..]));
    let effects = target.give(Input::RoomStarted { room: room(), epoch: epoch(2, &b) });
    assert!(effects.contains(&Effect::Attached { request: 1, result: Ok(epoch(2, &b)) }));
}

#[test]
fn rule_11_a_copy_that_nobody_commits_is_dropped_and_never_served() {
    let (mut target, [_, b, c]) = target();
    target.give(Input::Prepared { room: room(), epoch: epoch(2, &b) });
    let drops = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::DropPrepared { .. }));
    assert!(drops(&target.hear(&b, Message::Abort { room: room(), epoch: epoch(2, &b) })));
    target.hear(&b, Message::Prepare { room: room(), epoch: epoch(3, &b), from: c });
    assert!(target.hear(&b, Message::Abort { room: room(), epoch: epoch(2, &b) }).is_empty(), "that was another one");
    assert!(drops(&target.pass(5_100)));
    assert!(target.give(Input::Prepared { room: room(), epoch: epoch(3, &b) }).is_empty());
    let effects = target.hear(&b, Message::Assign { room: room(), epoch: epoch(4, &b) });
    assert!(matches!(&effects[..], [Effect::StartRoom { .. }]), "anew: {effects:?}");
}

#[test]
fn rule_11_a_room_that_is_placed_at_its_target_otherwise_begins_anew() {
    let (mut target, [_, b, _]) = target();
    let effects = target.hear(&b, Message::Assign { room: room(), epoch: epoch(3, &b) });
    assert!(matches!(&effects[..], [Effect::DropPrepared { .. }, Effect::StartRoom { .. }]), "{effects:?}");
}

#[test]
fn rule_11_a_target_refuses_what_it_cannot_take_with_the_reason() {
    let [a, b, c] = trio();
    let mut target = Bench::settled(&a, &[&b, &c]);
    let mut refusal = |decider: &MemberId, counter, from: &MemberId| {
        let message = Message::Prepare { room: room(), epoch: epoch(counter, decider), from: from.clone() };
        match sent(&target.hear(decider, message))[..] {
            [(_, Message::PrepareRefused { why, .. })] => Some(*why),
            _ => None,
        }
    };
    assert_eq!(refusal(&b, 5, &member("ND_z", 1)), Some(PrepareRefusal::UnknownSource));
    assert_eq!(refusal(&b, 5, &c), None);
    assert_eq!(refusal(&c, 4, &c), Some(PrepareRefusal::TooLow { known: 5 }));
    see_draining(&mut target, &[&a, &b, &c], &[&a]);
    let message = Message::Prepare { room: "other".to_owned(), epoch: epoch(1, &b), from: c };
    assert!(matches!(
        sent(&target.hear(&b, message))[..],
        [(_, Message::PrepareRefused { why: PrepareRefusal::Draining, .. })]
    ));
}

#[test]
fn rule_12_a_draining_node_says_once_that_it_may_leave() {
    let (mut node, [a, b, c]) = source();
    let said = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Drained)).count();
    assert_eq!(said(&see_draining(&mut node, &[&a, &b, &c], &[&a])), 0);
    assert_eq!((node.snapshot().draining, node.snapshot().rooms.len()), (true, 1));
    freeze(&mut node, &b, 2, &c);
    assert_eq!(said(&node.hear(&b, Message::Decision { room: room(), winner: c.clone(), epoch: epoch(2, &b) })), 1);
    assert_eq!(said(&node.pass(5_000)), 0);
    node.see(&[&b, &c]);
    assert!(!node.snapshot().draining);
    assert_eq!(said(&see_draining(&mut node, &[&a, &b, &c], &[&a])), 1, "the next drain is another");
}
