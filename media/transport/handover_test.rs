//! Export, import and take-over of live sessions.

use rtc_sctp::PayloadProtocolIdentifier as Protocol;

use super::handshake::VIRTUAL_PEER;
use super::peer_test::*;
use super::stun::{MessageType, Writer};
use super::*;
use crate::packet::RtpSeal;

#[test]
fn a_transport_goes_on_elsewhere_with_no_index_used_twice() {
    let mut net = with_channels();
    let mut control = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    net.server.seal_rtcp(&mut control).unwrap();
    net.client.write(net.now, 0, b"before", Protocol::Binary);
    assert!(net.run(1, |net| net.received(Channel::Reliable) == [b"before"]));
    let state = net.server.export().unwrap();
    let bytes = rmp_serde::to_vec(&state).unwrap();
    let read: TransportState = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, state);
    let margins = ImportMargins { srtcp: 1_000, dtls: 500 };
    let mut moved = Transport::import(read, net.now, margins).unwrap();
    assert!(moved.is_connected() && moved.selected_path().is_none());
    assert_eq!(moved.srtp.as_ref().unwrap().next_rtcp_index, 2 + 1_000);
    assert_eq!(moved.dtls.session().unwrap().record.next_sequence, state.next_record + 500);
    // Reliable messages sent before the restart is through wait for it.
    moved.send_data(net.now, Channel::Reliable, b"early").unwrap();
    assert!(moved.poll_transmit().is_none(), "nothing is sent without a path");
    assert_eq!(moved.take_over(net.now, |_| vec![0]), 1);
    let (to, request) = moved.poll_transmit().unwrap();
    assert_eq!((to, classify(&request)), (path(), DatagramClass::Stun));
    let answer = Writer::new(MessageType::Success, request[8..20].try_into().unwrap())
        .xor_mapped_address(path().remote())
        .finish(&credentials("client").pwd);
    moved.handle_stun(net.now, path(), &answer);
    assert_eq!(moved.selected_path(), Some(path()));
    net.server = moved;
    net.client.messages.clear();
    net.events.clear();
    assert!(net.run(5, |net| net.client.messages.contains(&(0, Protocol::Binary, b"early".to_vec()))));
    net.server.send_data(net.now, Channel::Lossy, b"after").unwrap();
    net.client.write(net.now, 0, b"up", Protocol::Binary);
    assert!(net.run(5, |net| net.received(Channel::Reliable) == [b"up"]));
    assert!(net.client.messages.contains(&(2, Protocol::Binary, b"after".to_vec())));
    assert!(net.client.messages.iter().all(|(_, kind, _)| *kind != Protocol::Dcep), "channels are not opened again");
    let mut again = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    net.server.seal_rtcp(&mut again).unwrap();
    let index = |packet: &[u8]| u32::from_be_bytes(*packet.last_chunk().unwrap()) & 0x7fff_ffff;
    assert!(index(&again) > index(&control) + 1_000 - 1);
}

#[test]
fn the_receive_state_moves_along_and_refuses_what_was_seen_before() {
    let mut net = connected();
    let state = net.client.dtls.get_connection_state(VIRTUAL_PEER).unwrap();
    let material = state.export_keying_material(SRTP_LABEL, &[], 56).unwrap();
    let (client, _) = Keys::from_keying_material(SrtpProfile::AeadAes128Gcm, material.as_ref()).unwrap();
    let (other, _) = Keys::from_keying_material(SrtpProfile::AeadAes128Gcm, material.as_ref()).unwrap();
    let sealer = Srtp::new((other, client)).sealer();
    let seal = |index: u64| {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3];
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet.resize(15 + 16, 0);
        sealer.seal(&mut packet, 12, index);
        packet
    };
    for index in [60_000, 70_000, 70_002] {
        net.server.open_rtp(&mut seal(index), 12).unwrap();
    }
    let mut moved = Transport::import(net.server.export().unwrap(), net.now, ImportMargins::default()).unwrap();
    assert_eq!(moved.open_rtp(&mut seal(70_000), 12), Err(SrtpError::Replayed));
    // The rollover counter is 1: without it these would not open.
    assert!(moved.open_rtp(&mut seal(70_001), 12).is_ok());
    assert!(moved.open_rtp(&mut seal(70_003), 12).is_ok());
}

#[test]
fn a_state_of_another_version_or_with_impossible_parts_is_refused() {
    let net = connected();
    let state = net.server.export().unwrap();
    let import = |state| Transport::import(state, net.now, ImportMargins::default()).map(|_| ());
    assert_eq!(import(state.clone()), Ok(()));
    let other = TransportState { version: 9, ..state.clone() };
    assert_eq!(import(other), Err(ImportError::Version { found: 9, expected: STATE_VERSION }));
    let mut short = state;
    short.secrets.master.clear();
    assert_eq!(import(short), Err(ImportError::Invalid("master secret")));
}
