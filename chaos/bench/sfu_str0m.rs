//! The forwarder to compare with: str0m in RTP mode with one thread, one socket, `recvmmsg`, and GSO batches of ours.
//!
//! A favourable setting: no rooms, no layers, no bandwidth estimate; NACK cache, SR, TWCC extension and feedback are on.
#![expect(clippy::disallowed_methods, reason = "the forwarder's loop is a shell")]

use crate::batch::{GsoBatch, RECEIVE_BATCH, ReceiveBatch, Waiter, enlarge_buffers};
use crate::signal::{Join, Role, listen};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, Mid, Pt};
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Longest wait: joins come through a channel that does not wake the loop.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// Runs until the process is ended; tells its signalling address once.
pub(crate) fn run(announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    enlarge_buffers(&socket);
    let (address, joins) = listen()?;
    announce(address);
    let mut waiter = Waiter::default();
    waiter.add(&socket);
    let mut forwarder = Forwarder {
        local: socket.local_addr()?,
        socket,
        joins,
        peers: Vec::new(),
        by_address: HashMap::new(),
        packets: Vec::new(),
        outgoing: GsoBatch::new(),
        key_frame_wanted: false,
    };
    let mut batch = ReceiveBatch::new();
    loop {
        let now = Instant::now();
        let due = forwarder.peers.iter().map(|peer| peer.due).min().unwrap_or(now + WAIT_MAX);
        waiter.wait(due.saturating_duration_since(now).min(WAIT_MAX));
        forwarder.turn(&mut batch)?;
    }
}

struct Peer {
    rtc: Rtc,
    role: Role,
    mid: Option<Mid>,
    pt: Pt,
    due: Instant,
    connected: bool,
}

struct Forwarder {
    socket: UdpSocket,
    local: SocketAddr,
    joins: Receiver<Join>,
    peers: Vec<Peer>,
    by_address: HashMap<SocketAddr, usize>,
    /// Received from the publisher in this turn.
    packets: Vec<RtpPacket>,
    outgoing: GsoBatch<DatagramSend>,
    key_frame_wanted: bool,
}

impl Forwarder {
    fn turn(&mut self, batch: &mut ReceiveBatch) -> io::Result<()> {
        while let Ok(join) = self.joins.try_recv() {
            self.join(&join)?;
        }
        loop {
            let count = batch.receive(&self.socket, usize::MAX);
            for index in 0..count {
                let (datagram, source) = batch.get(index);
                self.receive(datagram, source);
            }
            self.forward();
            self.outgoing.flush(&self.socket);
            if count < RECEIVE_BATCH {
                break;
            }
        }
        let now = Instant::now();
        for index in 0..self.peers.len() {
            if self.peers[index].due <= now {
                self.handle(index, Input::Timeout(now));
            }
        }
        self.request_key_frame(now);
        self.outgoing.flush(&self.socket);
        Ok(())
    }

    fn join(&mut self, join: &Join) -> io::Result<()> {
        let now = Instant::now();
        let config = Rtc::builder().set_rtp_mode(true).set_ice_lite(true).clear_codecs().enable_vp8(true);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(self.local, "udp").map_err(io::Error::other)?);
        let offer = SdpOffer::from_sdp_string(&join.offer).map_err(io::Error::other)?;
        let answer = rtc.sdp_api().accept_offer(offer).map_err(io::Error::other)?;
        let vp8 = rtc.codec_config().find(|params| params.spec().codec == Codec::Vp8).map(|params| params.pt());
        let pt = vp8.ok_or_else(|| io::Error::other("VP8 is not configured"))?;
        self.peers.push(Peer { rtc, role: join.role, mid: None, pt, due: now, connected: false });
        self.drain(self.peers.len() - 1);
        let _ = join.answer.send(answer.to_sdp_string());
        Ok(())
    }

    fn receive(&mut self, datagram: &[u8], source: SocketAddr) {
        let Ok(contents) = datagram.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        let input = Input::Receive(Instant::now(), receive);
        let known = self.by_address.get(&source).copied();
        let Some(index) = known.or_else(|| self.peers.iter().position(|peer| peer.rtc.accepts(&input))) else { return };
        if known.is_none() {
            self.by_address.insert(source, index);
        }
        self.handle(index, input);
    }

    fn handle(&mut self, index: usize, input: Input<'_>) {
        let rtc = &mut self.peers[index].rtc;
        if rtc.handle_input(input).is_err() {
            rtc.disconnect();
        }
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let key = u32::try_from(index).unwrap_or(u32::MAX);
        while peer.rtc.is_alive() {
            match peer.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => self.outgoing.push(key, transmit.destination, transmit.contents),
                Ok(Output::Event(event)) => match event {
                    Event::Connected => {
                        peer.connected = true;
                        self.key_frame_wanted = true;
                    }
                    Event::MediaAdded(media) => peer.mid = Some(media.mid),
                    Event::KeyframeRequest(_) => self.key_frame_wanted = true,
                    Event::RtpPacket(packet) if peer.role == Role::Publisher => self.packets.push(packet),
                    _ => {}
                },
                Ok(Output::Timeout(due)) => {
                    peer.due = due;
                    return;
                }
                Err(_) => peer.rtc.disconnect(),
            }
        }
        peer.due = Instant::now() + Duration::from_secs(3600);
    }

    fn forward(&mut self) {
        if self.packets.is_empty() {
            return;
        }
        let packets = std::mem::take(&mut self.packets);
        let now = Instant::now();
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            let (Role::Subscriber, true, Some(mid)) = (peer.role, peer.connected, peer.mid) else { continue };
            let mut direct = peer.rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(mid, None) else { continue };
            for packet in &packets {
                let write = RtpWrite::new(peer.pt, packet.seq_no, packet.header.timestamp, now, packet.payload.clone())
                    .marker(packet.header.marker)
                    .ext_vals(ExtensionValues::default())
                    .nackable(true);
                stream.write_rtp(write);
            }
            self.drain(index);
        }
    }

    fn request_key_frame(&mut self, now: Instant) {
        if !self.key_frame_wanted {
            return;
        }
        let publisher = self.peers.iter().position(|peer| peer.role == Role::Publisher && peer.connected);
        let Some((index, mid)) = publisher.and_then(|index| Some((index, self.peers[index].mid?))) else { return };
        let mut direct = self.peers[index].rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.key_frame_wanted = false;
        }
        self.handle(index, Input::Timeout(now));
    }
}
