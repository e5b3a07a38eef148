//! One client of the load: a str0m connection on a UDP socket of its own.

use crate::batch::enlarge_buffers;
use crate::signal::{Role, join};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;
use str0m::change::SdpAnswer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

/// `a=msid` of the published track.
pub(crate) const PUBLISHED_TRACK_ID: &str = "bench-track";
/// Bytes of the RTP packets that the publisher sends, before SRTP.
pub(crate) const RTP_BYTES: usize = 1200;
/// Header of the publisher's packets as str0m writes it: 12, and an extension block with mid, transport sequence
/// number and send time.
const RTP_HEADER_BYTES: usize = 32;
/// Where the publisher's time stamp stands in the payload, behind the VP8 descriptor and key-frame header.
const STAMP_OFFSET: usize = 32;
/// Distance of the RTP timestamps of two bursts, 90 kHz: 30 frames per second.
const FRAME_TICKS: u32 = 3000;

/// What a client has received since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Packets of the media stream, also where only headers are counted.
    pub(crate) media: u64,
    /// Retransmissions and padding.
    pub(crate) other: u64,
    /// Delays from the publisher's write to decryption, nanoseconds; whole clients only.
    pub(crate) delays_ns: Vec<u64>,
}

/// One client.
pub(crate) struct Client {
    rtc: Rtc,
    pub(crate) socket: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    pt: Pt,
    pub(crate) due: Instant,
    /// Decrypts media and sends feedback; the others count headers and keep ICE and DTLS alive.
    pub(crate) whole: bool,
    pub(crate) connected: bool,
    pub(crate) key_frame_wanted: bool,
    pub(crate) received: Received,
    sent: u64,
    frames: u32,
}

impl Client {
    /// Negotiates with the forwarder; the connection comes up while the client is driven.
    pub(crate) fn join(signal: SocketAddr, role: Role, whole: bool, now: Instant) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        enlarge_buffers(&socket);
        let local = socket.local_addr()?;
        let mut rtc = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_vp8(true).build(now);
        let candidate = Candidate::host(local, "udp").map_err(io::Error::other)?;
        rtc.add_local_candidate(candidate);
        let direction = if role == Role::Publisher { Direction::SendOnly } else { Direction::RecvOnly };
        let mut changes = rtc.sdp_api();
        let id = (role == Role::Publisher).then(|| PUBLISHED_TRACK_ID.to_owned());
        let mid = changes.add_media(MediaKind::Video, direction, id.clone(), id, None);
        let (offer, pending) = changes.apply().ok_or_else(|| io::Error::other("no change to offer"))?;
        let answer = join(signal, role, offer.to_sdp_string())?;
        let answer = SdpAnswer::from_sdp_string(&answer).map_err(io::Error::other)?;
        rtc.sdp_api().accept_answer(pending, answer).map_err(io::Error::other)?;
        let vp8 = rtc.codec_config().find(|params| params.spec().codec == Codec::Vp8).map(|params| params.pt());
        let pt = vp8.ok_or_else(|| io::Error::other("VP8 is not configured"))?;
        Ok(Self {
            rtc,
            socket,
            local,
            mid,
            pt,
            due: now,
            whole,
            connected: false,
            key_frame_wanted: true,
            received: Received::default(),
            sent: 0,
            frames: 0,
        })
    }

    /// Whether datagrams may be cut short on reception, because only their headers are looked at.
    pub(crate) fn counts_headers_only(&self) -> bool {
        self.connected && !self.whole
    }

    /// Takes one datagram.
    pub(crate) fn receive(&mut self, datagram: &[u8], source: SocketAddr, epoch: Instant, now: Instant) {
        if self.counts_headers_only() && matches!(datagram, [128..=191, ..]) {
            match datagram[1] {
                192..=223 => {}
                kind if kind & 0x7f == *self.pt => self.received.media += 1,
                _ => self.received.other += 1,
            }
            return;
        }
        let Ok(contents) = datagram.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        self.handle(Input::Receive(now, receive), epoch, now);
    }

    /// Lets time pass.
    pub(crate) fn elapse(&mut self, epoch: Instant, now: Instant) {
        self.handle(Input::Timeout(now), epoch, now);
    }

    fn handle(&mut self, input: Input<'_>, epoch: Instant, now: Instant) {
        if self.rtc.handle_input(input).is_err() {
            self.rtc.disconnect();
        }
        self.drain(epoch, now);
    }

    fn drain(&mut self, epoch: Instant, now: Instant) {
        while self.rtc.is_alive() {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    // Loopback refuses only when the forwarder is gone, which shows as loss.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(event)) => self.take(event, epoch, now),
                Ok(Output::Timeout(due)) => {
                    self.due = due;
                    return;
                }
                Err(_) => self.rtc.disconnect(),
            }
        }
        self.due = now + std::time::Duration::from_secs(3600);
    }

    fn take(&mut self, event: Event, epoch: Instant, now: Instant) {
        match event {
            Event::Connected => self.connected = true,
            Event::KeyframeRequest(_) => self.key_frame_wanted = true,
            Event::RtpPacket(packet) => {
                self.received.media += 1;
                if let Some(stamp) = packet.payload.get(STAMP_OFFSET..STAMP_OFFSET + 8) {
                    let stamp = u64::from_be_bytes(stamp.try_into().unwrap_or_default());
                    self.received.delays_ns.push(nanoseconds(epoch, now).saturating_sub(stamp));
                }
            }
            _ => {}
        }
    }

    /// Publishes one frame of `packets` packets.
    pub(crate) fn publish(&mut self, packets: u64, epoch: Instant, now: Instant) {
        let key_frame = std::mem::take(&mut self.key_frame_wanted);
        for index in 0..packets {
            let payload = self.payload(index == 0, key_frame, nanoseconds(epoch, now));
            let time = self.frames.wrapping_mul(FRAME_TICKS);
            let write = RtpWrite::new(self.pt, self.sent.into(), time, now, payload)
                .marker(index + 1 == packets)
                .nackable(true);
            let mut direct = self.rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(self.mid, None) else { return };
            stream.write_rtp(write);
            self.sent += 1;
        }
        self.frames += 1;
        self.handle(Input::Timeout(now), epoch, now);
    }

    /// Payload of RFC 7741 with picture id, the header of RFC 6386 §9.1 at the start of a frame, and the time.
    fn payload(&self, first: bool, key_frame: bool, stamp_ns: u64) -> Vec<u8> {
        let mut payload = vec![0x5a; RTP_BYTES - RTP_HEADER_BYTES];
        let picture = 0x8000 | (self.frames & 0x7fff) as u16;
        payload[0] = if first { 0x90 } else { 0x80 };
        payload[1] = 0x80;
        payload[2..4].copy_from_slice(&picture.to_be_bytes());
        if first {
            payload[4] = if key_frame { 0x10 } else { 0x11 };
            if key_frame {
                payload[7..14].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
            }
        }
        payload[STAMP_OFFSET..STAMP_OFFSET + 8].copy_from_slice(&stamp_ns.to_be_bytes());
        payload
    }
}

fn nanoseconds(epoch: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}
