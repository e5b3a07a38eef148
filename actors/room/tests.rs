//! The room's decisions, effect by effect.

use super::state::{RoomEffect, RoomState};
use super::{FromParticipant, Joined};
use crate::config::{RoomsConfig, TokenSigner};
use crate::error::JoinError;
use crate::ids::{Calendar, Numbers};
use crate::participant::ToParticipant;
use crate::session::Join;
use crate::signal::Message;
use crate::track::TrackFacts;
use bytes::Bytes;
use prost::Message as _;
use starling_media::codec::{Channel, Codec, Kind};
use starling_media::command::{MediaCommand, SpeakerLevel};
use starling_media::id::{RoomKey, TrackKey};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::participant_info::State;
use starling_protocol::token::Claims;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct NoSigner;

impl TokenSigner for NoSigner {
    fn sign(&self, _: &Claims) -> String {
        String::new()
    }
}

/// One room and its virtual time.
struct Room {
    state: RoomState,
    now: Instant,
}

impl Room {
    fn new() -> Self {
        Self::with(|_| {})
    }

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn with(change: impl FnOnce(&mut RoomsConfig)) -> Self {
        let now = Instant::now();
        let mut config = RoomsConfig::new(Arc::new(NoSigner));
        change(&mut config);
        let calendar = Calendar { at: now, unix_ms: 1_000_000 };
        let state = RoomState::new(Arc::new(config), RoomKey(1), "room", None, Numbers::default(), calendar, 7);
        Self { state, now }
    }

    fn try_join(&mut self, identity: &str, change: impl FnOnce(&mut Join)) -> Result<Joined, JoinError> {
        let mut join = crate::tests::join("room", identity);
        change(&mut join);
        self.state.join(&join, self.now)
    }

    /// Joins and forgets what everybody heard of it.
    fn join(&mut self, identity: &str) -> String {
        let sid = self.try_join(identity, |_| {}).unwrap().sid;
        self.effects();
        sid
    }

    fn say(&mut self, sid: &str, message: FromParticipant) -> Vec<(String, ToParticipant)> {
        self.state.handle_participant(sid, message, self.now);
        self.told()
    }

    fn effects(&mut self) -> Vec<RoomEffect> {
        std::iter::from_fn(|| self.state.poll_effect()).collect()
    }

    fn told(&mut self) -> Vec<(String, ToParticipant)> {
        let told = self.effects().into_iter().filter_map(|effect| match effect {
            RoomEffect::To { sid, message } => Some((sid, *message)),
            _ => None,
        });
        told.collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.state.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.state.handle_timeout(self.now);
            if self.state.members.is_empty() && self.state.poll_timeout().is_none() {
                break;
            }
        }
        self.now = end;
    }

    fn publish(&mut self, sid: &str, key: u64, kind: Kind) -> Vec<(String, ToParticipant)> {
        let facts = facts(sid, key, kind);
        self.say(sid, FromParticipant::TrackChanged(Box::new(facts)))
    }

    fn open(&mut self, sid: &str) {
        self.state.channel_opened(sid, Channel::Reliable, self.now);
        self.effects();
    }

    fn send(&mut self, sid: &str, packet: &lk::DataPacket) -> Vec<(usize, lk::DataPacket)> {
        self.state.data_from(sid, Channel::Reliable, &Bytes::from(packet.encode_to_vec()), self.now);
        self.sent()
    }

    /// How many peers got which packets.
    fn sent(&mut self) -> Vec<(usize, lk::DataPacket)> {
        let sent = self.effects().into_iter().filter_map(|effect| match effect {
            RoomEffect::Media(MediaCommand::SendData { peers, payload, .. }) => {
                Some((peers.len(), lk::DataPacket::decode(payload).unwrap()))
            }
            _ => None,
        });
        sent.collect()
    }
}

fn facts(publisher: &str, key: u64, kind: Kind) -> TrackFacts {
    let codec = if kind == Kind::Video { Codec::Vp8 } else { Codec::Opus };
    let info = lk::TrackInfo {
        sid: format!("TR_{key}"),
        r#type: if kind == Kind::Video { 1 } else { 0 },
        mime_type: codec.mime(),
        ..Default::default()
    };
    let codecs = vec![(codec, String::new())];
    TrackFacts { key: TrackKey(key), kind, publisher_sid: publisher.into(), info, codecs }
}

fn user(sequence: u32, to: &[&str]) -> lk::DataPacket {
    let user = lk::UserPacket { payload: b"hi".to_vec(), participant_sid: "PA_liar".into(), ..Default::default() };
    lk::DataPacket {
        sequence,
        participant_identity: "liar".into(),
        destination_identities: to.iter().map(|to| (*to).to_owned()).collect(),
        value: Some(lk::data_packet::Value::User(user)),
        ..Default::default()
    }
}

fn names(told: &[(String, ToParticipant)], sid: &str) -> Vec<&'static str> {
    told.iter()
        .filter(|(to, _)| to == sid)
        .map(|(_, message)| match message {
            ToParticipant::Signal(Message::Update(_)) => "update",
            ToParticipant::Signal(Message::SubscriptionPermissionUpdate(_)) => "permission",
            ToParticipant::Signal(Message::SubscriptionResponse(_)) => "refused",
            ToParticipant::Signal(Message::TrackSubscribed(_)) => "track subscribed",
            ToParticipant::Signal(Message::SpeakersChanged(_)) => "speakers",
            ToParticipant::Signal(Message::RoomUpdate(_)) => "room",
            ToParticipant::Signal(Message::SubscribedQualityUpdate(_)) => "quality wanted",
            ToParticipant::Signal(Message::RequestResponse(_)) => "response",
            ToParticipant::Signal(Message::ConnectionQuality(_)) => "connection",
            ToParticipant::Signal(_) => "signal",
            ToParticipant::Subscribe(_) => "subscribe",
            ToParticipant::Unsubscribe { .. } => "unsubscribe",
            ToParticipant::TrackChanged(_) => "changed",
            ToParticipant::PermissionChanged(_) => "own permission",
            ToParticipant::InfoChanged(_) => "own info",
            ToParticipant::MuteTrack { .. } => "mute",
            ToParticipant::Leave { .. } => "leave",
        })
        .collect()
}

#[test]
fn a_join_response_has_all_that_clients_need() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let joined = room.try_join("bob", |_| {}).unwrap();
    let response = joined.response;
    assert!(response.room.unwrap().sid.starts_with("RM_"));
    let own = response.participant.unwrap();
    assert!(own.sid.starts_with("PA_") && own.permission.unwrap().can_publish);
    assert_eq!(response.other_participants[0].sid, alice);
    assert!(response.ping_interval > 0 && response.ping_timeout > response.ping_interval);
    assert_eq!(response.server_info.unwrap().protocol, 17);
    assert!(response.enabled_publish_codecs[0].mime.starts_with("video/"));
    assert_eq!(response.sif_trailer.len(), 16);
    assert!(response.subscriber_primary, "two connections, and bob may subscribe");
    assert_eq!(names(&room.told(), &alice), ["update"]);
}

#[test]
fn a_second_session_of_an_identity_ends_the_first_before_it_is_announced() {
    let mut room = Room::new();
    let bob = room.join("bob");
    let old = room.join("alice");
    let new = room.try_join("alice", |_| {}).unwrap().sid;
    let told = room.told();
    let reason = told.iter().find_map(|(to, message)| match message {
        ToParticipant::Leave { reason, .. } if *to == old => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(DisconnectReason::DuplicateIdentity));
    let heard: Vec<(String, i32)> = told
        .iter()
        .filter(|(to, _)| *to == bob)
        .filter_map(|(_, message)| match message {
            ToParticipant::Signal(Message::Update(update)) => Some(update.participants[0].clone()),
            _ => None,
        })
        .map(|info| (info.sid, info.state))
        .collect();
    assert_eq!(heard, [(old, State::Disconnected as i32), (new, State::Joined as i32)]);
}

#[test]
fn a_hidden_participant_is_seen_by_nobody_and_sees_everybody() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let joined = room.try_join("ghost", |join| join.claims.video.hidden = true).unwrap();
    assert_eq!(joined.response.other_participants.len(), 1);
    assert!(names(&room.told(), &alice).is_empty());
    assert!(room.try_join("bob", |_| {}).unwrap().response.other_participants.len() == 1);
    room.effects();
    let told = room.say(&joined.sid, FromParticipant::Connected);
    assert!(names(&told, &alice).is_empty());
    assert_eq!(names(&told, &joined.sid), ["update"]);
}

#[test]
fn a_full_room_refuses_a_newcomer_but_not_a_returning_identity() {
    let mut room = Room::with(|config| config.room.max_participants = 1);
    room.join("alice");
    assert_eq!(room.try_join("bob", |_| {}).unwrap_err(), JoinError::RoomFull { limit: 1 });
    assert!(room.try_join("alice", |_| {}).is_ok());
}

#[test]
fn versions_of_a_participant_rise_with_every_update() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let mut versions = Vec::new();
    for told in [room.say(&alice, FromParticipant::Connected), room.publish(&alice, 1, Kind::Audio)] {
        versions.extend(told.into_iter().filter_map(|(_, message)| match message {
            ToParticipant::Signal(Message::Update(update)) => Some(update.participants[0].version),
            _ => None,
        }));
    }
    assert_eq!(versions, [2, 3]);
}

#[test]
fn an_update_with_its_track_precedes_each_subscription() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let told = room.publish(&alice, 1, Kind::Video);
    assert_eq!(names(&told, &bob), ["update", "subscribe"]);
    assert_eq!(names(&told, &alice), ["update"]);
    let told = room.say(&bob, FromParticipant::Subscribed { track_sid: "TR_1".into() });
    assert_eq!(names(&told, &alice), ["track subscribed"]);
    assert!(room.say(&bob, FromParticipant::Subscribed { track_sid: "TR_1".into() }).is_empty(), "only the first");
    let told = room.say(&alice, FromParticipant::TrackUnpublished { track_sid: "TR_1".into() });
    assert_eq!(names(&told, &bob), ["unsubscribe", "update"]);
}

#[test]
fn a_client_without_auto_subscribe_gets_what_it_asks_for() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let bob = room.try_join("bob", |join| join.parameters.auto_subscribe = false).unwrap().sid;
    room.effects();
    assert_eq!(names(&room.publish(&alice, 1, Kind::Audio), &bob), ["update"]);
    let mut request = lk::UpdateSubscription { track_sids: vec!["TR_1".into()], subscribe: true, ..Default::default() };
    let told = room.say(&bob, FromParticipant::UpdateSubscription(request.clone()));
    assert_eq!(names(&told, &bob), ["subscribe"]);
    request.subscribe = false;
    assert_eq!(names(&room.say(&bob, FromParticipant::UpdateSubscription(request)), &bob), ["unsubscribe"]);
}

#[test]
fn an_unknown_track_is_waited_for_ten_seconds() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let tracks = lk::ParticipantTracks { participant_sid: alice.clone(), track_sids: vec!["TR_9".into()] };
    let request = lk::UpdateSubscription { subscribe: true, participant_tracks: vec![tracks], ..Default::default() };
    assert!(room.say(&bob, FromParticipant::UpdateSubscription(request.clone())).is_empty());
    room.pass(Duration::from_secs(9));
    assert!(!names(&room.told(), &bob).contains(&"refused"));
    room.pass(Duration::from_secs(2));
    assert!(names(&room.told(), &bob).contains(&"refused"));
    room.say(&bob, FromParticipant::UpdateSubscription(request));
    let told = room.publish(&alice, 9, Kind::Audio);
    assert!(names(&told, &bob).contains(&"subscribe"));
    room.pass(Duration::from_secs(11));
    assert!(!names(&room.told(), &bob).contains(&"refused"));
}

#[test]
fn a_publisher_decides_who_receives_its_tracks() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    let none = lk::SubscriptionPermission::default();
    let told = room.say(&alice, FromParticipant::SubscriptionPermission(none));
    assert_eq!(names(&told, &bob), ["permission", "unsubscribe"]);
    let for_bob = lk::TrackPermission {
        participant_identity: "bob".into(),
        track_sids: vec!["TR_1".into()],
        ..Default::default()
    };
    let some = lk::SubscriptionPermission { track_permissions: vec![for_bob], ..Default::default() };
    let told = room.say(&alice, FromParticipant::SubscriptionPermission(some));
    assert_eq!(names(&told, &bob), ["permission", "subscribe"]);
}

#[test]
fn a_lost_permission_to_subscribe_ends_every_subscription() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    let permission = lk::ParticipantPermission { can_publish: true, ..Default::default() };
    room.state.update_participant("bob", None, None, Vec::new(), Some(permission), room.now).unwrap();
    assert_eq!(names(&room.told(), &bob), ["own permission", "update", "own info", "unsubscribe"]);
}

#[test]
fn data_carries_the_true_sender_and_reaches_only_whom_it_names() {
    let mut room = Room::new();
    let (alice, bob, carol) = (room.join("alice"), room.join("bob"), room.join("carol"));
    for sid in [&alice, &bob, &carol] {
        room.open(sid);
    }
    let all = room.send(&alice, &user(1, &[]));
    assert_eq!(all[0].0, 2);
    assert_eq!((all[0].1.participant_sid.as_str(), all[0].1.participant_identity.as_str()), (&*alice, "alice"));
    let Some(lk::data_packet::Value::User(inner)) = &all[0].1.value else { panic!("a user packet") };
    assert_eq!(inner.participant_sid, alice);
    assert_eq!(room.send(&alice, &user(2, &["carol"]))[0].0, 1);
    assert!(room.send(&alice, &user(2, &[])).is_empty(), "the same sequence again");
}

#[test]
fn data_without_permission_metrics_and_garbage_go_nowhere() {
    let mut room = Room::new();
    let bob = room.join("bob");
    room.open(&bob);
    let mute = room.try_join("mute", |join| join.claims.video.can_publish_data = Some(false)).unwrap().sid;
    let alice = room.join("alice");
    assert!(room.send(&mute, &user(1, &[])).is_empty());
    let metrics = lk::DataPacket {
        value: Some(lk::data_packet::Value::Metrics(lk::MetricsBatch::default())),
        ..Default::default()
    };
    assert!(room.send(&alice, &metrics).is_empty());
    let transcription = lk::DataPacket {
        value: Some(lk::data_packet::Value::Transcription(lk::Transcription::default())),
        ..Default::default()
    };
    assert!(room.send(&alice, &transcription).is_empty(), "only agents transcribe");
    room.state.data_from(&alice, Channel::Reliable, &Bytes::from_static(&[255; 40]), room.now);
    assert!(room.sent().is_empty());
}

#[test]
fn a_nonce_is_forwarded_once() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.open(&bob);
    let mut packet = user(0, &[]);
    if let Some(lk::data_packet::Value::User(user)) = &mut packet.value {
        user.nonce = vec![1; 16];
    }
    assert_eq!(room.send(&alice, &packet).len(), 1);
    assert!(room.send(&alice, &packet).is_empty());
}

#[test]
fn who_joins_or_resumes_gets_the_reliable_messages_of_the_last_two_seconds() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.send(&alice, &user(1, &[]));
    room.pass(Duration::from_secs(3));
    room.send(&alice, &user(2, &[]));
    room.send(&alice, &user(3, &[]));
    room.state.channel_opened(&bob, Channel::Reliable, room.now);
    let sequences: Vec<u32> = room.sent().iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(sequences, [2, 3]);
    let states = vec![lk::DataChannelReceiveState { publisher_sid: alice.clone(), last_seq: 2 }];
    room.state.handle_participant(&bob, FromParticipant::ReceiveStates(states), room.now);
    let sequences: Vec<u32> = room.sent().iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(sequences, [3]);
    assert_eq!(room.state.resume(&crate::tests::join("room", "alice")).unwrap().response.last_message_seq, 3);
}

#[test]
fn speakers_are_told_as_differences_to_those_who_hear_them() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let deaf = room.try_join("deaf", |join| join.parameters.auto_subscribe = false).unwrap().sid;
    room.publish(&alice, 1, Kind::Audio);
    room.state.speakers(&[SpeakerLevel { track: TrackKey(1), level: 0.4 }]);
    let told = room.told();
    assert_eq!(names(&told, &alice), ["speakers"]);
    assert_eq!(names(&told, &bob), ["speakers"]);
    assert!(names(&told, &deaf).is_empty());
    room.state.speakers(&[SpeakerLevel { track: TrackKey(1), level: 0.41 }]);
    assert!(room.told().is_empty(), "no step of the level");
    room.state.speakers(&[]);
    let silent = room.told().into_iter().find_map(|(_, message)| match message {
        ToParticipant::Signal(Message::SpeakersChanged(changed)) => Some(changed.speakers[0].clone()),
        _ => None,
    });
    assert_eq!(silent, Some(lk::SpeakerInfo { sid: alice, level: 0.0, active: false }));
}

#[test]
fn own_metadata_needs_permission_and_keeps_limits() {
    let mut room = Room::new();
    let alice = room.try_join("alice", |join| join.claims.video.can_update_own_metadata = Some(true)).unwrap().sid;
    let bob = room.join("bob");
    let response = |told: &[(String, ToParticipant)]| {
        told.iter().find_map(|(_, message)| match message {
            ToParticipant::Signal(Message::RequestResponse(response)) => Some((response.request_id, response.reason)),
            _ => None,
        })
    };
    let request = |name: &str, mood: &str| {
        FromParticipant::UpdateMetadata(Box::new(lk::UpdateParticipantMetadata {
            name: name.into(),
            attributes: [("mood".to_owned(), mood.to_owned())].into(),
            request_id: 5,
            ..Default::default()
        }))
    };
    assert_eq!(response(&room.say(&bob, request("x", "y"))), Some((5, 2)), "not allowed");
    assert_eq!(response(&room.say(&alice, request(&"n".repeat(257), "y"))), Some((5, 3)), "limit exceeded");
    assert_eq!(response(&room.say(&alice, request("Alice", "good"))), Some((5, 0)));
    assert_eq!(room.state.members[&alice].info.attributes["mood"], "good");
    room.say(&alice, request("Alice", ""));
    assert!(room.state.members[&alice].info.attributes.is_empty(), "an empty value deletes");
}

#[test]
fn an_empty_room_closes_after_its_timeouts() {
    let mut room = Room::new();
    room.pass(Duration::from_secs(299));
    assert!(room.effects().is_empty());
    let alice = room.join("alice");
    room.pass(Duration::from_secs(1_000));
    room.effects();
    room.say(&alice, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    room.pass(Duration::from_secs(19));
    assert!(room.effects().is_empty());
    room.pass(Duration::from_secs(2));
    assert!(matches!(room.effects()[..], [RoomEffect::Closed]));
    assert!(room.try_join("bob", |_| {}).is_err(), "a closed room takes nobody");
}

#[test]
fn the_number_of_participants_is_told_late_and_metadata_at_once() {
    let mut room = Room::new();
    let alice = room.join("alice");
    room.pass(Duration::from_secs(4));
    assert!(!names(&room.told(), &alice).contains(&"room"));
    room.pass(Duration::from_secs(2));
    assert!(names(&room.told(), &alice).contains(&"room"));
    room.state.update_room_metadata("new".into());
    assert_eq!(names(&room.told(), &alice), ["room"]);
}

#[test]
fn dynacast_tells_the_publisher_what_is_wanted() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Video);
    let want = |quality| FromParticipant::Want { track_sid: "TR_1".into(), codec: "vp8".into(), quality };
    assert_eq!(names(&room.say(&bob, want(Some(2))), &alice), ["quality wanted"]);
    assert!(room.say(&bob, want(None)).is_empty());
    room.pass(Duration::from_secs(6));
    let update = room.told().into_iter().find_map(|(_, message)| match message {
        ToParticipant::Signal(Message::SubscribedQualityUpdate(update)) => Some(update),
        _ => None,
    });
    let update = update.expect("nobody wants it for six seconds");
    assert_eq!(update.subscribed_codecs[0].codec, "vp8");
    assert!(update.subscribed_codecs[0].qualities.iter().all(|quality| !quality.enabled));
}

#[test]
fn quality_is_told_when_it_changed_and_lost_only_to_those_who_know_the_word() {
    let mut room = Room::new();
    let alice = room.join("alice");
    room.pass(Duration::from_secs(6));
    assert!(names(&room.told(), &alice).contains(&"connection"));
    room.pass(Duration::from_secs(10));
    assert!(!names(&room.told(), &alice).contains(&"connection"), "nothing changed");
    let lost = FromParticipant::Quality { quality: starling_media::command::Quality::Lost, score: 0.0 };
    room.say(&alice, lost);
    room.pass(Duration::from_secs(5));
    assert!(names(&room.told(), &alice).contains(&"connection"));
}

#[test]
fn a_resume_finds_only_its_own_session() {
    let mut room = Room::new();
    let sid = room.join("alice");
    room.join("bob");
    let mut join = crate::tests::join("room", "alice");
    join.parameters.participant_sid.clone_from(&sid);
    let found = room.state.resume(&join).unwrap();
    assert_eq!(found.sid, sid);
    let Message::Update(update) = &found.updates[0] else { panic!("everybody first") };
    assert_eq!(update.participants.len(), 2, "self included");
    assert!(matches!(&found.updates[1], Message::RoomUpdate(update) if update.room.is_some()));
    join.parameters.participant_sid = "PA_other".into();
    assert!(room.state.resume(&join).is_none());
}

#[test]
fn a_remote_unmute_needs_the_setting() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let mut muted = facts(&alice, 1, Kind::Audio);
    muted.info.muted = true;
    room.say(&alice, FromParticipant::TrackChanged(Box::new(muted)));
    assert!(room.state.mute_track("alice", "TR_1", false).is_none());
    assert!(room.state.mute_track("alice", "TR_1", true).is_some_and(|info| info.muted));
    assert_eq!(names(&room.told(), &alice), ["mute"]);
}
