//! A session's decisions, with real descriptions.

mod negotiation;
mod publish;
mod rejoin;
mod resume;
mod session;
mod video;

use super::ToParticipant;
use super::message::Resume;
use super::state::{ParticipantEffect, ParticipantState, Start};
use crate::config::{RoomsConfig, TokenSigner};
use crate::ids::{Calendar, Numbers};
use crate::room::FromParticipant;
use crate::signal::Message;
use crate::track::TrackFacts;
use starling_media::codec::{Codec, IceCredentials, Kind};
use starling_media::command::{MediaCommand, MediaEvent, PeerEnd};
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::signal_request::Message as Request;
use starling_protocol::token::Claims;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PUBLISHER: PeerId = PeerId(1);
const SUBSCRIBER: PeerId = PeerId(2);

#[derive(Debug)]
struct NoSigner;

impl TokenSigner for NoSigner {
    fn sign(&self, _: &Claims) -> String {
        String::new()
    }
}

struct Client {
    state: ParticipantState,
    now: Instant,
}

/// What an effect was, in order.
#[derive(Debug, PartialEq)]
enum Seen {
    Send(Message),
    Room(FromParticipant),
    Media(&'static str),
    Close,
    End,
}

impl Client {
    fn v1() -> Self {
        Self::new(false)
    }

    fn v0() -> Self {
        Self::new(true)
    }

    fn new(dual: bool) -> Self {
        let (state, now) = Self::state(dual, None, false);
        let mut client = Self { state, now };
        client.seen();
        client
    }

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn state(dual: bool, allow_pause: Option<bool>, rejoins: bool) -> (ParticipantState, Instant) {
        let now = Instant::now();
        let join = crate::tests::join("room", "alice");
        let info = lk::ParticipantInfo {
            sid: "PA_alice".into(),
            permission: Some(crate::permission::from_grants(&join.claims.video)),
            ..Default::default()
        };
        let ice = || IceCredentials { ufrag: "0abcdefghij".into(), pwd: "p".repeat(24) };
        let start = Start {
            sid: "PA_alice".into(),
            room_key: RoomKey(1),
            publisher: PUBLISHER,
            subscriber: dual.then_some(SUBSCRIBER),
            subscriber_primary: dual,
            info,
            claims: join.claims,
            adaptive_stream: true,
            rejoins,
            sdk: lk::client_info::Sdk::Js as i32,
            ice_lite: true,
            allow_pause,
            candidates: Vec::new(),
            fingerprint: ["AB"; 32].join(":"),
            publisher_ice: ice(),
            subscriber_ice: ice(),
        };
        let calendar = Calendar { at: now, unix_ms: 1_000_000 };
        let config = Arc::new(RoomsConfig::new(Arc::new(NoSigner)));
        (ParticipantState::new(config, start, 1, Numbers::default(), calendar, 3, now), now)
    }

    fn ask(&mut self, request: Request) -> Vec<Seen> {
        self.state.handle_request(1, lk::SignalRequest { message: Some(request) }, self.now);
        self.seen()
    }

    fn offer(&mut self, sdp: &str) -> Vec<Seen> {
        self.ask(Request::Offer(lk::SessionDescription {
            r#type: "offer".into(),
            sdp: sdp.into(),
            id: 4,
            ..Default::default()
        }))
    }

    fn pass(&mut self, time: Duration) -> Vec<Seen> {
        self.now += time;
        self.state.handle_timeout(self.now);
        self.seen()
    }

    fn seen(&mut self) -> Vec<Seen> {
        let effects = std::iter::from_fn(|| self.state.poll_effect());
        let seen = effects.filter_map(|effect| match effect {
            ParticipantEffect::Send(message) => Some(Seen::Send(*message)),
            ParticipantEffect::Room(message) => Some(Seen::Room(*message)),
            ParticipantEffect::Media(command) => Some(Seen::Media(name(&command))),
            ParticipantEffect::CloseSink => Some(Seen::Close),
            ParticipantEffect::End => Some(Seen::End),
            ParticipantEffect::SendToken(_) | ParticipantEffect::ChannelOpened(_) => None,
        });
        seen.collect()
    }

    /// The claims of the refresh token among the effects, if there is one.
    fn claims(&mut self) -> Option<Claims> {
        let effects = std::iter::from_fn(|| self.state.poll_effect());
        let tokens = effects.filter_map(|effect| match effect {
            ParticipantEffect::SendToken(claims) => Some(*claims),
            _ => None,
        });
        tokens.last()
    }

    fn publish(&mut self, request: lk::AddTrackRequest) -> lk::TrackInfo {
        let seen = self.ask(Request::AddTrack(request));
        match seen.into_iter().next() {
            Some(Seen::Send(Message::TrackPublished(published))) => published.track.unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn name(command: &MediaCommand) -> &'static str {
    match command {
        MediaCommand::OpenPeer { .. } => "open",
        MediaCommand::SetRemote { .. } => "remote",
        MediaCommand::RestartIce { .. } => "restart",
        MediaCommand::SetReceivers { .. } => "receivers",
        MediaCommand::SetSenders { .. } => "senders",
        MediaCommand::SetPreference { .. } => "preference",
        MediaCommand::SetMuted { .. } => "muted",
        _ => "other",
    }
}

fn microphone() -> lk::AddTrackRequest {
    let source = lk::TrackSource::Microphone as i32;
    lk::AddTrackRequest { cid: "mic".into(), name: "mic".into(), source, ..Default::default() }
}

/// A v1 client's offer: one audio section, sending `msid` or only receiving, and data.
fn offer(ufrag: &str, msid: Option<&str>) -> String {
    let direction = msid.map_or("a=recvonly\r\n".to_owned(), |msid| format!("a=sendonly\r\na=msid:- {msid}\r\n"));
    let fingerprint = ["CD"; 32].join(":");
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789abcdef01234567\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n"
    );
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=mid:0\r\n{direction}a=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=mid:1\r\na=sctp-port:5000\r\n"
    )
}

fn bobs(key: u64, kind: Kind) -> TrackFacts {
    let codec = if kind == Kind::Video { Codec::Vp8 } else { Codec::Opus };
    let info = lk::TrackInfo { sid: format!("TR_{key}"), mime_type: codec.mime(), ..Default::default() };
    let codecs = vec![(codec, "minptime=10;useinbandfec=1".into())];
    TrackFacts { key: TrackKey(key), kind, publisher_sid: "PA_bob".into(), info, codecs }
}
