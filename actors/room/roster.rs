//! Who is in the room: joining, resuming, leaving, and the room's end.

use crate::error::JoinError;
use crate::legacy;
use crate::limits;
use crate::participant::ToParticipant;
use crate::permission;
use crate::room::info;
use crate::room::state::{Joined, Member, Resumable, RoomEffect, RoomState};
use crate::session::Join;
use crate::signal::{self, Message};
use starling_media::command::Quality;
use starling_protocol::join::Dialect;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::participant_info::{Kind, State};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

impl RoomState {
    /// Would a join be refused now?
    pub(crate) fn validate(&self, join: &Join) -> Result<(), JoinError> {
        if self.closed {
            return Err(JoinError::Unavailable { reason: "room is closing".into() });
        }
        let limit = self.room.max_participants;
        let independent = self.members.values().filter(|member| !member.dependent);
        let others = independent.filter(|member| member.info.identity != join.claims.sub).count();
        if limit > 0 && !permission::is_dependent(&join.claims) && others >= limit as usize {
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
        let info = info::participant(&sid, join, &permission, &self.config, self.calendar.unix_ms(now));
        let member = Member {
            permission,
            dependent: permission::is_dependent(&join.claims),
            protocol: join.parameters.client.protocol,
            auto_subscribe: join.parameters.auto_subscribe,
            choices: BTreeMap::new(),
            awaited: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            crowded_out: BTreeSet::new(),
            refused: BTreeSet::new(),
            audience: lk::SubscriptionPermission { all_participants: true, ..Default::default() },
            tracks: BTreeMap::new(),
            data_peer,
            open: BTreeSet::new(),
            reliable_sequence: 0,
            nonces: VecDeque::new(),
            quality: (Quality::Excellent, 5.0),
            quality_told: BTreeMap::new(),
            speakers_told: BTreeMap::new(),
            info: info.clone(),
        };
        self.identities.insert(info.identity.clone(), sid.clone());
        self.members.insert(sid.clone(), member);
        if !self.is_deserted() {
            self.closes_at = None;
        }
        self.count_participants(now);
        let other_participants = self.others(&sid);
        self.announce(&sid, true, now);
        self.reconcile_subscriber(&sid);
        let response = Box::new(lk::JoinResponse {
            room: Some(self.room.clone()),
            participant: Some(info),
            other_participants,
            subscriber_primary,
            sif_trailer: self.sif_trailer.clone(),
            ..info::join_response(&self.config)
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
            server_info: Some(info::server_info(&self.config)),
            last_message_seq: member.reliable_sequence,
            ..Default::default()
        };
        let mut updates = signal::updates(everybody);
        updates.push(Message::RoomUpdate(lk::RoomUpdate { room: Some(self.room.clone()) }));
        Some(Resumable { sid, response, updates })
    }

    /// Sends a participant away: it hears why, the others hear that it is gone.
    pub(crate) fn dismiss(&mut self, sid: &str, reason: DisconnectReason, action: Action, now: Instant) {
        self.to(sid, ToParticipant::Leave { reason, action });
        self.remove(sid, reason, now);
    }

    /// Ends the room.
    pub(crate) fn close(&mut self, reason: DisconnectReason, action: Action) {
        let sids: Vec<String> = self.members.keys().cloned().collect();
        for sid in sids {
            self.to(&sid, ToParticipant::Leave { reason, action });
            self.effects.push_back(RoomEffect::Forget { sid });
        }
        self.members.clear();
        self.identities.clear();
        self.track_owners.clear();
        self.closed = true;
        self.closes_at = None;
        self.effects.push_back(RoomEffect::Closed);
    }

    pub(crate) fn connected(&mut self, sid: &str, now: Instant) {
        let Some(member) = self.members.get_mut(sid) else { return };
        if member.info.state == State::Active as i32 {
            return;
        }
        member.info.state = State::Active as i32;
        self.announce(sid, false, now);
    }

    pub(crate) fn remove(&mut self, sid: &str, reason: DisconnectReason, now: Instant) {
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
        self.forget_speaker(sid);
        if member.visible() {
            let mut info = member.info;
            info.state = State::Disconnected as i32;
            info.disconnect_reason = reason as i32;
            let was_publisher = std::mem::take(&mut info.is_publisher);
            info.tracks.clear();
            info.version += 1;
            self.spread(info, was_publisher, now);
        }
        self.count_participants(now);
        if self.is_deserted() {
            let timeout = Duration::from_secs(self.room.departure_timeout.into());
            self.closes_at.get_or_insert(now + timeout);
        }
        if self.members.is_empty() {
            self.data.clear();
        }
    }

    pub(crate) fn count_participants(&mut self, now: Instant) {
        let visible = self.members.values().filter(|member| member.visible());
        let (mut participants, mut publishers) = (0, 0);
        for member in visible {
            participants += u32::from(!member.dependent);
            publishers += u32::from(!member.tracks.is_empty());
        }
        if (participants, publishers) != (self.room.num_participants, self.room.num_publishers) {
            (self.room.num_participants, self.room.num_publishers) = (participants, publishers);
            self.room_update_at.get_or_insert(now + limits::ROOM_UPDATE_THROTTLE);
        }
        let recorded = self
            .members
            .values()
            .any(|member| legacy::is_recorder(&member.permission) || member.info.kind == Kind::Egress as i32);
        if recorded != self.room.active_recording {
            self.room.active_recording = recorded;
            self.broadcast_room();
        }
    }

    /// Whether nobody is left for whom the room has to stay.
    pub(crate) fn is_deserted(&self) -> bool {
        self.members.values().all(|member| member.dependent)
    }

    /// Everybody whom `sid` may see, without itself.
    fn others(&self, sid: &str) -> Vec<lk::ParticipantInfo> {
        let others = self.members.iter().filter(|(other, member)| *other != sid && member.visible());
        others.map(|(_, member)| member.info.clone()).collect()
    }
}
