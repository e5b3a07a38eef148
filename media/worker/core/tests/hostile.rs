//! Attackers around live peers: no panic, bounded tables, an undisturbed meeting.

use super::*;
use crate::codec::Kind;
use crate::id::TrackKey;
use crate::packet::RtpSeal;
use crate::transport::testing;
use rand::Rng;
use std::net::SocketAddr;

fn meeting(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..2 {
        world.join(0, 1, true);
    }
    assert!(world.run_until(10_000, |world| world.clients.iter().all(|client| client.srtp.is_some())));
    world.publish_audio(0, 10);
    world.publish_video(0, 11, &VIDEO_LAYERS);
    world.subscribe(1, 10, Kind::Audio);
    world.subscribe(1, 11, Kind::Video);
    world.run(2_000);
    world
}

fn assert_undisturbed(world: &mut World) {
    let (audio, video) = (world.clients[1].of(TrackKey(10)).len(), world.clients[1].of(TrackKey(11)).len());
    world.run(2_000);
    assert!(world.clients[1].of(TrackKey(10)).len() >= audio + 95);
    assert!(world.clients[1].of(TrackKey(11)).len() >= video + 200);
    assert_whole(&in_order(&world.clients[1].of(TrackKey(10))));
    assert_decodable(&in_order(&world.clients[1].of(TrackKey(11))));
}

fn stranger(number: u32) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, (number % 250) as u8], 1_024 + (number % 60_000) as u16))
}

/// Datagrams as they pass the wire in a live meeting, of every class.
fn samples(world: &World) -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    let name = format!("{}:{}", world.clients[1].remote.ufrag, world.clients[1].local.ufrag);
    samples.push(testing::check([9; 12], &name, "wrong password", false));
    samples.push(testing::check([8; 12], "nobody:else", "wrong password", true));
    samples.push(testing::answer([7; 12], stranger(1), "wrong password"));
    let mut hello = testing::dtls_client(world.now);
    samples.append(&mut hello.out);
    // An application record, an alert and a change of cipher under epoch 1.
    for kind in [23, 21, 20, 22, 25] {
        samples.push([&[kind, 254, 253, 0, 1, 0, 0, 0, 0, 1, 0, 0, 60][..], &[0x5a; 60]].concat());
    }
    let mut rtp = vec![0x90, 96, 1, 2, 0, 0, 0, 0, 0, 0, 0x20, 7, 0xbe, 0xde, 0, 2, 0x31, 0, 1, 0x40, 0x31, 0, 0, 0];
    rtp.extend_from_slice(&[0x33; 200]);
    samples.push(rtp);
    let mut rtcp = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    rtcp.extend_from_slice(&[0x11; 60]);
    samples.push(rtcp);
    samples
}

#[test]
fn mutated_datagrams_of_every_class_from_everywhere_change_nothing() {
    let mut world = meeting(71);
    let samples = samples(&world);
    let refused = world.inspect(0).datagrams_refused;
    let victims = [world.clients[0].address, world.clients[1].address];
    for round in 0..20_000_u32 {
        let mut bytes = samples[world.random.random_range(0..samples.len())].clone();
        for _ in 0..world.random.random_range(0..4) {
            let at = world.random.random_range(0..bytes.len());
            bytes[at] = world.random.random();
        }
        match world.random.random_range(0..8) {
            0 => bytes.truncate(world.random.random_range(0..bytes.len())),
            1 => bytes.resize(world.random.random_range(bytes.len()..2_000), 0xff),
            2 => bytes = (0..world.random.random_range(0..100)).map(|_| world.random.random()).collect(),
            _ => {}
        }
        let from = if round % 3 == 0 { stranger(round) } else { victims[round as usize % 2] };
        world.inject(0, from, bytes);
        if round % 100 == 0 {
            world.step();
        }
    }
    let snapshot = world.inspect(0);
    assert_eq!((snapshot.peers, snapshot.tracks, snapshot.subscriptions), (2, 2, 2));
    assert!(snapshot.paths <= 2, "only authentic paths count");
    assert!(snapshot.datagrams_refused > refused + 1_000);
    assert!(world.nodes[0].core.rooms.len() <= 1 && world.nodes[0].core.by_ufrag.len() == 2);
    assert_undisturbed(&mut world);
}

#[test]
fn ten_thousand_forged_ssrcs_leave_no_state() {
    let mut world = meeting(72);
    let from = world.clients[0].address;
    for ssrc in 0..10_000_u32 {
        let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
        packet.extend_from_slice(&ssrc.wrapping_mul(0x9e37_79b1).to_be_bytes());
        packet.extend_from_slice(&[7; 60]);
        world.inject(0, from, packet);
    }
    assert_eq!(world.inspect(0).peer_details[0].layers.len(), 4);
    assert_undisturbed(&mut world);
}

#[test]
fn a_publisher_that_really_seals_ten_thousand_ssrcs_stays_bounded() {
    let mut world = meeting(73);
    let sealer = world.clients[0].srtp.as_ref().unwrap().sealer();
    let from = world.clients[0].address;
    for number in 0..10_000_u32 {
        // Named as the middle layer, each under its own SSRC.
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0];
        packet.extend_from_slice(&(0x7000_0000 + number).to_be_bytes());
        packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x41, b'1', b'1', 0xa0, b'h', 0, 0, 0]);
        let header = packet.len();
        packet.extend_from_slice(&crate::egress::testing::vp8_payload(true, 1, 1, 0, true, &[1; 60]));
        packet.resize(packet.len() + sealer.overhead(), 0);
        sealer.seal(&mut packet, header, 1);
        world.inject(0, from, packet);
        if number % 50 == 0 {
            world.step();
        }
    }
    let snapshot = world.inspect(0);
    assert!(snapshot.peer_details[0].layers.len() <= 4, "{}", snapshot.peer_details[0].layers.len());
    assert!(world.nodes[0].core.tracks.iter().all(|(_, track)| track.sources.len() <= 3));
    let started = world.events.iter().filter(|event| matches!(event, crate::command::MediaEvent::LayerStarted { .. }));
    assert!(started.count() < 200, "events of one peer are bounded");
    let audio = world.clients[1].of(TrackKey(10)).len();
    world.run(1_000);
    assert!(world.clients[1].of(TrackKey(10)).len() >= audio + 48, "its audio is not harmed");
}

#[test]
fn a_participant_that_forges_the_address_of_another_does_not_take_its_path() {
    let mut world = meeting(74);
    world.join(0, 1, false);
    assert!(world.run_until(5_000, |world| world.clients[2].srtp.is_some()));
    let (victim, attacker) = (world.clients[1].address, &world.clients[2]);
    let name = format!("{}:{}", attacker.remote.ufrag, attacker.local.ufrag);
    let password = attacker.remote.pwd.clone();
    for round in 0..200_u8 {
        // Authentic, but sent with the victim's source address.
        world.inject(0, victim, testing::probe([round; 12], &name, &password));
        world.run(10);
    }
    assert_eq!(
        world.nodes[0].core.by_path.values().filter(|owner| **owner == 1).count(),
        1,
        "the victim keeps its path"
    );
    let video = world.clients[1].of(TrackKey(11)).len();
    let reports = world.clients[0].told.receiver_reports;
    world.run(2_000);
    assert!(world.clients[1].of(TrackKey(11)).len() >= video + 200);
    assert!(world.clients[0].told.receiver_reports > reports);
}

#[test]
fn an_address_that_changes_hands_serves_its_new_owner() {
    let mut world = meeting(75);
    let address = world.clients[1].address;
    // The first owner has gone without a word; NAT gives its address to a newcomer.
    world.clients[1].silent = true;
    world.rebind(1, 9);
    let late = world.join(0, 1, false);
    world.adopt_address(late, address);
    assert!(world.run_until(20_000, |world| world.clients[late].srtp.is_some()), "the newcomer connects");
}

#[test]
fn oversized_and_empty_datagrams_are_counted_drops() {
    let mut world = meeting(76);
    let from = world.clients[0].address;
    for first in 0..=255_u8 {
        for size in [1, 2, 11, 12, 20, 1_500, 9_000, 65_000] {
            let mut bytes = vec![0x80; size];
            bytes[0] = first;
            world.inject(0, from, bytes.clone());
            world.inject(0, stranger(u32::from(first)), bytes);
        }
        world.inject(0, from, Vec::new());
    }
    assert_undisturbed(&mut world);
}

#[test]
fn a_participant_that_seals_garbage_harms_nobody_else() {
    let mut world = meeting(77);
    world.join(0, 1, false);
    assert!(world.run_until(5_000, |world| world.clients[2].srtp.is_some()));
    world.publish_video(2, 12, &VIDEO_LAYERS);
    world.subscribe(1, 12, Kind::Video);
    world.subscribe(2, 11, Kind::Video);
    world.run(1_000);
    let sealer = world.clients[2].srtp.as_ref().unwrap().sealer();
    let (from, own) = (world.clients[2].address, world.clients[2].senders[0].ssrc);
    let targets: Vec<(u32, u64)> = world.clients[2].streams.iter().map(|it| (it.ssrc, it.index + 10)).collect();
    world.clients[2].streams.clear();
    for round in 0..20_000_u64 {
        let (ssrc, first) = targets[world.random.random_range(0..targets.len())];
        let (ssrc, pt) = if world.random.random_bool(0.3) { (ssrc + 0x10_0000, 97) } else { (ssrc, 96) };
        let index = first + round + world.random.random_range(0..50);
        let mut packet = vec![0x90 | (world.random.random::<u8>() & 0x20), world.random.random::<u8>() & 0x80 | pt];
        packet.extend_from_slice(&(index as u16).to_be_bytes());
        packet.extend_from_slice(&world.random.random::<u32>().to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        let profile = if world.random.random_bool(0.5) { [0xbe, 0xde] } else { [0x10, 0x00] };
        let words = world.random.random_range(0..8_u8);
        packet.extend_from_slice(&profile);
        packet.extend_from_slice(&[0, words]);
        packet.extend((0..usize::from(words) * 4).map(|_| world.random.random::<u8>()));
        let header = packet.len();
        let mut payload =
            crate::egress::testing::vp8_payload(true, round as u16, round as u8, 0, round % 9 == 0, &[1; 40]);
        for _ in 0..world.random.random_range(0..4) {
            let at = world.random.random_range(0..payload.len().min(12));
            payload[at] = world.random.random();
        }
        payload.truncate(world.random.random_range(0..=payload.len()));
        packet.append(&mut payload);
        packet.resize(packet.len() + sealer.overhead(), 0);
        sealer.seal(&mut packet, header, index);
        world.inject(0, from, packet);
        if round % 10 == 0 {
            let mut rtcp = Vec::new();
            crate::packet::rtcp::sender_report(&mut rtcp, own, round << 40, 1, (1, 1), Some("x"));
            crate::packet::rtcp::nack(&mut rtcp, 1, own, &[round as u16, 9, 700]);
            crate::packet::rtcp::remb(&mut rtcp, 1, round, &[own]);
            crate::packet::rtcp::fir(&mut rtcp, 1, own, round as u8);
            for _ in 0..world.random.random_range(0..6) {
                let at = world.random.random_range(0..rtcp.len());
                rtcp[at] = world.random.random();
            }
            rtcp[..4].copy_from_slice(&[0x80, 200, 0, 6]);
            world.clients[2].send_rtcp(rtcp);
            world.step();
        }
    }
    world.run(500);
    let layers = world.inspect(0).peer_details[2].layers.len();
    assert!(layers <= 3, "{layers}");
    assert!(world.nodes[0].core.tracks.iter().all(|(_, track)| track.sources.len() <= 3));
    world.unsubscribe(1, 12);
    world.run(3_000);
    assert_undisturbed(&mut world);
}
