//! Facts: the codec, the guard before chitchat, and chitchat itself over channels under a paused clock.

use super::*;
use crate::limits::{FACT_BYTES_MAX, FACT_NODES_MAX, LOAD_INTERVAL};
use crate::member::{BootId, Capacity, Load, Role};
use chitchat::{ChitchatMessage, Deserializable};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn id(node: &str, boot: u64) -> MemberId {
    let node_id = serde_json::from_value(serde_json::json!(node)).expect("a plain name is a node id");
    MemberId { node_id, boot_id: BootId::after(None, boot) }
}

fn facts(member: &MemberId) -> MemberFacts {
    MemberFacts {
        member: member.clone(),
        region: "eu, west=1".to_owned(),
        version: "0.1.0".to_owned(),
        roles: BTreeSet::from([Role::Room, Role::Transcode]),
        capacity: Capacity { cpu_millicores: 4_000, egress_mbps: 1_000 },
        load: Load { cpu_millicores: 350, egress_mbps: 20, rooms: 3, participants: 17 },
        http: "http://10.0.0.1:7880".to_owned(),
        ready: true,
        draining: false,
    }
}

fn read(member: &MemberId, pairs: &[(&str, &str)]) -> (Option<MemberFacts>, u64) {
    let mut unreadable = 0;
    let facts = decode(member, pairs.iter().copied(), &mut unreadable);
    (facts, unreadable)
}

#[test]
fn facts_survive_the_way_through_keys_and_values() {
    let told = facts(&id("b", 2));
    let pairs = encode(&told).expect("small facts");
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(read(&told.member, &pairs), (Some(told.clone()), 0));
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes < 200, "facts are small, these have {bytes} bytes");
}

#[test]
fn facts_are_not_there_before_their_last_key() {
    let pairs = encode(&facts(&id("b", 2))).expect("small facts");
    let (_, all_but_last) = pairs.split_last().expect("some");
    let pairs: Vec<(&str, &str)> = all_but_last.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(read(&id("b", 2), &pairs).0, None);
}

#[test]
fn an_unreadable_value_is_an_absent_fact_and_is_counted() {
    let long = "x".repeat(FACT_BYTES_MAX + 1);
    let pairs = [("cap", "4000"), ("load", "1,2,x,4"), ("drain", "yes"), ("region", long.as_str()), ("ready", "1")];
    let (facts, unreadable) = read(&id("b", 2), &pairs);
    let facts = facts.expect("the others are readable");
    assert_eq!(unreadable, 4);
    assert_eq!((facts.capacity, facts.load, facts.draining), (Capacity::default(), Load::default(), false));
    assert!(facts.ready && facts.region.is_empty());
}

#[test]
fn a_later_version_may_say_more() {
    let pairs = [("roles", "room,brew"), ("cap", "1,2,3"), ("mood", "fine"), ("ready", "1")];
    let (facts, unreadable) = read(&id("b", 2), &pairs);
    let facts = facts.expect("readable");
    assert_eq!((facts.roles, facts.capacity.egress_mbps, unreadable), (BTreeSet::from([Role::Room]), 2, 0));
}

#[test]
fn a_fact_that_would_block_chitchat_is_refused_to_its_writer() {
    let mut told = facts(&id("b", 2));
    told.region = "x".repeat(FACT_BYTES_MAX + 1);
    assert_eq!(encode(&told), Err(FactTooLarge { key: "region", bytes: FACT_BYTES_MAX + 1 }));
}

#[test]
fn load_is_told_in_steps_and_at_most_once_in_a_second() {
    #[expect(clippy::disallowed_methods, reason = "virtual time needs some beginning")]
    let start = Instant::now();
    let load = |cpu_millicores| Load { cpu_millicores, ..Load::default() };
    let mut pace = LoadPace::new(load(0), start);
    pace.offer(load(24));
    assert_eq!(pace.next_deadline(), None, "less than half a step");
    pace.offer(load(140));
    assert_eq!(pace.due(start), Some(load(150)));
    pace.offer(load(300));
    assert_eq!(pace.next_deadline(), Some(start + LOAD_INTERVAL));
    assert_eq!(pace.due(start + LOAD_INTERVAL / 2), None);
    pace.offer(load(500));
    assert_eq!(pace.due(start + LOAD_INTERVAL), Some(load(500)), "the newest");
    pace.offer(load(600));
    pace.offer(load(500));
    assert_eq!(pace.due(start + LOAD_INTERVAL * 2), None, "it went back to what was told");
}

/// A message as chitchat writes it, with an uncompressed delta of `operations`.
fn ack(operations: &[u8]) -> Vec<u8> {
    let mut message = vec![0x53, 0xb0, 0, 2];
    for block in operations.chunks(60_000) {
        message.push(2);
        message.extend((block.len() as u16).to_le_bytes());
        message.extend(block);
    }
    message.push(0);
    message
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn node(id: &MemberId) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(text(id.node_id.as_str()));
    bytes.extend(id.boot_id.number().to_le_bytes());
    bytes.extend([4, 10, 0, 0, 1, 0x0a, 0x1f]);
    bytes.extend([0; 16]);
    bytes
}

fn key(key: &str, value: &str, version: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(text(key));
    bytes.extend(text(value));
    bytes.extend(version.to_le_bytes());
    bytes.push(0);
    bytes
}

fn max_version(version: u64) -> Vec<u8> {
    let mut bytes = vec![2];
    bytes.extend(version.to_le_bytes());
    bytes
}

#[test]
fn our_reading_of_a_message_is_that_of_chitchat() {
    let message = ack(&[node(&id("b", 2)), key("region", "eu", 3), max_version(7)].concat());
    assert_eq!(check(&message, &id("a", 1)), Ok(()));
    let theirs = ChitchatMessage::deserialize(&mut message.as_slice()).expect("chitchat reads it too");
    assert!(format!("{theirs:?}").contains("region"));
}

#[test]
fn what_a_peer_says_of_this_life_of_this_node_never_reaches_chitchat() {
    let forged = ack(&[node(&id("a", 1)), key("drain", "1", u64::MAX)].concat());
    assert_eq!(check(&forged, &id("a", 1)), Err(WireRefusal::OwnState));
    let earlier_life = ack(&[node(&id("a", 0)), key("drain", "1", 5)].concat());
    assert_eq!(check(&earlier_life, &id("a", 1)), Ok(()));
}

#[test]
fn versions_that_would_fail_chitchats_assertions_are_refused() {
    let me = id("a", 1);
    let falls = ack(&[node(&id("b", 2)), key("x", "1", 9), max_version(5)].concat());
    assert_eq!(check(&falls, &me), Err(WireRefusal::Malformed));
    let repeats = ack(&[node(&id("b", 2)), key("x", "1", 9), key("y", "1", 9)].concat());
    assert_eq!(check(&repeats, &me), Err(WireRefusal::Malformed));
    assert_eq!(check(&ack(&key("x", "1", 9)), &me), Err(WireRefusal::Malformed), "of no node");
}

#[test]
fn too_much_in_one_message_is_refused() {
    let me = id("a", 1);
    let long = ack(&[node(&id("b", 2)), key("x", &"v".repeat(FACT_BYTES_MAX + 1), 1)].concat());
    assert_eq!(check(&long, &me), Err(WireRefusal::TooLarge));
    let nodes: Vec<u8> = (0..=FACT_NODES_MAX as u64).flat_map(|boot| node(&id("b", boot))).collect();
    assert_eq!(check(&ack(&nodes), &me), Err(WireRefusal::TooLarge));
    let bomb = zstd::bulk::compress(&vec![0; usize::from(u16::MAX)], 0).expect("zeroes compress");
    let mut blocks = vec![0x53, 0xb0, 0, 2];
    for _ in 0..20 {
        blocks.push(1);
        blocks.extend((bomb.len() as u16).to_le_bytes());
        blocks.extend(&bomb);
    }
    blocks.push(0);
    assert!(blocks.len() < 1_000);
    assert_eq!(check(&blocks, &me), Err(WireRefusal::TooLarge));
}

proptest! {
    #[test]
    fn no_bytes_panic_the_guard(body in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..5u8) {
        let mut message = vec![0x53, 0xb0, 0, kind];
        message.extend(body);
        let _ = check(&message, &id("a", 1));
    }
}

/// Some nodes whose chitchats are wired to each other by hand.
async fn nodes(count: u8) -> Vec<(ChitchatFacts, SocketAddr)> {
    let mut facts_of = Vec::new();
    let mut ports = BTreeMap::new();
    for number in 1..=count {
        let address = SocketAddr::from(([10, 0, 0, number], 7_946));
        let own = facts(&id(&format!("n{number}"), 1));
        let config = FactsConfig { cluster_name: "c".to_owned(), address, facts: own };
        let (facts, port) = ChitchatFacts::start(config).await.expect("starts");
        facts_of.push((facts, address));
        ports.insert(address, port);
    }
    let (delivered, mut wire) = tokio::sync::mpsc::channel::<(SocketAddr, Datagram)>(1_024);
    let mut inboxes = BTreeMap::new();
    for (from, mut port) in ports {
        let (inbox, mut mail) = tokio::sync::mpsc::channel::<Datagram>(1_024);
        inboxes.insert(from, inbox);
        let delivered = delivered.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(datagram) = port.next() => {
                        let to = datagram.peer;
                        let payload = datagram.payload;
                        delivered.send((to, Datagram { peer: from, payload })).await.expect("the wire lives");
                    }
                    Some(datagram) = mail.recv() => port.deliver(datagram),
                    else => return,
                }
            }
        });
    }
    tokio::spawn(async move {
        while let Some((to, datagram)) = wire.recv().await {
            if let Some(inbox) = inboxes.get(&to) {
                let _ = inbox.send(datagram).await;
            }
        }
    });
    facts_of
}

async fn hears(listener: &ChitchatFacts, wanted: impl Fn(&Told) -> bool) {
    let mut told = listener.told();
    let heard = tokio::time::timeout(Duration::from_secs(5), told.wait_for(|told| wanted(told))).await;
    assert!(heard.is_ok_and(|result| result.is_ok()), "facts did not come");
}

#[tokio::test(start_paused = true)]
async fn every_node_hears_every_change_of_every_other() {
    let nodes = nodes(3).await;
    nodes[0].0.meet(nodes[1].1);
    nodes[1].0.meet(nodes[2].1);
    for (listener, _) in &nodes {
        hears(listener, |told| told.values().flatten().count() == 2).await;
    }
    let mut changed = facts(&id("n3", 1));
    changed.draining = true;
    nodes[2].0.tell(&changed).expect("small facts");
    for (listener, _) in &nodes[..2] {
        hears(listener, |told| told.get(&(id("n3", 1), nodes[2].1)) == Some(&Some(changed.clone()))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_dropped_and_the_next_one_is_read() {
    let own = facts(&id("n1", 1));
    let address = SocketAddr::from(([10, 0, 0, 1], 7_946));
    let config = FactsConfig { cluster_name: "c".to_owned(), address, facts: own };
    let (heard, port) = ChitchatFacts::start(config).await.expect("starts");
    let bomb = zstd::bulk::compress(&vec![0; 1_000_000], 0).expect("zeroes compress");
    let forged = ack(&[node(&id("n1", 1)), key("drain", "1", u64::MAX)].concat());
    let others = [node(&id("n2", 1)), key("ready", "1", 1)].concat();
    let digest = [&[0x53, 0xb0, 0, 1, 1, 0], &node(&id("n2", 1))[1..20], &[1; 24]].concat();
    let honest = [digest, ack(&others)[4..].to_vec()].concat();
    for message in [vec![9; 40], bomb, packed(&forged), packed(&honest)] {
        port.deliver(Datagram { peer: address, payload: message });
    }
    hears(&heard, |told| told.get(&(id("n2", 1), address)).is_some_and(Option::is_some)).await;
    // chitchat would have failed an assertion at the next own fact, had it believed what was forged.
    let mut own = facts(&id("n1", 1));
    own.ready = false;
    heard.tell(&own).expect("small facts");
}

fn packed(message: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(message, 1).expect("little to compress")
}

#[tokio::test(start_paused = true)]
async fn facts_of_others_are_none_of_this_node_itself() {
    let nodes = nodes(2).await;
    nodes[0].0.meet(nodes[1].1);
    hears(&nodes[0].0, |told| told.len() == 1 && told.contains_key(&(id("n2", 1), nodes[1].1))).await;
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_is_too_large_leaves_the_earlier_ones_standing() {
    let nodes = nodes(2).await;
    nodes[0].0.meet(nodes[1].1);
    let mut own = facts(&id("n2", 1));
    own.region = "x".repeat(FACT_BYTES_MAX + 1);
    own.draining = true;
    assert!(nodes[1].0.tell(&own).is_err());
    let told = facts(&id("n2", 1));
    hears(&nodes[0].0, |heard| heard.get(&(id("n2", 1), nodes[1].1)) == Some(&Some(told.clone()))).await;
}
