//! A WebRTC client made of rtc-dtls and rtc-sctp, and a lossy network between it and a [`Transport`], in virtual time.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Protocol, ServerConfig, StreamEvent,
};
use rtc_shared::TransportProtocol;

use super::certificate::fingerprint;
use super::dcep::{Message, Reliability};
use super::handshake::VIRTUAL_PEER;
use super::stun::{MessageType, Writer};
use super::*;

pub(crate) const GCM: u16 = 7;
pub(crate) const SHA1: u16 = 1;

fn client_certificate() -> rtc_dtls::crypto::Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Certificate::generate().unwrap()).inner.clone()
}

pub(crate) fn server_certificate() -> Arc<Certificate> {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate().unwrap())).clone()
}

pub(super) fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.to_owned(), pwd: format!("{name}-password-of-24-chars") }
}

pub(super) fn path() -> Path {
    Path::Udp { socket: 0, remote: ([192, 0, 2, 1], 5_000).into() }
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
pub(super) fn start() -> Instant {
    Instant::now()
}

/// An authentic check with USE-CANDIDATE, as a controlling client sends it.
pub(super) fn check(now: Instant, server: &mut Transport, path: Path) {
    let request = Writer::new(MessageType::Request, [7; 12])
        .username("server:client")
        .controlling(7)
        .nominate(1)
        .finish(&credentials("server").pwd);
    server.handle_stun(now, path, &request);
}

pub(crate) struct Client {
    pub(crate) dtls: Endpoint,
    pub(crate) complete: bool,
    sctp: rtc_sctp::Endpoint,
    pub(super) association: Option<(AssociationHandle, Association)>,
    pub(crate) up: bool,
    /// DCEP and user messages received: stream, protocol, bytes.
    pub(crate) messages: Vec<(u16, Protocol, Vec<u8>)>,
    pub(crate) out: Vec<Vec<u8>>,
    flight: Vec<Vec<u8>>,
    repeat_at: Option<Instant>,
    /// SCTP packets sent, in the clear.
    pub(super) packets: Vec<Bytes>,
}

impl Client {
    pub(crate) fn new(now: Instant, profiles: &[u16], mtu: usize) -> Self {
        let config = ConfigBuilder::default()
            .with_crypto_provider(rtc_crypto::default_provider().unwrap())
            .with_certificates(vec![client_certificate()])
            .with_srtp_protection_profiles(
                profiles.iter().map(|profile| SrtpProtectionProfile::from(*profile)).collect(),
            )
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_mtu(mtu)
            .build(true, None)
            .unwrap();
        let mut dtls = Endpoint::new(VIRTUAL_PEER, TransportProtocol::UDP, None);
        dtls.connect(now, VIRTUAL_PEER, Arc::new(config), None).unwrap();
        let sctp = rtc_sctp::Endpoint::new(
            VIRTUAL_PEER,
            TransportProtocol::UDP,
            Arc::new(EndpointConfig::default()),
            Some(Arc::new(ServerConfig::default())),
        );
        let mut client = Self {
            dtls,
            complete: false,
            sctp,
            association: None,
            up: false,
            messages: Vec::new(),
            out: Vec::new(),
            flight: Vec::new(),
            repeat_at: None,
            packets: Vec::new(),
        };
        client.drain(now);
        client
    }

    pub(crate) fn fingerprint() -> String {
        fingerprint(&client_certificate().certificate[0])
    }

    fn drain(&mut self, now: Instant) {
        let mut sent = Vec::new();
        while let Some(transmit) = self.dtls.poll_transmit() {
            sent.push(transmit.message.to_vec());
        }
        if !self.complete && !sent.is_empty() {
            self.flight = sent.clone();
            self.repeat_at = Some(now + Duration::from_millis(400));
        }
        self.out.append(&mut sent);
    }

    pub(crate) fn handle(&mut self, now: Instant, datagram: &[u8]) {
        let events = self.dtls.read(now, VIRTUAL_PEER, None, BytesMut::from(datagram)).unwrap_or_default();
        self.drain(now);
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.complete = true;
                    self.repeat_at = None;
                    self.association = self.sctp.connect(now, ClientConfig::default(), VIRTUAL_PEER).ok();
                }
                EndpointEvent::ApplicationData(data) => self.handle_sctp(now, data.freeze()),
                _ => {}
            }
        }
        self.flush(now);
    }

    /// Begins a new association.
    pub(super) fn begin_sctp(&mut self, now: Instant) {
        self.association = self.sctp.connect(now, ClientConfig::default(), VIRTUAL_PEER).ok();
        self.up = false;
        self.flush(now);
    }

    fn handle_sctp(&mut self, now: Instant, packet: Bytes) {
        match self.sctp.handle(now, VIRTUAL_PEER, None, packet) {
            // The server restarted the association.
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
                self.up = false;
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((own, association)) = &mut self.association
                    && *own == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.read(now);
    }

    fn read(&mut self, now: Instant) {
        let Some((_, association)) = &mut self.association else { return };
        let mut opened = Vec::new();
        while let Some(event) = association.poll() {
            self.up |= matches!(event, Event::Connected);
            let (Event::Stream(StreamEvent::Readable { id }), true) = (event, true) else { continue };
            while let Ok(Some(message)) = association.stream(id).and_then(|mut stream| stream.read_sctp()) {
                let bytes = message.to_payload(1 << 20).unwrap().to_vec();
                if message.ppi == Protocol::Dcep && bytes.first() == Some(&3) {
                    opened.push(id);
                }
                self.messages.push((id, message.ppi, bytes));
            }
        }
        for id in opened {
            self.write(now, id, &Message::Ack.write(), Protocol::Dcep);
        }
    }

    pub(crate) fn write(&mut self, now: Instant, id: u16, message: &[u8], protocol: Protocol) {
        let (_, association) = self.association.as_mut().expect("an association");
        if association.stream(id).is_err() {
            association.open_stream(id, Protocol::Binary).unwrap();
        }
        association.stream(id).unwrap().write_with_ppi(now, message, protocol).unwrap();
        self.flush(now);
    }

    pub(super) fn open(&mut self, now: Instant, id: u16, label: &str, reliability: Reliability) {
        let open = Message::Open { reliability, label: label.as_bytes() };
        self.write(now, id, &open.write(), Protocol::Dcep);
        let (unordered, kind, value) = reliability.parameters();
        let (_, association) = self.association.as_mut().unwrap();
        association.stream(id).unwrap().set_reliability_params(unordered, kind, value).unwrap();
    }

    /// Sends an SCTP packet as it is.
    pub(crate) fn inject(&mut self, now: Instant, packet: &[u8]) {
        self.dtls.write(now, VIRTUAL_PEER, packet).unwrap();
        self.drain(now);
    }

    fn flush(&mut self, now: Instant) {
        let mut packets = Vec::new();
        if let Some((_, association)) = &mut self.association {
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(raw) = transmit.message {
                    packets.extend(raw);
                }
            }
        }
        for packet in packets {
            self.dtls.write(now, VIRTUAL_PEER, &packet).unwrap();
            self.packets.push(packet);
        }
        self.drain(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.out.extend(self.flight.iter().cloned());
            self.repeat_at = Some(now + Duration::from_millis(400));
        }
        // What it regenerates comes again under new record numbers, as a browser's timer does.
        let _ = self.dtls.handle_timeout(VIRTUAL_PEER, now);
        self.drain(now);
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.read(now);
        self.flush(now);
    }
}

/// The two ends and what lies between.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) server: Transport,
    pub(super) client: Client,
    pub(super) events: Vec<TransportEvent>,
    /// Per cent of datagrams lost, both ways.
    pub(super) loss: u32,
    seed: u64,
    last_check: Instant,
}

impl Net {
    pub(super) fn with(profiles: &[u16], mtu: usize, open_channels: bool, gcm: bool) -> Self {
        let now = start();
        let config =
            TransportConfig { certificate: server_certificate(), local: credentials("server"), open_channels, gcm };
        let mut server = Transport::new(config, now);
        check(now, &mut server, path());
        let client = Client::new(now, profiles, mtu);
        Self { now, server, client, events: Vec::new(), loss: 0, seed: 1, last_check: now }
    }

    pub(super) fn new(open_channels: bool) -> Self {
        let mut net = Self::with(&[SHA1, GCM], 1_200, open_channels, true);
        net.answer();
        net
    }

    /// The client's description arrives at the server.
    pub(super) fn answer(&mut self) {
        self.server.set_remote(RemoteTransport {
            ice: credentials("client"),
            fingerprint: Client::fingerprint(),
            setup: Setup::Active,
            sctp_port: Some(5_000),
        });
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }

    fn lost(&mut self) -> bool {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % 100 < u64::from(self.loss)
    }

    /// Delivers everything, then lets 10 ms pass.
    pub(super) fn step(&mut self) {
        for _ in 0..8 {
            for datagram in std::mem::take(&mut self.client.out) {
                if !self.lost() {
                    self.server.handle_dtls(self.now, path(), &datagram);
                }
            }
            while let Some((_, datagram)) = self.server.poll_transmit() {
                if classify(&datagram) == DatagramClass::Dtls && !self.lost() {
                    self.client.handle(self.now, &datagram);
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.events.push(event);
        }
        self.now += Duration::from_millis(10);
        if self.now - self.last_check >= Duration::from_secs(2) {
            self.last_check = self.now;
            check(self.now, &mut self.server, path());
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
        self.client.handle_timeout(self.now);
    }

    /// Steps until `done` or `seconds` have passed; says whether it was done.
    pub(super) fn run(&mut self, seconds: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    pub(super) fn received(&self, channel: Channel) -> Vec<&[u8]> {
        let data = self.events.iter().filter_map(|event| match event {
            TransportEvent::Data { channel: of, payload } if *of == channel => Some(&payload[..]),
            _ => None,
        });
        data.collect()
    }

    pub(super) fn has(&self, event: &TransportEvent) -> bool {
        self.events.contains(event)
    }
}

/// A session without channels.
pub(super) fn connected() -> Net {
    let mut net = Net::new(false);
    assert!(net.run(5, |net| net.client.up && net.server.is_connected()));
    net
}

/// A session whose client has opened `_reliable` as stream 0 and `_lossy` as stream 2.
pub(super) fn with_channels() -> Net {
    let mut net = connected();
    net.client.open(net.now, 0, "_reliable", Reliability::RELIABLE);
    net.client.open(net.now, 2, "_lossy", Reliability::LOSSY);
    assert!(net.run(5, |net| {
        net.has(&TransportEvent::ChannelOpen(Channel::Reliable))
            && net.has(&TransportEvent::ChannelOpen(Channel::Lossy))
    }));
    net
}
