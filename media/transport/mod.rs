//! The server side of one WebRTC connection: ICE, DTLS, SRTP and data channels, without sockets or a clock.
//!
//! Datagrams and time go in; datagrams and events come out. All of its state is ours: [`Transport::export`] gives a value
//! with which [`Transport::import`] goes on elsewhere. It knows nothing of tracks or rooms.

mod certificate;
mod classify;
mod dcep;
mod dtls;
mod error;
mod guard;
mod handshake;
mod hello;
mod ice;
mod inherited;
pub mod limits;
pub mod stun_client;
mod record;
mod replay;
mod sctp;
mod srtp;
mod srtp_cipher;
mod state;
mod stun;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

pub use certificate::Certificate;
pub use classify::{DatagramClass, classify, local_ufrag};
pub use error::{CertificateError, ImportError, SendDataError, SrtpError};
pub use srtp::{RtpSealer, SrtpProfile};
pub use state::{ImportMargins, STATE_VERSION, TransportState};

use crate::codec::{Channel, IceCredentials, RemoteTransport, Setup};
use crate::command::PeerEnd;
use crate::id::Path;
use dtls::{Dtls, DtlsEvent};
use ice::Ice;
use sctp::{Sctp, SctpEvent};
use srtp::{Keys, Srtp};

/// Label of the DTLS exporter for SRTP (RFC 5764 §4.2).
const SRTP_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// How a transport begins.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// The node's certificate.
    pub certificate: Arc<Certificate>,
    /// Our ICE credentials.
    pub local: IceCredentials,
    /// Open LiveKit's channels ourselves when SCTP is up (the subscriber connection of protocol v0).
    pub open_channels: bool,
    /// Take AEAD_AES_128_GCM when the client offers it; `false` forces AES_CM_128_HMAC_SHA1_80.
    pub gcm: bool,
}

/// What a transport tells its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// DTLS is complete: media can flow both ways.
    Connected,
    /// A path carried an authentic check: bind it to this peer.
    PathAuthenticated(Path),
    /// A path is forgotten: unbind it.
    PathExpired(Path),
    /// Datagrams to the peer go here from now on.
    PathChanged(Path),
    /// A data channel can be written.
    ChannelOpen(Channel),
    /// A data channel is closed.
    ChannelClosed(Channel),
    /// A message arrived.
    Data {
        /// Its channel.
        channel: Channel,
        /// The message.
        payload: Bytes,
    },
    /// It is over; nothing follows.
    Closed(PeerEnd),
}

/// What was dropped so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportDrops {
    /// STUN messages that were malformed, not authentic or not expected.
    pub stun: u64,
    /// DTLS datagrams and records, the same.
    pub dtls: u64,
    /// SCTP packets and messages, the same.
    pub sctp: u64,
    /// Datagrams that found no path or no room in the queue.
    pub transmit: u64,
}

/// One WebRTC connection, server side.
#[derive(Debug)]
pub struct Transport {
    ice: Ice,
    dtls: Dtls,
    srtp: Option<Srtp>,
    sctp: Sctp,
    opens_channels: bool,
    connect_by: Option<Instant>,
    ended: bool,
    out: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<TransportEvent>,
    dtls_events: VecDeque<DtlsEvent>,
    packets: Vec<Bytes>,
    transmit_dropped: u64,
}

impl Transport {
    /// Starts to wait for the peer.
    #[must_use]
    pub fn new(config: TransportConfig, now: Instant) -> Self {
        Self::assemble(
            Ice::new(config.local),
            Dtls::new(config.certificate, config.gcm),
            Sctp::new(config.open_channels),
            config.open_channels,
            Some(now + limits::CONNECT_TIMEOUT),
        )
    }

    fn assemble(ice: Ice, dtls: Dtls, sctp: Sctp, opens_channels: bool, connect_by: Option<Instant>) -> Self {
        Self {
            ice,
            dtls,
            srtp: None,
            sctp,
            opens_channels,
            connect_by,
            ended: false,
            out: VecDeque::new(),
            events: VecDeque::new(),
            dtls_events: VecDeque::new(),
            packets: Vec::new(),
            transmit_dropped: 0,
        }
    }

    /// Tells what the remote description says; until then the first DTLS datagrams wait. A description
    /// that makes us the DTLS client, or names another certificate than the connection's, ends the transport.
    pub fn set_remote(&mut self, remote: RemoteTransport) {
        if self.ended {
            return;
        }
        self.ice.set_remote(remote.ice);
        if remote.setup == Setup::Passive {
            self.end(PeerEnd::HandshakeFailed);
        } else if let Some(event) = self.dtls.set_fingerprint(&remote.fingerprint) {
            self.dtls_events.push_back(event);
            self.take_dtls_events(None);
        }
    }

    /// Takes new local credentials; the old ones serve until the first nomination with the new ones.
    pub fn restart_ice(&mut self, local: IceCredentials) {
        self.ice.restart(local);
    }

    /// Takes a STUN message: answers checks, follows nominations, hears answers to our own checks.
    pub fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if !self.ended {
            self.ice.handle(now, path, datagram);
            self.flush(now);
        }
    }

    /// Takes a DTLS datagram, whatever path it came by.
    pub fn handle_dtls(&mut self, now: Instant, _path: Path, datagram: &[u8]) {
        if !self.ended {
            self.dtls.handle(now, datagram, &mut self.dtls_events);
            self.take_dtls_events(Some(now));
            self.flush(now);
        }
    }

    /// Opens an SRTP packet in place; returns its length without the tag. `header_length` covers CSRCs and extensions.
    pub fn open_rtp(&mut self, datagram: &mut [u8], header_length: usize) -> Result<usize, SrtpError> {
        self.srtp.as_mut().ok_or(SrtpError::NotConnected)?.open_rtp(datagram, header_length)
    }

    /// Opens an SRTCP packet in place; returns its length without index and tag.
    pub fn open_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        self.srtp.as_mut().ok_or(SrtpError::NotConnected)?.open_rtcp(datagram)
    }

    /// Seals a compound RTCP packet in place, under the next SRTCP index.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        self.srtp.as_mut().ok_or(SrtpError::NotConnected)?.seal_rtcp(packet)
    }

    /// The sealer of outgoing RTP, once connected.
    #[must_use]
    pub fn rtp_sealer(&self) -> Option<RtpSealer> {
        self.srtp.as_ref().map(Srtp::sealer)
    }

    /// Takes the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(Path, Vec<u8>)> {
        self.out.pop_front()
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// When [`Transport::handle_timeout`] is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let parts = [self.ice.poll_timeout(), self.dtls.poll_timeout(), self.sctp.poll_timeout(), self.connect_by];
        parts.into_iter().flatten().min()
    }

    /// Does what time asks for: repeats, expiries, ends.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        if self.connect_by.is_some() && !self.ice.knows_remote() {
            // A v0 publisher that publishes nothing is described late or never; its session bounds it.
            self.connect_by = Some(now + limits::CONNECT_TIMEOUT);
        }
        if self.connect_by.is_some_and(|at| at <= now) {
            self.end(PeerEnd::ConsentExpired);
            return;
        }
        self.ice.handle_timeout(now);
        self.dtls.handle_timeout(now, &mut self.dtls_events);
        self.take_dtls_events(Some(now));
        self.sctp.handle_timeout(now);
        self.flush(now);
    }

    /// Sends a binary message on a data channel. Beyond the buffer's limit a message is refused; on an unreliable
    /// channel that is the drop it would have met in the network.
    pub fn send_data(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<(), SendDataError> {
        if self.ended {
            return Err(SendDataError::NotOpen(channel));
        }
        let result = self.sctp.send(now, channel, payload);
        self.flush(now);
        result
    }

    /// Where datagrams to the peer go.
    #[must_use]
    pub fn selected_path(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Our ICE user name fragment of the present generation.
    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        self.ice.local_ufrag()
    }

    /// Every local user name fragment whose checks count: the present one, and the one before until a nomination.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.local_ufrags()
    }

    /// When a path last carried an authentic message.
    #[must_use]
    pub fn path_heard(&self, path: Path) -> Option<Instant> {
        self.ice.path_heard(path)
    }

    /// Whether media can flow.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some()
    }

    /// What was dropped so far.
    #[must_use]
    pub fn drops(&self) -> TransportDrops {
        TransportDrops {
            stun: self.ice.dropped,
            dtls: self.dtls.dropped,
            sctp: self.sctp.dropped,
            transmit: self.transmit_dropped,
        }
    }

    /// Forgets a path whose TCP connection is gone.
    pub fn close_path(&mut self, path: Path) {
        self.ice.close_path(path);
        self.events.append(&mut self.ice.events);
    }

    /// Says goodbye to the peer; no event follows.
    pub fn close(&mut self) {
        if !self.ended {
            self.dtls.close();
            self.drain_dtls();
            self.ended = true;
            self.srtp = None;
        }
    }

    /// After an import: the path of before still reaches us, so it serves until the peer has moved.
    pub fn adopt_path(&mut self, now: Instant, path: Path) {
        if !self.ended {
            self.ice.adopt_path(now, path);
            self.flush(now);
        }
    }

    /// What makes a transport anew whose peer has not been described yet: our credentials, and whether we open channels.
    #[must_use]
    pub fn unopened(&self) -> Option<(IceCredentials, bool)> {
        let untouched = !self.ended && self.srtp.is_none() && !self.ice.knows_remote();
        untouched.then(|| (self.ice.local().clone(), self.opens_channels))
    }

    /// After an import: claims the controlling ICE role and asks the peer, at every address known of it, to move to the
    /// sockets that `reach` names for it. Returns the number of paths asked; with 0 the peer cannot be moved this way.
    pub fn take_over(&mut self, now: Instant, reach: impl Fn(SocketAddr) -> Vec<u8>) -> usize {
        if self.ended {
            return 0;
        }
        let asked = self.ice.take_over(now, reach);
        self.flush(now);
        asked
    }

    /// The paths on which answers to a take-over come: they name nobody, so the worker has to know them.
    #[must_use]
    pub fn asked_paths(&self) -> &[Path] {
        self.ice.targets()
    }

    fn end(&mut self, reason: PeerEnd) {
        if !std::mem::replace(&mut self.ended, true) {
            self.srtp = None;
            self.events.push_back(TransportEvent::Closed(reason));
        }
    }

    /// `now` is `None` where no data can be among the events.
    fn take_dtls_events(&mut self, now: Option<Instant>) {
        while let Some(event) = self.dtls_events.pop_front() {
            match event {
                DtlsEvent::Connected => {
                    let keys = self.dtls.session().and_then(|session| srtp_keys(&session.secrets, session.profile));
                    let Some(keys) = keys else { return self.end(PeerEnd::HandshakeFailed) };
                    self.srtp = Some(Srtp::new(keys));
                    self.connect_by = None;
                    self.events.push_back(TransportEvent::Connected);
                }
                DtlsEvent::Data(packet) => {
                    if let Some(now) = now {
                        self.sctp.handle(now, packet);
                    }
                }
                DtlsEvent::Ended(reason) => {
                    self.drain_dtls();
                    self.end(reason);
                }
            }
        }
    }

    /// Moves everything that the parts have queued outwards.
    fn flush(&mut self, now: Instant) {
        for (path, datagram) in std::mem::take(&mut self.ice.out) {
            self.transmit(path, datagram);
        }
        while let Some(event) = self.ice.events.pop_front() {
            match event {
                TransportEvent::Closed(reason) => self.end(reason),
                event => self.events.push_back(event),
            }
        }
        while let Some(event) = self.sctp.poll_event() {
            match event {
                SctpEvent::Open(channel) => self.events.push_back(TransportEvent::ChannelOpen(channel)),
                SctpEvent::Closed(channel) => self.events.push_back(TransportEvent::ChannelClosed(channel)),
                SctpEvent::Data(channel, payload) => {
                    self.events.push_back(TransportEvent::Data { channel, payload });
                }
                SctpEvent::Fault => self.end(PeerEnd::Fault),
            }
        }
        // Without a path SCTP keeps its packets: its INIT after an import would be lost.
        if self.is_connected() && self.path().is_some() {
            self.sctp.poll_transmit(now, &mut self.packets);
            for packet in self.packets.drain(..) {
                self.dtls.send(&packet);
            }
        }
        self.drain_dtls();
    }

    fn path(&self) -> Option<Path> {
        self.ice.selected().or_else(|| self.ice.latest())
    }

    fn drain_dtls(&mut self) {
        let path = self.path();
        while let Some(datagram) = self.dtls.poll_transmit() {
            match path {
                Some(path) => self.transmit(path, datagram),
                None => self.transmit_dropped += 1,
            }
        }
    }

    fn transmit(&mut self, path: Path, datagram: Vec<u8>) {
        if self.out.len() >= limits::MAX_QUEUED_DATAGRAMS {
            self.transmit_dropped += 1;
        } else {
            self.out.push_back((path, datagram));
        }
    }
}

fn srtp_keys(secrets: &record::Secrets, profile: SrtpProfile) -> Option<(Keys, Keys)> {
    let material = secrets.export_keying_material(SRTP_LABEL, profile.keying_material_length());
    Keys::from_keying_material(profile, &material)
}

#[cfg(test)]
mod handover_test;
#[cfg(test)]
mod peer_test;
#[cfg(test)]
mod session_test;
#[cfg(test)]
pub(crate) mod testing;
