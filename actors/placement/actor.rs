//! Performs what the placement core decides.

use crate::alarm::Alarm;
use crate::clock;
use crate::ids::Ids;
use crate::limits::{PLACEMENT_CALLERS_MAX, PLACEMENT_TIMEOUT};
use crate::placement::core::{
    AttachRefusal, Effect, Epoch, Input, LocateError, Located, Message, PlacementCore, PlacementEvent,
    PlacementSettings, PrepareRefusal,
};
use crate::placement::message::PlacementMessage;
use crate::placement::state::Callers;
use crate::supervisor::SupervisorMessage;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use starling_cluster::member::MemberId;
use starling_cluster::peers::{Peers, Urgency};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The shell of the placement core.
#[derive(Debug)]
pub(crate) struct PlacementActor;

/// What placement starts from.
#[derive(Debug)]
pub(crate) struct PlacementArguments {
    pub(crate) peers: Arc<dyn Peers>,
    /// Rooms of this node; 0 = the core's own limit.
    pub(crate) rooms_max: usize,
}

/// Running placement.
#[derive(Debug)]
pub(crate) struct Placement {
    core: PlacementCore,
    peers: Arc<dyn Peers>,
    supervisor: Option<ActorRef<SupervisorMessage>>,
    locates: Callers<RpcReplyPort<Result<Located, LocateError>>>,
    attaches: Callers<RpcReplyPort<Result<Epoch, AttachRefusal>>>,
    /// When callers who gave up are looked for.
    sweep_at: Instant,
    effects: Vec<Effect>,
    alarm: Alarm,
}

impl Actor for PlacementActor {
    type Msg = PlacementMessage;
    type State = Placement;
    type Arguments = PlacementArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<PlacementMessage>,
        arguments: PlacementArguments,
    ) -> Result<Placement, ActorProcessingErr> {
        let PlacementArguments { peers, rooms_max } = arguments;
        let mut view = peers.view();
        let first = Arc::clone(&view.borrow_and_update());
        let settings = PlacementSettings { rooms_max };
        let mut placement = Placement {
            core: PlacementCore::new(first.me.clone(), settings, Ids::random().seed()),
            peers,
            supervisor: None,
            locates: Callers::new(PLACEMENT_CALLERS_MAX),
            attaches: Callers::new(PLACEMENT_CALLERS_MAX),
            sweep_at: clock::now() + PLACEMENT_TIMEOUT,
            effects: Vec::new(),
            alarm: Alarm::default(),
        };
        placement.tell(Input::View(first), clock::now());
        placement.perform(&myself);
        tokio::spawn(async move {
            while view.changed().await.is_ok() {
                let changed = Arc::clone(&view.borrow_and_update());
                if myself.cast(PlacementMessage::View(changed)).is_err() {
                    return;
                }
            }
        });
        Ok(placement)
    }

    async fn handle(
        &self,
        myself: ActorRef<PlacementMessage>,
        message: PlacementMessage,
        placement: &mut Placement,
    ) -> Result<(), ActorProcessingErr> {
        placement.hear(message, clock::now());
        placement.perform(&myself);
        Ok(())
    }
}

impl Placement {
    fn tell(&mut self, input: Input, now: Instant) {
        self.core.handle(input, now, &mut self.effects);
    }

    fn hear(&mut self, message: PlacementMessage, now: Instant) {
        match message {
            PlacementMessage::Locate { room, create, hints, failed_host, reply } => match self.locates.add(reply) {
                Ok(request) => self.tell(Input::Locate { request, room, create, hints, failed_host }, now),
                Err(reply) => {
                    let _ = reply.send(Err(LocateError::Unavailable { why: "too many joins wait".into() }));
                }
            },
            PlacementMessage::Attach { room, epoch, reply } => match self.attaches.add(reply) {
                Ok(request) => self.tell(Input::Attach { request, room, epoch }, now),
                Err(reply) => {
                    let _ = reply.send(Err(AttachRefusal::NotHere));
                }
            },
            PlacementMessage::Bind { supervisor } => self.supervisor = Some(supervisor),
            PlacementMessage::View(view) => self.tell(Input::View(view), now),
            PlacementMessage::Heard { from, message, admission } => {
                drop(admission);
                self.tell(Input::Heard { from, message: *message }, now);
            }
            PlacementMessage::Started { room, epoch } => self.tell(Input::RoomStarted { room, epoch }, now),
            PlacementMessage::Refused { room, epoch } => self.tell(Input::RoomRefused { room, epoch }, now),
            PlacementMessage::Load { room, participants } => self.tell(Input::RoomLoad { room, participants }, now),
            PlacementMessage::Ended { room } => self.tell(Input::RoomEnded { room }, now),
            PlacementMessage::Lost(member) => self.tell(Input::Lost(member), now),
            PlacementMessage::Inspect { reply } => {
                let _ = reply.send(self.core.snapshot());
            }
            PlacementMessage::Wake => {
                self.alarm.clear();
                self.tell(Input::Tick, now);
            }
        }
        if self.sweep_at <= now {
            self.sweep(now);
        }
    }

    /// Forgets callers who gave up.
    fn sweep(&mut self, now: Instant) {
        self.sweep_at = now + PLACEMENT_TIMEOUT;
        for request in self.locates.take_gone(RpcReplyPort::is_closed) {
            self.tell(Input::Cancel { request }, now);
        }
        self.attaches.take_gone(RpcReplyPort::is_closed);
    }

    fn perform(&mut self, myself: &ActorRef<PlacementMessage>) {
        // What an effect makes the core want is done in the same go.
        let mut effects = VecDeque::from(std::mem::take(&mut self.effects));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send { to, message, urgency } => self.send(&to, &message, urgency),
                // Callers that gave up need no answer.
                Effect::Located { request, result } => {
                    let _ = self.locates.take(request).map(|reply| reply.send(result));
                }
                Effect::Attached { request, result } => {
                    let _ = self.attaches.take(request).map(|reply| reply.send(result));
                }
                Effect::StartRoom { room, epoch } => self.supervise(SupervisorMessage::Start { name: room, epoch }),
                Effect::AdoptEpoch { room, epoch } => tracing::info!(%room, %epoch, "room goes on under a new epoch"),
                Effect::Retire { room, winner, epoch } => {
                    tracing::info!(%room, %winner, %epoch, "room retires, its people go to the winner");
                    self.supervise(SupervisorMessage::Retire { name: room });
                }
                Effect::PrepareRoom { room, epoch, .. } => {
                    let why = PrepareRefusal::Unsupported;
                    self.tell(Input::PrepareRefused { room, epoch, why }, clock::now());
                }
                // Without copies nothing of a move goes further than being prepared.
                Effect::DropPrepared { .. } | Effect::ThawRoom { .. } => {}
                Effect::ServeRoom { room, epoch } => self.supervise(SupervisorMessage::Start { name: room, epoch }),
                Effect::FreezeRoom { room, epoch, .. } => {
                    self.tell(Input::HandFailed { room, epoch }, clock::now());
                }
                Effect::Moved { request, result } => tracing::debug!(request, ?result, "nobody waits for a move"),
                Effect::Drained => tracing::info!("this node drains and hosts no room any more"),
                Effect::Event(event) => report(&event),
            }
            effects.extend(self.effects.drain(..));
        }
        self.alarm.set(self.core.next_deadline(), myself, || PlacementMessage::Wake);
    }

    fn send(&self, to: &MemberId, message: &Message, urgency: Urgency) {
        let sent = match message.encode() {
            Ok(body) => self.peers.cast(to, crate::relay::PLACEMENT, urgency, body.into()).is_ok(),
            Err(error) => {
                tracing::error!(%error, "placement message not sent");
                false
            }
        };
        if !sent {
            metrics::counter!("starling_placement_messages_unsent_total").increment(1);
        }
    }

    /// The supervisor is told before anybody asks for a room, and lives as long as placement.
    fn supervise(&self, message: SupervisorMessage) {
        if let Some(supervisor) = &self.supervisor {
            let _ = supervisor.cast(message);
        }
    }
}

/// A log line and a metric.
fn report(event: &PlacementEvent) {
    let name = match event {
        PlacementEvent::Placed { room, host, epoch } => {
            tracing::debug!(%room, %host, %epoch, "room placed");
            "placed"
        }
        PlacementEvent::Replaced { room, from, host, epoch } => {
            tracing::info!(%room, %from, %host, %epoch, "room placed again, its host is gone");
            "replaced"
        }
        PlacementEvent::Conflict { room, winner, loser, epoch } => {
            tracing::warn!(%room, %winner, %loser, %epoch, "room was on two nodes");
            "conflict"
        }
        PlacementEvent::Moved { room, from, host, epoch } => {
            tracing::info!(%room, %from, %host, %epoch, "room moved");
            "moved"
        }
        PlacementEvent::MoveAborted { room, from, to, why } => {
            tracing::info!(%room, %from, %to, %why, "room not moved");
            "move_aborted"
        }
        PlacementEvent::NotDrained { room, source, why } => {
            tracing::debug!(%room, %source, %why, "room stays at a node that drains");
            "not_drained"
        }
        PlacementEvent::HostFailed { host } => {
            tracing::warn!(%host, "host does not answer, it gets no rooms");
            "host_failed"
        }
        PlacementEvent::NoCapacity { room, why } => {
            tracing::warn!(%room, %why, "no node takes the room");
            "no_capacity"
        }
        PlacementEvent::TooLow { room, epoch, known } => {
            tracing::debug!(%room, %epoch, known, "placement below the floor refused");
            "too_low"
        }
        PlacementEvent::Refused { from, why } => {
            tracing::debug!(%from, ?why, "placement message not followed");
            "refused"
        }
        PlacementEvent::Full { table } => {
            tracing::warn!(?table, "placement table is full");
            "full"
        }
    };
    metrics::counter!("starling_placement_events_total", "event" => name).increment(1);
}
