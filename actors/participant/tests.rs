//! A session's decisions, with real descriptions.

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

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn new(dual: bool) -> Self {
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
            ice_lite: true,
            allow_pause: None,
            candidates: Vec::new(),
            fingerprint: ["AB"; 32].join(":"),
            publisher_ice: ice(),
            subscriber_ice: ice(),
        };
        let calendar = Calendar { at: now, unix_ms: 1_000_000 };
        let config = Arc::new(RoomsConfig::new(Arc::new(NoSigner)));
        let state = ParticipantState::new(config, start, 1, Numbers::default(), calendar, 3, now);
        let mut client = Self { state, now };
        client.seen();
        client
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

#[test]
fn a_track_is_published_before_its_answer_and_announced_with_its_first_packet() {
    let mut client = Client::v1();
    let info = client.publish(microphone());
    assert!(info.sid.starts_with("TR_AM") && info.stream == "camera");
    let seen = client.offer(&offer("aaaa", Some("mic")));
    assert_eq!(seen[..3], [Seen::Media("remote"), Seen::Media("receivers"), Seen::Media("senders")]);
    let Some(Seen::Send(Message::Answer(answer))) = seen.last() else { panic!("{seen:?}") };
    assert_eq!(answer.id, 4);
    let key = client.state.tracks[&info.sid].key;
    let event = MediaEvent::LayerStarted { peer: PUBLISHER, track: key, codec: Codec::Opus, layer: 0, ssrc: 9 };
    client.state.handle_media(event, client.now);
    let seen = client.seen();
    let Some(Seen::Room(FromParticipant::TrackChanged(facts))) = seen.first() else { panic!("{seen:?}") };
    assert_eq!((facts.info.mid.as_str(), facts.info.mime_type.as_str()), ("0", "audio/opus"));
    assert!(facts.info.version.is_some());
}

#[test]
fn a_muted_track_is_announced_by_its_section() {
    let mut client = Client::v1();
    client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    let seen = client.offer(&offer("aaaa", Some("mic")));
    assert!(seen.contains(&Seen::Media("muted")));
    assert!(
        seen.iter().any(|seen| matches!(seen, Seen::Room(FromParticipant::TrackChanged(facts)) if facts.info.muted))
    );
}

#[test]
fn a_section_that_ends_unpublishes_its_track_and_lets_the_queued_one_in() {
    let mut client = Client::v1();
    let info = client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    client.offer(&offer("aaaa", Some("mic")));
    let seen = client.ask(Request::AddTrack(microphone()));
    let queued = |response: &lk::RequestResponse| response.reason == lk::request_response::Reason::Queued as i32;
    assert!(matches!(&seen[..], [Seen::Send(Message::RequestResponse(response))] if queued(response)));
    let seen = client.offer(&offer("aaaa", None));
    assert!(seen.contains(&Seen::Room(FromParticipant::TrackUnpublished { track_sid: info.sid.clone() })));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Send(Message::TrackPublished(_)))), "the queued one");
    assert!(!client.state.tracks.contains_key(&info.sid));
}

#[test]
fn an_announcement_that_is_repeated_keeps_its_sid() {
    let mut client = Client::v1();
    let first = client.publish(microphone());
    assert_eq!(client.publish(microphone()).sid, first.sid);
}

#[test]
fn forbidden_and_too_many_tracks_are_refused_with_their_request() {
    let mut client = Client::v1();
    client.state.permission.can_publish_sources = vec![lk::TrackSource::Camera as i32];
    let refusal = |seen: Vec<Seen>| match &seen[..] {
        [Seen::Send(Message::RequestResponse(response))] if response.request.is_some() => response.reason,
        other => panic!("{other:?}"),
    };
    let not_allowed = lk::request_response::Reason::NotAllowed as i32;
    assert_eq!(refusal(client.ask(Request::AddTrack(microphone()))), not_allowed);
    client.state.permission.can_publish_sources.clear();
    for cid in 0..20 {
        client.publish(lk::AddTrackRequest { cid: cid.to_string(), ..microphone() });
    }
    let over = refusal(client.ask(Request::AddTrack(microphone())));
    assert_eq!(over, lk::request_response::Reason::LimitExceeded as i32);
    let data = client.ask(Request::PublishDataTrackRequest(lk::PublishDataTrackRequest::default()));
    assert_eq!(refusal(data), not_allowed);
}

#[test]
fn a_v1_subscription_takes_a_free_section_of_the_next_offer() {
    let mut client = Client::v1();
    client.offer(&offer("aaaa", None));
    client.pass(Duration::from_secs(1));
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Audio))), client.now);
    assert!(client.seen().is_empty(), "it waits for company");
    let seen = client.pass(Duration::from_millis(10));
    let Some(Seen::Send(Message::MediaSectionsRequirement(required))) = seen.first() else { panic!("{seen:?}") };
    assert_eq!((required.num_audios, required.num_videos), (0, 0), "a section is free: only offer again");
    let seen = client.offer(&offer("aaaa", None));
    let answer = seen.iter().find_map(|seen| match seen {
        Seen::Send(Message::Answer(answer)) => Some(answer.clone()),
        _ => None,
    });
    let answer = answer.unwrap();
    assert_eq!(answer.mid_to_track_id["0"], "TR_50");
    assert!(answer.sdp.contains("a=msid:PA_bob|TR_50"));
    assert!(seen.contains(&Seen::Room(FromParticipant::Subscribed { track_sid: "TR_50".into() })));
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(51, Kind::Audio))), client.now);
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(52, Kind::Video))), client.now);
    let seen = client.pass(Duration::from_millis(200));
    let asked = lk::MediaSectionsRequirement { num_audios: 1, num_videos: 1 };
    assert!(seen.contains(&Seen::Send(Message::MediaSectionsRequirement(asked))));
}

#[test]
fn v0_keeps_one_offer_outstanding_and_ignores_answers_to_others() {
    let mut client = Client::v0();
    let seen = client.pass(Duration::from_millis(10));
    assert!(matches!(&seen[..], [Seen::Send(Message::Offer(offer))] if offer.id == 1), "{seen:?}");
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Audio))), client.now);
    assert!(client.pass(Duration::from_secs(1)).is_empty(), "the first is unanswered");
    let stale = lk::SessionDescription { id: 9, sdp: "v=0".into(), ..Default::default() };
    assert!(client.ask(Request::Answer(stale)).is_empty());
    let seen = client.pass(Duration::from_secs(15));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    assert_eq!(seen.last(), Some(&Seen::End));
}

#[test]
fn a_restart_offer_is_answered_with_new_credentials() {
    let mut client = Client::v1();
    client.offer(&offer("aaaa", None));
    let preference = client.state.publisher.local.local_preference;
    let seen = client.offer(&offer("bbbb", None));
    assert_eq!(seen[..2], [Seen::Media("restart"), Seen::Media("remote")]);
    let Some(Seen::Send(Message::Answer(answer))) = seen.last() else { panic!("{seen:?}") };
    assert!(!answer.sdp.contains("0abcdefghij"));
    assert!(client.state.publisher.local.ice.ufrag.starts_with('0'), "the worker is found by the first character");
    assert!(client.state.publisher.local.local_preference > preference);
    let seen = client.offer(&offer("bbbb", None));
    assert!(!seen.contains(&Seen::Media("restart")), "the same generation");
}

#[test]
fn a_description_that_cannot_be_read_ends_the_session_with_a_reason() {
    let mut client = Client::v1();
    let seen = client.offer("garbage");
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    assert!(client.offer(&offer("aaaa", None)).is_empty(), "nothing comes after a leave");
}

#[test]
fn track_settings_become_preferences_and_wishes() {
    let mut client = Client::v1();
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Video))), client.now);
    let want = |quality| {
        let codec = "vp8".to_owned();
        Seen::Room(FromParticipant::Want { track_sid: "TR_50".into(), codec, quality })
    };
    assert_eq!(client.seen(), [want(Some(0))], "an adaptive stream begins low");
    let mut settings = lk::UpdateTrackSettings {
        track_sids: vec!["TR_50".into()],
        quality: lk::VideoQuality::High as i32,
        fps: 15,
        ..Default::default()
    };
    assert_eq!(client.ask(Request::TrackSetting(settings.clone())), [want(Some(2))]);
    assert_eq!(client.state.subscriptions["TR_50"].preference.temporal_max, 1);
    settings.disabled = true;
    assert_eq!(client.ask(Request::TrackSetting(settings)), [want(None)]);
}

#[test]
fn sync_state_with_an_unknown_track_asks_for_a_full_reconnect() {
    let mut client = Client::v1();
    let info = client.publish(microphone());
    let sync = |sid: &str| {
        let track = Some(lk::TrackInfo { sid: sid.into(), ..Default::default() });
        let publish_tracks = vec![lk::TrackPublishedResponse { cid: "mic".into(), track }];
        Request::SyncState(lk::SyncState {
            publish_tracks,
            track_sids_disabled: vec!["TR_50".into()],
            ..Default::default()
        })
    };
    assert_eq!(client.ask(sync(&info.sid)), [Seen::Room(FromParticipant::ReceiveStates(Vec::new()))]);
    assert!(client.state.settings["TR_50"].disabled);
    let seen = client.ask(sync("TR_unknown"));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
}

#[test]
fn requests_of_a_replaced_websocket_mean_nothing() {
    let mut client = Client::v1();
    let join = crate::tests::join("room", "alice");
    let resume = Resume { claims: join.claims, parameters: join.parameters, updates: Vec::new() };
    client.state.resume(2, resume, client.now);
    client.seen();
    assert!(client.ask(Request::Ping(1)).is_empty());
    client.state.sink_closed(1, client.now);
    assert!(client.pass(Duration::from_secs(30)).is_empty(), "the session lives on its new one");
}

#[test]
fn a_lost_permission_to_publish_takes_the_track_away() {
    let mut client = Client::v1();
    let info = client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    client.offer(&offer("aaaa", Some("mic")));
    let permission = Box::new(lk::ParticipantPermission { can_subscribe: true, ..Default::default() });
    client.state.handle_room(ToParticipant::PermissionChanged(permission), client.now);
    let seen = client.seen();
    let gone = lk::TrackUnpublishedResponse { track_sid: info.sid.clone() };
    assert!(seen.contains(&Seen::Send(Message::TrackUnpublished(gone))));
    assert!(seen.contains(&Seen::Room(FromParticipant::TrackUnpublished { track_sid: info.sid })));
}

#[test]
fn a_lost_peer_means_a_new_join_and_a_closed_one_gets_a_moment() {
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerConnected { peer: PUBLISHER }, client.now);
    assert_eq!(client.seen(), [Seen::Room(FromParticipant::Connected)]);
    client.state.handle_media(MediaEvent::PeerEnded { peer: PUBLISHER, end: PeerEnd::Closed }, client.now);
    assert!(client.pass(Duration::from_secs(4)).is_empty());
    let seen = client.pass(Duration::from_secs(1));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerEnded { peer: PUBLISHER, end: PeerEnd::Fault }, client.now);
    assert_eq!(client.seen().last(), Some(&Seen::End));
}

#[test]
fn a_leave_is_clean_and_not_answered() {
    let mut client = Client::v1();
    let seen = client.ask(Request::Leave(lk::LeaveRequest::default()));
    let left = FromParticipant::Left { reason: lk::DisconnectReason::ClientInitiated };
    assert_eq!(seen, [Seen::Close, Seen::Room(left), Seen::End]);
}

#[test]
fn broken_candidates_are_ignored() {
    let mut client = Client::v1();
    for text in ["{", "", "{\"candidate\":\"\"}"] {
        let trickle = lk::TrickleRequest { candidate_init: text.into(), ..Default::default() };
        assert!(client.ask(Request::Trickle(trickle)).is_empty());
    }
}
