//! Simulcast: which layer is sent, and that a switch cannot be seen in the numbers.

use super::*;
use crate::codec::Kind;
use crate::command::MediaEvent;
use crate::id::TrackKey;

fn simulcast(seed: u64) -> World {
    let mut world = World::new(seed);
    world.connected(2);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 11, Kind::Video);
    world.run(4_000);
    world
}

#[test]
fn all_layers_start_and_the_best_is_sent() {
    let world = simulcast(1);
    for layer in 0..3 {
        let started = |event: &MediaEvent| matches!(event, MediaEvent::LayerStarted { layer: of, .. } if *of == layer);
        assert_eq!(world.events.iter().filter(|event| started(event)).count(), 1);
    }
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 2);
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn preference_switches_layers_at_key_frames_with_unbroken_numbers() {
    let mut world = simulcast(2);
    for (step, wanted) in [0, 2, 1, 0, 1, 2, 0, 2].into_iter().enumerate() {
        world.prefer(1, 11, wanted, true);
        world.run(2_500);
        assert_eq!(world.clients[1].received.last().unwrap().layer(), wanted, "step {step}");
    }
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn a_disabled_subscription_is_silent_and_resumes_at_a_key_frame() {
    let mut world = simulcast(3);
    world.prefer(1, 11, 2, false);
    world.run(100);
    let before = world.clients[1].received.len();
    world.run(2_000);
    assert_eq!(world.clients[1].received.len(), before);
    assert!(!world.has(|event| matches!(event, MediaEvent::StreamPaused { .. })), "what nobody wants is not congested");
    world.prefer(1, 11, 1, true);
    world.run(2_500);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 1);
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn a_layer_that_falls_silent_is_replaced_by_one_that_flows() {
    let mut world = simulcast(4);
    world.clients[0].streams[2].active = false;
    world.run(4_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 1);
    world.clients[0].streams[2].active = true;
    world.run(4_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 2);
    assert_decodable(&in_order(&world.clients[1].received));
}

#[test]
fn two_subscribers_get_different_layers_of_one_track() {
    let mut world = simulcast(5);
    world.join(0, 1, false);
    assert!(world.run_until(5_000, |world| world.clients[2].srtp.is_some()));
    world.subscribe(2, 11, Kind::Video);
    world.prefer(2, 11, 0, true);
    world.run(3_000);
    assert_eq!(world.clients[1].received.last().unwrap().layer(), 2);
    assert_eq!(world.clients[2].received.last().unwrap().layer(), 0);
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
    assert_decodable(&in_order(&world.clients[2].of(TrackKey(11))));
}
