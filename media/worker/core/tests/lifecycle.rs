//! ICE restart, moving addresses, the end of peers, and that nothing of them stays behind.

use super::*;
use crate::codec::Kind;
use crate::command::{MediaEvent, PeerEnd};
use crate::id::{ConnectionId, Path, TrackKey};
use rand::Rng;

#[test]
fn media_goes_on_through_an_ice_restart() {
    let mut world = World::new(41);
    world.connected(2);
    world.publish_audio(0, 10);
    world.subscribe(1, 10, Kind::Audio);
    world.run(1_000);
    for generation in 1..=3 {
        world.restart_ice(0, generation);
        world.restart_ice(1, generation);
        world.run(1_000);
    }
    // A new generation from a new address.
    world.restart_ice(1, 4);
    world.rebind(1, 30_000);
    world.run(1_000);
    assert!(world.has(|event| matches!(event, MediaEvent::PathChanged { remote, .. } if remote.port() == 30_000)));
    world.run(500);
    let audio = world.clients[1].of(TrackKey(10));
    assert!(audio.len() > 260, "{}", audio.len());
    assert!(world.now - world.start - audio.last().unwrap().at < std::time::Duration::from_millis(100));
    assert_eq!(world.nodes[0].core.by_id.len(), 2);
    assert!(world.nodes[0].core.by_ufrag.len() <= 4, "generations are forgotten");
}

#[test]
fn two_restarts_without_an_answer_leave_the_first_credentials_in_force() {
    let mut world = World::new(42);
    world.connected(1);
    world.run(2_500);
    let peer = world.clients[0].peer;
    for generation in 1..=3 {
        let local = crate::codec::IceCredentials { ufrag: format!("never{generation}"), pwd: "x".repeat(24) };
        world.command(0, crate::command::MediaCommand::RestartIce { peer, local });
    }
    // The client has heard of none of them; NAT gives it another address.
    world.rebind(0, 30_001);
    world.run(2_500);
    assert!(world.nodes[0].core.by_path.keys().any(|path| path.remote().port() == 30_001), "its checks still count");
}

#[test]
fn a_rebound_address_is_followed_at_the_next_check() {
    let mut world = World::new(43);
    world.connected(2);
    world.publish_video(0, 11, &[]);
    world.subscribe(1, 11, Kind::Video);
    world.run(1_000);
    world.rebind(0, 31_000);
    world.rebind(1, 31_001);
    world.run(4_000);
    let last = world.clients[1].received.last().unwrap().at;
    assert!(world.now - world.start - last < std::time::Duration::from_millis(200));
    let moved = world.events.iter().filter(|event| matches!(event, MediaEvent::PathChanged { .. })).count();
    assert_eq!(moved, 2);
    world.run(60_000);
    assert_eq!(world.inspect(0).paths, 2, "the old addresses are forgotten");
}

#[test]
fn the_path_over_a_closed_tcp_connection_is_left_at_once() {
    let mut world = World::new(46);
    world.connected(2);
    world.publish_audio(0, 10);
    world.subscribe(1, 10, Kind::Audio);
    world.run(500);
    let (client, now) = (&world.clients[1], world.now);
    let connection = ConnectionId(7);
    let path = Path::Tcp { connection, remote: ([192, 0, 2, 9], 4_000).into() };
    let name = format!("{}:{}", client.remote.ufrag, client.local.ufrag);
    let mut check = crate::transport::testing::check([1; 12], &name, &client.remote.pwd, false);
    let world::Node { core, arena } = &mut world.nodes[0];
    core.handle_datagram(now, path, &mut check, arena);
    assert_eq!(core.by_path.get(&path), Some(&1));
    arena.take_captured();
    core.close_connection(now, connection, arena);
    assert_eq!(core.by_path.get(&path), None);
    let heard = world.clients[1].received.len();
    world.run(500);
    assert!(world.clients[1].received.len() >= heard + 23, "media is back on the UDP path");
}

#[test]
fn a_silent_client_ends_after_the_consent_time() {
    let mut world = World::new(44);
    world.connected(2);
    world.publish_audio(0, 10);
    world.subscribe(1, 10, Kind::Audio);
    world.run(1_000);
    world.clients[0].silent = true;
    world.clients[0].streams.clear();
    world.run(27_000);
    assert!(!world.has(|event| matches!(event, MediaEvent::PeerEnded { .. })));
    world.run(5_000);
    let peer = world.clients[0].peer;
    let ended = |event: &&MediaEvent| matches!(event, MediaEvent::PeerEnded { peer: of, end: PeerEnd::ConsentExpired } if *of == peer);
    assert_eq!(world.events.iter().filter(ended).count(), 1);
    assert_eq!(world.inspect(0).peers, 1);
    world.close(1);
    world.assert_empty(0);
}

#[test]
fn two_hundred_random_rounds_leave_nothing_behind() {
    let mut world = World::new(45);
    let mut live: Vec<usize> = Vec::new();
    let mut track = 100;
    for round in 0..200 {
        match world.random.random_range(0..10) {
            0..4 if live.len() < 8 => {
                let room = world.random.random_range(1..3);
                let client = world.join(0, room, round % 3 == 0);
                live.push(client);
            }
            4 | 5 if !live.is_empty() => {
                let client = live[world.random.random_range(0..live.len())];
                track += 1;
                if round % 2 == 0 {
                    world.publish_audio(client, track);
                } else {
                    world.publish_video(client, track, &VIDEO_LAYERS);
                }
            }
            6 | 7 if !live.is_empty() && track > 100 => {
                let client = live[world.random.random_range(0..live.len())];
                let of = world.random.random_range(100..=track);
                let kind = if of % 2 == 0 { Kind::Audio } else { Kind::Video };
                world.subscribe(client, of, kind);
            }
            8 if !live.is_empty() => {
                let client = live[world.random.random_range(0..live.len())];
                let tracks: Vec<TrackKey> =
                    world.clients[client].receivers.iter().map(|section| section.track).collect();
                if let Some(track) = tracks.first() {
                    world.unpublish(client, track.0);
                }
                let wanted: Vec<TrackKey> = world.clients[client].senders.iter().map(|section| section.track).collect();
                if let Some(track) = wanted.first() {
                    world.unsubscribe(client, track.0);
                }
            }
            _ if !live.is_empty() => {
                let client = live.remove(world.random.random_range(0..live.len()));
                world.close(client);
            }
            _ => {}
        }
        world.run(40);
    }
    for client in live {
        world.close(client);
    }
    world.run(200);
    world.assert_empty(0);
}

#[test]
fn a_core_that_begins_anew_ends_its_peers_and_serves_new_ones() {
    let mut world = World::new(49);
    world.connected(2);
    world.publish_audio(0, 10);
    world.subscribe(1, 10, Kind::Audio);
    world.run(500);
    world.nodes[0].core.begin_anew();
    world.assert_empty(0);
    world.run(20);
    for client in [0, 1] {
        let peer = world.clients[client].peer;
        let ended = |event: &MediaEvent| matches!(event, MediaEvent::PeerEnded { peer: of, end: PeerEnd::Fault } if *of == peer);
        assert!(world.has(ended));
    }
    let newcomer = world.join(0, 1, false);
    assert!(world.run_until(5_000, |world| world.clients[newcomer].srtp.is_some()));
}

#[test]
fn the_publisher_connection_of_a_viewer_waits_as_long_as_the_session() {
    let mut world = World::new(50);
    let (peer, room) = (crate::id::PeerId(900), crate::id::RoomKey(1));
    let local = crate::codec::IceCredentials { ufrag: "viewer".to_owned(), pwd: "x".repeat(24) };
    world.command(
        0,
        crate::command::MediaCommand::OpenPeer { peer, room, local, open_channels: false, allow_pause: None },
    );
    world.run(180_000);
    assert!(!world.has(|event| matches!(event, MediaEvent::PeerEnded { .. })));
    assert_eq!(world.inspect(0).peers, 1);
}
