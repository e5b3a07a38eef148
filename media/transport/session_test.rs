//! Whole sessions against a client of rtc-dtls and rtc-sctp: loss, hostile input, hand-over.

use std::time::Duration;

use proptest::prelude::*;
use rtc_sctp::PayloadProtocolIdentifier as Protocol;

use super::dcep::Reliability;
use super::handshake::VIRTUAL_PEER;
use super::peer_test::*;
use super::*;
use crate::packet::RtpSeal;

#[test]
fn reliable_data_arrives_both_ways_whole_and_in_order_at_10_percent_loss() {
    for seed in 1..=8 {
        let mut net = Net::new(false);
        net.loss = 10;
        net.seed(seed);
        assert!(net.run(20, |net| net.client.up && net.server.is_connected()), "seed {seed}");
        net.client.open(net.now, 0, "_reliable", Reliability::RELIABLE);
        assert!(net.run(20, |net| net.has(&TransportEvent::ChannelOpen(Channel::Reliable))), "seed {seed}");
        for number in 0..40u8 {
            net.client.write(net.now, 0, &vec![number; 3_000], Protocol::Binary);
            net.server.send_data(net.now, Channel::Reliable, &vec![number; 3_000]).unwrap();
        }
        let of_client = |net: &Net| net.client.messages.iter().filter(|(_, kind, _)| *kind == Protocol::Binary).count();
        assert!(net.run(60, |net| net.received(Channel::Reliable).len() == 40 && of_client(net) == 40), "seed {seed}");
        assert!(net.received(Channel::Reliable).iter().zip(0..).all(|(bytes, number)| **bytes == vec![number; 3_000]));
    }
}

#[test]
fn the_server_opens_its_channels_on_odd_streams() {
    let mut net = Net::new(true);
    assert!(net.run(5, |net| Channel::ALL.iter().all(|channel| net.has(&TransportEvent::ChannelOpen(*channel)))));
    let opens: Vec<u16> = net.client.messages.iter().filter(|(_, _, bytes)| bytes[0] == 3).map(|one| one.0).collect();
    assert_eq!(opens, [1, 3, 5]);
    net.server.send_data(net.now, Channel::DataTrack, b"hello").unwrap();
    net.server.send_data(net.now, Channel::Lossy, b"").unwrap();
    assert!(net.run(2, |net| net.client.messages.contains(&(3, Protocol::BinaryEmpty, vec![0]))));
    assert!(net.client.messages.contains(&(5, Protocol::Binary, b"hello".to_vec())));
    net.client.write(net.now, 1, b"up", Protocol::Binary);
    assert!(net.run(2, |net| net.received(Channel::Reliable) == [b"up"]));
}

#[test]
fn no_handshake_sticks_at_25_percent_loss() {
    let mut slowest = Duration::ZERO;
    for seed in 1..=60 {
        let mut net = Net::with(&[SHA1, GCM], if seed % 2 == 0 { 400 } else { 1_200 }, false, true);
        net.answer();
        net.loss = 25;
        net.seed(seed);
        let begin = net.now;
        assert!(net.run(30, |net| net.client.complete && net.server.is_connected()), "seed {seed}");
        slowest = slowest.max(net.now - begin);
    }
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");
}

#[test]
fn a_hello_before_the_answer_is_held_and_served_at_once() {
    let mut net = Net::with(&[SHA1, GCM], 1_200, false, true);
    assert!(!net.run(3, |net| net.server.is_connected()));
    assert!(net.server.drops().dtls > 0, "what is held is bounded");
    net.answer();
    let answered = net.now;
    assert!(net.run(5, |net| net.server.is_connected()));
    assert!(net.now - answered < Duration::from_millis(300), "{:?}", net.now - answered);
}

#[test]
fn a_fragmented_hello_still_gets_gcm_and_every_profile_is_chosen_right() {
    let cases: [(&[u16], usize, bool, SrtpProfile); 4] = [
        (&[SHA1, 8, GCM], 120, true, SrtpProfile::AeadAes128Gcm),
        (&[GCM], 1_200, true, SrtpProfile::AeadAes128Gcm),
        (&[SHA1], 1_200, true, SrtpProfile::Aes128CmSha1_80),
        (&[SHA1, GCM], 1_200, false, SrtpProfile::Aes128CmSha1_80),
    ];
    for (profiles, mtu, gcm, expected) in cases {
        let mut net = Net::with(profiles, mtu, false, gcm);
        if mtu == 120 {
            assert!(net.client.out.len() > 1, "the hello must be fragmented");
        }
        net.answer();
        assert!(net.run(5, |net| net.server.is_connected() && net.client.complete));
        assert_eq!(net.server.dtls.session().unwrap().profile, expected);
        srtp_flows(&mut net, expected);
    }
}

/// The client's own exporter feeds rtc-srtp, which must understand us and be understood.
fn srtp_flows(net: &mut Net, profile: SrtpProfile) {
    use rtc_srtp::context::Context;
    use rtc_srtp::protection_profile::ProtectionProfile;
    let (theirs, salt) = match profile {
        SrtpProfile::AeadAes128Gcm => (ProtectionProfile::AeadAes128Gcm, 12),
        SrtpProfile::Aes128CmSha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, 14),
    };
    let state = net.client.dtls.get_connection_state(VIRTUAL_PEER).unwrap();
    let material = state.export_keying_material(SRTP_LABEL, &[], 32 + 2 * salt).unwrap();
    let material = material.as_ref();
    let provider = rtc_crypto::default_provider().unwrap();
    let context = |key: usize, at: usize| {
        Context::new(&material[key..key + 16], &material[at..at + salt], theirs, None, None, provider.crypto()).unwrap()
    };
    let (mut local, mut remote) = (context(0, 32), context(16, 32 + salt));
    let packet = [&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..], b"payload"].concat();
    let mut inbound = local.encrypt_rtp(&packet).unwrap().to_vec();
    let length = net.server.open_rtp(&mut inbound, 12).unwrap();
    assert_eq!(inbound[..length], packet);
    let sealer = net.server.rtp_sealer().unwrap();
    let mut outbound = packet.clone();
    outbound.resize(packet.len() + sealer.overhead(), 0);
    sealer.seal(&mut outbound, 12, 1);
    assert_eq!(remote.decrypt_rtp(&outbound).unwrap().to_vec(), packet);
    let mut control = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    net.server.seal_rtcp(&mut control).unwrap();
    assert_eq!(remote.decrypt_rtcp(&control).unwrap().to_vec(), [0x80, 201, 0, 1, 0, 0, 0, 9]);
}

#[test]
fn another_certificate_than_signalled_fails_the_handshake() {
    let mut net = Net::with(&[GCM], 1_200, false, true);
    net.server.set_remote(RemoteTransport {
        ice: credentials("client"),
        fingerprint: server_certificate().fingerprint(),
        setup: Setup::Active,
        sctp_port: None,
    });
    assert!(net.run(5, |net| net.has(&TransportEvent::Closed(PeerEnd::HandshakeFailed))));
    assert!(!net.has(&TransportEvent::Connected) && !net.server.is_connected());
    assert_eq!(net.server.poll_timeout(), None);
}

#[test]
fn a_changed_fingerprint_or_a_passive_peer_ends_the_transport() {
    let mut net = connected();
    net.answer();
    assert!(net.server.is_connected(), "the same description again changes nothing");
    let mut remote = RemoteTransport {
        ice: credentials("client"),
        fingerprint: server_certificate().fingerprint(),
        setup: Setup::Active,
        sctp_port: None,
    };
    net.server.set_remote(remote.clone());
    assert_eq!(net.server.poll_event(), Some(TransportEvent::Closed(PeerEnd::HandshakeFailed)));
    let mut net = Net::with(&[GCM], 1_200, false, true);
    remote.setup = Setup::Passive;
    net.server.set_remote(remote);
    net.step();
    assert!(net.has(&TransportEvent::Closed(PeerEnd::HandshakeFailed)));
}

#[test]
fn close_notify_ends_the_transport_and_nothing_is_fed_afterwards() {
    let mut net = with_channels();
    net.client.dtls.close(net.now).unwrap();
    let bye: Vec<_> = std::iter::from_fn(|| net.client.dtls.poll_transmit()).map(|one| one.message.to_vec()).collect();
    for datagram in &bye {
        net.server.handle_dtls(net.now, path(), datagram);
    }
    assert_eq!(net.server.poll_event(), Some(TransportEvent::Closed(PeerEnd::Closed)));
    assert!(net.server.poll_transmit().is_some(), "our close_notify");
    let mut fresh = Client::new(net.now, &[GCM], 1_200);
    for datagram in std::mem::take(&mut fresh.out) {
        net.server.handle_dtls(net.now, path(), &datagram);
    }
    assert!(net.server.poll_transmit().is_none() && net.server.poll_event().is_none());
    assert_eq!(net.server.send_data(net.now, Channel::Reliable, b"x"), Err(SendDataError::NotOpen(Channel::Reliable)));
    assert!(net.server.export().is_none());
}

#[test]
fn our_own_close_reaches_the_peer() {
    let mut net = connected();
    net.server.close();
    let (_, bye) = net.server.poll_transmit().unwrap();
    let events = net.client.dtls.read(net.now, VIRTUAL_PEER, None, bye[..].into()).unwrap();
    assert!(matches!(events[..], [rtc_dtls::endpoint::EndpointEvent::PeerClosed]));
}

/// A handshake fragment in the clear, as anyone on the path can make it.
fn junk(number: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![22, 254, 253, 0, 0, 0, 0, 0, 9];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&((12 + body.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&[11, 1, 0x86, 0xa0, 0, (number % 50) as u8, 0, 0x13, 0x88]);
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn handshake_junk_after_completion_is_answered_a_few_times_and_harms_nothing() {
    let mut net = connected();
    let before = net.server.drops().dtls;
    let mut sent = 0;
    for number in 0..2_500 {
        net.server.handle_dtls(net.now, path(), &junk(number, &[0; 1_200]));
        sent += std::iter::from_fn(|| net.server.poll_transmit()).count();
    }
    assert!(sent <= 2 * limits::LATE_HANDSHAKE_DATAGRAMS as usize, "{sent}");
    assert!(net.server.drops().dtls - before > 2_000);
    net.client.open(net.now, 0, "_reliable", Reliability::RELIABLE);
    net.client.write(net.now, 0, b"still here", Protocol::Binary);
    assert!(net.run(5, |net| net.received(Channel::Reliable) == [b"still here"]));
}

#[test]
fn a_handshake_beyond_its_budget_is_given_up() {
    let mut net = Net::new(false);
    for datagram in std::mem::take(&mut net.client.out) {
        net.server.handle_dtls(net.now, path(), &datagram);
    }
    for number in 0..limits::HANDSHAKE_RECORDS as u16 {
        net.server.handle_dtls(net.now, path(), &junk(number, &[1]));
    }
    let events: Vec<_> = std::iter::from_fn(|| net.server.poll_event()).collect();
    assert_eq!(events.last(), Some(&TransportEvent::Closed(PeerEnd::HandshakeFailed)));
}

#[test]
fn one_that_never_connects_and_one_that_falls_silent_are_given_up() {
    let mut net = Net::with(&[GCM], 1_200, false, true);
    let begin = net.now;
    net.loss = 100;
    // Without a remote description only the session bounds it; the time to connect runs from then on.
    let remote = credentials("client");
    net.server.ice.set_remote(remote);
    assert!(net.run(70, |net| net.has(&TransportEvent::Closed(PeerEnd::ConsentExpired))));
    assert_eq!((net.now - begin).as_secs(), limits::CONNECT_TIMEOUT.as_secs());
    let mut net = connected();
    let mut now = net.now;
    while let Some(at) = net.server.poll_timeout() {
        now = now.max(at);
        assert!(now < net.now + Duration::from_secs(40));
        net.server.handle_timeout(now);
        while net.server.poll_transmit().is_some() {}
    }
    let last = std::iter::from_fn(|| net.server.poll_event()).last();
    assert_eq!(last, Some(TransportEvent::Closed(PeerEnd::ConsentExpired)));
}

#[test]
fn unknown_and_surplus_channels_are_bounded_and_their_data_is_dropped() {
    let mut net = connected();
    net.client.open(net.now, 0, "chat", Reliability::RELIABLE);
    net.client.write(net.now, 0, b"x", Protocol::String);
    for id in 1..=20 {
        net.client.open(net.now, id, "_lossy", Reliability::LOSSY);
    }
    net.client.write(net.now, 1, b"y", Protocol::Binary);
    assert!(net.run(5, |net| net.received(Channel::Lossy) == [b"y"]));
    net.run(1, |_| false);
    let acks = net.client.messages.iter().filter(|(_, _, bytes)| bytes[..] == [2]).count();
    assert_eq!(acks, limits::MAX_CHANNELS);
    assert!(net.server.drops().sctp >= 1);
    let opened = net.events.iter().filter(|event| matches!(event, TransportEvent::ChannelOpen(_))).count();
    assert_eq!(opened, 1);
}

#[test]
fn sending_names_the_limit_it_meets() {
    let mut net = with_channels();
    let (now, server) = (net.now, &mut net.server);
    assert_eq!(server.send_data(now, Channel::DataTrack, b"x"), Err(SendDataError::NotOpen(Channel::DataTrack)));
    let large = vec![0; limits::MAX_MESSAGE + 1];
    assert_eq!(
        server.send_data(now, Channel::Reliable, &large),
        Err(SendDataError::TooLarge { size: limits::MAX_MESSAGE + 1 })
    );
    for (channel, limit) in [(Channel::Lossy, limits::LOSSY_BUFFER), (Channel::Reliable, limits::RELIABLE_BUFFER)] {
        let full = (0..1_000).find_map(|_| server.send_data(now, channel, &large[..60_000]).err());
        assert_eq!(full, Some(SendDataError::Full { channel, limit }));
    }
}

#[test]
fn an_sctp_abort_closes_the_channels_and_the_peer_may_begin_anew() {
    let mut net = with_channels();
    let tag: [u8; 4] = net.client.packets.last().unwrap()[4..8].try_into().unwrap();
    let abort = [&[0x13, 0x88, 0x13, 0x88][..], &tag, &[0; 4], &[6, 0, 0, 8, 0, 12, 0, 1]].concat();
    net.client.inject(net.now, &abort);
    assert!(net.run(1, |net| net.has(&TransportEvent::ChannelClosed(Channel::Reliable))));
    assert!(net.server.is_connected());
    assert!(net.server.send_data(net.now, Channel::Reliable, b"x").is_err());
    net.events.clear();
    net.client.begin_sctp(net.now);
    assert!(net.run(5, |net| net.client.up));
    net.client.open(net.now, 0, "_reliable", Reliability::RELIABLE);
    assert!(net.run(5, |net| net.has(&TransportEvent::ChannelOpen(Channel::Reliable))));
    net.server.send_data(net.now, Channel::Reliable, b"again").unwrap();
    assert!(net.run(5, |net| net.client.messages.contains(&(0, Protocol::Binary, b"again".to_vec()))));
}

#[test]
fn mutated_sctp_packets_never_fault_the_association() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % limit
    };
    let mut hits = 0;
    for _ in 0..60 {
        let mut net = with_channels();
        net.client.write(net.now, 0, &[5; 3_000], Protocol::Binary);
        net.run(1, |_| false);
        let samples = net.client.packets.clone();
        let tag: [u8; 4] = samples.last().unwrap()[4..8].try_into().unwrap();
        for round in 0..300 {
            let mut packet = samples[random(samples.len())].to_vec();
            packet.truncate(16 + random(200));
            for _ in 0..1 + random(4) {
                let at = 12 + random(packet.len() - 12);
                packet[at] = [0, 1, 4, 255, 192, 130, 7, 8, 9, random(256) as u8][random(10)];
            }
            if packet[12] != 1 {
                packet[4..8].copy_from_slice(&tag);
            }
            packet[8..12].fill(0);
            let sum = crc32c(&packet).to_le_bytes();
            packet[8..12].copy_from_slice(&sum);
            net.server.sctp.handle(net.now, packet);
            net.now += Duration::from_millis(1);
            net.server.handle_timeout(net.now);
            while net.server.poll_transmit().is_some() {}
            let fault = TransportEvent::Closed(PeerEnd::Fault);
            assert!(std::iter::from_fn(|| net.server.poll_event()).all(|event| event != fault), "round {round}");
            if net.server.sctp.export().is_none() {
                break;
            }
            hits += 1;
        }
    }
    assert!(hits > 3_000, "the association must live long enough to be attacked: {hits}");
}

#[test]
fn a_repeated_init_neither_replaces_a_live_association_nor_stops_a_young_one() {
    let mut net = with_channels();
    let init = net.client.packets[0].clone();
    assert_eq!(init[12], 1);
    let before = net.server.drops().sctp;
    net.client.inject(net.now, &init);
    net.client.write(net.now, 0, b"on", Protocol::Binary);
    assert!(net.run(2, |net| net.received(Channel::Reliable) == [b"on"]));
    assert_eq!(net.server.drops().sctp, before + 1);

    let mut net = Net::new(false);
    assert!(net.run(5, |net| net.client.complete));
    for _ in 0..50 {
        let init = net.client.packets[0].clone();
        net.client.inject(net.now, &init);
    }
    assert!(net.run(10, |net| net.client.up));
}

/// CRC-32C of SCTP (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { 0x82f6_3b78 ^ (sum >> 1) } else { sum >> 1 })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn random_and_mutated_dtls_datagrams_never_panic(
        random in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        at in 0usize..2000,
        value in any::<u8>(),
    ) {
        let mut net = Net::new(false);
        for bytes in &random {
            let bytes = [&[22, 254, 253, 0][..], bytes].concat();
            net.server.handle_dtls(net.now, path(), &bytes);
        }
        for _ in 0..10 {
            for datagram in &mut net.client.out {
                let length = datagram.len();
                datagram[at % length] = value;
            }
            net.step();
        }
        prop_assert!(!net.has(&TransportEvent::Closed(PeerEnd::Fault)));
        let mut net = connected();
        for bytes in &random {
            net.server.handle_dtls(net.now, path(), bytes);
        }
        prop_assert!(net.server.is_connected());
    }
}
