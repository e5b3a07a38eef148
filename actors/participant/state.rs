//! What a participant's session knows.

use crate::config::RoomsConfig;
use crate::ids::{Calendar, Ids, Numbers};
use crate::limits;
use crate::participant::message::{Resume, ToParticipant};
use crate::participant::rejoin::Waiting;
use crate::permission;
use crate::room::FromParticipant;
use crate::signal::{self, Message};
use crate::track::TrackFacts;
use starling_media::codec::{Candidate, Codec, ExtensionIds, IceCredentials, SendSection};
use starling_media::command::{MediaCommand, Preference, Quality};
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_media::sdp::{Answerer, CodecPolicy, LocalTransport, Offerer, PublishedTrack};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::token::Claims;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// What the actor has to do.
#[derive(Debug)]
pub(crate) enum ParticipantEffect {
    /// Send to the client.
    Send(Box<Message>),
    /// Sign these claims and send them as a refresh token.
    SendToken(Box<Claims>),
    /// Close the WebSocket.
    CloseSink,
    /// Tell the room.
    Room(Box<FromParticipant>),
    /// A data channel to the client is open.
    ChannelOpened(starling_media::codec::Channel),
    /// Tell the media plane.
    Media(Box<MediaCommand>),
    /// End the actor; all peers are closed by it.
    End,
}

/// What a session starts from.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) sid: String,
    pub(crate) room_key: RoomKey,
    pub(crate) publisher: PeerId,
    pub(crate) subscriber: Option<PeerId>,
    pub(crate) subscriber_primary: bool,
    pub(crate) info: lk::ParticipantInfo,
    pub(crate) claims: Claims,
    pub(crate) adaptive_stream: bool,
    /// Whether it joins because it was told to, and with which SDK.
    pub(crate) rejoins: bool,
    pub(crate) sdk: i32,
    pub(crate) ice_lite: bool,
    /// Whether congestion may pause what the client receives, where it said.
    pub(crate) allow_pause: Option<bool>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) fingerprint: String,
    pub(crate) publisher_ice: IceCredentials,
    pub(crate) subscriber_ice: IceCredentials,
}

/// One transport of the client.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) peer: PeerId,
    pub(crate) local: LocalTransport,
    /// First character of the next ICE user name fragments, once the peer has moved to another worker.
    pub(crate) prefix: Option<char>,
    pub(crate) connected: bool,
    /// Its client closed it at this time.
    pub(crate) closed_at: Option<Instant>,
    pub(crate) quality: (Quality, f32),
}

/// The v0 subscriber connection, offered by us.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) transport: Transport,
    pub(crate) offerer: Offerer,
    pub(crate) offer_id: u32,
    /// When the outstanding offer was sent.
    pub(crate) offered_at: Option<Instant>,
}

/// One announced or pending own track.
#[derive(Debug)]
pub(crate) struct OwnTrack {
    pub(crate) key: TrackKey,
    pub(crate) request: lk::AddTrackRequest,
    pub(crate) published: PublishedTrack,
    pub(crate) info: lk::TrackInfo,
    /// What its sections allow, by mid: codecs with fmtp, most wanted first.
    pub(crate) sections: BTreeMap<String, Vec<(Codec, String)>>,
    pub(crate) announced: bool,
    pub(crate) layers: BTreeMap<u8, u32>,
}

/// One received track.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) facts: TrackFacts,
    pub(crate) preference: Preference,
    /// Whether the media plane has its section, and in which codec it can be received.
    pub(crate) placed: bool,
    pub(crate) codec: String,
    /// Media and RTX SSRC towards this participant.
    pub(crate) ssrcs: (u32, u32),
    /// Whether the client cannot receive any of its codecs.
    pub(crate) refused: bool,
    pub(crate) wanted: Option<(String, Option<u8>)>,
}

/// The WebSocket's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Open(u64),
    Lost { at: Instant },
}

/// One session.
#[derive(Debug)]
pub(crate) struct ParticipantState {
    pub(crate) config: Arc<RoomsConfig>,
    pub(crate) calendar: Calendar,
    pub(crate) ids: Ids,
    pub(crate) numbers: Numbers,
    pub(crate) sid: String,
    pub(crate) info: lk::ParticipantInfo,
    pub(crate) permission: lk::ParticipantPermission,
    pub(crate) claims: Claims,
    pub(crate) adaptive_stream: bool,
    pub(crate) sink: Sink,
    pub(crate) started_at: Instant,
    pub(crate) was_connected: bool,
    pub(crate) ended: bool,
    pub(crate) refresh_at: Instant,
    pub(crate) disconnect_on_resume: bool,
    pub(crate) primary_is_subscriber: bool,
    pub(crate) publisher: Transport,
    pub(crate) answerer: Answerer,
    pub(crate) remote_ufrag: Option<String>,
    pub(crate) subscriber: Option<Subscriber>,
    pub(crate) negotiate_at: Option<Instant>,
    pub(crate) negotiated_at: Option<Instant>,
    pub(crate) tracks: BTreeMap<String, OwnTrack>,
    pub(crate) queued_tracks: VecDeque<lk::AddTrackRequest>,
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    /// Subscriptions that may not start yet.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) settings: BTreeMap<String, lk::UpdateTrackSettings>,
    pub(crate) senders: BTreeSet<TrackKey>,
    /// The last table of senders given to the media plane.
    pub(crate) sections: (ExtensionIds, Vec<SendSection>),
    pub(crate) effects: VecDeque<ParticipantEffect>,
}

impl ParticipantState {
    pub(crate) fn new(
        config: Arc<RoomsConfig>,
        start: Start,
        sink: u64,
        numbers: Numbers,
        calendar: Calendar,
        seed: u64,
        now: Instant,
    ) -> Self {
        let policy = CodecPolicy { enabled: config.codecs.clone() };
        let transport = |peer: PeerId, ice: IceCredentials| Transport {
            peer,
            local: LocalTransport {
                ice,
                fingerprint: start.fingerprint.clone(),
                candidates: start.candidates.clone(),
                local_preference: limits::LOCAL_PREFERENCE_STEP,
                ice_lite: start.ice_lite,
            },
            prefix: None,
            connected: false,
            closed_at: None,
            quality: (Quality::Excellent, 5.0),
        };
        let publisher = transport(start.publisher, start.publisher_ice.clone());
        let subscriber = start.subscriber.map(|peer| Subscriber {
            transport: transport(peer, start.subscriber_ice.clone()),
            offerer: Offerer::new(policy.clone()),
            offer_id: 0,
            offered_at: None,
        });
        let mut state = Self {
            answerer: Answerer::new(policy, subscriber.is_none()),
            permission: start.info.permission.clone().unwrap_or_default(),
            config,
            calendar,
            ids: Ids::from_seed(seed),
            numbers,
            sid: start.sid,
            info: start.info,
            claims: start.claims,
            adaptive_stream: start.adaptive_stream,
            sink: Sink::Open(sink),
            started_at: now,
            was_connected: false,
            ended: false,
            refresh_at: now,
            disconnect_on_resume: false,
            primary_is_subscriber: start.subscriber_primary,
            publisher,
            remote_ufrag: None,
            subscriber,
            negotiate_at: None,
            negotiated_at: None,
            tracks: BTreeMap::new(),
            queued_tracks: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            waiting: Waiting::new(start.rejoins, start.sdk, now),
            settings: BTreeMap::new(),
            senders: BTreeSet::new(),
            sections: (ExtensionIds::default(), Vec::new()),
            effects: VecDeque::new(),
        };
        state.open_peers(start.room_key, start.allow_pause, now);
        state
    }

    fn open_peers(&mut self, room: RoomKey, allow_pause: Option<bool>, now: Instant) {
        let local = self.publisher.local.ice.clone();
        let peer = self.publisher.peer;
        self.media(MediaCommand::OpenPeer { peer, room, local, open_channels: false, allow_pause });
        if let Some(subscriber) = &self.subscriber {
            let (peer, local) = (subscriber.transport.peer, subscriber.transport.local.ice.clone());
            self.media(MediaCommand::OpenPeer { peer, room, local, open_channels: true, allow_pause });
        }
        if self.primary_is_subscriber
            && let Some(subscriber) = &mut self.subscriber
        {
            subscriber.offerer.force();
            self.negotiate_soon(now);
        }
    }

    /// The peers are at another worker, which has other addresses.
    pub(crate) fn relocated(&mut self, candidates: &[Candidate], prefix: Option<char>) {
        let subscriber = self.subscriber.as_mut().map(|subscriber| &mut subscriber.transport);
        for transport in std::iter::once(&mut self.publisher).chain(subscriber) {
            transport.prefix = prefix;
            transport.local.candidates = candidates.to_vec();
            transport.local.local_preference =
                transport.local.local_preference.saturating_add(limits::LOCAL_PREFERENCE_STEP);
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<ParticipantEffect> {
        self.effects.pop_front()
    }

    /// The room says something.
    pub(crate) fn handle_room(&mut self, message: ToParticipant, now: Instant) {
        if self.ended {
            return;
        }
        match message {
            ToParticipant::Signal(message) => self.send(message),
            ToParticipant::Subscribe(facts) => {
                if let Some(facts) = self.wait_with(*facts) {
                    self.subscribe(facts, now);
                }
            }
            ToParticipant::TrackChanged(facts) => self.subscribed_track_changed(*facts, now),
            ToParticipant::Unsubscribe { track_sid } => self.unsubscribe(&track_sid, now),
            ToParticipant::PermissionChanged(permission) => self.set_permission(*permission, now),
            ToParticipant::InfoChanged(info) => self.info = *info,
            ToParticipant::MuteTrack { track_sid, muted } => self.mute_by_server(&track_sid, muted, now),
            ToParticipant::Leave { reason, action } => self.end(reason, Some(action), false),
        }
    }

    /// The client is back on a new WebSocket.
    pub(crate) fn resume(&mut self, sink: u64, resume: Resume, now: Instant) {
        if self.ended {
            self.send(signal::leave(DisconnectReason::StateMismatch, Action::Reconnect));
            return;
        }
        self.sink = Sink::Open(sink);
        self.claims.exp = self.claims.exp.max(resume.claims.exp);
        for message in resume.updates {
            self.send(message);
        }
        if std::mem::take(&mut self.disconnect_on_resume) {
            self.effects.push_back(ParticipantEffect::CloseSink);
            self.sink = Sink::Lost { at: now };
            return;
        }
        self.restart_subscriber(now);
        self.send_token(now);
        if let Some(sync) = resume.parameters.sync_state {
            self.sync_state(&sync, now);
        }
        if let Some(offer) = resume.parameters.publisher_offer.filter(|offer| !offer.sdp.is_empty()) {
            self.offered(&offer, now);
        }
        self.negotiate_soon(now);
    }

    /// A WebSocket is gone; an older one's end means nothing.
    pub(crate) fn sink_closed(&mut self, sink: u64, now: Instant) {
        if self.sink == Sink::Open(sink) {
            self.sink = Sink::Lost { at: now };
        }
    }

    fn set_permission(&mut self, permission: lk::ParticipantPermission, now: Instant) {
        self.permission = permission;
        let refused: Vec<String> = self
            .tracks
            .iter()
            .filter(|(_, track)| !permission::may_publish(&self.permission, track.info.source))
            .map(|(sid, _)| sid.clone())
            .collect();
        for track_sid in refused {
            self.unpublish(&track_sid);
            self.send(Message::TrackUnpublished(lk::TrackUnpublishedResponse { track_sid }));
        }
        self.send_token(now);
    }

    /// Sends a refresh token with what holds now.
    pub(crate) fn send_token(&mut self, now: Instant) {
        self.refresh_at = now + limits::TOKEN_REFRESH_INTERVAL;
        let now_s = self.calendar.unix_ms(now) / 1_000;
        let mut claims = self.claims.clone();
        claims.exp = claims.exp.max(now_s + limits::TOKEN_VALIDITY_MIN_S);
        claims.nbf = None;
        claims.iat = None;
        claims.name.clone_from(&self.info.name);
        claims.metadata.clone_from(&self.info.metadata);
        claims.attributes = self.info.attributes.clone().into_iter().collect();
        permission::into_grants(&self.permission, &mut claims.video);
        self.effects.push_back(ParticipantEffect::SendToken(Box::new(claims)));
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.effects.push_back(ParticipantEffect::Send(Box::new(message)));
    }

    pub(crate) fn room(&mut self, message: FromParticipant) {
        self.effects.push_back(ParticipantEffect::Room(Box::new(message)));
    }

    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.effects.push_back(ParticipantEffect::Media(Box::new(command)));
    }
}
