//! SRTP against rtc-srtp in both directions, and its receive state under attack.

use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::*;

const PROFILES: [(SrtpProfile, ProtectionProfile); 2] = [
    (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (SrtpProfile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80),
];

fn material(profile: SrtpProfile) -> Vec<u8> {
    (0..profile.keying_material_length()).map(|at| (at * 7 + 3) as u8).collect()
}

fn server(profile: SrtpProfile) -> Srtp {
    Srtp::new(Keys::from_keying_material(profile, &material(profile)).unwrap())
}

/// What the client holds: its own keys outbound, ours inbound.
fn client(profile: SrtpProfile) -> Srtp {
    let (client, server) = Keys::from_keying_material(profile, &material(profile)).unwrap();
    Srtp::new((server, client))
}

/// rtc-srtp's `(local, remote)` contexts of the client.
fn peer(profile: SrtpProfile, theirs: ProtectionProfile) -> (Context, Context) {
    let provider = rtc_crypto::default_provider().unwrap();
    let material = material(profile);
    let salt = profile.salt_length();
    let context = |key: usize, at: usize| {
        Context::new(&material[key..key + 16], &material[at..at + salt], theirs, None, None, provider.crypto()).unwrap()
    };
    (context(0, 32), context(16, 32 + salt))
}

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
    packet.extend_from_slice(payload);
    packet
}

const HEADER: usize = 20;

fn sealed(from: &Srtp, packet: &[u8], index: u64) -> Vec<u8> {
    let sealer = from.sealer();
    let mut bytes = packet.to_vec();
    bytes.resize(packet.len() + sealer.overhead(), 0);
    sealer.seal(&mut bytes, HEADER, index);
    bytes
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet
}

#[test]
fn rtc_srtp_opens_what_we_seal_and_we_open_what_it_seals() {
    for (profile, theirs) in PROFILES {
        let mut ours = server(profile);
        let (mut local, mut remote) = peer(profile, theirs);
        for sequence in [65_533u16, 65_534, 65_535, 0, 1, 2] {
            let packet = rtp(sequence, 77, b"payload");
            let index = if sequence < 10 { 0x1_0000 } else { 0 } + u64::from(sequence);
            let opened = remote.decrypt_rtp(&sealed(&ours, &packet, index)).unwrap();
            assert_eq!(opened.to_vec(), packet);
            let mut theirs = local.encrypt_rtp(&packet).unwrap().to_vec();
            let length = ours.open_rtp(&mut theirs, HEADER).unwrap();
            assert_eq!(theirs[..length], packet);
        }
        for _ in 0..3 {
            let packet = rtcp(77);
            let mut bytes = packet.clone();
            ours.seal_rtcp(&mut bytes).unwrap();
            assert_eq!(remote.decrypt_rtcp(&bytes).unwrap().to_vec(), packet);
            let mut theirs = local.encrypt_rtcp(&packet).unwrap().to_vec();
            let length = ours.open_rtcp(&mut theirs).unwrap();
            assert_eq!(theirs[..length], packet);
        }
    }
}

#[test]
fn late_packets_open_on_both_sides_of_the_sequence_wrap() {
    for (profile, _) in PROFILES {
        let (mut ours, theirs) = (server(profile), client(profile));
        // 65 537 and 131 073 are over the wrap, what follows them is late.
        for index in [65_530u64, 65_535, 65_537, 65_534, 65_536, 95_000, 125_000, 131_000, 131_073, 131_071] {
            let packet = rtp(index as u16, 5, b"x");
            let mut bytes = sealed(&theirs, &packet, index);
            assert_eq!(ours.open_rtp(&mut bytes, HEADER), Ok(packet.len()), "index {index}");
        }
    }
}

#[test]
fn a_packet_from_before_the_first_one_is_an_error_not_an_underflow() {
    let (mut ours, theirs) = (server(SrtpProfile::AeadAes128Gcm), client(SrtpProfile::AeadAes128Gcm));
    ours.open_rtp(&mut sealed(&theirs, &rtp(3, 5, b"x"), 3), HEADER).unwrap();
    let mut early = sealed(&theirs, &rtp(65_535, 5, b"x"), 65_535);
    assert_eq!(ours.open_rtp(&mut early, HEADER), Err(SrtpError::Replayed));
}

#[test]
fn a_replayed_packet_is_an_error() {
    for (profile, _) in PROFILES {
        let (mut ours, mut theirs) = (server(profile), client(profile));
        let bytes = sealed(&theirs, &rtp(9, 5, b"x"), 9);
        assert!(ours.open_rtp(&mut bytes.clone(), HEADER).is_ok());
        assert_eq!(ours.open_rtp(&mut bytes.clone(), HEADER), Err(SrtpError::Replayed));
        let mut control = rtcp(5);
        theirs.seal_rtcp(&mut control).unwrap();
        assert!(ours.open_rtcp(&mut control.clone()).is_ok());
        assert_eq!(ours.open_rtcp(&mut control), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_wrong_header_length_or_tag_fails_authentication() {
    for (profile, _) in PROFILES {
        let (mut ours, theirs) = (server(profile), client(profile));
        let bytes = sealed(&theirs, &rtp(9, 5, b"payload"), 9);
        let gcm = profile == SrtpProfile::AeadAes128Gcm;
        if gcm {
            assert_eq!(ours.open_rtp(&mut bytes.clone(), 12), Err(SrtpError::Unauthenticated));
        }
        for at in [1, 13, 22, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(ours.open_rtp(&mut bad, HEADER), Err(SrtpError::Unauthenticated), "byte {at}");
        }
        assert!(matches!(ours.open_rtp(&mut bytes.clone(), 11), Err(SrtpError::TooShort(_))));
        assert!(matches!(ours.open_rtp(&mut bytes.clone(), bytes.len()), Err(SrtpError::TooShort(_))));
    }
}

#[test]
fn srtcp_without_encryption_is_refused() {
    for (profile, _) in PROFILES {
        let (mut ours, mut theirs) = (server(profile), client(profile));
        let mut control = rtcp(5);
        theirs.seal_rtcp(&mut control).unwrap();
        let at = theirs.outbound.rtcp.rtcp_trailer_offset(control.len());
        control[at] &= 0x7f;
        assert_eq!(ours.open_rtcp(&mut control), Err(SrtpError::NotEncrypted));
    }
}

#[test]
fn forged_sources_leave_no_state_and_authentic_ones_are_bounded() {
    let (mut ours, theirs) = (server(SrtpProfile::AeadAes128Gcm), client(SrtpProfile::AeadAes128Gcm));
    for ssrc in 0..1_000 {
        let mut forged = rtp(1, ssrc, &[0; 40]);
        assert_eq!(ours.open_rtp(&mut forged, HEADER), Err(SrtpError::Unauthenticated));
    }
    assert!(ours.rtp_sources.entries.is_empty());
    let limit = limits::MAX_SOURCES as u32;
    for ssrc in 0..limit {
        ours.open_rtp(&mut sealed(&theirs, &rtp(1, ssrc, b"x"), 1), HEADER).unwrap();
    }
    let mut more = sealed(&theirs, &rtp(1, limit, b"x"), 1);
    assert_eq!(ours.open_rtp(&mut more, HEADER), Err(SrtpError::TooManySources));
    // Sources 1.. rest while source 0 goes on: one of them gives way.
    for index in 2..2 + limits::SOURCE_REST {
        ours.rtp_sources.accept(0, index);
    }
    let mut more = sealed(&theirs, &rtp(1, limit, b"x"), 1);
    assert!(ours.open_rtp(&mut more, HEADER).is_ok());
    assert!(ours.rtp_sources.window(0).is_some() && ours.rtp_sources.window(1).is_none());
    assert!(ours.rtp_sources.is_sound(INDEX_LIMIT));
}

#[test]
fn the_last_srtcp_index_is_not_passed() {
    let mut ours = server(SrtpProfile::AeadAes128Gcm);
    ours.next_rtcp_index = 0x7fff_ffff;
    assert!(ours.seal_rtcp(&mut rtcp(1)).is_ok());
    assert_eq!(ours.seal_rtcp(&mut rtcp(1)), Err(SrtpError::IndexUsedUp));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_index_estimate_is_right_within_half_a_turn(highest in 0u64..1 << 40, distance in -32_767i64..32_768) {
        let index = highest as i64 + distance;
        let estimate = estimate_index(Some(highest), index as u16);
        if index >= 0 {
            prop_assert_eq!(estimate, Some(index as u64));
        } else {
            prop_assert_eq!(estimate, None);
        }
    }

    #[test]
    fn random_packets_never_open_and_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), header in 0usize..80) {
        for (profile, _) in PROFILES {
            let mut ours = server(profile);
            prop_assert!(ours.open_rtp(&mut bytes, header).is_err());
            prop_assert!(ours.open_rtcp(&mut bytes).is_err());
        }
    }
}
