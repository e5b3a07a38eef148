//! A WebRTC client in virtual time: ICE checks, DTLS, SRTP, streams that it publishes and a receiver of what it is sent.

use super::browser::Browser;
use super::observer::Observer;
use super::sender::{EXTENSIONS, OPUS, Stream, VP8, VP8_RTX};
use crate::codec::{Codec, IceCredentials, Kind, Payload, ReceiveSection, SendSection};
use crate::egress::testing::vp8_ids;
use crate::id::{PeerId, RoomKey, TrackKey};
use crate::ingress::Ingress;
use crate::packet::rtcp::{self, RtcpItem};
use crate::packet::rtp;
use crate::transport::testing::{self, ClientSrtp, DtlsClient, Stun};
use crate::transport::{DatagramClass, classify};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One packet that a subscriber was sent, after RTX was undone.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) at: Duration,
    pub(super) track: TrackKey,
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) recovered: bool,
    pub(super) payload: Vec<u8>,
}

impl Received {
    pub(super) fn picture_id(&self) -> u16 {
        vp8_ids(&self.payload).0
    }

    pub(super) fn starts_frame(&self) -> bool {
        self.payload[0] & 0x10 != 0
    }

    pub(super) fn is_key(&self) -> bool {
        self.payload[6] & 1 == 0
    }

    /// The source layer, as its sender wrote it.
    pub(super) fn layer(&self) -> u8 {
        self.payload[7]
    }
}

/// What RTCP has told a client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) key_requests: u32,
    pub(super) nacked: u32,
    pub(super) feedback: u32,
    pub(super) receiver_reports: u32,
    pub(super) sender_reports: u32,
}

pub(super) struct Client {
    pub(super) peer: PeerId,
    pub(super) room: RoomKey,
    pub(super) address: SocketAddr,
    /// The node that it sends to.
    pub(super) node: usize,
    pub(super) local: IceCredentials,
    pub(super) remote: IceCredentials,
    /// Server passwords of generations before.
    pub(super) old_passwords: Vec<String>,
    pub(super) dtls: DtlsClient,
    pub(super) srtp: Option<ClientSrtp>,
    /// Sends no checks.
    pub(super) silent: bool,
    /// Has left.
    pub(super) gone: bool,
    pub(super) streams: Vec<Stream>,
    pub(super) receivers: Vec<ReceiveSection>,
    pub(super) senders: Vec<SendSection>,
    pub(super) sink: Ingress,
    /// Speaks RTCP in place of the sink.
    pub(super) browser: Option<Browser>,
    pub(super) received: Vec<Received>,
    pub(super) told: Told,
    pub(super) observer: Observer,
    pub(super) moves: u32,
    pub(super) out: Vec<(usize, Vec<u8>)>,
    start: Instant,
    controlled: bool,
    ready: bool,
    next_check: Instant,
    next_dtls: Instant,
    transaction: u64,
    transport_sequence: u16,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        start: Instant,
        peer: PeerId,
        room: RoomKey,
        address: SocketAddr,
        node: usize,
    ) -> Self {
        let credentials = |name: &str| IceCredentials {
            ufrag: format!("{name}{}", peer.0),
            pwd: format!("{name}-{}-password-of-24-chars", peer.0),
        };
        Self {
            peer,
            room,
            address,
            node,
            local: credentials("client"),
            remote: credentials("server"),
            old_passwords: Vec::new(),
            dtls: testing::dtls_client(now),
            srtp: None,
            silent: false,
            gone: false,
            streams: Vec::new(),
            receivers: Vec::new(),
            senders: Vec::new(),
            sink: Ingress::new(now),
            browser: None,
            received: Vec::new(),
            told: Told::default(),
            observer: Observer::default(),
            moves: 0,
            out: Vec::new(),
            start,
            controlled: false,
            ready: false,
            next_check: now,
            next_dtls: now,
            transaction: 0,
            transport_sequence: 0,
        }
    }

    /// Takes new credentials of both sides, as after an ICE restart.
    pub(super) fn restart_ice(&mut self, now: Instant, local: IceCredentials, remote: IceCredentials) {
        let old = std::mem::replace(&mut self.remote, remote);
        self.old_passwords.push(old.pwd);
        self.local = local;
        self.controlled = false;
        self.next_check = now;
    }

    pub(super) fn send(&mut self, datagram: Vec<u8>) {
        self.out.push((self.node, datagram));
    }

    pub(super) fn handle(&mut self, now: Instant, node: usize, mut datagram: Vec<u8>) {
        if self.gone {
            return;
        }
        match classify(&datagram) {
            DatagramClass::Stun => self.handle_stun(now, node, &datagram),
            DatagramClass::Dtls => self.dtls.handle(now, &datagram),
            DatagramClass::Rtp => self.handle_rtp(now, &mut datagram),
            DatagramClass::Rtcp => self.handle_rtcp(now, &mut datagram),
            DatagramClass::Unknown => panic!("a server sent {datagram:?}"),
        }
    }

    fn handle_stun(&mut self, now: Instant, node: usize, datagram: &[u8]) {
        let mut passwords: Vec<&str> = self.old_passwords.iter().map(String::as_str).collect();
        passwords.push(&self.remote.pwd);
        match testing::read_stun(datagram, &self.local.pwd, &passwords) {
            Some(Stun::Request { transaction, nominated, controlling }) => {
                let answer = testing::answer(transaction, self.address, &self.local.pwd);
                self.out.push((node, answer));
                self.controlled |= controlling;
                // Where libwebrtc leads, a pair of a higher priority is the one that it nominates.
                let preferred = !controlling && !self.controlled;
                if (nominated || preferred) && self.node != node {
                    self.node = node;
                    self.moves += 1;
                }
                if nominated || preferred {
                    self.next_check = now;
                }
            }
            Some(Stun::Success) => self.ready = true,
            Some(Stun::Error(487)) => self.controlled = !self.controlled,
            // Not authentic: for somebody else, or forged.
            None => {}
            other => panic!("unexpected STUN {other:?}"),
        }
    }

    fn handle_rtp(&mut self, now: Instant, datagram: &mut [u8]) {
        let Some(srtp) = &mut self.srtp else { return };
        let header = rtp::parse(datagram).unwrap();
        // Duplicates of the network are refused.
        let Ok(length) = srtp.open_rtp(datagram, header.length) else { return };
        let packet = &datagram[..length];
        if let Some(browser) = &mut self.browser {
            browser.take(now, &header, packet);
        }
        if let Some(accepted) = self.sink.handle_rtp(now, &header, packet) {
            self.received.push(Received {
                at: now - self.start,
                track: accepted.track,
                sequence: accepted.sequence,
                timestamp: accepted.timestamp,
                marker: accepted.marker,
                recovered: accepted.recovered,
                payload: packet[accepted.payload].to_vec(),
            });
        }
    }

    fn handle_rtcp(&mut self, now: Instant, datagram: &mut [u8]) {
        let Some(srtp) = &mut self.srtp else { return };
        let Ok(length) = srtp.open_rtcp(datagram) else { return };
        let (streams, told, sink) = (&mut self.streams, &mut self.told, &mut self.sink);
        let mut resends = Vec::new();
        let visited = rtcp::visit(&datagram[..length], |item| match item {
            RtcpItem::Nack { media_ssrc, lost } => {
                for sequence in lost {
                    told.nacked += 1;
                    resends.push((media_ssrc, sequence));
                }
            }
            RtcpItem::Pli { media_ssrc: ssrc } | RtcpItem::Fir { ssrc, .. } => {
                told.key_requests += 1;
                for stream in streams.iter_mut().filter(|stream| stream.ssrc == ssrc) {
                    stream.key_wanted = true;
                    stream.key_requests += 1;
                }
            }
            RtcpItem::SenderReport { ssrc, ntp, rtp, .. } => {
                told.sender_reports += 1;
                sink.handle_sender_report(now, ssrc, ntp, rtp);
            }
            RtcpItem::ReportBlock { .. } => told.receiver_reports += 1,
            RtcpItem::TransportFeedback(_) => told.feedback += 1,
            _ => {}
        });
        visited.unwrap();
        for (ssrc, sequence) in resends {
            let stream = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc);
            let again = stream.and_then(|stream| stream.resend(sequence, &mut self.transport_sequence, srtp));
            self.out.extend(again.map(|datagram| (self.node, datagram)));
        }
    }

    pub(super) fn tick(&mut self, now: Instant, ntp: u64) {
        if self.gone {
            return;
        }
        if !self.silent && self.next_check <= now {
            self.transaction += 1;
            let mut transaction = [0; 12];
            transaction[..8].copy_from_slice(&self.transaction.to_be_bytes());
            let name = format!("{}:{}", self.remote.ufrag, self.local.ufrag);
            self.send(testing::check(transaction, &name, &self.remote.pwd, self.controlled));
            self.next_check = now + Duration::from_millis(if self.srtp.is_some() { 2_000 } else { 50 });
        }
        if self.ready && self.next_dtls <= now {
            self.next_dtls = now + Duration::from_millis(10);
            self.dtls.handle_timeout(now);
        }
        if self.ready {
            for datagram in std::mem::take(&mut self.dtls.out) {
                self.send(datagram);
            }
        }
        if self.srtp.is_none() && self.dtls.complete {
            self.srtp = Some(ClientSrtp::of(&self.dtls));
        }
        let Some(srtp) = &mut self.srtp else { return };
        let (mut packets, mut rtcp) = (Vec::new(), Vec::new());
        for stream in &mut self.streams {
            stream.tick(now, &mut self.transport_sequence, srtp, &mut packets);
            stream.report(now, ntp, &mut rtcp);
        }
        if !rtcp.is_empty() {
            srtp.seal_rtcp(&mut rtcp);
            packets.push(rtcp);
        }
        while self.sink.poll_timeout().is_some_and(|at| at <= now) {
            let mut rtcp = Vec::new();
            self.sink.handle_timeout(now, &mut rtcp);
            if rtcp.is_empty() {
                break;
            }
            if self.browser.is_none() {
                srtp.seal_rtcp(&mut rtcp);
                packets.push(rtcp);
            }
        }
        for mut rtcp in self.browser.as_mut().map(|browser| browser.tick(now)).unwrap_or_default() {
            srtp.seal_rtcp(&mut rtcp);
            packets.push(rtcp);
        }
        let node = self.node;
        self.out.extend(packets.into_iter().map(|packet| (node, packet)));
    }

    /// Seals RTCP of the test's own making.
    pub(super) fn send_rtcp(&mut self, mut rtcp: Vec<u8>) {
        self.srtp.as_mut().expect("connected").seal_rtcp(&mut rtcp);
        self.send(rtcp);
    }

    /// Makes the receiver ready for the present senders table.
    pub(super) fn configure_sink(&mut self, now: Instant) {
        let sections = self.senders.iter().map(|section| ReceiveSection {
            mid: section.mid.clone(),
            track: section.track,
            kind: section.kind,
            payloads: section.payloads.clone(),
            rids: Vec::new(),
            ssrcs: vec![(section.ssrc, Some(section.rtx_ssrc))],
        });
        self.sink.configure(now, EXTENSIONS, sections.collect());
    }

    /// What it was sent of one track.
    pub(super) fn of(&self, track: TrackKey) -> Vec<Received> {
        self.received.iter().filter(|packet| packet.track == track).cloned().collect()
    }
}

pub(super) fn payloads(kind: Kind) -> Vec<Payload> {
    let payload = |pt, rtx_pt, codec, nack| Payload { pt, rtx_pt, codec, fmtp: String::new(), nack };
    match kind {
        Kind::Audio => vec![payload(OPUS, None, Codec::Opus, false)],
        Kind::Video => vec![payload(VP8, Some(VP8_RTX), Codec::Vp8, true)],
    }
}
