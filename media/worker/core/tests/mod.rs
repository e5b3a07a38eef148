//! Stories of a whole worker core in virtual time: clients, a lossy network and one or two cores, without sockets.

mod browser;
mod client;
mod congestion;
mod handover;
mod hostile;
mod layers;
mod lifecycle;
mod load;
mod loss;
mod media;
mod observer;
mod repair;
mod sender;
mod spread;
mod world;

use client::Received;
use world::{VIDEO_LAYERS, World};

/// Packets of one subscription in the order of their numbers.
fn in_order(received: &[Received]) -> Vec<&Received> {
    let mut packets: Vec<&Received> = received.iter().collect();
    packets.sort_by_key(|packet| packet.sequence);
    packets
}

/// Every number between the first and the last has arrived exactly once.
fn assert_whole(packets: &[&Received]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "a hole or a repeat before {:?}", pair[1].at);
    }
}

/// A decoder could follow: whole, time never goes back, picture ids count, layers change at key frames only.
fn assert_decodable(packets: &[&Received]) {
    assert_whole(packets);
    for pair in packets.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        let step = other.timestamp.wrapping_sub(one.timestamp).cast_signed();
        let pictures = other.picture_id().wrapping_sub(one.picture_id()) & 0x7fff;
        if one.marker {
            assert!(step > 0 && step < 90_000 * 20, "timestamp steps by {step}");
            assert_eq!(pictures, 1, "picture id {} follows {}", other.picture_id(), one.picture_id());
            assert!(other.starts_frame());
        } else {
            assert_eq!((step, pictures), (0, 0), "one frame, one time");
        }
        if other.layer() != one.layer() {
            assert!(other.is_key() && other.starts_frame(), "layer changed without a key frame");
        }
    }
}
