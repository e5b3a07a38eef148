//! A room on two or three workers: who publishes at one is heard and seen at the others.

use super::super::ring;
use super::super::spread::{RingReader, RingWriter, with_capacity};
use super::*;
use crate::codec::{Channel, Kind};
use crate::command::{MediaCommand, MediaEvent};
use crate::id::{RoomKey, TrackKey};
use crate::transport::testing;
use rand::Rng;
use std::time::Duration;

impl World {
    /// Nodes that are workers of one process: what one has, subscribers at the others get.
    pub(super) fn spread(seed: u64, nodes: usize) -> Self {
        Self::spread_by(seed, nodes, ring)
    }

    /// The same with rings of so many packets.
    pub(super) fn narrow(seed: u64, nodes: usize, packets: usize) -> Self {
        Self::spread_by(seed, nodes, || with_capacity(packets, packets * 1_500))
    }

    fn spread_by(seed: u64, nodes: usize, ring: impl Fn() -> (RingWriter, RingReader)) -> Self {
        let mut world = Self::with(seed, nodes, |_| {});
        for one in 0..nodes {
            for other in one + 1..nodes {
                let ((up, up_end), (down, down_end)) = (ring(), ring());
                world.nodes[one].core.connect(one, other, up, down_end);
                world.nodes[other].core.connect(other, one, down, up_end);
            }
        }
        world
    }

    /// Brings what workers say to each other there, except what a test holds back.
    pub(super) fn carry_controls(&mut self) {
        let now = self.now;
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                while let Some(control) = self.nodes[from].core.poll_control(to) {
                    self.controls += 1;
                    self.nodes[to].core.handle_control(now, from, control);
                }
            }
        }
    }
}

/// A publisher of audio and simulcast video at node 0, and a subscriber of both at each node named.
fn meeting(seed: u64, nodes: usize, subscribers: &[usize]) -> World {
    meeting_in(World::spread(seed, nodes), subscribers)
}

fn meeting_in(mut world: World, subscribers: &[usize]) -> World {
    world.join(0, 1, true);
    for node in subscribers {
        world.join(*node, 1, true);
    }
    let channels = world.clients.len() * 3;
    let open =
        |world: &World| world.events.iter().filter(|event| matches!(event, MediaEvent::ChannelOpen { .. })).count();
    assert!(world.run_until(10_000, |world| open(world) == channels));
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    for client in 1..world.clients.len() {
        world.subscribe(client, 10, Kind::Audio);
        world.subscribe(client, 11, Kind::Video);
    }
    world.run(4_000);
    world
}

fn assert_flows(world: &mut World, client: usize) {
    let before = (world.clients[client].of(TrackKey(10)).len(), world.clients[client].of(TrackKey(11)).len());
    world.run(2_000);
    let after = (world.clients[client].of(TrackKey(10)).len(), world.clients[client].of(TrackKey(11)).len());
    assert!(after.0 >= before.0 + 95, "audio of {client}: {before:?} {after:?}");
    assert!(after.1 >= before.1 + 30, "video of {client}: {before:?} {after:?}");
}

fn assert_sound(world: &World, client: usize) {
    assert_whole(&in_order(&world.clients[client].of(TrackKey(10))));
    assert_decodable(&in_order(&world.clients[client].of(TrackKey(11))));
}

#[test]
fn subscribers_at_both_workers_get_audio_and_the_best_layer() {
    let mut world = meeting(70, 2, &[0, 1, 1]);
    for client in 1..4 {
        assert_flows(&mut world, client);
        assert_sound(&world, client);
        assert_eq!(world.clients[client].of(TrackKey(11)).last().unwrap().layer(), 2);
        assert!(world.clients[client].told.sender_reports >= 5, "with the publisher's clock");
    }
    let (owner, listener) = (world.inspect(0), world.inspect(1));
    assert_eq!((owner.peers, listener.peers, listener.tracks), (2, 2, 0));
    assert_eq!((owner.handed_overflowed, listener.packets_handed), (0, 0));
    // Two subscribers there, one packet each: half of what they were sent, and the layers begun with.
    assert!(owner.packets_handed < listener.packets_forwarded * 6 / 10, "{owner:?} {listener:?}");
}

#[test]
fn only_layers_that_somebody_there_wants_are_handed() {
    let mut world = meeting(71, 2, &[1]);
    world.prefer(1, 11, 0, true);
    world.run(2_000);
    let before = world.inspect(0).packets_handed;
    world.run(2_000);
    let handed = world.inspect(0).packets_handed - before;
    // 50 audio packets and 20 of the lowest layer a second.
    assert!((120..=170).contains(&handed), "{handed}");
    world.prefer(1, 11, 0, false);
    world.run(500);
    let before = world.inspect(0).packets_handed;
    world.run(2_000);
    let handed = world.inspect(0).packets_handed - before;
    assert!((95..=105).contains(&handed), "audio alone: {handed}");
}

#[test]
fn a_layer_switch_asks_for_a_key_frame_at_the_publishers_worker() {
    let mut world = meeting(72, 2, &[1]);
    for (step, wanted) in [0, 2, 1, 0, 1, 2].into_iter().enumerate() {
        let before = world.clients[0].streams[usize::from(wanted) + 1].key_requests;
        world.prefer(1, 11, wanted, true);
        world.run(2_500);
        assert_eq!(world.clients[1].of(TrackKey(11)).last().unwrap().layer(), wanted, "step {step}");
        assert!(world.clients[0].streams[usize::from(wanted) + 1].key_requests > before, "step {step}");
    }
    assert_sound(&world, 1);
    assert!(world.controls < 400, "{} messages in 20 s", world.controls);
}

#[test]
fn loss_on_the_last_way_is_repaired_from_the_listeners_history() {
    let mut world = meeting(73, 2, &[1]);
    world.pipes[1].1.loss = 0.05;
    world.run(8_000);
    let (handed, asked) = (world.inspect(0).packets_handed, world.clients[0].told.nacked);
    world.pipes[1].1.loss = 0.0;
    world.run(1_000);
    assert_eq!(asked, 0, "the publisher hears of nothing");
    assert!(handed > 0 && world.inspect(1).retransmissions > 10);
    assert_eq!(world.inspect(0).retransmissions, 0);
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
    let recovered = world.clients[1].of(TrackKey(11)).iter().filter(|packet| packet.recovered).count();
    assert!(recovered >= 5, "{recovered}");
}

#[test]
fn a_full_ring_is_counted_and_what_it_dropped_is_repaired() {
    let mut world = meeting_in(World::narrow(74, 2, 24), &[1, 0]);
    let before = world.inspect(0).handed_overflowed;
    world.asleep = vec![1];
    world.run(200);
    world.asleep.clear();
    world.run(3_000);
    let owner = world.inspect(0);
    assert!(owner.handed_overflowed > before + 5, "{owner:?}");
    assert_flows(&mut world, 1);
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
    assert_sound(&world, 2);
}

#[test]
fn a_publisher_that_leaves_ends_its_tracks_everywhere() {
    let mut world = meeting(75, 3, &[1, 2]);
    world.close(0);
    world.run(200);
    let before: Vec<usize> = (1..3).map(|client| world.clients[client].received.len()).collect();
    world.run(1_000);
    let after: Vec<usize> = (1..3).map(|client| world.clients[client].received.len()).collect();
    assert_eq!(before, after);
    for client in 1..3 {
        world.unsubscribe(client, 10);
        world.unsubscribe(client, 11);
        world.close(client);
    }
    world.run(1_500);
    for node in 0..3 {
        world.assert_empty(node);
        assert!(world.nodes[node].core.knows_nothing_of_others(), "node {node}");
    }
}

#[test]
fn a_track_published_anew_at_a_third_worker_goes_on_at_a_key_frame() {
    let mut world = meeting(76, 3, &[1, 2]);
    world.unpublish(0, 11);
    world.run(300);
    let before = world.clients[1].of(TrackKey(11)).len();
    world.publish_video(2, 11, &[]);
    world.run(2_000);
    assert!(world.clients[1].of(TrackKey(11)).len() > before + 20);
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
}

#[test]
fn mute_reaches_the_other_worker_and_ends_there() {
    let mut world = meeting(77, 2, &[1]);
    world.mute(0, 10, true);
    world.mute(0, 11, true);
    world.run(100);
    let before = world.clients[1].received.len();
    world.run(1_000);
    assert_eq!(world.clients[1].received.len(), before);
    world.mute(0, 10, false);
    world.mute(0, 11, false);
    world.run(500);
    assert_flows(&mut world, 1);
    assert_sound(&world, 1);
}

#[test]
fn data_reaches_the_peers_of_both_workers() {
    let mut world = meeting(78, 2, &[0, 1]);
    world.send_data(0, &[1], Channel::Reliable, b"here");
    world.send_data(1, &[2], Channel::Reliable, b"there");
    world.run(300);
    assert!(testing::messages(&world.clients[1].dtls).contains(&(1, b"here".to_vec())));
    assert!(testing::messages(&world.clients[2].dtls).contains(&(1, b"there".to_vec())));
    let now = world.now;
    testing::write_channel(&mut world.clients[2].dtls, now, 1, b"up");
    world.run(300);
    assert!(world.has(|event| matches!(event, MediaEvent::Data { payload, .. } if payload == "up")));
}

#[test]
fn speakers_of_all_workers_are_told_once_by_the_home_worker() {
    let mut world = meeting(79, 2, &[1]);
    world.publish_audio(1, 20);
    for node in 0..2 {
        world.command(node, MediaCommand::SetHome { room: RoomKey(1), worker: 0 });
    }
    world.clients[0].streams[0].level = 10;
    world.clients[1].streams[0].level = 20;
    world.run(2_000);
    world.events.clear();
    world.run(5_000);
    let told = |world: &World| -> Vec<Vec<u64>> {
        let levels = world.events.iter().filter_map(|event| match event {
            MediaEvent::Speakers { levels, .. } => Some(levels.iter().map(|level| level.track.0).collect()),
            _ => None,
        });
        levels.collect()
    };
    let reports = told(&world);
    assert!((9..=11).contains(&reports.len()), "one every 500 ms: {}", reports.len());
    assert!(reports.iter().all(|tracks| *tracks == [10, 20]), "{reports:?}");
    world.events.clear();
    world.clients[0].streams[0].level = 127;
    world.close(1);
    world.run(4_000);
    assert_eq!(told(&world).last(), Some(&Vec::new()), "silence is told, and who has left is silent");
}

#[test]
fn a_subscriber_that_moves_to_another_worker_keeps_its_subscriptions() {
    let mut world = meeting(80, 2, &[0, 0]);
    for (up, down) in &mut world.pipes {
        (up.latency, down.latency) = (Duration::from_millis(1), Duration::from_millis(1));
    }
    world.run(1_000);
    world.move_all(&[1], 1);
    world.run(300);
    for client in 1..3 {
        assert_flows(&mut world, client);
        assert_sound(&world, client);
    }
    world.move_all(&[1], 0);
    world.run(300);
    assert_flows(&mut world, 1);
    assert_sound(&world, 1);
    assert!(world.clients[1].observer.counts().0 > 400);
}

#[test]
fn a_publisher_that_moves_to_another_worker_keeps_its_subscribers_everywhere() {
    let mut world = meeting(81, 3, &[0, 1, 2]);
    for (up, down) in &mut world.pipes {
        (up.latency, down.latency) = (Duration::from_millis(1), Duration::from_millis(1));
    }
    world.run(1_000);
    for node in [1, 2, 0] {
        world.move_all(&[0], node);
        world.run(500);
        for client in 1..4 {
            assert_flows(&mut world, client);
        }
    }
    for client in 1..4 {
        assert_decodable(&in_order(&world.clients[client].of(TrackKey(11))));
    }
}

#[test]
fn a_worker_that_begins_anew_is_served_again_and_serves_again() {
    let mut world = meeting(82, 2, &[0, 1]);
    world.nodes[1].core.begin_anew();
    world.home[2] = None;
    world.clients[2].gone = true;
    world.run(500);
    assert_flows(&mut world, 1);
    let handed = world.inspect(0).packets_handed;
    world.run(500);
    assert_eq!(world.inspect(0).packets_handed, handed, "nobody there wants anything");
    let client = world.join(1, 1, false);
    assert!(world.run_until(5_000, |world| world.clients[client].srtp.is_some()));
    world.subscribe(client, 10, Kind::Audio);
    world.subscribe(client, 11, Kind::Video);
    world.run(1_500);
    assert_flows(&mut world, client);
    assert_sound(&world, client);
}

#[test]
fn no_nonce_is_used_twice_and_media_goes_on_whoever_moves_where() {
    for seed in 0..20 {
        let mut world = meeting(900 + seed, 3, &[0, 1, 2]);
        for (up, down) in &mut world.pipes {
            (up.loss, down.loss) = (0.03, 0.05);
            (up.jitter, down.jitter) = (Duration::from_millis(8), Duration::from_millis(8));
        }
        for _ in 0..25 {
            let client = world.random.random_range(0..4);
            match world.random.random_range(0..6) {
                0 => {
                    let (layer, enabled) = (world.random.random_range(0..3), world.random.random_bool(0.8));
                    world.prefer(client.max(1), 11, layer, enabled);
                }
                1 => {
                    let (track, muted) = (world.random.random_range(10..12), world.random.random_bool(0.3));
                    world.mute(0, track, muted);
                }
                2 => {
                    let ssrc = world.fresh_ssrc();
                    world.clients[0].streams[3].change_ssrc(ssrc);
                }
                _ => {
                    let (from, to) = (world.home[client], world.random.random_range(0..3));
                    if from == Some(world.clients[client].node) && from != Some(to) {
                        world.move_all(&[client], to);
                    }
                }
            }
            let pause = world.random.random_range(5..300);
            world.run(pause);
        }
        for (up, down) in &mut world.pipes {
            (up.loss, down.loss) = (0.0, 0.0);
        }
        world.mute(0, 10, false);
        world.mute(0, 11, false);
        for client in 1..4 {
            world.prefer(client, 11, 2, true);
        }
        world.run(4_000);
        for client in 1..4 {
            assert_flows(&mut world, client);
            assert_eq!(world.clients[client].of(TrackKey(11)).last().unwrap().layer(), 2, "seed {seed}");
        }
    }
}
