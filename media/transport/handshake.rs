//! rtc-dtls behind a wall: it sees only handshakes whose profile and peer are known, within a budget, and a panic in it
//! ends one peer. Its lost flights are repeated here, for its own timer stops at any received fragment.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{
    ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig, VerifyPeerCertificateFn,
};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use super::certificate::{self, Certificate};
use super::dtls::Session;
use super::hello::HelloPeek;
use super::limits;
use super::record::{self, Record, Secrets, records};
use super::replay::ReplayWindow;
use super::srtp::SrtpProfile;
use crate::command::PeerEnd;

/// The peer's address as DTLS and SCTP see it: constant, so that ICE may change the real one at any time.
pub(super) const VIRTUAL_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// What became of a datagram or a timer.
#[derive(Debug)]
pub(super) enum Outcome {
    Pending,
    Dropped,
    Ended(PeerEnd),
    Complete {
        session: Box<Session>,
        /// Application data that arrived with the end of the handshake.
        early: Vec<Vec<u8>>,
    },
}

/// A handshake in progress.
pub(super) struct Handshake {
    certificate: Arc<Certificate>,
    gcm: bool,
    fingerprint: Option<String>,
    /// What came before the peer's description: its hello, when it answers our offer and its answer takes longer.
    early: Vec<Vec<u8>>,
    early_at: Option<Instant>,
    endpoint: Option<Endpoint>,
    hello: HelloPeek,
    /// Set when the peer showed another certificate than signalling promised.
    mismatch: Arc<AtomicBool>,
    bytes: usize,
    records: usize,
    errors: u32,
    flight: Vec<Vec<u8>>,
    repeat_at: Option<Instant>,
    repeats: u32,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("bytes", &self.bytes).field("repeats", &self.repeats).finish_non_exhaustive()
    }
}

impl Handshake {
    pub(super) fn new(certificate: Arc<Certificate>, gcm: bool) -> Self {
        Self {
            certificate,
            gcm,
            fingerprint: None,
            early: Vec::new(),
            early_at: None,
            endpoint: None,
            hello: HelloPeek::default(),
            mismatch: Arc::default(),
            bytes: 0,
            records: 0,
            errors: 0,
            flight: Vec::new(),
            repeat_at: None,
            repeats: 0,
        }
    }

    /// A changed fingerprint counts only before the handshake has begun; later it would fail the check anyway.
    pub(super) fn set_fingerprint(&mut self, fingerprint: &str) {
        if self.endpoint.is_none() {
            self.fingerprint = Some(fingerprint.to_uppercase());
        }
    }

    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8], out: &mut VecDeque<Vec<u8>>) -> Outcome {
        let Some(fingerprint) = self.fingerprint.clone() else { return self.hold(now, datagram) };
        self.bytes += datagram.len();
        self.records += records(datagram).count().max(1);
        if self.bytes > limits::HANDSHAKE_BYTES || self.records > limits::HANDSHAKE_RECORDS {
            return Outcome::Ended(PeerEnd::HandshakeFailed);
        }
        let mut datagrams = vec![datagram.to_vec()];
        if self.endpoint.is_none() {
            let Some(hello) = self.hello.feed(datagram) else { return Outcome::Pending };
            datagrams = hello.datagrams;
            match self.config(&hello.profiles, fingerprint.clone()) {
                Ok(config) => {
                    self.endpoint = Some(Endpoint::new(VIRTUAL_PEER, TransportProtocol::UDP, Some(Arc::new(config))));
                }
                Err(_) => return Outcome::Ended(PeerEnd::HandshakeFailed),
            }
        }
        for datagram in datagrams {
            match self.read(now, &datagram, &fingerprint, out) {
                Outcome::Pending => {}
                other => return other,
            }
        }
        Outcome::Pending
    }

    /// Keeps the first datagrams until the fingerprint is known; the client's own repeat may be a second away.
    fn hold(&mut self, now: Instant, datagram: &[u8]) -> Outcome {
        if self.early.len() >= limits::EARLY_DATAGRAMS {
            return Outcome::Dropped;
        }
        self.early.push(datagram.to_vec());
        self.early_at = Some(now);
        Outcome::Pending
    }

    /// Handles what was held.
    fn handle_early(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        self.early_at = None;
        for datagram in std::mem::take(&mut self.early) {
            match self.handle(now, &datagram, out) {
                Outcome::Pending | Outcome::Dropped => {}
                other => return other,
            }
        }
        Outcome::Pending
    }

    /// The configuration for this client: one SRTP profile, GCM whenever it is offered.
    fn config(&self, offered: &[u16], expected: String) -> Result<HandshakeConfig, Error> {
        let gcm = self.gcm && offered.contains(&(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm as u16));
        let profile = if gcm {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm
        } else {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80
        };
        let mismatch = self.mismatch.clone();
        let verify: VerifyPeerCertificateFn = Arc::new(move |chain, _| {
            if chain.first().is_some_and(|der| certificate::fingerprint(der) == expected) {
                return Ok(());
            }
            mismatch.store(true, Ordering::Relaxed);
            Err(Error::ErrNoMatchingCertificateFingerprint)
        });
        let provider = rtc_crypto::default_provider().map_err(|error| Error::Other(error.to_string()))?;
        ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![self.certificate.inner.clone()])
            // The one suite that every WebRTC endpoint must have (RFC 8827 §6.5), and the one that our records speak.
            .with_cipher_suites(vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256])
            .with_srtp_protection_profiles(vec![profile])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(verify))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_mtu(limits::HANDSHAKE_MTU)
            .with_flight_interval(limits::LIBRARY_FLIGHT_INTERVAL)
            .build(false, None)
    }

    fn read(&mut self, now: Instant, datagram: &[u8], fingerprint: &str, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        let Some(endpoint) = &mut self.endpoint else { return Outcome::Pending };
        let result =
            catch_unwind(AssertUnwindSafe(|| endpoint.read(now, VIRTUAL_PEER, None, BytesMut::from(datagram))));
        let Ok(result) = result else { return self.fault() };
        let sent = self.drain(out);
        if self.mismatch.load(Ordering::Relaxed) {
            return Outcome::Ended(PeerEnd::HandshakeFailed);
        }
        let Ok(events) = result else {
            // Junk from the path is ignored for a while; an alert of our own says that the handshake is lost.
            self.errors += 1;
            let lost = self.errors > limits::HANDSHAKE_ERRORS || sent.iter().any(|sent| has_fatal_alert(sent));
            return if lost { Outcome::Ended(PeerEnd::HandshakeFailed) } else { Outcome::Dropped };
        };
        self.remember(now, sent);
        let mut complete = false;
        let mut early = Vec::new();
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => complete = true,
                EndpointEvent::ApplicationData(data) => early.push(data.to_vec()),
                EndpointEvent::PeerClosed => return Outcome::Ended(PeerEnd::Closed),
                _ => {}
            }
        }
        if !complete {
            return Outcome::Pending;
        }
        match self.session(fingerprint) {
            Some(session) => Outcome::Complete { session: Box::new(session), early },
            None => Outcome::Ended(PeerEnd::HandshakeFailed),
        }
    }

    fn fault(&mut self) -> Outcome {
        self.endpoint = None;
        Outcome::Ended(PeerEnd::Fault)
    }

    fn session(&self, fingerprint: &str) -> Option<Session> {
        let state = self.endpoint.as_ref()?.get_connection_state(VIRTUAL_PEER)?;
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::Aes128CmSha1_80,
            _ => return None,
        };
        let (secrets, next_sequence) = secrets(state)?;
        let record = Record::new(&secrets, next_sequence, ReplayWindow::default());
        Some(Session::new(secrets, profile, fingerprint.to_owned(), record))
    }

    fn drain(&mut self, out: &mut VecDeque<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.endpoint.as_mut().and_then(Endpoint::poll_transmit) {
            sent.push(transmit.message.to_vec());
        }
        out.extend(sent.iter().cloned());
        sent
    }

    /// Keeps the last flight for repeats. Verbatim is right: the peer's replay window drops what it has.
    fn remember(&mut self, now: Instant, sent: Vec<Vec<u8>>) {
        if !sent.is_empty() {
            self.flight = sent;
            self.repeats = 0;
            self.repeat_at = Some(now + limits::FLIGHT_REPEAT);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let theirs = self.endpoint.as_ref().and_then(|endpoint| endpoint.poll_timeout(&VIRTUAL_PEER));
        let early = self.early_at.filter(|_| self.fingerprint.is_some());
        self.repeat_at.into_iter().chain(theirs).chain(early).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        if self.fingerprint.is_some() && self.early_at.is_some() {
            return self.handle_early(now, out);
        }
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeats += 1;
            let interval = limits::FLIGHT_REPEAT.saturating_mul(1 << self.repeats.min(16));
            self.repeat_at =
                (self.repeats < limits::FLIGHT_REPEATS).then(|| now + interval.min(limits::FLIGHT_REPEAT_MAX));
            out.extend(self.flight.iter().cloned());
        }
        let Some(endpoint) = &mut self.endpoint else { return Outcome::Pending };
        if endpoint.poll_timeout(&VIRTUAL_PEER).is_none_or(|at| at > now) {
            return Outcome::Pending;
        }
        let result = catch_unwind(AssertUnwindSafe(|| endpoint.handle_timeout(VIRTUAL_PEER, now)));
        let Ok(result) = result else { return self.fault() };
        let repeats = self.repeats;
        let sent = self.drain(out);
        if !sent.is_empty() {
            // The same flight under new record numbers: our own repeats go on from it, at the interval reached.
            self.flight = sent;
            self.repeats = repeats;
        }
        if result.is_err() { Outcome::Ended(PeerEnd::HandshakeFailed) } else { Outcome::Pending }
    }
}

/// Says whether a datagram that we send carries a readable fatal alert (RFC 5246 §7.2).
fn has_fatal_alert(datagram: &[u8]) -> bool {
    records(datagram).any(|record| record.content_type == record::ALERT && record.fragment.first() == Some(&2))
}

/// The fields of rtc-dtls 0.21.1's private `SerializedState`, in its order and types.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct SerializedState {
    local_epoch: u16,
    remote_epoch: u16,
    local_random: [u8; 32],
    remote_random: [u8; 32],
    cipher_suite_id: u16,
    master_secret: Vec<u8>,
    sequence_number: u64,
    srtp_protection_profile: u16,
    peer_certificates: Vec<Vec<u8>>,
    identity_hint: Vec<u8>,
    is_client: bool,
}

/// Takes the session's secrets and the next record number out of a completed handshake.
fn secrets(state: &State) -> Option<(Secrets, u64)> {
    let blob = state.marshal_binary().ok()?;
    let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(blob.len());
    aligned.extend_from_slice(&blob);
    let state = rkyv::from_bytes::<SerializedState, rkyv::rancor::Error>(&aligned).ok()?;
    let sound = state.local_epoch == 1
        && !state.is_client
        && state.cipher_suite_id == CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256 as u16;
    let secrets =
        Secrets { master: state.master_secret, client_random: state.remote_random, server_random: state.local_random };
    sound.then_some((secrets, state.sequence_number))
}
