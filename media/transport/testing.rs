//! What tests of the worker need of a client: DTLS with SCTP, SRTP with the keys as the client sees them, STUN.

use std::sync::Arc;
use std::time::Instant;

use super::handshake::VIRTUAL_PEER;
use super::peer_test::{GCM, SHA1, server_certificate};
use super::srtp::{Keys, Srtp};
use super::stun::{Message, MessageType, Writer};
use super::{Certificate, RtpSealer, SRTP_LABEL, SrtpError, SrtpProfile};
use std::net::SocketAddr;

pub(crate) use super::peer_test::Client as DtlsClient;

/// A client that offers what browsers offer.
pub(crate) fn dtls_client(now: Instant) -> DtlsClient {
    DtlsClient::new(now, &[SHA1, GCM], 1_200)
}

/// The certificate that all test servers share.
pub(crate) fn certificate() -> Arc<Certificate> {
    server_certificate()
}

/// Sends a binary message from the client's side.
pub(crate) fn write_channel(client: &mut DtlsClient, now: Instant, id: u16, message: &[u8]) {
    client.write(now, id, message, rtc_sctp::PayloadProtocolIdentifier::Binary);
}

/// Binary messages that the client has received: stream and bytes.
pub(crate) fn messages(client: &DtlsClient) -> Vec<(u16, Vec<u8>)> {
    let binary = rtc_sctp::PayloadProtocolIdentifier::Binary;
    client.messages.iter().filter(|one| one.1 == binary).map(|one| (one.0, one.2.clone())).collect()
}

/// SRTP with the client's exporter output: opens what the server seals.
#[derive(Debug)]
pub(crate) struct ClientSrtp(Srtp);

impl ClientSrtp {
    pub(crate) fn of(client: &DtlsClient) -> Self {
        let profile = SrtpProfile::AeadAes128Gcm;
        let state = client.dtls.get_connection_state(VIRTUAL_PEER).unwrap();
        let material = state.export_keying_material(SRTP_LABEL, &[], profile.keying_material_length()).unwrap();
        let (client, server) = Keys::from_keying_material(profile, material.as_ref()).unwrap();
        Self(Srtp::new((server, client)))
    }

    pub(crate) fn sealer(&self) -> RtpSealer {
        self.0.sealer()
    }

    pub(crate) fn open_rtp(&mut self, packet: &mut [u8], header: usize) -> Result<usize, SrtpError> {
        self.0.open_rtp(packet, header)
    }

    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.0.open_rtcp(packet)
    }

    pub(crate) fn seal_rtcp(&mut self, packet: &mut Vec<u8>) {
        self.0.seal_rtcp(packet).unwrap();
    }
}

/// A binding request.
pub(crate) fn check(transaction: [u8; 12], username: &str, password: &str, controlled: bool) -> Vec<u8> {
    let request = Writer::new(MessageType::Request, transaction).username(username).priority(1);
    let request = if controlled { request.controlled(7) } else { request.controlling(7).nominate(1) };
    request.finish(password)
}

/// A binding request that nominates nothing.
pub(crate) fn probe(transaction: [u8; 12], username: &str, password: &str) -> Vec<u8> {
    Writer::new(MessageType::Request, transaction).username(username).priority(1).controlling(7).finish(password)
}

/// An answer to a binding request.
pub(crate) fn answer(transaction: [u8; 12], address: SocketAddr, password: &str) -> Vec<u8> {
    Writer::new(MessageType::Success, transaction).xor_mapped_address(address).finish(password)
}

/// What a client sees in a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stun {
    Request { transaction: [u8; 12], nominated: bool, controlling: bool },
    Success,
    Error(u16),
}

/// Reads an authentic STUN message; requests carry the client's password, answers the server's.
pub(crate) fn read_stun(datagram: &[u8], client: &str, server: &[&str]) -> Option<Stun> {
    let message = Message::parse(datagram)?;
    match message.kind {
        MessageType::Request if message.is_authentic(client) => Some(Stun::Request {
            transaction: message.transaction,
            nominated: message.use_candidate,
            controlling: message.controlling.is_some(),
        }),
        MessageType::Success if server.iter().any(|one| message.is_authentic(one)) => Some(Stun::Success),
        MessageType::Error => message.error_code.map(Stun::Error),
        _ => None,
    }
}
