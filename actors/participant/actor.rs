//! Performs what a participant's session decides.

use crate::alarm::Alarm;
use crate::clock;
use crate::ids::Ids;
use crate::participant::message::{ParticipantMessage, Resume};
use crate::participant::state::{ParticipantEffect, ParticipantState, Start};
use crate::registry::{ParticipantEntry, PeerEntry, Shared};
use crate::room::{FromParticipant, RoomMessage};
use crate::session::{Join, SessionOutput};
use crate::signal::{self, Message};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use starling_media::command::MediaCommand;
use starling_media::id::PeerId;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Commands that wait while peers move, which takes milliseconds; beyond it the session ends.
const HELD_COMMANDS_MAX: usize = 256;

/// The shell of [`ParticipantState`].
#[derive(Debug)]
pub(crate) struct ParticipantActor;

/// What a participant starts from.
#[derive(Debug)]
pub(crate) struct ParticipantArguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) room: ActorRef<RoomMessage>,
    pub(crate) worker: usize,
    pub(crate) joined: crate::room::Joined,
    pub(crate) join: Join,
    pub(crate) sink: u64,
    pub(crate) output: mpsc::Sender<SessionOutput>,
}

/// A running session.
#[derive(Debug)]
pub(crate) struct RunningParticipant {
    state: ParticipantState,
    shared: Arc<Shared>,
    room: ActorRef<RoomMessage>,
    worker: usize,
    /// Commands that wait while the peers move to another worker.
    held: Option<VecDeque<MediaCommand>>,
    sink: Option<(u64, mpsc::Sender<SessionOutput>)>,
    alarm: Alarm,
}

impl Actor for ParticipantActor {
    type Msg = ParticipantMessage;
    type State = RunningParticipant;
    type Arguments = ParticipantArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ParticipantMessage>,
        arguments: ParticipantArguments,
    ) -> Result<RunningParticipant, ActorProcessingErr> {
        let ParticipantArguments { shared, room, worker, joined, join, sink, output } = arguments;
        let sid = joined.sid.clone();
        let entry = ParticipantEntry { actor: myself.clone(), room: joined.room_key, sid: sid.clone() };
        shared.participants.insert(myself.get_id(), entry);
        let register = |peer: PeerId| {
            let entry = PeerEntry {
                participant: myself.clone(),
                owner: myself.get_id(),
                room: joined.room_key,
                sid: sid.clone(),
                worker,
            };
            shared.peers.insert(peer, entry);
        };
        register(joined.publisher);
        joined.subscriber.into_iter().for_each(register);
        let start = Start {
            sid: joined.sid,
            room_key: joined.room_key,
            publisher: joined.publisher,
            subscriber: joined.subscriber,
            subscriber_primary: joined.subscriber_primary,
            info: joined.response.participant.clone().unwrap_or_default(),
            claims: join.claims,
            adaptive_stream: join.parameters.adaptive_stream,
            rejoins: join.rejoins,
            sdk: join.parameters.client.sdk,
            ice_lite: shared.config.ice_lite && !join.parameters.disable_ice_lite,
            allow_pause: join.parameters.subscriber_allow_pause,
            candidates: shared.media.candidates(worker).to_vec(),
            fingerprint: shared.media.fingerprint().to_owned(),
            publisher_ice: shared.media.new_credentials(worker),
            subscriber_ice: shared.media.new_credentials(worker),
        };
        let (config, numbers) = (Arc::clone(&shared.config), shared.numbers.clone());
        let (calendar, seed, now) = (clock::calendar(), Ids::random().seed(), clock::now());
        let state = ParticipantState::new(config, start, sink, numbers, calendar, seed, now);
        let mut participant = RunningParticipant {
            state,
            shared,
            room,
            worker,
            held: None,
            sink: Some((sink, output)),
            alarm: Alarm::default(),
        };
        participant.perform(&myself);
        participant.alarm.set(participant.state.poll_timeout(), &myself, || ParticipantMessage::Wake);
        Ok(participant)
    }

    async fn handle(
        &self,
        myself: ActorRef<ParticipantMessage>,
        message: ParticipantMessage,
        participant: &mut RunningParticipant,
    ) -> Result<(), ActorProcessingErr> {
        let now = clock::now();
        match message {
            ParticipantMessage::Request { sink, request, admission } => {
                drop(admission);
                participant.state.handle_request(sink, *request, now);
            }
            ParticipantMessage::SinkClosed { sink } => {
                participant.sink.take_if(|(current, _)| *current == sink);
                participant.state.sink_closed(sink, now);
            }
            ParticipantMessage::Bundled { add_tracks, offer } => {
                for request in add_tracks {
                    participant.state.add_track(request, now);
                }
                if let Some(offer) = offer.filter(|offer| !offer.sdp.is_empty()) {
                    participant.state.offered(&offer, now);
                }
            }
            ParticipantMessage::Resumed { sink, output, resume } => participant.resume(sink, output, *resume, now),
            ParticipantMessage::Room(message) => participant.state.handle_room(*message, now),
            ParticipantMessage::Media(event) => participant.state.handle_media(*event, now),
            ParticipantMessage::Hold { reply } => {
                participant.held.get_or_insert_default();
                // A room that gave up waiting tells where the peers are by its next message.
                let _ = reply.send(());
            }
            ParticipantMessage::Relocated { worker } => participant.relocated(worker),
            ParticipantMessage::Wake => {
                participant.alarm.clear();
                participant.state.handle_timeout(now);
            }
            ParticipantMessage::RoomFailed => {
                participant.state.end(DisconnectReason::StateMismatch, Some(Action::Reconnect), false);
            }
        }
        participant.perform(&myself);
        participant.alarm.set(participant.state.poll_timeout(), &myself, || ParticipantMessage::Wake);
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<ParticipantMessage>,
        participant: &mut RunningParticipant,
    ) -> Result<(), ActorProcessingErr> {
        participant.shared.forget_participant(myself.get_id());
        Ok(())
    }
}

impl RunningParticipant {
    fn resume(&mut self, sink: u64, output: mpsc::Sender<SessionOutput>, resume: Resume, now: Instant) {
        if let Some((_, old)) = self.sink.replace((sink, output)) {
            // A full queue ends by its sender's drop as well.
            let _ = old.try_send(SessionOutput::Close);
        }
        self.state.resume(sink, resume, now);
    }

    /// The peers are at another worker: so are the addresses that descriptions tell from now on.
    fn relocated(&mut self, worker: usize) {
        if worker != self.worker {
            self.worker = worker;
            let prefix = self.shared.media.new_credentials(worker).ufrag.chars().next();
            self.state.relocated(self.shared.media.candidates(worker), prefix);
            for mut entry in self.shared.peers.iter_mut().filter(|entry| entry.sid == self.state.sid) {
                entry.worker = worker;
            }
        }
        for command in self.held.take().unwrap_or_default() {
            self.command(command);
        }
    }

    fn perform(&mut self, myself: &ActorRef<ParticipantMessage>) {
        while let Some(effect) = self.state.poll_effect() {
            match effect {
                ParticipantEffect::Send(message) => self.output(SessionOutput::Signal(signal::response(*message))),
                ParticipantEffect::SendToken(claims) => {
                    let token = self.shared.config.token_signer.sign(&claims);
                    if !token.is_empty() {
                        self.output(SessionOutput::Signal(signal::response(Message::RefreshToken(token))));
                    }
                }
                ParticipantEffect::CloseSink => {
                    self.output(SessionOutput::Close);
                    self.sink = None;
                }
                ParticipantEffect::Room(message) => self.tell_room(message),
                ParticipantEffect::ChannelOpened(channel) => {
                    let sid = self.state.sid.clone();
                    // A room that is gone has nobody to send data.
                    let _ = self.room.cast(RoomMessage::ChannelOpened { sid, channel });
                }
                ParticipantEffect::Media(command) => self.command(*command),
                ParticipantEffect::End => myself.stop(None),
            }
        }
    }

    /// A room that is gone has nobody to tell; its supervisor ends this session.
    fn tell_room(&self, message: Box<FromParticipant>) {
        let _ = self.room.cast(RoomMessage::From { sid: self.state.sid.clone(), message });
    }

    /// Without its commands a session is broken: the client starts anew.
    fn command(&mut self, command: MediaCommand) {
        if let Some(held) = &mut self.held {
            if held.len() < HELD_COMMANDS_MAX {
                held.push_back(command);
            } else {
                self.state.end(DisconnectReason::MediaFailure, Some(Action::Reconnect), true);
            }
            return;
        }
        if self.shared.send(self.worker, command).is_err() {
            self.state.end(DisconnectReason::MediaFailure, Some(Action::Reconnect), true);
        }
    }

    /// A WebSocket that cannot keep up is closed; its client resumes.
    fn output(&mut self, output: SessionOutput) {
        let Some((sink, sender)) = &self.sink else { return };
        if sender.try_send(output).is_err() {
            metrics::counter!("starling_actors_sinks_overflowed_total").increment(1);
            let sink = *sink;
            self.sink = None;
            self.state.sink_closed(sink, clock::now());
        }
    }
}
