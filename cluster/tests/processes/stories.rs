//! What nodes see of each other.

use crate::child::Setting;
use crate::node::{Folder, Node, able, count, now, setting};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Three nodes that know each other through the first.
fn three() -> [Node; 3] {
    let first = Node::start(&setting());
    let joiner = Setting { seeds: vec![first.seed()], ..setting() };
    let mut others = [Node::spawn(&joiner), Node::spawn(&joiner)];
    others.iter_mut().for_each(Node::wait_for_start);
    let [second, third] = others;
    let mut nodes = [first, second, third];
    for node in &mut nodes {
        node.wait_for_view("three nodes", |view| able(view) == 3);
    }
    nodes
}

fn report(story: &str, took: Duration) {
    println!("{story}: {} ms", took.as_millis());
}

/// Until every one of the nodes sees it.
fn all_see(story: &str, start: Instant, nodes: &mut [Node], wanted: impl Fn(&Value) -> bool) {
    for node in nodes {
        node.wait_for_view(story, &wanted);
    }
    report(story, start.elapsed());
}

#[test]
fn three_nodes_find_each_other_and_a_fourth_joins_through_any_of_them() {
    let mut first = Node::start(&setting());
    let begin = now();
    let joiner = Setting { seeds: vec![first.seed()], ..setting() };
    let mut nodes = vec![Node::spawn(&joiner), Node::spawn(&joiner)];
    nodes.iter_mut().for_each(Node::wait_for_start);
    report("two processes started and joined", begin.elapsed());
    first.wait_for_view("three members", |view| able(view) == 3);
    all_see(
        "three members with facts and links in every view, since the processes were started",
        begin,
        &mut nodes,
        |view| able(view) == 3,
    );
    let begin = now();
    let seeds = vec![nodes[1].seed(), "127.0.0.1:1".to_owned()];
    nodes.insert(0, first);
    nodes.push(Node::start(&Setting { seeds, ..setting() }));
    all_see("a fourth in every view, since its process was started", begin, &mut nodes, |view| able(view) == 4);
}

#[test]
fn a_killed_node_is_dead_in_every_view_and_a_node_that_leaves_too() {
    let [first, second, mut third] = three();
    let mut rest = [first, second];
    let begin = now();
    third.kill();
    all_see("kill -9 known to all", begin, &mut rest, |view| count(view, "dead") == 1);
    let begin = now();
    rest[1].order("leave");
    rest[1].wait_for("left");
    report("leaving", begin.elapsed());
    all_see("leaving known to all", begin, &mut rest[..1], |view| count(view, "dead") == 2);
}

#[test]
fn a_frozen_node_is_suspect_to_all_and_as_before_once_it_thaws() {
    let [first, second, third] = three();
    let mut rest = [first, second];
    let begin = now();
    third.signal("STOP");
    all_see("a frozen node is suspect to all", begin, &mut rest, |view| count(view, "suspect") == 1);
    let begin = now();
    third.signal("CONT");
    all_see("a thawed node is as before to all", begin, &mut rest, |view| able(view) == 3);
    for node in &rest {
        assert_eq!(count(&node.view, "dead"), 0, "{:#}", node.view);
    }
}

#[test]
fn load_and_draining_come_to_every_view() {
    let mut nodes = three();
    let begin = now();
    nodes[2].order("rooms 12");
    let busy = |view: &Value| {
        let mut members = view["members"].as_object().into_iter().flat_map(|members| members.values());
        members.any(|member| member["facts"]["load"]["rooms"] == 12)
    };
    all_see("load in every view", begin, &mut nodes, busy);
    let begin = now();
    nodes[2].order("drain");
    all_see("draining in every view", begin, &mut nodes, |view| count(view, "draining") == 1);
}

#[test]
fn a_node_whose_seeds_are_dead_comes_back_through_its_saved_members() {
    let folder = Folder::new("saved");
    let mut seed = Node::start(&setting());
    let mut other = Node::start(&Setting { seeds: vec![seed.seed()], ..setting() });
    let own = Setting { data_dir: Some(folder.0.clone()), seeds: vec![seed.seed()], ..setting() };
    let mut node = Node::start(&own);
    node.wait_for_view("three members", |view| able(view) == 3);
    let deadline = now() + Duration::from_secs(10);
    let saved = || std::fs::read_to_string(folder.0.join("members.json")).unwrap_or_default();
    while !(saved().contains(&seed.seed()) && saved().contains(&other.seed())) {
        assert!(now() < deadline, "members were not saved: {}", saved());
        std::thread::yield_now();
    }
    seed.kill();
    node.kill();
    other.wait_for_view("both dead", |view| count(view, "dead") == 2);
    let begin = now();
    let mut node = Node::start(&own);
    node.wait_for_view("the other", |view| able(view) == 2);
    report("restarted with dead seeds, since the process was started", begin.elapsed());
    other.wait_for_view("the next life", |view| able(view) == 2 && count(view, "dead") == 1);
}

#[test]
fn a_fast_restart_is_another_life_of_the_same_member() {
    let folder = Folder::new("restart");
    let mut first = Node::start(&setting());
    let own = Setting { data_dir: Some(folder.0.clone()), seeds: vec![first.seed()], ..setting() };
    let mut node = Node::start(&own);
    first.wait_for_view("two members", |view| able(view) == 2);
    let address = node.address.expect("started");
    let boots = |view: &Value| {
        let mut boots: Vec<u64> = Vec::new();
        let members = view["members"].as_object().into_iter().flat_map(|members| members.values());
        boots.extend(members.filter_map(|member| member["id"]["boot_id"].as_u64()));
        boots
    };
    let before = boots(&first.view);
    node.kill();
    let mut node = Node::start(&Setting { listen: address, ..own });
    let later = |view: &Value| able(view) == 2 && boots(view).iter().any(|boot| !before.contains(boot));
    first.wait_for_view("the later life", later);
    node.wait_for_view("the first", |view| able(view) == 2);
    assert_eq!(count(&first.view, "dead"), 0, "one node is one member: {:#}", first.view);
}

#[test]
fn a_node_that_does_not_belong_is_told_why() {
    let first = Node::start(&Setting { node_id: Some("first".to_owned()), ..setting() });
    let seeds = vec![first.seed(), "127.0.0.1:1".to_owned()];
    let outsider = Setting { seeds, join_wait_ms: 3_000, ..setting() };
    let cases = [
        (Setting { key: 8, ..outsider.clone() }, "another cluster key"),
        (Setting { cluster: "others".to_owned(), ..outsider.clone() }, "belongs to cluster \"stories\""),
        (Setting { node_id: Some("first".to_owned()), ..outsider }, "node id is in use"),
    ];
    let mut nodes: Vec<(Node, &str)> = cases.iter().map(|(setting, text)| (Node::spawn(setting), *text)).collect();
    for (node, expected) in &mut nodes {
        let refusal = node.refusal();
        println!("{refusal}");
        assert!(refusal.contains(*expected), "{refusal}");
        assert!(refusal.contains(&first.seed()), "it says who refuses: {refusal}");
    }
}

#[test]
fn a_node_without_an_answering_seed_serves_alone_and_joins_later() {
    let seed = setting().listen;
    let free = std::net::UdpSocket::bind(seed).expect("some port").local_addr().expect("bound");
    let mut lonely = Node::start(&Setting { seeds: vec![free.to_string()], join_wait_ms: 300, ..setting() });
    lonely.wait_for_view("itself, taking rooms", |view| able(view) == 1);
    let begin = now();
    let mut late = Node::start(&Setting { listen: free, ..setting() });
    lonely.wait_for_view("the late seed", |view| able(view) == 2);
    late.wait_for_view("the lonely node", |view| able(view) == 2);
    report("a seed that comes late, since its process was started", begin.elapsed());
}

#[test]
fn a_stranger_is_counted_and_never_answered() {
    let mut node = Node::start(&setting());
    let stranger = std::net::UdpSocket::bind(setting().listen).expect("some port");
    stranger.connect(node.address.expect("started")).expect("an address");
    // Nothing, too little, a chitchat message as it is without sealing, and as much as UDP carries.
    let plain = [&[0x53, 0xb0, 0, 0, 0, 0, 7, 0][..], b"stories"].concat();
    let datagrams = [Vec::new(), vec![1; 8], plain, vec![1; 60_000]];
    for datagram in &datagrams {
        stranger.send(datagram).expect("loopback takes it");
    }
    let dropped = |counters: &Value| {
        let counters = counters.as_object().into_iter().flatten();
        let drops = counters.filter(|(name, _)| name.starts_with("starling_cluster_datagrams_dropped_total"));
        drops.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    let deadline = now() + Duration::from_secs(10);
    loop {
        node.order("count");
        let counters = node.wait_for("counters");
        if dropped(&counters) >= datagrams.len() as u64 {
            break;
        }
        assert!(now() < deadline, "not counted: {counters:#}");
    }
    stranger.set_nonblocking(true).expect("a socket");
    let answer = stranger.recv(&mut [0; 16]).expect_err("nothing is answered");
    assert_eq!(answer.kind(), std::io::ErrorKind::WouldBlock);
}

/// `cargo test -p starling-cluster --test processes -- --ignored --nocapture gossip`
#[test]
#[ignore = "measures, takes a minute"]
fn gossip_bytes_per_second_of_idle_nodes() {
    for size in [3, 10] {
        let first = Node::start(&setting());
        let joiner = Setting { seeds: vec![first.seed()], ..setting() };
        let mut nodes = vec![first];
        nodes.extend((1..size).map(|_| Node::spawn(&joiner)));
        nodes[1..].iter_mut().for_each(Node::wait_for_start);
        for node in &mut nodes {
            node.wait_for_view("all", |view| able(view) == size);
        }
        let (quiet, measured) = (Duration::from_secs(5), Duration::from_secs(20));
        pause(quiet);
        let before = counts(&mut nodes);
        pause(measured);
        let after = counts(&mut nodes);
        for kind in ["foca", "chitchat"] {
            for (what, unit) in [("bytes", "B/s"), ("datagrams", "datagrams/s")] {
                let name = format!("starling_cluster_gossip_{what}_total{{out,{kind}}}");
                let sum = |counts: &[Value]| counts.iter().filter_map(|counts| counts[&name].as_u64()).sum::<u64>();
                let rate = (sum(&after) - sum(&before)) as f64 / measured.as_secs_f64() / size as f64;
                println!("{size} idle nodes, {kind}: {rate:.1} {unit} sent per node");
            }
        }
    }
}

fn counts(nodes: &mut [Node]) -> Vec<Value> {
    let counts = nodes.iter_mut().map(|node| {
        node.order("count");
        node.wait_for("counters")
    });
    counts.collect()
}

#[expect(clippy::disallowed_methods, reason = "a rate is measured over time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
