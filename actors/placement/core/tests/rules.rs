//! Rules 1 to 13, by number.

use super::{Bench, member, room_of, sent};
use crate::placement::core::{
    AttachRefusal, Effect, Epoch, Input, Locate, LocateError, Message, OwnerRefusal, Registration, RoomHints,
};
use starling_cluster::member::MemberId;

fn trio() -> [MemberId; 3] {
    [member("ND_a", 1), member("ND_b", 1), member("ND_c", 1)]
}

fn epoch(counter: u64, decider: &MemberId) -> Epoch {
    Epoch { counter, decider: decider.clone() }
}

fn register(room: &str, epoch: &Epoch, participants: u32) -> Message {
    Message::Register { rooms: vec![Registration { room: room.to_owned(), epoch: epoch.clone(), participants }] }
}

fn asked(asker: &MemberId, request: u64, room: &str, hops: u8) -> Locate {
    let (asker, room, hints) = (asker.clone(), room.to_owned(), RoomHints::default());
    Locate { asker, request, room, create: true, hints, failed_host: None, hops }
}

/// The Assign among the effects, to another node or as a start here.
fn assigned(effects: &[Effect]) -> Vec<Epoch> {
    let assigned = |effect: &Effect| match effect {
        Effect::Send { message: Message::Assign { epoch, .. }, .. } | Effect::StartRoom { epoch, .. } => {
            Some(epoch.clone())
        }
        _ => None,
    };
    effects.iter().filter_map(assigned).collect()
}

#[test]
fn rule_1_two_locates_of_one_room_make_one_assignment() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    let mut effects = owner.hear(&b, Message::Locate(asked(&b, 1, &room, 0)));
    effects.extend(owner.hear(&c, Message::Locate(asked(&c, 1, &room, 0))));
    effects.extend(owner.hear(&b, Message::Locate(asked(&b, 1, &room, 0))));
    assert_eq!(assigned(&effects), [epoch(1, &a)]);
}

#[test]
fn rule_1_a_locate_waits_for_the_settle_window_and_what_registers_meanwhile_is_the_answer() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::unsettled(&a, &[&b, &c]);
    assert!(assigned(&owner.locate(1, &room, None)).is_empty());
    owner.hear(&b, register(&room, &epoch(4, &c), 2));
    let effects = owner.pass(700);
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Located { request: 1, result } => Some(result.clone().unwrap()),
        _ => None,
    });
    assert_eq!(found.map(|found| (found.host, found.epoch)), Some((b, epoch(4, &c))));
    assert!(assigned(&effects).is_empty());
}

#[test]
fn rule_1_a_silent_host_is_passed_over_under_the_next_epoch() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    let mut epochs = assigned(&owner.locate(1, &room, None));
    epochs.extend(assigned(&owner.pass(2_000)));
    let expected: Vec<Epoch> = (1..=epochs.len() as u64).map(|counter| epoch(counter, &a)).collect();
    assert!((2..=3).contains(&epochs.len()) && epochs == expected, "{epochs:?}");
}

#[test]
fn rule_1_a_locate_is_passed_on_three_times_and_then_asked_again() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut node = Bench::settled(&a, &[&b, &c]);
    let effects = node.hear(&c, Message::Locate(asked(&c, 1, &room, 2)));
    assert!(matches!(sent(&effects)[..], [(to, Message::Locate(Locate { hops: 3, .. }))] if *to == b));
    let effects = node.hear(&c, Message::Locate(asked(&c, 1, &room, 3)));
    assert!(matches!(sent(&effects)[..],
        [(to, Message::LocateAnswer { result: Err(OwnerRefusal::AskAgain), .. })] if *to == c));
}

#[test]
fn rule_2_a_host_never_takes_a_lower_epoch_not_even_for_a_room_that_ended() {
    let [a, b, _] = trio();
    let mut host = Bench::settled(&a, &[&b]);
    let room = "r".to_owned();
    host.hear(&b, Message::Assign { room: room.clone(), epoch: epoch(5, &b) });
    host.give(Input::RoomStarted { room: room.clone(), epoch: epoch(5, &b) });
    host.give(Input::RoomEnded { room: room.clone() });
    for counter in [4, 5] {
        let effects = host.hear(&b, Message::Assign { room: room.clone(), epoch: epoch(counter, &b) });
        assert!(matches!(sent(&effects)[..], [(_, Message::TooLow { known: 5, .. })]), "{effects:?}");
    }
    assert_eq!(assigned(&host.hear(&b, Message::Assign { room, epoch: epoch(6, &b) })), [epoch(6, &b)]);
}

#[test]
fn rule_2_an_owner_assigns_above_what_it_was_told() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    owner.hear(&b, Message::Unregister { room: room.clone(), epoch: epoch(9, &c) });
    assert_eq!(assigned(&owner.locate(1, &room, None)), [epoch(10, &a)]);
}

#[test]
fn rule_3_a_host_registers_each_second_and_on_each_change_with_the_first_two() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut host = Bench::settled(&a, &[&b, &c]);
    host.hear(&b, Message::Assign { room: room.clone(), epoch: epoch(1, &b) });
    let registers = |effects: &[Effect]| {
        sent(effects).into_iter().filter(|(_, message)| matches!(message, Message::Register { .. })).count()
    };
    let effects = host.pass(3_100);
    assert!((3..=6).contains(&registers(&effects)), "{effects:?}");
    assert_eq!(registers(&host.see(&[&b])), 1);
}

#[test]
fn rule_3_after_a_change_a_host_registers_again_within_the_settle_window_of_owners_that_see_it_later() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut host = Bench::settled(&a, &[&b, &c]);
    host.hear(&b, Message::Assign { room, epoch: epoch(1, &b) });
    host.pass(10_000);
    host.see(&[&b]);
    let effects = host.pass(950);
    let again =
        sent(&effects).into_iter().filter(|(to, message)| **to == b && matches!(message, Message::Register { .. }));
    assert_eq!(again.count(), 3);
}

#[test]
fn rule_3_who_is_not_the_owner_keeps_the_floor_only() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut second = Bench::settled(&a, &[&b, &c]);
    second.hear(&c, register(&room, &epoch(8, &b), 3));
    assert_eq!(second.knows(&room), None);
    second.see(&[]);
    assert_eq!(assigned(&second.locate(1, &room, None)), [epoch(9, &a)]);
}

#[test]
fn rule_4_the_fuller_room_wins_under_a_fresh_epoch_and_both_are_told() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    owner.hear(&b, register(&room, &epoch(3, &b), 1));
    let effects = owner.hear(&c, register(&room, &epoch(5, &c), 2));
    let told = sent(&effects);
    assert!(
        matches!(told[..], [(one, Message::Decision { winner, epoch, .. }), (other, _)]
        if *one == b && *other == c && *winner == c && epoch.counter == 6),
        "{told:?}"
    );
    // The loser that had not heard is told the same again, not decided about afresh.
    let effects = owner.hear(&b, register(&room, &epoch(3, &b), 9));
    assert!(matches!(sent(&effects)[..], [(_, Message::Decision { epoch, .. })] if epoch.counter == 6));
}

#[test]
fn rule_4_a_host_follows_the_greatest_decision_only() {
    let [a, b, c] = trio();
    let mut host = Bench::settled(&a, &[&b, &c]);
    let room = "r".to_owned();
    host.hear(&b, Message::Assign { room: room.clone(), epoch: epoch(1, &b) });
    let stays = host.hear(&b, Message::Decision { room: room.clone(), winner: a, epoch: epoch(4, &b) });
    assert!(stays.iter().any(|effect| matches!(effect, Effect::AdoptEpoch { epoch, .. } if epoch.counter == 4)));
    let old = host.hear(&c, Message::Decision { room: room.clone(), winner: c.clone(), epoch: epoch(3, &c) });
    assert!(!old.iter().any(|effect| matches!(effect, Effect::Retire { .. })));
    assert!(matches!(sent(&old)[..], [(_, Message::Register { .. })]), "the owner is told better");
    let lost = host.hear(&c, Message::Decision { room: room.clone(), winner: c.clone(), epoch: epoch(4, &c) });
    assert!(lost.iter().any(|effect| matches!(effect, Effect::Retire { winner, .. } if *winner == c)));
    assert_eq!(host.hosts(&room), None);
}

#[test]
fn rule_5_a_retired_room_sends_on_for_ten_minutes_but_not_to_the_dead() {
    let [a, b, c] = trio();
    let attach = || Input::Attach { request: 1, room: "r".to_owned(), epoch: None };
    let decision = Message::Decision { room: "r".to_owned(), winner: c.clone(), epoch: epoch(2, &b) };
    let mut host = Bench::settled(&a, &[&b, &c]);
    host.hear(&b, decision);
    let moved = AttachRefusal::Moved { winner: c.clone(), epoch: epoch(2, &b) };
    assert_eq!(host.give(attach()), [Effect::Attached { request: 1, result: Err(moved.clone()) }]);
    host.pass(599_000);
    assert_eq!(host.give(attach()), [Effect::Attached { request: 1, result: Err(moved) }]);
    host.see(&[&b, &member("ND_c", 2)]);
    assert_eq!(host.give(attach()), [Effect::Attached { request: 1, result: Err(AttachRefusal::NotHere) }]);
}

#[test]
fn rule_6_an_attach_that_knows_more_is_adopted_and_one_that_knows_less_corrects_the_owner() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut host = Bench::settled(&a, &[&b, &c]);
    host.hear(&b, Message::Decision { room: room.clone(), winner: c, epoch: epoch(5, &b) });
    let attach = |counter| Input::Attach { request: 1, room: room.clone(), epoch: Some(epoch(counter, &b)) };
    let effects = host.give(attach(4));
    assert!(matches!(sent(&effects)[..], [(to, Message::Unregister { epoch, .. })] if *to == b && epoch.counter == 5));
    assert_eq!(assigned(&host.give(attach(6))), [epoch(6, &b)]);
    let effects = host.give(Input::RoomStarted { room: room.clone(), epoch: epoch(6, &b) });
    assert_eq!(effects, [Effect::Attached { request: 1, result: Ok(epoch(6, &b)) }]);
}

#[test]
fn rule_7_a_locate_goes_to_the_next_owner_when_the_first_dies_or_is_silent() {
    let [a, b, c] = trio();
    let room = room_of(&b, &[&a, &b, &c]);
    let mut entry = Bench::settled(&a, &[&b, &c]);
    assert!(matches!(sent(&entry.locate(1, &room, None))[..], [(to, Message::Locate(_))] if *to == b));
    assert!(matches!(sent(&entry.pass(1_600))[..], [(to, Message::Locate(_))] if *to == b), "asked again");
    let effects = entry.see(&[&c]);
    assert!(
        sent(&effects).iter().all(|(to, _)| **to == c)
            && entry.pass(20_000).iter().any(|effect| { matches!(effect, Effect::Located { request: 1, .. }) })
    );
}

#[test]
fn rule_8_a_complaint_probes_the_host_and_a_silent_one_is_replaced_at_once() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    owner.hear(&b, register(&room, &epoch(3, &b), 1));
    let effects = owner.locate(1, &room, Some(&b));
    let probes = sent(&effects);
    assert!(
        matches!(probes[..], [(one, Message::Probe { .. }), (other, Message::ProbeVia { .. })]
        if *one == b && *other == c),
        "{probes:?}"
    );
    let effects = owner.pass(600);
    assert_eq!(assigned(&effects).first().map(|epoch| epoch.counter), Some(4));
    assert!(!sent(&effects).iter().any(|(to, _)| **to == b), "no room goes to the failed host");
}

#[test]
fn rule_8_a_host_that_answers_through_a_third_node_keeps_the_room() {
    let [a, b, c] = trio();
    let room = room_of(&a, &[&a, &b, &c]);
    let mut owner = Bench::settled(&a, &[&b, &c]);
    owner.hear(&b, register(&room, &epoch(3, &b), 1));
    owner.locate(1, &room, Some(&b));
    let answer = Message::ProbeAnswer { origin: a, target: b.clone(), nonce: 1 };
    let effects = owner.hear(&c, answer);
    assert!(matches!(&effects[..], [Effect::Located { request: 1, result: Ok(at) }] if at.host == b));
}

#[test]
fn rule_9_what_a_past_life_says_is_refused() {
    let [a, b, _] = trio();
    let room = room_of(&a, &[&a, &b]);
    let mut node = Bench::settled(&a, &[&member("ND_b", 2)]);
    node.hear(&b, register(&room, &epoch(3, &b), 1));
    assert_eq!(node.knows(&room), None);
    node.hear(&b, Message::Assign { room: room.clone(), epoch: epoch(3, &b) });
    assert_eq!(node.hosts(&room), None);
}

#[test]
fn rule_10_a_healed_partition_leaves_one_room() {
    let [a, b, _] = trio();
    let room = room_of(&a, &[&a, &b]);
    let mut node = Bench::settled(&a, &[]);
    node.locate(1, &room, None);
    node.give(Input::RoomStarted { room: room.clone(), epoch: epoch(1, &a) });
    node.see(&[&b]);
    let effects = node.hear(&b, register(&room, &epoch(7, &b), 3));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Retire { winner, .. } if *winner == b)));
    assert_eq!((node.hosts(&room), node.knows(&room)), (None, Some(b)));
}

#[test]
fn rule_11_a_draining_node_owns_no_names_and_takes_no_rooms() {
    let [a, b, _] = trio();
    let mut node = Bench::settled(&a, &[&b]);
    let mut mine = super::serving(&a, &a, 1_000, Default::default());
    mine.facts.as_mut().unwrap().draining = true;
    let other = super::serving(&a, &b, 1_000, Default::default());
    node.give(Input::View(super::view_of(&a, vec![mine, other])));
    let effects = node.hear(&b, Message::Assign { room: "r".to_owned(), epoch: epoch(1, &b) });
    assert!(matches!(sent(&effects)[..], [(_, Message::AssignRefused { .. })]));
    assert!(matches!(sent(&node.locate(1, "r", None))[..], [(to, Message::Locate(_))] if *to == b));
}

#[test]
fn rule_13_a_node_that_is_not_ready_gets_no_room_and_the_answer_says_why() {
    let [a, ..] = trio();
    let mut node = Bench::settled(&a, &[]);
    let mut mine = super::serving(&a, &a, 1_000, Default::default());
    mine.facts.as_mut().unwrap().ready = false;
    node.give(Input::View(super::view_of(&a, vec![mine])));
    let effects = node.locate(1, "r", None);
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::Located { result: Err(LocateError::NoCapacity { why }), .. } if why.contains("not ready"))));
}
