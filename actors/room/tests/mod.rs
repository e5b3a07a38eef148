//! The room's decisions, effect by effect.

mod data;
mod limits;
mod quality;
mod roster;
mod subscription;
mod updates;

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
    let mut user = lk::UserPacket { payload: b"hi".to_vec(), ..Default::default() };
    crate::legacy::stamp(&mut user, "PA_liar", "liar");
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
