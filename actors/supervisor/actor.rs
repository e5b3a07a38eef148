//! Makes rooms and hears deaths.

use crate::participant::ParticipantMessage;
use crate::placement::PlacementMessage;
use crate::registry::Shared;
use crate::room::{FromParticipant, RoomActor, RoomArguments, RoomCommand, RoomMessage};
use crate::supervisor::message::SupervisorMessage;
use crate::supervisor::state::{RoomSlot, SupervisorState};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use starling_media::id::RoomKey;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct SupervisorActor;

/// What the supervisor starts from.
#[derive(Debug)]
pub(crate) struct SupervisorArguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) placement: ActorRef<PlacementMessage>,
}

/// The running supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    state: SupervisorState,
    shared: Arc<Shared>,
    placement: ActorRef<PlacementMessage>,
}

impl Actor for SupervisorActor {
    type Msg = SupervisorMessage;
    type State = Supervisor;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        arguments: SupervisorArguments,
    ) -> Result<Supervisor, ActorProcessingErr> {
        let SupervisorArguments { shared, placement } = arguments;
        Ok(Supervisor { state: SupervisorState::default(), shared, placement })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        supervisor: &mut Supervisor,
    ) -> Result<(), ActorProcessingErr> {
        // Callers that gave up need no answer.
        match message {
            SupervisorMessage::Start { name, epoch } => {
                let message = if supervisor.start(&name, &myself).await {
                    PlacementMessage::Started { room: name, epoch }
                } else {
                    PlacementMessage::Refused { room: name, epoch }
                };
                // Placement lives as long as the supervisor.
                let _ = supervisor.placement.cast(message);
            }
            SupervisorMessage::Retire { name } => supervisor.retire(&name),
            SupervisorMessage::Room { name, reply } => {
                let _ = reply.send(supervisor.running(&name));
            }
            SupervisorMessage::Rooms { reply } => {
                let rooms = supervisor.state.rooms.iter().map(|(name, slot)| (name.clone(), slot.actor.clone()));
                let _ = reply.send(rooms.collect());
            }
            SupervisorMessage::Shutdown { reply } => {
                supervisor.shut_down();
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    /// A death never spreads: the default of ractor would end the supervisor too.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        supervisor: &mut Supervisor,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, _, _) => supervisor.died(cell.get_id(), None),
            SupervisionEvent::ActorFailed(cell, error) => supervisor.died(cell.get_id(), Some(&error.to_string())),
            _ => {}
        }
        Ok(())
    }
}

impl Supervisor {
    /// The room's actor, if it runs; one that has just ended is cleaned up first, so that placement knows.
    fn running(&mut self, name: &str) -> Option<ActorRef<RoomMessage>> {
        let slot = self.state.rooms.get(name)?;
        if matches!(slot.actor.get_status(), ActorStatus::Running | ActorStatus::Upgrading | ActorStatus::Starting) {
            return Some(slot.actor.clone());
        }
        let id = slot.actor.get_id();
        self.died(id, None);
        None
    }

    /// Makes a room unless it runs; says whether it does.
    async fn start(&mut self, name: &str, myself: &ActorRef<SupervisorMessage>) -> bool {
        if self.running(name).is_some() {
            return true;
        }
        if self.state.is_closing || self.shared.full().is_some() {
            return false;
        }
        let key = self.shared.numbers.room();
        let worker = self.state.next_worker(self.shared.media.worker_count());
        let arguments = RoomArguments {
            shared: Arc::clone(&self.shared),
            key,
            name: name.into(),
            worker,
            supervisor: myself.get_cell(),
            placement: self.placement.clone(),
        };
        let spawned = Actor::spawn_linked(None, RoomActor, arguments, myself.get_cell()).await;
        let Ok((actor, _)) = spawned.inspect_err(|error| tracing::error!(%error, room = name, "room cannot start"))
        else {
            return false;
        };
        self.state.rooms.insert(name.into(), RoomSlot { key, actor });
        true
    }

    /// Ends every room. Where another node takes rooms, its people join there.
    fn shut_down(&mut self) {
        self.state.is_closing = true;
        let view = Arc::clone(&self.shared.cluster.view().borrow());
        let goes_on = view.living().any(|member| member.id != self.shared.me && member.takes_rooms());
        let action = if goes_on { Action::Reconnect } else { Action::Disconnect };
        for slot in self.state.rooms.values() {
            let close = RoomCommand::Close { reason: DisconnectReason::ServerShutdown, action };
            let _ = slot.actor.cast(RoomMessage::Api(Box::new(close)));
        }
    }

    /// Sends the room's people to where it goes on. There they are strangers, so that a resume would only cost them one
    /// more try. It is forgotten at once, so that its end is not taken for the end of a room that comes back here.
    fn retire(&mut self, name: &str) {
        if let Some(slot) = self.state.rooms.remove(name) {
            let close = RoomCommand::Close { reason: DisconnectReason::Migration, action: Action::Reconnect };
            let _ = slot.actor.cast(RoomMessage::Api(Box::new(close)));
        }
    }

    /// A room or a participant is gone, on purpose or by a bug; what it leaves behind is cleaned up.
    fn died(&mut self, id: ActorId, failure: Option<&str>) {
        if let Some(failure) = failure {
            metrics::counter!("starling_actors_failures_total").increment(1);
            tracing::error!(%failure, "actor failed");
        }
        if let Some((name, slot)) = self.state.remove(id) {
            self.shared.rooms.remove(&slot.key);
            // Placement lives as long as the supervisor.
            let _ = self.placement.cast(PlacementMessage::Ended { room: name });
            self.end_participants_of(slot.key);
        } else if let Some(entry) = self.shared.forget_participant(id)
            && let Some(room) = self.shared.rooms.get(&entry.room)
        {
            let message = Box::new(FromParticipant::Left { reason: DisconnectReason::UnknownReason });
            let _ = room.actor.cast(RoomMessage::From { sid: entry.sid, message });
        }
    }

    /// Those who were in a room that failed join anew; after a regular end nobody is left.
    fn end_participants_of(&self, room: RoomKey) {
        for entry in self.shared.participants.iter().filter(|entry| entry.room == room) {
            let _ = entry.actor.cast(ParticipantMessage::RoomFailed);
        }
    }
}
