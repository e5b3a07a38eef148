//! Loss, delay, reordering and duplication on either side.

use super::*;
use crate::codec::Kind;
use crate::id::TrackKey;
use crate::packet::rtcp;
use std::time::Duration;

#[test]
fn five_per_cent_loss_on_the_way_in_leaves_all_layers_whole() {
    let mut world = World::new(21);
    world.connected(2);
    world.pipes[0].0 =
        world::Pipe { loss: 0.05, jitter: Duration::from_millis(8), duplicate: 0.02, ..Default::default() };
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 11, Kind::Video);
    world.run(10_000);
    world.pipes[0].0.loss = 0.0;
    world.run(500);
    let snapshot = world.inspect(0);
    let layers = &snapshot.peer_details[0].layers;
    assert_eq!(layers.len(), 3);
    for layer in layers {
        assert!(layer.packets > 180 && layer.recovered > 3, "{layer:?}");
        assert_eq!(layer.missing, 0, "{layer:?}");
    }
    let packets = in_order(&world.clients[1].received);
    assert!(packets.len() > 500);
    assert_decodable(&packets);
}

#[test]
fn five_per_cent_loss_on_the_way_out_is_repaired_by_rtx() {
    let mut world = World::new(22);
    world.connected(2);
    world.publish_video(0, 11, &[]);
    world.publish_audio(0, 10);
    world.subscribe(1, 11, Kind::Video);
    world.subscribe(1, 10, Kind::Audio);
    world.pipes[1].1 =
        world::Pipe { loss: 0.05, jitter: Duration::from_millis(8), duplicate: 0.02, ..Default::default() };
    world.run(10_000);
    world.pipes[1].1.loss = 0.0;
    world.run(500);
    let video = world.clients[1].of(TrackKey(11));
    assert!(video.iter().filter(|packet| packet.recovered).count() >= 5);
    assert_decodable(&in_order(&video));
    assert!(world.clients[1].of(TrackKey(10)).len() > 440, "audio has no repair but goes on");
    assert!(world.clients[0].told.key_requests < 8, "{:?}", world.clients[0].told);
}

#[test]
fn twenty_per_cent_both_ways_makes_no_storm() {
    let mut world = World::new(23);
    world.connected(2);
    for (up, down) in &mut world.pipes {
        (up.loss, down.loss) = (0.2, 0.2);
    }
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 10, Kind::Audio);
    world.subscribe(1, 11, Kind::Video);
    world.run(10_000);
    assert!(world.clients[1].of(TrackKey(10)).len() > 280, "audio stays");
    for stream in &world.clients[0].streams {
        assert!(stream.key_requests <= 25, "layer {} was asked {} times in 10 s", stream.layer, stream.key_requests);
    }
    let snapshot = world.inspect(0);
    assert!(snapshot.retransmissions < snapshot.packets_forwarded / 2, "{snapshot:?}");
}

#[test]
fn a_nack_storm_is_answered_within_bounds() {
    let mut world = World::new(24);
    world.connected(2);
    world.publish_video(0, 11, &[]);
    let ssrc = world.subscribe(1, 11, Kind::Video);
    world.run(5_000);
    let before = world.inspect(0);
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for _ in 0..20 {
        for names in all.chunks(17 * 30) {
            let mut nack = Vec::new();
            rtcp::nack(&mut nack, 1, ssrc, names);
            world.clients[1].send_rtcp(nack);
        }
        world.run(20);
    }
    let after = world.inspect(0);
    let answered = after.retransmissions - before.retransmissions;
    assert!(answered > 0 && answered < 1_500, "{answered} answers");
    let forwarded = after.packets_forwarded;
    world.run(1_000);
    assert!(world.inspect(0).packets_forwarded > forwarded + 15, "media goes on");
}

#[test]
fn forty_of_forty_connect_at_25_per_cent_loss() {
    let mut world = World::new(25);
    for _ in 0..40 {
        let client = world.join(0, 1, false);
        (world.pipes[client].0.loss, world.pipes[client].1.loss) = (0.25, 0.25);
    }
    assert!(world.run_until(15_000, |world| world.clients.iter().all(|client| client.srtp.is_some())));
}
