//! Issue 3, Show 4: shares by capacity, no herd, nothing above capacity.

use super::{member, serving, view_of};
use crate::placement::core::RoomHints;
use crate::placement::core::choice::Choice;
use crate::placement::core::neighbours::Neighbours;
use starling_cluster::member::{Load, MemberId, MemberState};
use std::time::{Duration, Instant};

const SEEDS: u64 = 200;

fn three() -> [(MemberId, u32); 3] {
    [(member("ND_a", 1), 2_000), (member("ND_b", 1), 2_000), (member("ND_c", 1), 4_000)]
}

fn gossip(rooms: [u32; 3]) -> Neighbours {
    let me = member("ND_a", 1);
    let members = three().into_iter().zip(rooms);
    let members = members.map(|((id, capacity), rooms)| serving(&me, &id, capacity, Load { rooms, ..Load::default() }));
    let mut neighbours = Neighbours::default();
    neighbours.update(view_of(&me, members.collect()));
    neighbours
}

#[expect(clippy::disallowed_methods, reason = "an instant cannot be made from nothing")]
fn start() -> Instant {
    Instant::now()
}

/// Three owners place `rooms` within `over`, each seeing the rooms of the nodes `late` after the fact.
fn place(seed: u64, rooms: u32, over: Duration, late: Duration) -> [u32; 3] {
    let mut owners: Vec<Choice> = (0..3).map(|owner| Choice::new(seed * 3 + owner)).collect();
    let nodes = three();
    let start = start();
    let mut placed: Vec<(Instant, usize)> = Vec::new();
    for number in 0..rooms {
        let now = start + over * number / rooms;
        let seen = |node| placed.iter().filter(|(at, place)| *place == node && *at + late <= now).count() as u32;
        let cluster = gossip([seen(0), seen(1), seen(2)]);
        let owner = &mut owners[(number % 3) as usize];
        let host = owner.choose(&format!("r{number}"), &RoomHints::default(), |_| false, &cluster, now).unwrap();
        placed.push((now, nodes.iter().position(|(id, _)| *id == host).unwrap()));
    }
    [0, 1, 2].map(|node| placed.iter().filter(|(_, place)| *place == node).count() as u32)
}

#[test]
fn three_hundred_rooms_spread_by_capacity_within_15_percent() {
    let mut worst: f64 = 0.0;
    for seed in 0..SEEDS {
        for over in [Duration::from_secs(1), Duration::from_secs(30), Duration::from_secs(300)] {
            let shares = place(seed, 300, over, Duration::from_secs(1));
            for (share, expected) in shares.into_iter().zip([75.0, 75.0, 150.0]) {
                worst = worst.max((f64::from(share) - expected).abs() / expected);
                assert!(worst <= 0.15, "seed {seed}, over {over:?}: {shares:?}");
            }
        }
    }
    println!("300 rooms over 1:1:2, {SEEDS} seeds x 3 rates: worst deviation {:.1} %", worst * 100.0);
}

#[test]
fn a_hundred_rooms_in_one_second_do_not_herd() {
    let mut most = [0; 3];
    for seed in 0..SEEDS {
        let shares = place(seed, 100, Duration::from_secs(1), Duration::from_secs(1));
        most = [0, 1, 2].map(|node| most[node].max(shares[node]));
        assert!(shares[0] <= 35 && shares[1] <= 35 && shares[2] <= 65, "seed {seed}: {shares:?}");
    }
    println!("100 rooms in 1 s over 1:1:2, {SEEDS} seeds: most on one node {most:?}");
}

#[test]
fn nothing_goes_above_the_declared_capacity_and_the_refusal_says_why() {
    let cluster = gossip([0, 0, 0]);
    let hints = RoomHints { max_participants: 100, region: String::new() };
    let (mut choice, now) = (Choice::new(1), start());
    // 540 Mbit/s each: three on each small node, seven on the large one.
    for number in 0..13 {
        assert!(choice.choose(&format!("r{number}"), &hints, |_| false, &cluster, now).is_ok(), "{number}");
    }
    let why = choice.choose("one more", &hints, |_| false, &cluster, now).unwrap_err();
    assert!(why.contains("none of 3 nodes has 540 Mbit/s"), "{why}");
    let later = now + Duration::from_secs(20);
    assert!(choice.choose("one more", &hints, |_| false, &cluster, later).is_ok(), "charges decay");
}

#[test]
fn the_region_comes_first_and_suspect_draining_and_unready_nodes_never() {
    let me = member("ND_a", 1);
    for (state, ready, able) in [
        (MemberState::Serving, true, true),
        (MemberState::Suspect, true, false),
        (MemberState::Draining, true, false),
        (MemberState::Serving, false, false),
    ] {
        let mut near = serving(&me, &member("ND_b", 1), 1_000, Load::default());
        near.state = state;
        let facts = near.facts.as_mut().unwrap();
        (facts.region, facts.ready) = ("eu".to_owned(), ready);
        let far = serving(&me, &member("ND_c", 1), 8_000, Load::default());
        let mut cluster = Neighbours::default();
        cluster.update(view_of(&me, vec![near, far]));
        let hints = RoomHints { max_participants: 0, region: "eu".to_owned() };
        for seed in 0..50 {
            let host = Choice::new(seed).choose("r", &hints, |_| false, &cluster, start()).unwrap();
            assert_eq!(host == member("ND_b", 1), able, "{state:?} ready {ready}");
        }
    }
}
