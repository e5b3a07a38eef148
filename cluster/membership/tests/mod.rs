//! What membership promises, under virtual time over a network of seeds.

mod input;
mod net;

use super::MembershipChange as Change;
use net::{MS, Net, SECOND, address, member};
use std::time::Duration;

fn is_down(change: &Change) -> bool {
    matches!(change, Change::Down { .. })
}

#[test]
fn ten_nodes_join_through_three_seeds() {
    for (loss, limit) in [(0.0, SECOND), (0.2, 5 * SECOND)] {
        for seed in 0..10 {
            let mut net = Net::new(10, loss, seed);
            net.start_all();
            let full = net.run_until(limit, Net::is_full);
            assert!(full.is_some(), "seed {seed}, loss {loss}: not full after {limit:?}");
            assert_eq!(net.count(is_down), 0, "seed {seed}, loss {loss}");
        }
    }
}

#[test]
fn fifty_nodes_join_although_no_datagram_holds_them_all() {
    for seed in 0..2 {
        let mut net = Net::new(50, 0.1, seed);
        net.start_all();
        let full = net.run_until(6 * SECOND, Net::is_full);
        assert!(full.is_some(), "seed {seed}");
    }
}

#[test]
fn one_seed_is_history_and_another_seed_is_another() {
    let history = |seed| {
        let mut net = Net::joined(5, 0.2, seed);
        net.kill(1);
        net.run(10 * SECOND);
        net.history()
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3), history(4));
}

#[test]
fn a_minute_of_twenty_percent_loss_kills_nobody() {
    for seed in 0..5 {
        let mut net = Net::joined(10, 0.2, seed);
        net.run(60 * SECOND);
        assert_eq!(net.count(is_down), 0, "seed {seed}");
        assert_eq!(net.rejoins(), 0, "seed {seed}");
        assert!(net.count(|change| matches!(change, Change::Suspected { .. })) > 0, "seed {seed}: loss had no effect");
    }
}

#[test]
fn without_the_guard_refuted_suspicions_force_healthy_nodes_to_rejoin() {
    let rejoins = |without_guard| {
        let mut net = Net::joined(10, 0.2, 1);
        for node in &mut net.nodes {
            node.membership.without_guard = without_guard;
        }
        net.run(60 * SECOND);
        assert_eq!(net.count(is_down), 0);
        let guarded: u64 = net.nodes.iter().map(|node| node.membership.counts().guarded).sum();
        assert_eq!(guarded == 0, without_guard);
        net.rejoins()
    };
    assert_eq!(rejoins(false), 0);
    assert!(rejoins(true) > 10, "foca has been mended: the guard can go");
}

#[test]
fn a_death_is_known_to_all_within_six_seconds() {
    for loss in [0.0, 0.2] {
        for seed in 0..30 {
            let mut net = Net::joined(10, loss, seed);
            net.kill(4);
            let known = net.run_until(6 * SECOND, |net| net.nodes_with(is_down) == 9);
            assert!(known.is_some(), "seed {seed}, loss {loss}");
            let wrong = net.count(|change| is_down(change) && *change != Change::Down { id: member(4, 0) });
            assert_eq!(wrong, 0, "seed {seed}, loss {loss}: a living member was declared dead");
        }
    }
}

#[test]
fn a_stall_of_a_second_and_a_half_is_no_death() {
    for seed in 0..10 {
        let mut net = Net::joined(10, 0.0, seed);
        net.pause(4, 1_500 * MS);
        net.run(10 * SECOND);
        assert_eq!(net.count(is_down), 0, "seed {seed}");
        assert!(net.is_full(), "seed {seed}");
    }
}

#[test]
fn a_long_stall_is_a_death_and_the_same_life_comes_back() {
    for seed in 0..5 {
        let mut net = Net::joined(10, 0.0, seed);
        net.pause(4, 8 * SECOND);
        net.run(7_999 * MS);
        assert_eq!(net.nodes_with(is_down), 9, "seed {seed}");
        net.forget();
        let back = net.run_until(2 * SECOND, Net::is_full);
        assert!(back.is_some(), "seed {seed}");
        let up = Change::Up { id: member(4, 0), address: address(4) };
        assert_eq!(net.nodes_with(|change| *change == up), 9, "seed {seed}");
        let rejoined = net.log.iter().any(|(_, node, change)| *node == 4 && *change == Change::Rejoined);
        assert!(rejoined, "seed {seed}: it does not know that it was given up");
    }
}

#[test]
fn halves_that_were_apart_for_twenty_seconds_are_whole_within_two() {
    for seed in 0..30 {
        let mut net = Net::joined(10, 0.0, seed);
        net.partition(|node| node / 5);
        net.run(20 * SECOND);
        assert_eq!(net.count(is_down), 50, "seed {seed}");
        net.partition(|_| 0);
        let whole = net.run_until(2 * SECOND, Net::is_full);
        assert!(whole.is_some(), "seed {seed}");
        net.run(10 * SECOND);
        assert!(net.is_full(), "seed {seed}: it did not last");
    }
}

#[test]
fn two_nodes_find_each_other_again() {
    for seed in 0..10 {
        let mut net = Net::joined(2, 0.0, seed);
        net.partition(|node| node);
        net.run(20 * SECOND);
        assert_eq!(net.nodes_with(|change| *change == Change::CutOff), 2, "seed {seed}");
        net.partition(|_| 0);
        let whole = net.run_until(2 * SECOND, Net::is_full);
        assert!(whole.is_some(), "seed {seed}");
        assert!(net.nodes_with(|change| *change == Change::Rejoined) > 0, "seed {seed}");
    }
}

#[test]
fn nodes_that_were_all_alone_are_whole_again() {
    for nodes in [3, 10] {
        let mut net = Net::joined(nodes, 0.0, 7);
        net.partition(|node| node);
        net.run(90 * SECOND);
        assert_eq!(net.nodes_with(|change| *change == Change::CutOff), nodes);
        net.partition(|_| 0);
        let whole = net.run_until(5 * SECOND, Net::is_full);
        assert!(whole.is_some(), "{nodes} nodes");
    }
}

#[test]
fn a_fast_restart_is_told_as_a_restart_and_never_as_a_death() {
    for seed in 0..10 {
        let mut net = Net::joined(10, 0.0, seed);
        net.kill(4);
        net.run(300 * MS);
        net.restart(4);
        net.run(10 * SECOND);
        let restarted = Change::Restarted { old: member(4, 0), new: member(4, 1), address: address(4) };
        for peer in (0..10).filter(|peer| *peer != 4) {
            let told = |wanted: fn(&Change) -> bool| {
                net.log.iter().filter(|(_, node, change)| *node == peer && wanted(change)).count()
            };
            assert_eq!(told(|change| matches!(change, Change::Restarted { .. })), 1, "seed {seed}, peer {peer}");
            assert_eq!(told(is_down), 0, "seed {seed}, peer {peer}");
            assert_eq!(told(|change| matches!(change, Change::Up { .. })), 0, "seed {seed}, peer {peer}");
        }
        assert_eq!(net.count(|change| *change == restarted), 9, "seed {seed}");
    }
}

#[test]
fn a_down_hint_is_known_to_all_within_half_a_second() {
    for seed in 0..10 {
        let mut net = Net::joined(10, 0.05, seed);
        net.kill(4);
        net.run(50 * MS);
        assert!(net.at(2, |membership, now| membership.down_hint(&member(4, 0), now)));
        let known = net.run_until(500 * MS, |net| net.nodes_with(is_down) == 9);
        assert!(known.is_some(), "seed {seed}");
    }
}

#[test]
fn a_down_hint_about_another_life_or_a_stranger_does_nothing() {
    let mut net = Net::joined(3, 0.0, 1);
    for wrong in [member(1, 9), member(7, 0)] {
        assert!(!net.at(0, |membership, now| membership.down_hint(&wrong, now)));
    }
    net.run(SECOND);
    assert_eq!(net.count(|_| true), 0);
}

#[test]
fn a_false_down_hint_costs_a_renewal_and_nothing_else() {
    let mut net = Net::joined(5, 0.0, 2);
    assert!(net.at(0, |membership, now| membership.down_hint(&member(1, 0), now)));
    let whole = net.run_until(6 * SECOND, Net::is_full);
    assert!(whole.is_some());
    net.run(5 * SECOND);
    assert!(net.is_full());
    assert_eq!(net.count(|change| matches!(change, Change::Restarted { .. })), 0);
}

#[test]
fn leaving_is_told_as_leaving_to_all_even_over_a_lossy_network() {
    for loss in [0.0, 0.2] {
        for seed in 0..10 {
            let mut net = Net::joined(10, loss, seed);
            net.at(4, super::Membership::leave);
            net.kill(4);
            let left = |change: &Change| *change == Change::Left { id: member(4, 0) };
            let known = net.run_until(SECOND, |net| net.nodes_with(left) == 9);
            assert!(known.is_some(), "seed {seed}, loss {loss}: {}", net.nodes_with(left));
            net.run(10 * SECOND);
            assert_eq!(net.count(is_down), 0, "seed {seed}, loss {loss}");
            assert_eq!(net.count(left), 9, "seed {seed}, loss {loss}: told once to each");
        }
    }
}

#[test]
fn the_last_one_left_by_the_others_will_is_not_cut_off_and_a_later_life_may_return() {
    let mut net = Net::joined(2, 0.0, 1);
    net.at(1, super::Membership::leave);
    net.kill(1);
    net.run(5 * SECOND);
    assert_eq!(net.count(|change| *change == Change::CutOff), 0);
    assert_eq!(net.count(|change| matches!(change, Change::Left { .. })), 1);
    net.restart(1);
    assert!(net.run_until(2 * SECOND, Net::is_full).is_some());
    assert_eq!(net.count(is_down), 0);
}

#[test]
fn a_node_without_seeds_comes_in_by_an_announced_address() {
    let mut net = Net::new(2, 0.0, 5);
    for node in &mut net.nodes {
        node.membership.set_seeds([]);
        node.alive = true;
    }
    net.run(15 * SECOND);
    assert!(!net.is_full(), "nobody told it of anybody");
    net.at(1, |membership, now| membership.announce(address(0), now));
    let full = net.run_until(Duration::from_millis(100), Net::is_full);
    assert!(full.is_some());
}

#[test]
fn groups_that_started_apart_merge_through_a_common_seed() {
    for seed in 0..5 {
        let mut net = Net::new(6, 0.0, seed);
        net.partition(|node| node % 2);
        net.start_all();
        net.run(200 * MS);
        for (number, node) in net.nodes.iter_mut().enumerate() {
            let known: Vec<_> = node.membership.members().map(|(id, ..)| id).collect();
            let expected: Vec<_> = (0..6)
                .filter(|other| *other != number && other % 2 == number % 2)
                .map(|node| member(node, 0))
                .collect();
            assert_eq!(known, expected, "seed {seed}");
        }
        net.partition(|_| 0);
        let whole = net.run_until(11 * SECOND, Net::is_full);
        assert!(whole.is_some(), "seed {seed}");
    }
}

#[test]
fn the_one_that_was_cut_off_knows_it_and_the_others_only_miss_it() {
    for seed in 0..5 {
        let mut net = Net::joined(10, 0.0, seed);
        net.partition(|node| usize::from(node == 9));
        net.run(20 * SECOND);
        let cut_off: Vec<_> =
            net.log.iter().filter(|(_, _, change)| *change == Change::CutOff).map(|(_, node, _)| *node).collect();
        assert_eq!(cut_off, [9], "seed {seed}");
        assert_eq!(net.count(|change| *change == Change::Down { id: member(9, 0) }), 9, "seed {seed}");
        net.forget();
        net.partition(|_| 0);
        assert!(net.run_until(2 * SECOND, Net::is_full).is_some(), "seed {seed}");
        assert!(net.log.iter().any(|(_, node, change)| *node == 9 && *change == Change::Rejoined), "seed {seed}");
    }
}

#[test]
fn an_idle_cluster_is_quiet() {
    for nodes in [3, 10] {
        let mut net = Net::joined(nodes, 0.0, 1);
        net.run(10 * SECOND);
        let before = (net.datagrams, net.bytes);
        net.run(20 * SECOND);
        let per_node_and_second = |count: u64| count as f64 / 20.0 / nodes as f64;
        let (datagrams, bytes) =
            (per_node_and_second(net.datagrams - before.0), per_node_and_second(net.bytes - before.1));
        println!(
            "{nodes} idle nodes: {datagrams:.1} datagrams and {bytes:.0} B per second and node, sealed, with IP and UDP"
        );
        assert!((3.0..6.0).contains(&datagrams), "{nodes} nodes: {datagrams} datagrams");
        assert!(bytes < 1_000.0, "{nodes} nodes: {bytes} B");
        assert_eq!(net.count(|_| true), 0);
    }
}
