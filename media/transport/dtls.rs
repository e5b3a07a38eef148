//! The DTLS server: rtc-dtls for the handshake, behind budgets and our own flight repeat; our own records afterwards.
//! Sends nothing itself and never takes the client's role.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::certificate::Certificate;
use super::handshake::{Handshake, Outcome};
use super::limits;
use super::record::{self, Record, Secrets, records};
use super::srtp::SrtpProfile;
use crate::command::PeerEnd;

/// What a datagram or a timer brought about.
#[derive(Debug)]
pub(super) enum DtlsEvent {
    /// The handshake is complete and the peer has the certificate that signalling promised.
    Connected,
    /// Application data: one SCTP packet.
    Data(Vec<u8>),
    /// It is over.
    Ended(PeerEnd),
}

/// A session after its handshake.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) secrets: Secrets,
    pub(super) profile: SrtpProfile,
    /// Fingerprint that the peer's certificate was checked against.
    pub(super) fingerprint: String,
    pub(super) record: Record,
    /// Our last flight, for a client that did not get it; empty once the client has spoken or time is up.
    last_flight: Vec<Vec<u8>>,
    last_flight_until: Option<Instant>,
    /// When the last flight goes out unasked, and how often it did.
    next_repeat: Option<Instant>,
    repeats: u32,
    late_handshake: u32,
}

impl Session {
    pub(super) fn new(secrets: Secrets, profile: SrtpProfile, fingerprint: String, record: Record) -> Self {
        Self {
            secrets,
            profile,
            fingerprint,
            record,
            last_flight: Vec::new(),
            last_flight_until: None,
            next_repeat: None,
            repeats: 0,
            late_handshake: 0,
        }
    }

    /// The client has our last flight, or its time is up.
    fn forget_last_flight(&mut self) {
        self.last_flight = Vec::new();
        self.next_repeat = None;
    }

    fn repeat_last_flight(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) {
        out.extend(self.last_flight.iter().cloned());
        self.repeats += 1;
        let pause = (limits::FLIGHT_REPEAT * (1 << self.repeats)).min(limits::FLIGHT_REPEAT_MAX);
        self.next_repeat = (self.repeats < limits::LAST_FLIGHT_REPEATS).then_some(now + pause);
    }
}

#[derive(Debug)]
enum State {
    /// Until the peer's fingerprint is known everything is dropped; the client repeats its hello.
    Handshake(Box<Handshake>),
    Established(Box<Session>),
    Ended,
}

/// The DTLS part of a transport.
#[derive(Debug)]
pub(super) struct Dtls {
    state: State,
    out: VecDeque<Vec<u8>>,
    /// Datagrams and records that were ignored.
    pub(super) dropped: u64,
}

impl Dtls {
    pub(super) fn new(certificate: Arc<Certificate>, gcm: bool) -> Self {
        Self { state: State::Handshake(Box::new(Handshake::new(certificate, gcm))), out: VecDeque::new(), dropped: 0 }
    }

    /// Goes on with a session whose handshake was done elsewhere.
    pub(super) fn resumed(session: Session) -> Self {
        Self { state: State::Established(Box::new(session)), out: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Established(session) => Some(session),
            _ => None,
        }
    }

    /// Says which certificate the peer must show; another one than the session's ends it.
    pub(super) fn set_fingerprint(&mut self, fingerprint: &str) -> Option<DtlsEvent> {
        match &mut self.state {
            State::Handshake(handshake) => handshake.set_fingerprint(fingerprint),
            State::Established(session) if !session.fingerprint.eq_ignore_ascii_case(fingerprint) => {
                return Some(self.end(PeerEnd::HandshakeFailed));
            }
            State::Established(_) | State::Ended => {}
        }
        None
    }

    fn end(&mut self, reason: PeerEnd) -> DtlsEvent {
        self.state = State::Ended;
        DtlsEvent::Ended(reason)
    }

    /// Takes one datagram.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8], events: &mut VecDeque<DtlsEvent>) {
        match &mut self.state {
            State::Handshake(handshake) => {
                let outcome = handshake.handle(now, datagram, &mut self.out);
                self.settle(now, outcome, events);
            }
            State::Established(_) => self.handle_records(now, datagram, events),
            State::Ended => self.dropped += 1,
        }
    }

    fn settle(&mut self, now: Instant, outcome: Outcome, events: &mut VecDeque<DtlsEvent>) {
        match outcome {
            Outcome::Pending => {}
            Outcome::Dropped => self.dropped += 1,
            Outcome::Ended(reason) => events.push_back(self.end(reason)),
            Outcome::Complete { mut session, early } => {
                session.last_flight = self.out.iter().cloned().collect();
                session.last_flight_until = Some(now + limits::LAST_FLIGHT_LIFETIME);
                session.next_repeat = Some(now + limits::FLIGHT_REPEAT);
                self.state = State::Established(session);
                events.push_back(DtlsEvent::Connected);
                events.extend(early.into_iter().map(DtlsEvent::Data));
            }
        }
    }

    fn handle_records(&mut self, now: Instant, datagram: &[u8], events: &mut VecDeque<DtlsEvent>) {
        let State::Established(session) = &mut self.state else { return };
        let mut asks_again = false;
        for record in records(datagram) {
            if record.epoch == 0 || record.content_type == record::HANDSHAKE {
                asks_again |= record.content_type == record::HANDSHAKE;
                continue;
            }
            let Some(plain) = session.record.open(&record) else {
                self.dropped += 1;
                continue;
            };
            match record.content_type {
                record::APPLICATION_DATA => {
                    // Only a client that has our last flight sends data.
                    session.forget_last_flight();
                    events.push_back(DtlsEvent::Data(plain));
                }
                record::ALERT if plain == record::CLOSE_NOTIFY || plain.first() == Some(&2) => {
                    self.out.extend(session.record.seal(record::ALERT, &record::CLOSE_NOTIFY));
                    events.push_back(self.end(PeerEnd::Closed));
                    return;
                }
                _ => self.dropped += 1,
            }
        }
        // An epoch-0 record proves nothing, so what it can cause is bounded.
        if asks_again {
            session.late_handshake += 1;
            let kept = session.last_flight_until.is_some_and(|until| now < until);
            if session.late_handshake <= limits::LATE_HANDSHAKE_DATAGRAMS && kept {
                self.out.extend(session.last_flight.iter().cloned());
            } else {
                session.forget_last_flight();
                self.dropped += 1;
            }
        }
    }

    /// Sends application data, once established.
    pub(super) fn send(&mut self, payload: &[u8]) {
        if let State::Established(session) = &mut self.state {
            self.out.extend(session.record.seal(record::APPLICATION_DATA, payload));
        }
    }

    /// Says goodbye with `close_notify` and ends.
    pub(super) fn close(&mut self) {
        if let State::Established(session) = &mut self.state {
            self.out.extend(session.record.seal(record::ALERT, &record::CLOSE_NOTIFY));
        }
        self.state = State::Ended;
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Handshake(handshake) => handshake.poll_timeout(),
            State::Established(session) => {
                [session.last_flight_until, session.next_repeat].into_iter().flatten().min()
            }
            State::Ended => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, events: &mut VecDeque<DtlsEvent>) {
        match &mut self.state {
            State::Handshake(handshake) => {
                let outcome = handshake.handle_timeout(now, &mut self.out);
                self.settle(now, outcome, events);
            }
            State::Established(session) => {
                if session.last_flight_until.is_some_and(|until| until <= now) {
                    session.last_flight_until = None;
                    session.forget_last_flight();
                }
                if session.next_repeat.is_some_and(|at| at <= now) {
                    session.repeat_last_flight(now, &mut self.out);
                }
            }
            State::Ended => {}
        }
    }
}
