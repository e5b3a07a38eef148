//! A thin link: the estimate lowers the layer before the queue overflows, and finds the way back.

use super::*;
use crate::codec::Kind;
use crate::command::MediaEvent;

fn thin(allow_pause: bool, rate: u64) -> World {
    thin_for(None, allow_pause, rate)
}

/// A link that turns thin; the client and the node say whether streams may be paused.
fn thin_for(client: Option<bool>, node: bool, rate: u64) -> World {
    let mut world = World::with(31, 2, |config| config.allow_pause = node);
    world.allow_pause = client;
    world.connected(2);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 11, Kind::Video);
    world.run(5_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 2, "a wide link carries the best layer");
    world.pipes[1].1.rate = Some(rate);
    world.pipes[1].1.queue = std::time::Duration::from_millis(600);
    world
}

#[test]
fn a_link_of_400_kbit_lowers_the_layer_and_recovers() {
    let mut world = thin(false, 400_000);
    world.run(4_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 0, "128 of 400 kbit/s");
    let (dropped, carried) = (world.pipes[1].1.dropped, world.pipes[1].1.carried);
    world.run(10_000);
    let pipe = &world.pipes[1].1;
    let (dropped, carried) = (pipe.dropped - dropped, pipe.carried - carried);
    assert!(dropped * 50 <= carried, "{dropped} of {} lost once settled", dropped + carried);
    assert!(!world.has(|event| matches!(event, MediaEvent::StreamPaused { .. })), "pausing is not allowed");
    world.pipes[1].1.rate = None;
    world.run(30_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 2, "{:?}", world.inspect(0).peer_details[1]);
}

#[test]
fn a_stream_is_paused_only_where_allowed_and_comes_back() {
    let mut world = thin(true, 70_000);
    world.run(15_000);
    assert!(world.has(|event| matches!(event, MediaEvent::StreamPaused { paused: true, .. })));
    world.pipes[1].1.rate = None;
    world.run(40_000);
    assert!(world.has(|event| matches!(event, MediaEvent::StreamPaused { paused: false, .. })));
    let told = world.events.iter().rev().find_map(|event| match event {
        MediaEvent::StreamPaused { paused, .. } => Some(*paused),
        _ => None,
    });
    assert_eq!(told, Some(false), "and stays");
    let last = world.clients[1].received.last().unwrap().at;
    assert!(world.now - world.start - last < std::time::Duration::from_millis(300), "it flows again");
}

#[test]
fn the_word_of_a_client_on_pauses_counts_more_than_the_nodes_and_moves_along() {
    let paused = |world: &World| world.has(|event| matches!(event, MediaEvent::StreamPaused { paused: true, .. }));
    for allowed in [true, false] {
        let mut world = thin_for(Some(allowed), !allowed, 70_000);
        world.move_all(&[0, 1], 1);
        world.run(15_000);
        assert_eq!(paused(&world), allowed);
    }
}
