//! Performs what a room decides.

use crate::alarm::Alarm;
use crate::clock;
use crate::error::{JoinError, RelocateError};
use crate::ids::Ids;
use crate::participant::{ParticipantActor, ParticipantArguments, ParticipantMessage, Resume, ToParticipant};
use crate::placement::PlacementMessage;
use crate::registry::{RoomEntry, Shared};
use crate::room::message::{RoomCommand, RoomMessage};
use crate::room::state::{RoomEffect, RoomState};
use crate::rooms::{ask, preset};
use crate::session::{Join, SESSION_RESPONSES_MAX, Session, SessionInput};
use crate::signal::{self, Message};
use crate::snapshot::{ParticipantSnapshot, RoomSnapshot};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use starling_media::id::RoomKey;
use starling_media::worker::Relocation;
use starling_protocol::id::NodeId;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::participant_info::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// The shell of [`RoomState`].
#[derive(Debug)]
pub(crate) struct RoomActor;

/// What a room starts from.
#[derive(Debug)]
pub(crate) struct RoomArguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: RoomKey,
    pub(crate) name: String,
    pub(crate) worker: usize,
    /// Parent of participants, so that they outlive a crashed room long enough to say goodbye.
    pub(crate) supervisor: ActorCell,
    /// Hears how many participants there are.
    pub(crate) placement: ActorRef<PlacementMessage>,
}

/// One participant's actor.
#[derive(Debug)]
struct Present {
    actor: ActorRef<ParticipantMessage>,
    /// Where its WebSocket ends, or ended last.
    entry: NodeId,
}

/// A running room.
#[derive(Debug)]
pub(crate) struct RunningRoom {
    state: RoomState,
    shared: Arc<Shared>,
    supervisor: ActorCell,
    placement: ActorRef<PlacementMessage>,
    participants_told: usize,
    worker: usize,
    participants: BTreeMap<String, Present>,
    /// The registry's count of its tracks.
    tracks: Arc<AtomicUsize>,
    alarm: Alarm,
}

impl Actor for RoomActor {
    type Msg = RoomMessage;
    type State = RunningRoom;
    type Arguments = RoomArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RoomMessage>,
        arguments: RoomArguments,
    ) -> Result<RunningRoom, ActorProcessingErr> {
        let RoomArguments { shared, key, name, worker, supervisor, placement } = arguments;
        let state = RoomState::new(
            Arc::clone(&shared.config),
            key,
            &name,
            None,
            shared.numbers.clone(),
            clock::calendar(),
            Ids::random().seed(),
        );
        let tracks = Arc::new(AtomicUsize::new(0));
        let entry = RoomEntry { actor: myself.clone(), data_waiting: Arc::default(), tracks: Arc::clone(&tracks) };
        shared.rooms.insert(key, entry);
        let mut room = RunningRoom {
            state,
            shared,
            supervisor,
            placement,
            participants_told: 0,
            worker,
            participants: BTreeMap::new(),
            tracks,
            alarm: Alarm::default(),
        };
        room.alarm.set(room.state.poll_timeout(), &myself, || RoomMessage::Wake);
        Ok(room)
    }

    async fn handle(
        &self,
        myself: ActorRef<RoomMessage>,
        message: RoomMessage,
        room: &mut RunningRoom,
    ) -> Result<(), ActorProcessingErr> {
        let now = clock::now();
        match message {
            RoomMessage::Join { join, entry, reply } => {
                let answer = if join.parameters.reconnect {
                    Ok(room.resume(&join, entry))
                } else {
                    room.join(&join, entry, &myself, now).await
                };
                // A caller that gave up drops its session, which the participant hears as a lost WebSocket.
                let _ = reply.send(answer);
            }
            RoomMessage::Validate { join, reply } => {
                let _ = reply.send(room.state.validate(&join));
            }
            RoomMessage::From { sid, message } => room.state.handle_participant(&sid, *message, now),
            RoomMessage::Data { sid, channel, payload, admission } => {
                drop(admission);
                room.state.data_from(&sid, channel, &payload, now);
            }
            RoomMessage::ChannelOpened { sid, channel } => room.state.channel_opened(&sid, channel, now),
            RoomMessage::Speakers { levels } => room.state.speakers(&levels),
            RoomMessage::Api(command) => room.command(*command, now),
            RoomMessage::Relocate { worker, reply } => {
                let _ = reply.send(room.relocate(worker).await);
            }
            RoomMessage::Inspect { reply } => {
                let _ = reply.send(room.snapshot());
            }
            RoomMessage::Wake => {
                room.alarm.clear();
                room.state.handle_timeout(now);
            }
            RoomMessage::Crash => {
                assert!(!room.shared.config.test_faults, "crash asked for by a test");
            }
        }
        room.perform(&myself);
        room.alarm.set(room.state.poll_timeout(), &myself, || RoomMessage::Wake);
        Ok(())
    }
}

impl RunningRoom {
    async fn join(
        &mut self,
        join: &Join,
        entry: NodeId,
        myself: &ActorRef<RoomMessage>,
        now: Instant,
    ) -> Result<Session, JoinError> {
        self.state.configure(join.claims.room_config.as_ref().and_then(preset).as_deref());
        let joined = self.state.join(join, now)?;
        let (output, responses) = mpsc::channel(SESSION_RESPONSES_MAX);
        let sink = self.shared.numbers.next();
        let sid = joined.sid.clone();
        let first = signal::response(Message::Join((*joined.response).clone()));
        let arguments = ParticipantArguments {
            shared: Arc::clone(&self.shared),
            room: myself.clone(),
            worker: self.worker,
            joined,
            join: join.clone(),
            sink,
            output,
        };
        let spawned = Actor::spawn_linked(None, ParticipantActor, arguments, self.supervisor.clone()).await;
        let Ok((actor, _)) = spawned else {
            let message = crate::room::FromParticipant::Left { reason: DisconnectReason::JoinFailure };
            self.state.handle_participant(&sid, message, now);
            return Err(JoinError::Unavailable { reason: "participant cannot start".into() });
        };
        self.participants.insert(sid, Present { actor: actor.clone(), entry });
        // What the room has to say of existing tracks comes first, so that the bundled offer is answered with them.
        self.perform(myself);
        let (add_tracks, offer) = (join.parameters.add_tracks.clone(), join.parameters.publisher_offer.clone());
        // An actor that ended already says so by its session.
        let _ = actor.cast(ParticipantMessage::Bundled { add_tracks, offer });
        Ok(Session { first, requests: SessionInput::new(actor, sink), responses })
    }

    /// Gives the session a new WebSocket, or tells the client to start anew.
    fn resume(&mut self, join: &Join, entry: NodeId) -> Session {
        let (output, responses) = mpsc::channel(SESSION_RESPONSES_MAX);
        let resumable = self.state.resume(join);
        let found = resumable.and_then(|found| Some((self.participants.get_mut(&found.sid)?, found)));
        let Some((present, found)) = found else { return refused_resume() };
        let sink = self.shared.numbers.next();
        let resume =
            Resume { claims: join.claims.clone(), parameters: join.parameters.clone(), updates: found.updates };
        let message = ParticipantMessage::Resumed { sink, output, resume: Box::new(resume) };
        if present.actor.cast(message).is_err() {
            return refused_resume();
        }
        present.entry = entry;
        let actor = present.actor.clone();
        let first = signal::response(Message::Reconnect(found.response));
        Session { first, requests: SessionInput::new(actor, sink), responses }
    }

    /// Moves every peer to another worker. Participants hold their commands back, the room's own wait in its mailbox.
    async fn relocate(&mut self, worker: usize) -> Result<Relocation, RelocateError> {
        if worker == self.worker {
            return Ok(Relocation::default());
        }
        for participant in self.participants.values() {
            // One that does not answer has ended, or is stuck and will be.
            ask(&participant.actor, |reply| ParticipantMessage::Hold { reply }).await;
        }
        let room = self.state.key;
        let peers: Vec<_> =
            self.shared.peers.iter().filter(|entry| entry.room == room).map(|entry| *entry.key()).collect();
        let relocated = self.shared.media.relocate(room, &peers, self.worker, worker).await;
        if relocated.is_ok() {
            self.worker = worker;
        }
        for participant in self.participants.values() {
            // One that has ended needs no worker.
            let _ = participant.actor.cast(ParticipantMessage::Relocated { worker: self.worker });
        }
        Ok(relocated?)
    }

    fn command(&mut self, command: RoomCommand, now: Instant) {
        match command {
            RoomCommand::UpdateParticipant { identity, name, metadata, attributes, permission, reply } => {
                let permission = permission.map(|permission| *permission);
                let _ =
                    reply.send(self.state.update_participant(&identity, name, metadata, attributes, permission, now));
            }
            RoomCommand::MuteTrack { identity, track_sid, muted, reply } => {
                let _ = reply.send(self.state.mute_track(&identity, &track_sid, muted));
            }
            RoomCommand::RemoveParticipant { identity, reply } => {
                let sid = self.state.identities.get(&identity).cloned();
                if let Some(sid) = &sid {
                    self.state.dismiss(sid, DisconnectReason::ParticipantRemoved, Action::Disconnect, now);
                }
                let _ = reply.send(sid.is_some());
            }
            RoomCommand::UpdateMetadata { metadata, reply } => {
                let _ = reply.send(self.state.update_room_metadata(metadata));
            }
            RoomCommand::UpdateSubscriptions { identity, request, reply } => {
                let sid = self.state.identities.get(&identity).cloned();
                if let Some(sid) = &sid {
                    self.state.update_subscription(sid, &request, now);
                }
                let _ = reply.send(sid.is_some());
            }
            RoomCommand::SendData { packet, channel } => self.state.send_data(&packet, channel, now),
            RoomCommand::Close { reason, action } => self.state.close(reason, action),
        }
    }

    fn perform(&mut self, myself: &ActorRef<RoomMessage>) {
        let participants = self.state.members.len();
        if participants != self.participants_told {
            self.participants_told = participants;
            let room = self.state.room.name.clone();
            let participants = u32::try_from(participants).unwrap_or(u32::MAX);
            // Placement lives as long as the rooms.
            let _ = self.placement.cast(PlacementMessage::Load { room, participants });
        }
        if self.shared.config.limits.tracks > 0 {
            self.tracks.store(self.state.track_count(), Ordering::Relaxed);
        }
        while let Some(effect) = self.state.poll_effect() {
            match effect {
                RoomEffect::To { sid, message } => self.tell(&sid, message),
                RoomEffect::Media(command) => {
                    // A data message that finds its worker full is dropped; `send` counts it.
                    let _ = self.shared.send(self.worker, command);
                }
                RoomEffect::Forget { sid } => {
                    self.participants.remove(&sid);
                }
                RoomEffect::Closed => {
                    self.shared.rooms.remove(&self.state.key);
                    myself.stop(None);
                }
            }
        }
    }

    fn tell(&self, sid: &str, message: Box<ToParticipant>) {
        if let Some(present) = self.participants.get(sid) {
            // An actor that is ending tells so by `Left`.
            let _ = present.actor.cast(ParticipantMessage::Room(message));
        }
    }

    fn entry(&self, sid: &str) -> NodeId {
        self.participants.get(sid).map_or(&self.shared.me.node_id, |present| &present.entry).clone()
    }

    fn snapshot(&self) -> RoomSnapshot {
        let participants = self.state.members.values().map(|member| ParticipantSnapshot {
            sid: member.info.sid.clone(),
            identity: member.info.identity.clone(),
            name: member.info.name.clone(),
            state: State::try_from(member.info.state).unwrap_or_default().as_str_name().into(),
            entry: self.entry(&member.info.sid),
            hidden: member.permission.hidden,
            tracks: member.tracks.keys().cloned().collect(),
            subscriptions: member.subscribed.keys().cloned().collect(),
            joined_at_ms: member.info.joined_at_ms,
        });
        RoomSnapshot {
            name: self.state.room.name.clone(),
            sid: self.state.room.sid.clone(),
            host: self.shared.me.node_id.clone(),
            epoch: 0,
            standby: None,
            worker: self.worker,
            participants: participants.collect(),
        }
    }
}

/// The session of a client whose resume is impossible: it hears that it has to join anew.
pub(crate) fn refused_resume() -> Session {
    let (_, responses) = mpsc::channel(1);
    let first = signal::response(signal::leave(DisconnectReason::StateMismatch, Action::Reconnect));
    Session { first, requests: SessionInput::ended(), responses }
}
