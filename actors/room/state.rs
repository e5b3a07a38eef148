//! The room's roster: who is in it, who comes and goes, and when it closes.

use crate::config::RoomsConfig;
use crate::ids::{Calendar, Ids, Numbers};
use crate::limits;
use crate::participant::ToParticipant;
use crate::room::data::DataRouter;
use crate::room::dynacast::Dynacast;
use crate::room::message::FromParticipant;
use crate::room::quality::Speakers;
use crate::room::updates::Updates;
use crate::signal::Message;
use crate::track::TrackFacts;
use starling_media::codec::{Channel, Kind};
use starling_media::command::{MediaCommand, Quality};
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
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
    /// An agent or a recorder: it serves the others and keeps no room open.
    pub(crate) dependent: bool,
    pub(crate) protocol: i32,
    pub(crate) auto_subscribe: bool,
    /// Explicit wishes, by track.
    pub(crate) choices: BTreeMap<String, bool>,
    /// Wanted tracks that nobody knows, with the time at which the wait ends.
    pub(crate) awaited: BTreeMap<String, Instant>,
    /// What is forwarded to it, by track.
    pub(crate) subscribed: BTreeMap<String, Subscribed>,
    /// Wanted and allowed tracks that the limits leave no place for.
    pub(crate) crowded_out: BTreeSet<String>,
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
    /// Who speaks, as far as it was told.
    pub(crate) speakers_told: BTreeMap<String, f32>,
}

impl Member {
    pub(crate) fn visible(&self) -> bool {
        !self.permission.hidden
    }
}

/// One subscription as its room sees it.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// Sid of its publisher.
    pub(crate) publisher: String,
    pub(crate) kind: Kind,
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
    pub(crate) updates: Updates,
    pub(crate) quality_at: Instant,
    pub(crate) ids: Ids,
    pub(crate) numbers: Numbers,
    pub(crate) calendar: Calendar,
    pub(crate) sif_trailer: Vec<u8>,
    /// Nobody has joined yet: the token of who does settles the room.
    pub(crate) unsettled: bool,
    /// When a deserted room closes.
    pub(crate) closes_at: Option<Instant>,
    pub(crate) closed: bool,
    pub(crate) room_update_at: Option<Instant>,
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
        let room = lk::Room {
            sid: ids.sid("RM_"),
            name: name.into(),
            empty_timeout: config.room.empty_timeout_s,
            departure_timeout: config.room.departure_timeout_s,
            max_participants: config.room.max_participants,
            creation_time: calendar.unix_ms(now) / 1_000,
            creation_time_ms: calendar.unix_ms(now),
            enabled_codecs: crate::room::info::enabled_codecs(&config.codecs),
            metadata: config.room.metadata.clone(),
            ..Default::default()
        };
        let mut state = Self {
            closes_at: Some(now + Duration::from_secs(room.empty_timeout.into())),
            key,
            room,
            members: BTreeMap::new(),
            identities: BTreeMap::new(),
            track_owners: BTreeMap::new(),
            data: DataRouter::default(),
            speakers: Speakers::default(),
            updates: Updates::default(),
            quality_at: now + limits::QUALITY_INTERVAL,
            sif_trailer: ids.bytes(16),
            unsettled: true,
            ids,
            numbers,
            calendar,
            closed: false,
            room_update_at: None,
            effects: VecDeque::new(),
            config,
        };
        if preset.is_some() {
            state.configure(preset);
        }
        state
    }

    /// Takes the settings of the token that came first; those of later ones change nothing.
    pub(crate) fn configure(&mut self, preset: Option<&lk::RoomConfiguration>) {
        if !std::mem::replace(&mut self.unsettled, false) {
            return;
        }
        let Some(preset) = preset else { return };
        let set = |field: &mut u32, value: u32| {
            if value > 0 {
                *field = value;
            }
        };
        set(&mut self.room.empty_timeout, preset.empty_timeout);
        set(&mut self.room.departure_timeout, preset.departure_timeout);
        set(&mut self.room.max_participants, preset.max_participants);
        if !preset.metadata.is_empty() {
            self.room.metadata.clone_from(&preset.metadata);
        }
        let empty_until = self.calendar.at + Duration::from_secs(self.room.empty_timeout.into());
        self.closes_at = self.closes_at.map(|_| empty_until);
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
        let single =
            [self.closes_at, self.room_update_at, quality, self.speakers.poll_timeout(), self.updates.poll_timeout()];
        awaited.chain(dynacast).chain(single.into_iter().flatten()).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.closes_at.is_some_and(|at| at <= now) {
            self.close(DisconnectReason::RoomClosed, Action::Disconnect);
            return;
        }
        if self.room_update_at.is_some_and(|at| at <= now) {
            self.room_update_at = None;
            self.broadcast_room();
        }
        self.end_update_batch(now);
        self.end_waits(now);
        self.update_dynacast(now);
        self.end_simulated_speakers(now);
        if self.quality_at <= now {
            self.quality_at = now + limits::QUALITY_INTERVAL;
            self.tell_quality();
        }
    }

    /// A participant tells or asks something. Unknown sids are late words of those who left.
    pub(crate) fn handle_participant(&mut self, sid: &str, message: FromParticipant, now: Instant) {
        if !self.members.contains_key(sid) {
            return;
        }
        match message {
            FromParticipant::Connected => self.connected(sid, now),
            FromParticipant::Left { reason } => self.remove(sid, reason, now),
            FromParticipant::TrackChanged(facts) => self.track_changed(sid, *facts, now),
            FromParticipant::TrackUnpublished { track_sid } => self.track_unpublished(sid, &track_sid, now),
            FromParticipant::UpdateSubscription(request) => self.update_subscription(sid, &request, now),
            FromParticipant::SubscriptionPermission(audience) => self.set_audience(sid, audience),
            FromParticipant::UpdateMetadata(request) => self.update_own_metadata(sid, *request, now),
            FromParticipant::Want { track_sid, codec, quality } => self.want(sid, &track_sid, codec, quality, now),
            FromParticipant::Subscribed { track_sid } => self.first_subscribed(sid, &track_sid),
            FromParticipant::ReceiveStates(states) => self.replay_since(sid, &states, now),
            FromParticipant::Quality { quality, score } => self.set_quality(sid, quality, score),
            FromParticipant::StreamPaused { track, paused } => self.stream_paused(sid, track, paused),
            FromParticipant::SimulateSpeaker { seconds } => self.simulate_speaker(sid, seconds, now),
        }
        self.check();
    }

    pub(crate) fn broadcast_room(&mut self) {
        let update = Message::RoomUpdate(lk::RoomUpdate { room: Some(self.room.clone()) });
        self.broadcast(&update, None);
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

    pub(crate) fn check(&self) {
        debug_assert_eq!(self.identities.len(), self.members.len(), "one session per identity");
        debug_assert!(self.closed || self.is_deserted() == self.closes_at.is_some(), "a deserted room has an end");
    }
}
