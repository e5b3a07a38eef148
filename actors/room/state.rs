//! The room's roster: who is in it, who comes and goes, and when it closes.

use crate::config::RoomsConfig;
use crate::error::JoinError;
use crate::ids::{Calendar, Ids, Numbers};
use crate::limits;
use crate::participant::ToParticipant;
use crate::permission;
use crate::room::data::DataRouter;
use crate::room::dynacast::Dynacast;
use crate::room::message::FromParticipant;
use crate::room::quality::Speakers;
use crate::session::Join;
use crate::signal::{self, Message};
use crate::track::TrackFacts;
use starling_media::codec::Channel;
use starling_media::command::{MediaCommand, Quality};
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_protocol::join::Dialect;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::participant_info::State;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the actor has to do.
#[derive(Debug)]
pub(crate) enum RoomEffect {
    /// Tell one participant.
    To { sid: String, message: Box<ToParticipant> },
    /// Tell the media plane.
    Media(MediaCommand),
    /// Forget a participant's actor.
    Forget { sid: String },
    /// End the room; it is empty.
    Closed,
}

/// What a new participant's actor starts from.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) sid: String,
    pub(crate) room_key: RoomKey,
    pub(crate) publisher: PeerId,
    pub(crate) subscriber: Option<PeerId>,
    pub(crate) subscriber_primary: bool,
    pub(crate) response: Box<lk::JoinResponse>,
}

/// A resume that can go on.
#[derive(Debug)]
pub(crate) struct Resumable {
    pub(crate) sid: String,
    pub(crate) response: lk::ReconnectResponse,
    pub(crate) updates: Vec<Message>,
}

/// One participant as its room sees it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) info: lk::ParticipantInfo,
    pub(crate) permission: lk::ParticipantPermission,
    pub(crate) protocol: i32,
    pub(crate) auto_subscribe: bool,
    /// Explicit wishes, by track.
    pub(crate) choices: BTreeMap<String, bool>,
    /// Wanted tracks that nobody knows, with the time at which the wait ends.
    pub(crate) awaited: BTreeMap<String, Instant>,
    /// What is forwarded to it, with the publisher's sid.
    pub(crate) subscribed: BTreeMap<String, String>,
    /// Wanted tracks that their publisher does not allow.
    pub(crate) refused: BTreeSet<String>,
    /// Who may have its tracks.
    pub(crate) audience: lk::SubscriptionPermission,
    /// Its announced tracks.
    pub(crate) tracks: BTreeMap<String, RoomTrack>,
    /// Where data to it goes, and which channels can be written.
    pub(crate) data_peer: PeerId,
    pub(crate) open: BTreeSet<Channel>,
    pub(crate) reliable_sequence: u32,
    pub(crate) nonces: VecDeque<Vec<u8>>,
    pub(crate) quality: (Quality, f32),
    pub(crate) quality_told: BTreeMap<String, i32>,
}

impl Member {
    pub(crate) fn visible(&self) -> bool {
        !self.permission.hidden
    }
}

/// One announced track.
#[derive(Debug)]
pub(crate) struct RoomTrack {
    pub(crate) facts: TrackFacts,
    pub(crate) dynacast: Dynacast,
    pub(crate) subscribed_once: bool,
}

/// One room.
#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) config: Arc<RoomsConfig>,
    pub(crate) key: RoomKey,
    pub(crate) room: lk::Room,
    pub(crate) members: BTreeMap<String, Member>,
    pub(crate) identities: BTreeMap<String, String>,
    pub(crate) track_owners: BTreeMap<TrackKey, (String, String)>,
    pub(crate) data: DataRouter,
    pub(crate) speakers: Speakers,
    pub(crate) quality_at: Instant,
    pub(crate) ids: Ids,
    numbers: Numbers,
    calendar: Calendar,
    sif_trailer: Vec<u8>,
    /// When an empty room closes.
    closes_at: Option<Instant>,
    closed: bool,
    room_update_at: Option<Instant>,
    pub(crate) effects: VecDeque<RoomEffect>,
}

impl RoomState {
    pub(crate) fn new(
        config: Arc<RoomsConfig>,
        key: RoomKey,
        name: &str,
        preset: Option<&lk::RoomConfiguration>,
        numbers: Numbers,
        calendar: Calendar,
        seed: u64,
    ) -> Self {
        let now = calendar.at;
        let mut ids = Ids::from_seed(seed);
        let or = |value: Option<u32>, default: u32| value.filter(|value| *value > 0).unwrap_or(default);
        let room = lk::Room {
            sid: ids.sid("RM_"),
            name: name.into(),
            empty_timeout: or(preset.map(|preset| preset.empty_timeout), config.room.empty_timeout_s),
            departure_timeout: or(preset.map(|preset| preset.departure_timeout), config.room.departure_timeout_s),
            max_participants: or(preset.map(|preset| preset.max_participants), config.room.max_participants),
            creation_time: calendar.unix_ms(now) / 1_000,
            creation_time_ms: calendar.unix_ms(now),
            enabled_codecs: crate::room::info::enabled_codecs(&config.codecs),
            metadata: preset
                .map(|preset| preset.metadata.clone())
                .filter(|metadata| !metadata.is_empty())
                .unwrap_or_else(|| config.room.metadata.clone()),
            ..Default::default()
        };
        Self {
            closes_at: Some(now + Duration::from_secs(room.empty_timeout.into())),
            key,
            room,
            members: BTreeMap::new(),
            identities: BTreeMap::new(),
            track_owners: BTreeMap::new(),
            data: DataRouter::default(),
            speakers: Speakers::default(),
            quality_at: now + limits::QUALITY_INTERVAL,
            sif_trailer: ids.bytes(16),
            ids,
            numbers,
            calendar,
            closed: false,
            room_update_at: None,
            effects: VecDeque::new(),
            config,
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<RoomEffect> {
        self.effects.pop_front()
    }

    /// When [`RoomState::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let awaited = self.members.values().flat_map(|member| member.awaited.values().copied());
        let dynacast = self.members.values().flat_map(|member| member.tracks.values());
        let dynacast = dynacast.filter_map(|track| track.dynacast.poll_timeout());
        let quality = (!self.members.is_empty()).then_some(self.quality_at);
        let single = [self.closes_at, self.room_update_at, quality, self.speakers.poll_timeout()];
        awaited.chain(dynacast).chain(single.into_iter().flatten()).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.closes_at.is_some_and(|at| at <= now) && self.members.is_empty() {
            self.close(DisconnectReason::RoomClosed);
            return;
        }
        if self.room_update_at.is_some_and(|at| at <= now) {
            self.room_update_at = None;
            self.broadcast_room();
        }
        self.end_waits(now);
        self.update_dynacast(now);
        self.end_simulated_speakers(now);
        if self.quality_at <= now {
            self.quality_at = now + limits::QUALITY_INTERVAL;
            self.tell_quality();
        }
    }

    /// Would a join be refused now?
    pub(crate) fn validate(&self, join: &Join) -> Result<(), JoinError> {
        if self.closed {
            return Err(JoinError::Unavailable { reason: "room is closing" });
        }
        let limit = self.room.max_participants;
        let others = self.members.len() - usize::from(self.identities.contains_key(&join.claims.sub));
        if limit > 0 && others >= limit as usize {
            return Err(JoinError::RoomFull { limit });
        }
        Ok(())
    }

    /// Lets somebody in; an older session of the same identity goes first.
    pub(crate) fn join(&mut self, join: &Join, now: Instant) -> Result<Joined, JoinError> {
        self.validate(join)?;
        if let Some(old) = self.identities.get(&join.claims.sub).cloned() {
            self.dismiss(&old, DisconnectReason::DuplicateIdentity, Action::Disconnect, now);
        }
        let sid = self.ids.sid("PA_");
        let dual = join.parameters.dialect == Dialect::DualPeer;
        let permission = permission::from_grants(&join.claims.video);
        let subscriber_primary = dual && permission.can_subscribe && join.parameters.client.protocol >= 3;
        let publisher = self.numbers.peer();
        let subscriber = dual.then(|| self.numbers.peer());
        let data_peer = subscriber.filter(|_| subscriber_primary).unwrap_or(publisher);
        let info = crate::room::info::participant(&sid, join, &permission, &self.config, self.calendar.unix_ms(now));
        let member = Member {
            permission,
            protocol: join.parameters.client.protocol,
            auto_subscribe: join.parameters.auto_subscribe,
            choices: BTreeMap::new(),
            awaited: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            refused: BTreeSet::new(),
            audience: lk::SubscriptionPermission { all_participants: true, ..Default::default() },
            tracks: BTreeMap::new(),
            data_peer,
            open: BTreeSet::new(),
            reliable_sequence: 0,
            nonces: VecDeque::new(),
            quality: (Quality::Excellent, 5.0),
            quality_told: BTreeMap::new(),
            info: info.clone(),
        };
        self.identities.insert(info.identity.clone(), sid.clone());
        self.members.insert(sid.clone(), member);
        self.closes_at = None;
        self.count_participants(now);
        let other_participants = self.others(&sid);
        self.announce(&sid, true);
        self.reconcile_subscriber(&sid);
        let response = Box::new(lk::JoinResponse {
            room: Some(self.room.clone()),
            participant: Some(info),
            other_participants,
            subscriber_primary,
            sif_trailer: self.sif_trailer.clone(),
            ..crate::room::info::join_response(&self.config)
        });
        self.check();
        Ok(Joined { sid, room_key: self.key, publisher, subscriber, subscriber_primary, response })
    }

    /// Finds the session that a resume continues.
    pub(crate) fn resume(&self, join: &Join) -> Option<Resumable> {
        let sid = self.identities.get(&join.claims.sub)?.clone();
        let asked = &join.parameters.participant_sid;
        if !asked.is_empty() && *asked != sid {
            return None;
        }
        let member = self.members.get(&sid)?;
        let mut everybody = self.others(&sid);
        everybody.push(member.info.clone());
        let response = lk::ReconnectResponse {
            ice_servers: self.config.ice_servers.clone(),
            server_info: Some(crate::room::info::server_info(&self.config)),
            last_message_seq: member.reliable_sequence,
            ..Default::default()
        };
        let updates =
            vec![signal::update(everybody), Message::RoomUpdate(lk::RoomUpdate { room: Some(self.room.clone()) })];
        Some(Resumable { sid, response, updates })
    }

    /// A participant tells or asks something. Unknown sids are late words of those who left.
    pub(crate) fn handle_participant(&mut self, sid: &str, message: FromParticipant, now: Instant) {
        if !self.members.contains_key(sid) {
            return;
        }
        match message {
            FromParticipant::Connected => self.connected(sid),
            FromParticipant::Left { reason } => self.remove(sid, reason, now),
            FromParticipant::TrackChanged(facts) => self.track_changed(sid, *facts, now),
            FromParticipant::TrackUnpublished { track_sid } => self.track_unpublished(sid, &track_sid, now),
            FromParticipant::UpdateSubscription(request) => self.update_subscription(sid, &request, now),
            FromParticipant::SubscriptionPermission(audience) => self.set_audience(sid, audience),
            FromParticipant::UpdateMetadata(request) => self.update_own_metadata(sid, *request),
            FromParticipant::Want { track_sid, codec, quality } => self.want(sid, &track_sid, codec, quality, now),
            FromParticipant::Subscribed { track_sid } => self.first_subscribed(sid, &track_sid),
            FromParticipant::ReceiveStates(states) => self.replay_since(sid, &states, now),
            FromParticipant::Quality { quality, score } => self.set_quality(sid, quality, score),
            FromParticipant::StreamPaused { track, paused } => self.stream_paused(sid, track, paused),
            FromParticipant::SimulateSpeaker { seconds } => self.simulate_speaker(sid, seconds, now),
        }
        self.check();
    }

    /// Sends a participant away: it hears why, the others hear that it is gone.
    pub(crate) fn dismiss(&mut self, sid: &str, reason: DisconnectReason, action: Action, now: Instant) {
        self.to(sid, ToParticipant::Leave { reason, action });
        self.remove(sid, reason, now);
    }

    /// Ends the room.
    pub(crate) fn close(&mut self, reason: DisconnectReason) {
        let sids: Vec<String> = self.members.keys().cloned().collect();
        for sid in sids {
            self.to(&sid, ToParticipant::Leave { reason, action: Action::Disconnect });
            self.effects.push_back(RoomEffect::Forget { sid });
        }
        self.members.clear();
        self.identities.clear();
        self.track_owners.clear();
        self.closed = true;
        self.closes_at = None;
        self.effects.push_back(RoomEffect::Closed);
    }

    fn connected(&mut self, sid: &str) {
        let Some(member) = self.members.get_mut(sid) else { return };
        if member.info.state == State::Active as i32 {
            return;
        }
        member.info.state = State::Active as i32;
        self.announce(sid, false);
    }

    fn remove(&mut self, sid: &str, reason: DisconnectReason, now: Instant) {
        let Some(mut member) = self.members.remove(sid) else { return };
        self.effects.push_back(RoomEffect::Forget { sid: sid.into() });
        if self.identities.get(&member.info.identity).is_some_and(|current| current == sid) {
            self.identities.remove(&member.info.identity);
        }
        for (track_sid, track) in std::mem::take(&mut member.tracks) {
            self.track_owners.remove(&track.facts.key);
            self.drop_subscribers(&track_sid);
        }
        self.forget_wants(sid, now);
        if member.visible() {
            let mut info = member.info;
            info.state = State::Disconnected as i32;
            info.disconnect_reason = reason as i32;
            info.tracks.clear();
            info.version += 1;
            self.broadcast(&signal::update(vec![info]), None);
        }
        self.count_participants(now);
        if self.members.is_empty() {
            self.closes_at = Some(now + Duration::from_secs(self.room.departure_timeout.into()));
            self.data.clear();
        }
    }

    pub(crate) fn count_participants(&mut self, now: Instant) {
        let visible = self.members.values().filter(|member| member.visible());
        let (mut participants, mut publishers) = (0, 0);
        for member in visible {
            participants += 1;
            publishers += u32::from(!member.tracks.is_empty());
        }
        if (participants, publishers) != (self.room.num_participants, self.room.num_publishers) {
            (self.room.num_participants, self.room.num_publishers) = (participants, publishers);
            self.room_update_at.get_or_insert(now + limits::ROOM_UPDATE_THROTTLE);
        }
    }

    pub(crate) fn broadcast_room(&mut self) {
        let update = Message::RoomUpdate(lk::RoomUpdate { room: Some(self.room.clone()) });
        self.broadcast(&update, None);
    }

    /// Everybody whom `sid` may see, without itself.
    fn others(&self, sid: &str) -> Vec<lk::ParticipantInfo> {
        let others = self.members.iter().filter(|(other, member)| *other != sid && member.visible());
        others.map(|(_, member)| member.info.clone()).collect()
    }

    /// Tells everybody (a hidden participant only itself) what a participant is like; raises its version.
    pub(crate) fn announce(&mut self, sid: &str, is_join: bool) {
        let Some(member) = self.members.get_mut(sid) else { return };
        if !is_join {
            member.info.version += 1;
        }
        member.info.tracks = member.tracks.values().map(|track| track.facts.info.clone()).collect();
        member.info.is_publisher = !member.tracks.is_empty();
        let update = signal::update(vec![member.info.clone()]);
        let visible = member.visible();
        if !is_join {
            self.to(sid, ToParticipant::Signal(update.clone()));
        }
        if visible {
            self.broadcast(&update, Some(sid));
        }
    }

    pub(crate) fn broadcast(&mut self, message: &Message, except: Option<&str>) {
        let sids: Vec<String> = self.members.keys().filter(|sid| Some(sid.as_str()) != except).cloned().collect();
        for sid in sids {
            self.to(&sid, ToParticipant::Signal(message.clone()));
        }
    }

    pub(crate) fn to(&mut self, sid: &str, message: ToParticipant) {
        self.effects.push_back(RoomEffect::To { sid: sid.into(), message: Box::new(message) });
    }

    fn check(&self) {
        debug_assert_eq!(self.identities.len(), self.members.len(), "one session per identity");
        debug_assert!(self.closed || self.members.is_empty() == self.closes_at.is_some(), "an empty room has an end");
    }
}
