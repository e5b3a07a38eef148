//! What many peers, long lists and bursts of work cost a worker.

use super::super::commands::{MUTED_MAX, PREFERENCES_MAX};
use super::*;
use crate::codec::{Channel, Kind};
use crate::command::MediaCommand;
use crate::id::{PeerId, TrackKey};
use crate::packet::rtcp::{self, ReportBlock};
use crate::transport::testing;
use rand::Rng;

#[test]
fn a_peer_that_never_connects_is_visited_about_once_a_second() {
    let mut world = World::new(91);
    let client = world.join(0, 1, false);
    world.clients[client].gone = true;
    let (mut visits, mut before) = (0, None);
    for _ in 0..10_000 {
        world.step();
        let due = world.nodes[0].core.peers[client].due;
        visits += u32::from(before.replace(due) != Some(due));
    }
    assert!((9..=20).contains(&visits), "{visits} visits in 10 s");
}

#[test]
fn idle_peers_share_their_wake_ups() {
    let mut world = World::new(102);
    for _ in 0..30 {
        world.join(0, 1, false);
        world.run(7);
    }
    assert!(world.run_until(10_000, |world| world.clients.iter().all(|client| client.srtp.is_some())));
    world.run(2_000);
    world.wakes = 0;
    world.run(2_000);
    // 30 peers are visited five times a second each, and checked every two seconds.
    assert!((20..=150).contains(&world.wakes), "{} wake-ups in 2 s", world.wakes);
}

/// Lists that are searched are in order, and every track is on its publisher's list.
fn assert_indexed(world: &World) {
    let core = &world.nodes[0].core;
    for (index, track) in &core.tracks {
        let names: Vec<_> = track.subscribers.iter().map(|one| (one.peer, one.subscription.ssrc())).collect();
        assert!(names.is_sorted_by(|one, other| one < other), "{names:?}");
        for (place, (peer, ssrc)) in names.iter().enumerate() {
            assert_eq!(track.place_of(*peer, *ssrc), Ok(place));
        }
        if let Some(publisher) = track.publisher {
            assert_eq!(core.peers[publisher].published.iter().filter(|one| **one == index).count(), 1);
        }
    }
    for (index, peer) in &core.peers {
        assert!(peer.published.iter().all(|track| core.tracks[*track].publisher == Some(index)));
        for reference in &peer.subscriptions {
            assert!(core.tracks[reference.track].subscriber(index, reference.ssrc).is_some());
        }
    }
}

#[test]
fn subscribers_are_found_by_peer_and_ssrc_whatever_comes_and_goes() {
    let mut world = World::new(92);
    let mut live: Vec<usize> = (0..6).map(|_| world.join(0, 1, false)).collect();
    for round in 0..400_u64 {
        let client = live[world.random.random_range(0..live.len())];
        let track = 100 + world.random.random_range(0..8);
        match world.random.random_range(0..10) {
            0 | 1 => world.publish_audio(client, track),
            2 => world.unpublish(client, track),
            3 => world.unsubscribe(client, track),
            4 if round % 3 == 0 => {
                world.close(client);
                live.retain(|one| *one != client);
                live.push(world.join(0, 1, false));
            }
            _ => {
                world.subscribe(client, track, Kind::Audio);
            }
        }
        assert_indexed(&world);
    }
    for client in live {
        world.close(client);
    }
    world.assert_empty(0);
}

/// A publisher of video and a subscriber of it; the video's SSRC.
fn watched(seed: u64) -> (World, u32) {
    let mut world = World::new(seed);
    world.connected(2);
    world.publish_video(0, 11, &[]);
    let ssrc = world.subscribe(1, 11, Kind::Video);
    world.run(3_000);
    (world, ssrc)
}

#[test]
fn a_compound_of_many_nacks_asks_for_no_more_than_one_datagram_may() {
    let (mut world, ssrc) = watched(93);
    let nacks = |world: &mut World| world.inspect(0).peer_details[1].subscriptions[0].nacks;
    let before = nacks(&mut world);
    let mut compound = Vec::new();
    for packet in 0..5_u16 {
        let names: Vec<u16> = (packet * 500..packet * 500 + 500).collect();
        rtcp::nack(&mut compound, 1, ssrc, &names);
    }
    world.clients[1].send_rtcp(compound);
    world.run(20);
    let asked = nacks(&mut world) - before;
    assert_eq!(asked, 512);
}

fn block(ssrc: u32, fraction_lost: u8) -> ReportBlock {
    ReportBlock { ssrc, fraction_lost, ..ReportBlock::default() }
}

/// Report blocks arrive as one compound.
fn report(world: &mut World, blocks: &[ReportBlock]) {
    let mut compound = Vec::new();
    rtcp::receiver_report(&mut compound, 1, blocks);
    world.clients[1].send_rtcp(compound);
    world.run(10);
}

#[test]
fn loss_of_retransmissions_is_no_loss_of_the_media() {
    let (mut world, ssrc) = watched(94);
    report(&mut world, &[block(ssrc, 0), block(ssrc + 0x20_0000, 255)]);
    let window = world.nodes[0].core.received_window(1).unwrap();
    assert!(window.expected > 20 && window.lost == 0, "{window:?}");
}

#[test]
fn report_blocks_beyond_the_limit_of_one_datagram_are_ignored() {
    let (mut world, ssrc) = watched(95);
    let blocks: Vec<ReportBlock> = (0..100).map(|count| block(ssrc, if count < 64 { 0 } else { 255 })).collect();
    report(&mut world, &blocks);
    assert_eq!(world.nodes[0].core.received_window(1).unwrap().lost, 0);
}

#[test]
fn the_loss_of_each_subscription_weighs_as_much_as_was_sent_of_it() {
    let (mut world, video) = watched(96);
    world.publish_audio(0, 10);
    let audio = world.subscribe(1, 10, Kind::Audio);
    world.run(200);
    world.nodes[0].core.received_window(1);
    let packets = |world: &mut World| -> Vec<u64> {
        world.inspect(0).peer_details[1].subscriptions.iter().map(|one| one.packets).collect()
    };
    let before = packets(&mut world);
    world.run(1_000);
    report(&mut world, &[block(video, 64), block(audio, 0)]);
    let (after, window) = (packets(&mut world), world.nodes[0].core.received_window(1).unwrap());
    let sent = [after[0] - before[0], after[1] - before[1]];
    assert!(sent[0] > 15 && sent[1] > 45, "{sent:?}");
    assert_eq!((window.expected, window.lost), (sent[0] + sent[1], sent[0] / 4));
}

#[test]
fn a_subscriber_of_nothing_but_silence_is_not_judged_by_it() {
    let (mut world, ssrc) = watched(97);
    report(&mut world, &[block(ssrc, 0)]);
    world.mute(0, 11, true);
    world.run(500);
    world.nodes[0].core.received_window(1);
    world.run(2_000);
    assert_eq!(world.nodes[0].core.received_window(1), None);
}

#[test]
fn messages_to_many_take_turns_with_media_and_keep_their_order() {
    let mut world = World::new(98);
    for _ in 0..2 {
        world.join(0, 1, true);
    }
    assert!(world.run_until(10_000, |world| world.clients.iter().all(|client| client.srtp.is_some())));
    world.run(1_000);
    let peers: Vec<PeerId> = world.clients.iter().map(|client| client.peer).collect();
    for number in 0..15 {
        // 42 packets each, so that 13 end a turn.
        let payload = vec![number; 50_000].into();
        let command = MediaCommand::SendData { peers: peers.clone(), channel: Channel::Reliable, payload };
        world.command(0, command);
    }
    let now = world.now;
    let world::Node { core, arena } = &mut world.nodes[0];
    assert!(arena.take_captured().is_empty(), "nothing is sent before its turn");
    assert_eq!([core.work(now, arena), core.work(now, arena), core.work(now, arena)], [true, true, false]);
    world.run(20_000);
    for client in &world.clients {
        let numbers: Vec<u8> = testing::messages(&client.dtls).iter().map(|(_, bytes)| bytes[0]).collect();
        assert_eq!(numbers, (0..15).collect::<Vec<u8>>());
    }
}

#[test]
fn a_message_that_waits_is_sent_before_its_peer_moves() {
    let mut world = World::with(99, 2, |_| {});
    world.join(0, 1, true);
    assert!(world.run_until(10_000, |world| world.clients[0].srtp.is_some()));
    world.run(1_000);
    world.send_data(0, &[0], Channel::Reliable, b"just before");
    world.move_all(&[0], 1);
    world.run(3_000);
    let messages = testing::messages(&world.clients[0].dtls);
    assert!(messages.iter().any(|(_, bytes)| bytes == b"just before"), "{messages:?}");
}

#[test]
fn handshakes_take_turns_and_a_flood_of_them_is_bounded() {
    let mut world = World::new(100);
    for _ in 0..20 {
        world.join(0, 1, false);
    }
    world.run(12);
    let hello = testing::dtls_client(world.now).out.remove(0);
    let addresses: Vec<_> = world.clients.iter().map(|client| client.address).collect();
    for address in &addresses {
        for _ in 0..40 {
            world.inject(0, *address, hello.clone());
        }
    }
    let waiting = world.nodes[0].core.handshakes_waiting();
    assert!((600..=640).contains(&waiting), "{waiting} wait, 32 of each peer");
    assert!(world.inspect(0).datagrams_refused >= 160);
    let now = world.now;
    let world::Node { core, arena } = &mut world.nodes[0];
    assert!(core.work(now, arena));
    assert_eq!(core.handshakes_waiting(), waiting - 8);
}

#[test]
fn wishes_about_tracks_that_are_gone_give_way_to_new_ones() {
    let mut world = World::new(101);
    world.connected(1);
    world.publish_audio(0, 10);
    world.mute(0, 10, true);
    for track in (10..6_000).chain([7, 8]) {
        world.prefer(0, track, 0, true);
        world.mute(0, track, true);
    }
    let peer = &world.nodes[0].core.peers[0];
    assert_eq!((peer.preferences.len(), peer.muted.len()), (PREFERENCES_MAX, MUTED_MAX));
    for track in [10, 5_999, 8] {
        assert!(peer.preferences.contains_key(&TrackKey(track)) && peer.muted.contains(&TrackKey(track)), "{track}");
    }
    assert!(!peer.preferences.contains_key(&TrackKey(11)) && !peer.muted.contains(&TrackKey(11)));
}
