//! Export and import of established peers between two cores, and that no nonce is ever used twice.

use super::*;
use crate::codec::{Channel, Kind};
use crate::command::MediaEvent;
use crate::id::TrackKey;
use crate::transport::testing;
use rand::Rng;
use std::time::Duration;

/// A publisher of audio and simulcast video and a subscriber of both, with data channels.
fn meeting(seed: u64) -> World {
    let mut world = World::with(seed, 2, |_| {});
    for _ in 0..2 {
        world.join(0, 1, true);
    }
    let open =
        |world: &World| world.events.iter().filter(|event| matches!(event, MediaEvent::ChannelOpen { .. })).count();
    assert!(world.run_until(10_000, |world| open(world) == 6));
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 10, Kind::Audio);
    world.subscribe(1, 11, Kind::Video);
    world.run(3_000);
    world
}

#[test]
fn a_planned_move_loses_nothing_and_keeps_the_data_channels() {
    let mut world = meeting(51);
    for (up, down) in &mut world.pipes {
        (up.latency, down.latency) = (Duration::from_millis(1), Duration::from_millis(1));
    }
    world.run(1_000);
    let before = world.clients[1].received.len();
    world.events.clear();
    // Just after an audio packet: the next one is 20 ms away, longer than the switch.
    let last = world.clients[1].of(TrackKey(10)).len();
    assert!(world.run_until(50, |world| world.clients[1].of(TrackKey(10)).len() > last));
    world.run(2);
    world.move_all(&[0, 1], 1);
    assert!(world.run_until(40, |world| world.clients.iter().all(|client| client.node == 1)), "both follow at once");
    world.run(3_000);
    world.assert_empty(0);
    assert!(world.clients[1].received.len() > before + 400);
    assert_whole(&in_order(&world.clients[1].of(TrackKey(10))));
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
    assert_eq!(world.clients[1].received.last().map(|packet| packet.track.0 == 11 || packet.track.0 == 10), Some(true));
    assert!(!world.has(|event| matches!(event, MediaEvent::PeerEnded { .. } | MediaEvent::ChannelOpen { .. })));
    world.send_data(1, &[1], Channel::Reliable, b"after the move");
    let now = world.now;
    testing::write_channel(&mut world.clients[1].dtls, now, 1, b"answer");
    world.run(500);
    assert!(testing::messages(&world.clients[1].dtls).contains(&(1, b"after the move".to_vec())));
    assert!(world.has(|event| matches!(event, MediaEvent::Data { payload, .. } if payload == "answer")));
}

#[test]
fn what_arrives_before_a_moved_subscriber_answers_is_sent_when_it_does() {
    let mut world = meeting(59);
    // The publisher is near, the subscriber far away: its answer takes as long as five audio packets.
    world.pipes[0].0.latency = Duration::from_millis(1);
    world.pipes[0].1.latency = Duration::from_millis(1);
    world.pipes[1].0.latency = Duration::from_millis(50);
    world.pipes[1].1.latency = Duration::from_millis(50);
    world.run(1_000);
    world.events.clear();
    let begin = world.now - world.start;
    world.move_all(&[0, 1], 1);
    world.run(2_000);
    let audio = world.clients[1].of(TrackKey(10));
    let late = audio.iter().filter(|packet| packet.at > begin).count();
    assert!(late >= 98, "{late}");
    // At most the packet that was under way to the old address.
    let packets = in_order(&audio);
    let holes: u64 = packets.windows(2).map(|pair| pair[1].sequence - pair[0].sequence - 1).sum();
    assert!(holes <= 1, "{holes} audio packets lost");
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
}

#[test]
fn the_transport_wide_numbers_and_the_estimate_move_along() {
    let mut world = meeting(52);
    let before = world.inspect(0).peer_details[1].bandwidth_bps;
    assert!(before > 1_000_000);
    world.move_all(&[0, 1], 1);
    world.run(300);
    let after = world.inspect(1);
    let after = after.peer_details.iter().find(|peer| peer.peer == world.clients[1].peer).unwrap();
    assert!(after.bandwidth_bps * 10 >= before * 8, "{} fell to {}", before, after.bandwidth_bps);
    // A second move before the first has found its path must not lose them either.
    world.move_all(&[0, 1], 0);
    world.move_all(&[0, 1], 1);
    world.run(500);
    let again = world.inspect(1);
    let again = again.peer_details.iter().find(|peer| peer.peer == world.clients[1].peer).unwrap();
    assert!(again.bandwidth_bps * 10 >= before * 7, "{} fell to {}", before, again.bandwidth_bps);
}

#[test]
fn a_muted_track_unmuted_after_the_move_flows() {
    let mut world = meeting(53);
    world.mute(0, 10, true);
    world.run(300);
    world.move_all(&[1, 0], 1);
    world.run(300);
    let before = world.clients[1].of(TrackKey(10)).len();
    world.mute(0, 10, false);
    world.run(1_000);
    assert!(world.clients[1].of(TrackKey(10)).len() > before + 40);
    assert_whole(&in_order(&world.clients[1].of(TrackKey(10))));
}

#[test]
fn a_subscriber_whose_track_was_unmuted_while_it_moved_is_served() {
    let mut world = meeting(54);
    world.mute(0, 10, true);
    world.run(300);
    let state = world.export(1).unwrap();
    world.mute(0, 10, false);
    world.import(1, 0, state);
    let before = world.clients[1].of(TrackKey(10)).len();
    world.run(1_000);
    assert!(world.clients[1].of(TrackKey(10)).len() > before + 40);
}

#[test]
fn an_ssrc_once_used_is_never_numbered_anew() {
    let mut world = meeting(55);
    world.run(1_000);
    let sections = world.clients[1].senders.clone();
    let try_again = |world: &mut World| {
        world.clients[1].senders = sections.clone();
        world.send_senders(1);
        world.run(400);
    };
    // Removed and named again.
    world.clients[1].senders.clear();
    world.send_senders(1);
    world.run(200);
    try_again(&mut world);
    // The same over a move, named before it and after it.
    world.move_all(&[0, 1], 1);
    world.run(400);
    try_again(&mut world);
    world.clients[1].senders.clear();
    world.send_senders(1);
    world.move_all(&[0, 1], 0);
    world.run(400);
    try_again(&mut world);
    // A fresh SSRC with a used one for retransmissions, and a used SSRC with a fresh one.
    let (mut media, mut repair) = (sections.clone(), sections.clone());
    for section in &mut media {
        section.ssrc = world.fresh_ssrc();
    }
    for section in &mut repair {
        section.rtx_ssrc = world.fresh_ssrc();
    }
    for table in [media, repair] {
        world.clients[1].senders = table;
        world.pipes[1].1.loss = 0.1;
        world.send_senders(1);
        world.run(2_000);
    }
    let (rtp, rtcp, records) = world.clients[1].observer.counts();
    assert!(rtp > 200 && rtcp >= 3 && records > 3, "{rtp} {rtcp} {records}");
}

#[test]
fn a_live_subscription_cannot_change_its_repair_ssrc_and_count_anew() {
    let mut world = meeting(56);
    world.pipes[1].1.loss = 0.1;
    for _ in 0..5 {
        let rtx_ssrc = world.fresh_ssrc();
        world.clients[1].senders[1].rtx_ssrc = rtx_ssrc;
        world.send_senders(1);
        world.run(700);
    }
    assert!(world.clients[1].observer.counts().0 > 200);
}

#[test]
fn no_nonce_is_used_twice_in_random_histories() {
    for seed in 0..40 {
        let mut world = meeting(600 + seed);
        let mut node = 0;
        let mut used = world.clients[1].senders.clone();
        for (up, down) in &mut world.pipes {
            (up.loss, down.loss) = (0.05, 0.08);
            (up.jitter, down.jitter) = (Duration::from_millis(12), Duration::from_millis(12));
            (up.duplicate, down.duplicate) = (0.02, 0.02);
        }
        for _ in 0..30 {
            match world.random.random_range(0..10) {
                0 | 1 => {
                    let (layer, enabled) = (world.random.random_range(0..3), world.random.random_bool(0.8));
                    world.prefer(1, 11, layer, enabled);
                }
                2 => {
                    let (track, muted) = (world.random.random_range(10..12), world.random.random_bool(0.4));
                    world.mute(0, track, muted);
                }
                3 => {
                    // Any mixture of sections that were named before, also on other tracks, and fresh ones.
                    let mut table: Vec<_> = used.iter().filter(|_| world.random.random_bool(0.4)).cloned().collect();
                    table.dedup_by_key(|section| section.ssrc);
                    for (place, section) in table.iter_mut().enumerate() {
                        section.mid = format!("s{place}");
                    }
                    world.clients[1].senders = table;
                    world.send_senders(1);
                }
                4 | 5 => {
                    let (track, kind) =
                        if world.random.random_bool(0.5) { (10, Kind::Audio) } else { (11, Kind::Video) };
                    world.subscribe(1, track, kind);
                    used.extend(world.clients[1].senders.last().cloned());
                }
                6 => {
                    let ssrc = world.fresh_ssrc();
                    if let Some(stream) = world.clients[0].streams.iter_mut().last() {
                        stream.change_ssrc(ssrc);
                    }
                }
                7 | 8 => {
                    if world.clients.iter().all(|client| client.node == node) {
                        node = 1 - node;
                        let order = if world.random.random_bool(0.5) { [0, 1] } else { [1, 0] };
                        world.move_all(&order, node);
                    }
                }
                _ => {
                    // Most of what is named is gone or repeated.
                    let Some(ssrc) = world.clients[1].senders.last().map(|section| section.ssrc) else { continue };
                    let mut nack = Vec::new();
                    let names: Vec<u16> = (0..200).map(|_| world.random.random()).collect();
                    crate::packet::rtcp::nack(&mut nack, 1, ssrc, &names);
                    world.clients[1].send_rtcp(nack);
                }
            }
            let pause = world.random.random_range(20..300);
            world.run(pause);
        }
        let (rtp, _, _) = world.clients[1].observer.counts();
        let (_, rtcp, _) = world.clients[0].observer.counts();
        assert!(rtp > 100 && rtcp > 40, "seed {seed}: {rtp} {rtcp}");
    }
}

#[test]
fn a_move_in_the_middle_of_an_ice_restart_keeps_both_generations() {
    let mut world = meeting(60);
    let peer = world.clients[1].peer;
    let local = crate::codec::IceCredentials { ufrag: "unheard".to_owned(), pwd: "x".repeat(24) };
    world.command(0, crate::command::MediaCommand::RestartIce { peer, local });
    world.move_all(&[0, 1], 1);
    world.run(1_000);
    // The client has not heard of the restart, and NAT moves it.
    world.rebind(1, 32_000);
    world.run(6_000);
    let last = world.clients[1].received.last().unwrap().at;
    assert!(world.now - world.start - last < Duration::from_millis(200));
}

#[test]
fn a_connecting_peer_cannot_be_exported_and_ends() {
    let mut world = World::with(57, 2, |_| {});
    world.join(0, 1, false);
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let peer = world.clients[0].peer;
    world.command(0, crate::command::MediaCommand::ExportPeer { peer, reply });
    assert_eq!(answer.try_recv().unwrap(), None);
    // Its room goes elsewhere without it: the client has to come again.
    world.run(100);
    assert!(world.clients[0].srtp.is_none());
    world.assert_empty(0);
}

#[test]
fn broken_states_are_refused_and_leave_nothing() {
    let mut world = meeting(58);
    let state = world.export(1).unwrap();
    let peer = world.clients[1].peer;
    let try_import = |world: &mut World, state: Vec<u8>| {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let room = world.clients[1].room;
        world.command(1, crate::command::MediaCommand::ImportPeer { peer, room, state, reply });
        answer.try_recv().unwrap()
    };
    for cut in (0..state.len()).step_by(state.len() / 50 + 1) {
        assert!(try_import(&mut world, state[..cut].to_vec()).is_err());
    }
    assert!(try_import(&mut world, vec![0; 5 << 20]).unwrap_err().contains("limit"));
    world.assert_empty(1);
    world.import(1, 1, state.clone());
    assert!(try_import(&mut world, state).unwrap_err().contains("exists already"));
}
