//! Connect, publish, subscribe, mute, republish: what a meeting does.

use super::*;
use crate::codec::{Channel, Kind};
use crate::command::MediaEvent;
use crate::id::TrackKey;
use crate::packet::rtcp;
use crate::transport::testing;

#[test]
fn a_client_connects_and_is_told_once() {
    let mut world = World::new(1);
    world.connected(1);
    world.run(500);
    let told = world.events.iter().filter(|event| matches!(event, MediaEvent::PeerConnected { .. })).count();
    assert_eq!(told, 1);
    let snapshot = world.inspect(0);
    assert_eq!((snapshot.peers, snapshot.paths), (1, 1));
    assert!(snapshot.peer_details[0].connected);
}

#[test]
fn audio_and_video_reach_two_subscribers_whole() {
    let mut world = World::new(2);
    world.connected(3);
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &[]);
    for client in [1, 2] {
        world.subscribe(client, 10, Kind::Audio);
        world.subscribe(client, 11, Kind::Video);
    }
    world.run(4_000);
    for client in [1, 2] {
        let audio = world.clients[client].of(TrackKey(10));
        assert!(audio.len() >= 195, "{} audio packets in 4 s", audio.len());
        assert_whole(&in_order(&audio));
        let video = world.clients[client].of(TrackKey(11));
        assert!(video.len() >= 70, "{} video packets in 4 s", video.len());
        assert_decodable(&in_order(&video));
        assert!(world.clients[client].told.sender_reports >= 4);
    }
    assert!(world.clients[0].told.feedback > 10 && world.clients[0].told.receiver_reports >= 3);
    assert_eq!(world.clients[0].received.len(), 0, "nobody hears itself");
}

#[test]
fn muted_tracks_are_silent_and_come_back_without_a_hole() {
    let mut world = World::new(3);
    world.connected(2);
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &[]);
    world.subscribe(1, 10, Kind::Audio);
    world.subscribe(1, 11, Kind::Video);
    world.run(1_000);
    world.mute(0, 10, true);
    world.mute(0, 11, true);
    world.run(100);
    let before = world.clients[1].received.len();
    world.run(2_000);
    assert_eq!(world.clients[1].received.len(), before, "nothing flows while muted");
    world.mute(0, 10, false);
    world.mute(0, 11, false);
    world.run(1_000);
    assert!(world.clients[1].received.len() > before + 60);
    assert_whole(&in_order(&world.clients[1].of(TrackKey(10))));
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
}

#[test]
fn what_is_sent_in_spite_of_mute_is_not_forwarded() {
    let mut world = World::new(4);
    world.connected(2);
    world.publish_audio(0, 10);
    world.subscribe(1, 10, Kind::Audio);
    world.run(500);
    world.mute(0, 10, true);
    world.clients[0].streams[0].active = true;
    world.run(50);
    let before = world.clients[1].received.len();
    world.run(500);
    assert_eq!(world.clients[1].received.len(), before);
    world.mute(0, 10, false);
    world.run(500);
    assert!(world.clients[1].received.len() > before + 20);
    assert_whole(&in_order(&world.clients[1].received));
}

#[test]
fn a_track_published_anew_by_another_peer_goes_on_at_a_key_frame() {
    let mut world = World::new(5);
    world.connected(3);
    world.publish_video(0, 11, &[]);
    world.subscribe(1, 11, Kind::Video);
    world.run(1_500);
    world.mute(0, 11, true);
    world.run(100);
    world.unpublish(0, 11);
    world.run(500);
    let before = world.clients[1].received.len();
    world.publish_video(2, 11, &[]);
    world.run(2_000);
    assert!(world.clients[1].received.len() > before + 20, "the subscription outlives its publisher");
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn a_track_that_ended_in_full_flow_goes_on_at_a_key_frame() {
    let mut world = World::new(6);
    world.connected(3);
    world.publish_video(0, 11, &[]);
    world.subscribe(1, 11, Kind::Video);
    world.run(1_500);
    world.unpublish(0, 11);
    world.run(200);
    let before = world.clients[1].received.len();
    // The new publisher counts from elsewhere, and its picture ids too.
    world.publish_video(2, 11, &[]);
    world.clients[2].streams[0].index += 20_000;
    world.run(2_000);
    assert!(world.clients[1].received.len() > before + 20);
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn subscribers_come_and_go_without_disturbing_others() {
    let mut world = World::new(7);
    world.connected(3);
    world.publish_video(0, 11, &[]);
    world.subscribe(1, 11, Kind::Video);
    for _ in 0..5 {
        world.subscribe(2, 11, Kind::Video);
        world.run(400);
        world.unsubscribe(2, 11);
        world.run(200);
    }
    assert_decodable(&in_order(&world.clients[1].received));
    assert!(world.clients[1].received.len() > 55);
    let late = world.clients[2].received.len();
    assert!(late > 10, "{late}");
    world.run(500);
    assert_eq!(world.clients[2].received.len(), late, "nothing flows after the last unsubscribe");
}

#[test]
fn a_publisher_may_change_its_ssrc() {
    let mut world = World::new(8);
    world.connected(2);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 11, Kind::Video);
    world.run(3_000);
    let fresh: Vec<u32> = (0..3).map(|_| world.fresh_ssrc()).collect();
    for (stream, ssrc) in world.clients[0].streams.iter_mut().zip(fresh) {
        stream.change_ssrc(ssrc);
    }
    let before = world.clients[1].received.len();
    world.run(3_000);
    assert!(world.clients[1].received.len() > before + 40);
    assert_decodable(&in_order(&world.clients[1].received));
    assert_eq!(world.inspect(0).peer_details[0].layers.len(), 3, "the old streams are gone");
}

#[test]
fn twenty_subscribers_that_all_ask_make_few_key_frame_requests() {
    let mut world = World::new(9);
    world.connected(21);
    world.publish_video(0, 11, &[]);
    for client in 1..21 {
        world.subscribe(client, 11, Kind::Video);
    }
    world.run(1_000);
    let before = world.clients[0].told.key_requests;
    for _ in 0..50 {
        for client in 1..21 {
            let ssrc = world.clients[client].senders[0].ssrc;
            let mut pli = Vec::new();
            rtcp::pli(&mut pli, 1, ssrc);
            world.clients[client].send_rtcp(pli);
        }
        world.run(100);
    }
    let asked = world.clients[0].told.key_requests - before;
    assert!((5..=12).contains(&asked), "{asked} requests in 5 s for 1000 wishes");
    let counted = world.inspect(0).key_frame_requests;
    assert_eq!(counted, u64::from(world.clients[0].told.key_requests), "the counter is of requests sent");
}

#[test]
fn the_loudest_speaks_and_silence_ends_it() {
    let mut world = World::new(10);
    world.connected(2);
    world.publish_audio(0, 10);
    world.publish_audio(1, 20);
    world.clients[0].streams[0].level = 10;
    world.run(3_000);
    let last = world.events.iter().rev().find_map(|event| match event {
        MediaEvent::Speakers { levels, .. } => Some(levels.clone()),
        _ => None,
    });
    let levels = last.expect("somebody speaks");
    assert_eq!(levels.len(), 1);
    assert_eq!(levels[0].track, TrackKey(10));
    assert!(levels[0].level > 0.3, "{}", levels[0].level);
    world.events.clear();
    world.clients[0].streams[0].level = 127;
    world.run(3_000);
    assert!(world.has(|event| matches!(event, MediaEvent::Speakers { levels, .. } if levels.is_empty())));
}

#[test]
fn quality_is_excellent_on_a_good_line_and_falls_on_a_bad_one() {
    use crate::command::Quality;
    let mut world = World::new(11);
    world.connected(2);
    world.publish_audio(0, 10);
    world.publish_audio(1, 20);
    world.subscribe(0, 20, Kind::Audio);
    world.subscribe(1, 10, Kind::Audio);
    world.run(12_000);
    let of = |world: &World, client: usize| {
        let peer = world.clients[client].peer;
        world.events.iter().rev().find_map(|event| match event {
            MediaEvent::Quality { peer: of, quality, .. } if *of == peer => Some(*quality),
            _ => None,
        })
    };
    assert!(of(&world, 0).is_none_or(|quality| quality == Quality::Excellent), "told of changes only");
    world.pipes[0].0.loss = 0.3;
    world.run(15_000);
    assert!(of(&world, 0).is_some_and(|quality| quality <= Quality::Good), "{:?}", of(&world, 0));
}

#[test]
fn data_reaches_everybody_named_on_both_kinds_of_channel() {
    let mut world = World::new(12);
    for _ in 0..4 {
        world.join(0, 1, true);
    }
    let opened =
        |world: &World| world.events.iter().filter(|event| matches!(event, MediaEvent::ChannelOpen { .. })).count();
    assert!(world.run_until(10_000, |world| opened(world) == 12));
    world.send_data(0, &[1, 2], Channel::Reliable, b"to two");
    world.send_data(0, &[0, 1, 2, 3], Channel::Lossy, b"to all");
    world.run(300);
    for client in 0..4 {
        let messages = testing::messages(&world.clients[client].dtls);
        assert_eq!(messages.contains(&(1, b"to two".to_vec())), (1..3).contains(&client));
        assert!(messages.contains(&(3, b"to all".to_vec())));
    }
    let now = world.now;
    testing::write_channel(&mut world.clients[3].dtls, now, 1, b"up");
    world.run(300);
    assert!(
        world.has(
            |event| matches!(event, MediaEvent::Data { channel: Channel::Reliable, payload, .. } if payload == "up")
        )
    );
}
