//! The door into rooms, from any node.

use crate::config::RoomsConfig;
use crate::error::{JoinError, RelocateError, StartError};
use crate::ids::Numbers;
use crate::inbox::ClusterDoor;
use crate::limits::{CALL_TIMEOUT, JOIN_DEADLINE, JOIN_PAUSE, PLACEMENT_TIMEOUT};
use crate::placement::core::{AttachRefusal, Epoch, LocateError, Located, RoomHints};
use crate::placement::{PlacementActor, PlacementArguments, PlacementMessage};
use crate::registry::Shared;
use crate::relay::{self, Elsewhere, Relay, Route, Step};
use crate::room::{RoomMessage, attributes_bytes, refused_resume, told_at_join};
use crate::router;
use crate::session::{Join, Session};
use crate::snapshot::RoomsSnapshot;
use crate::supervisor::{SupervisorActor, SupervisorArguments, SupervisorMessage};
use dashmap::DashMap;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, Message, RpcReplyPort};
use starling_cluster::member::MemberId;
use starling_media::command::MediaEvent;
use starling_media::worker::{MediaPlane, Relocation};
use starling_protocol::id::NodeId;
use starling_protocol::livekit as lk;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long [`Rooms::shutdown`] waits for sessions to end, and how often it looks.
const SHUTDOWN_CHECKS: u32 = 100;
const SHUTDOWN_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The rooms of this node, and the way to those of all others. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    shared: Arc<Shared>,
    supervisor: ActorRef<SupervisorMessage>,
    placement: ActorRef<PlacementMessage>,
    relay: Arc<Relay>,
}

/// A join is refused, or belongs elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client hears this.
    Join(JoinError),
    /// Another node may take it.
    Elsewhere(Elsewhere),
}

impl Rooms {
    /// Starts supervisor, placement, the router of media events and the reader of other nodes' messages.
    ///
    /// # Errors
    /// [`StartError`] without media workers or when an actor does not start.
    pub async fn start(
        config: RoomsConfig,
        media: MediaPlane,
        events: mpsc::Receiver<MediaEvent>,
        door: ClusterDoor,
    ) -> Result<Self, StartError> {
        if media.worker_count() == 0 {
            return Err(StartError::NoWorkers);
        }
        let ClusterDoor { peers, inbound } = door;
        let rooms_max = config.limits.rooms;
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            media,
            me: peers.view().borrow().me.clone(),
            cluster: Arc::clone(&peers),
            closing: AtomicBool::new(false),
            numbers: Numbers::default(),
            peers: DashMap::new(),
            rooms: DashMap::new(),
            participants: DashMap::new(),
        });
        let arguments = PlacementArguments { peers: Arc::clone(&peers), rooms_max };
        let (placement, _) = Actor::spawn(None, PlacementActor, arguments).await?;
        let arguments = SupervisorArguments { shared: Arc::clone(&shared), placement: placement.clone() };
        let (supervisor, _) = Actor::spawn(None, SupervisorActor, arguments).await?;
        // An actor that has just started hears.
        let _ = placement.cast(PlacementMessage::Bind { supervisor: supervisor.clone() });
        tokio::spawn(router::run(Arc::clone(&shared), events));
        let rooms = Self { shared, supervisor, placement, relay: Arc::new(Relay::new(peers)) };
        tokio::spawn(relay::run(rooms.clone(), inbound));
        Ok(rooms)
    }

    /// Checks a join without opening a session.
    ///
    /// # Errors
    /// [`JoinError`] as [`Rooms::join`] would give it.
    pub async fn validate(&self, join: &Join) -> Result<(), JoinError> {
        self.check(join)?;
        match self.locate(join, false, None).await {
            Ok(located) if located.host == self.shared.me => self.validate_here(join).await,
            Ok(located) => relay::validate_at(&self.relay, &located.host, join).await,
            Err(JoinError::RoomNotFound) if self.may_create(join) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Joins or resumes, on whatever node the room is.
    ///
    /// # Errors
    /// [`JoinError`] with its HTTP status.
    pub async fn join(&self, join: Join) -> Result<Session, JoinError> {
        self.check(&join)?;
        let late = Err(JoinError::Unavailable { reason: "join took too long".into() });
        tokio::time::timeout(JOIN_DEADLINE, self.follow(&join)).await.unwrap_or(late)
    }

    /// Goes where the directory and other nodes lead.
    async fn follow(&self, join: &Join) -> Result<Session, JoinError> {
        // A resume never makes a room: its session cannot be there.
        let create = !join.parameters.reconnect && self.may_create(join);
        let (mut route, mut step) = (Route::default(), Step::Locate { failed_host: None });
        loop {
            let located = match step {
                Step::Try(located) => located,
                Step::GiveUp => return Err(JoinError::Unavailable { reason: "room moves or its node is gone".into() }),
                Step::Locate { failed_host } => match self.locate(join, create, failed_host).await {
                    Err(JoinError::RoomNotFound) if join.parameters.reconnect => return Ok(refused_resume()),
                    located => located?,
                },
            };
            let entered = if located.host == self.shared.me {
                self.enter(join, Some(located.epoch.clone()), self.shared.me.node_id.clone()).await
            } else {
                relay::at_host(&self.relay, &located, join).await
            };
            step = match entered {
                Ok(session) => return Ok(session),
                Err(Refusal::Join(error)) => return Err(error),
                Err(Refusal::Elsewhere(why)) => route.after(&located, why),
            };
            if matches!(step, Step::Locate { .. }) {
                // The first time, what was in the way is gone already or soon.
                tokio::time::sleep(JOIN_PAUSE * (route.attempts() - 1)).await;
            }
        }
    }

    /// Lets somebody into a room of this node; the WebSocket is at node `entry`.
    pub(crate) async fn enter(&self, join: &Join, epoch: Option<Epoch>, entry: NodeId) -> Result<Session, Refusal> {
        if self.shared.closing.load(Ordering::Acquire) {
            return Err(Refusal::Join(closing()));
        }
        if !join.parameters.reconnect
            && let Some(full) = self.shared.full()
        {
            return Err(Refusal::Join(full));
        }
        let name = join.claims.video.room.clone();
        let room = name.clone();
        let attach = |reply| PlacementMessage::Attach { room, epoch, reply };
        match ask_within(&self.placement, PLACEMENT_TIMEOUT, attach).await {
            Some(Ok(_)) => {}
            Some(Err(AttachRefusal::Moved { winner, epoch })) => {
                return Err(Refusal::Elsewhere(Elsewhere::Moved(Located { host: winner, epoch })));
            }
            Some(Err(AttachRefusal::NotHere)) | None => return Err(Refusal::Elsewhere(Elsewhere::NotHere)),
        }
        let ending = Refusal::Elsewhere(Elsewhere::NotHere);
        let room = ask(&self.supervisor, |reply| SupervisorMessage::Room { name, reply }).await.flatten();
        let room = room.ok_or_else(|| ending.clone())?;
        let join = Box::new(join.clone());
        let answer = ask(&room, |reply| RoomMessage::Join { join, entry, reply }).await;
        answer.ok_or(ending)?.map_err(Refusal::Join)
    }

    /// Whether this node would refuse a join into one of its rooms.
    pub(crate) async fn validate_here(&self, join: &Join) -> Result<(), JoinError> {
        if !join.parameters.reconnect
            && let Some(full) = self.shared.full()
        {
            return Err(full);
        }
        let Some(room) = self.room(&join.claims.video.room).await else { return Ok(()) };
        let join = Box::new(join.clone());
        ask(&room, |reply| RoomMessage::Validate { join, reply }).await.unwrap_or(Ok(()))
    }

    /// Ends every session with SERVER_SHUTDOWN and closes all peers; waits at most two seconds for it.
    pub async fn shutdown(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.relay.send_away();
        ask(&self.supervisor, |reply| SupervisorMessage::Shutdown { reply }).await;
        for _ in 0..SHUTDOWN_CHECKS {
            if self.shared.participants.is_empty() && self.shared.rooms.is_empty() {
                break;
            }
            tokio::time::sleep(SHUTDOWN_CHECK_INTERVAL).await;
        }
    }

    /// Rooms that this node hosts and participants in them.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (count(self.shared.rooms.len()), count(self.shared.participants.len()))
    }

    /// What is going on on this node.
    pub async fn snapshot(&self) -> RoomsSnapshot {
        let rooms = ask(&self.supervisor, |reply| SupervisorMessage::Rooms { reply }).await.unwrap_or_default();
        let mut snapshot = RoomsSnapshot::default();
        for (_, room) in rooms {
            snapshot.rooms.extend(ask(&room, |reply| RoomMessage::Inspect { reply }).await);
        }
        let placed = ask(&self.placement, |reply| PlacementMessage::Inspect { reply }).await.unwrap_or_default();
        let epochs: BTreeMap<_, _> = placed.rooms.into_iter().map(|room| (room.room, room.epoch.counter)).collect();
        for room in &mut snapshot.rooms {
            room.epoch = epochs.get(&room.name).copied().unwrap_or(0);
        }
        snapshot
    }

    /// What is going on in the whole cluster: the rooms of every living member that answers in time.
    pub async fn overview(&self) -> RoomsSnapshot {
        relay::overview(Arc::clone(&self.shared.cluster), self.snapshot().await).await
    }

    /// Sessions that cross a link at present: with their WebSocket here, and with their room here.
    #[must_use]
    pub fn relayed(&self) -> (usize, usize) {
        self.relay.sessions()
    }

    /// Moves the media of a room to another worker of this node; its clients notice a changed candidate pair.
    ///
    /// # Errors
    /// [`RelocateError`] for an unknown room or worker, or when the media plane is too far behind.
    pub async fn relocate(&self, name: &str, worker: usize) -> Result<Relocation, RelocateError> {
        if worker >= self.shared.media.worker_count() {
            return Err(RelocateError::NoWorker { worker });
        }
        let rooms = ask(&self.supervisor, |reply| SupervisorMessage::Rooms { reply }).await.unwrap_or_default();
        let room = rooms.into_iter().find(|(other, _)| other == name).map(|(_, room)| room);
        let room = room.ok_or(RelocateError::NoRoom)?;
        ask(&room, |reply| RoomMessage::Relocate { worker, reply }).await.unwrap_or(Err(RelocateError::NoRoom))
    }

    /// Makes a room's actor panic; does nothing without `test_faults`.
    pub async fn crash_room(&self, name: &str) {
        if let Some(room) = self.room(name).await {
            // A room that ends in this moment has crashed enough.
            let _ = room.cast(RoomMessage::Crash);
        }
    }

    /// The actor of a room of this node.
    pub(crate) async fn room(&self, name: &str) -> Option<ActorRef<RoomMessage>> {
        let name = name.to_owned();
        ask(&self.supervisor, |reply| SupervisorMessage::Room { name, reply }).await.flatten()
    }

    pub(crate) fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    pub(crate) fn placement(&self) -> &ActorRef<PlacementMessage> {
        &self.placement
    }

    /// Whether the room is on this node, or which other one has it.
    pub(crate) async fn host_of(&self, room: &str) -> Option<MemberId> {
        let (room, hints) = (room.to_owned(), RoomHints::default());
        let locate = |reply| PlacementMessage::Locate { room, create: false, hints, failed_host: None, reply };
        let located = ask_within(&self.placement, PLACEMENT_TIMEOUT, locate).await?.ok()?;
        (located.host != self.shared.me).then_some(located.host)
    }

    #[cfg(test)]
    pub(crate) fn supervisor(&self) -> &ActorRef<SupervisorMessage> {
        &self.supervisor
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn may_create(&self, join: &Join) -> bool {
        self.shared.config.room.auto_create || join.claims.video.room_create
    }

    async fn locate(&self, join: &Join, create: bool, failed_host: Option<MemberId>) -> Result<Located, JoinError> {
        if self.shared.closing.load(Ordering::Acquire) {
            return Err(closing());
        }
        let room = join.claims.video.room.clone();
        let settings = join.claims.room_config.as_ref().and_then(preset);
        let max_participants = settings.map_or(0, |settings| settings.max_participants);
        let hints = RoomHints { max_participants, region: self.shared.config.node.region.clone() };
        let locate = |reply| PlacementMessage::Locate { room, create, hints, failed_host, reply };
        match ask_within(&self.placement, PLACEMENT_TIMEOUT, locate).await {
            Some(Ok(located)) => Ok(located),
            Some(Err(LocateError::NotFound)) => Err(JoinError::RoomNotFound),
            Some(Err(LocateError::NoCapacity { why })) => {
                Err(self.shared.full().unwrap_or(JoinError::NoCapacity { why }))
            }
            Some(Err(LocateError::Unavailable { why })) => Err(JoinError::Unavailable { reason: why.into() }),
            None => Err(JoinError::Unavailable { reason: "placement does not answer".into() }),
        }
    }

    /// What needs no room to be refused.
    fn check(&self, join: &Join) -> Result<(), JoinError> {
        let (claims, limits) = (&join.claims, &self.shared.config.limits);
        if !claims.video.room_join {
            return Err(JoinError::PermissionDenied);
        }
        if claims.sub.is_empty() {
            return Err(JoinError::IdentityEmpty);
        }
        if claims.video.room.is_empty() {
            return Err(JoinError::RoomNameEmpty);
        }
        let over = |bytes: usize, limit: usize| limit > 0 && bytes > limit;
        let bytes = claims.video.room.len();
        if over(bytes, limits.room_name_bytes) {
            return Err(JoinError::RoomNameTooLong { bytes, limit: limits.room_name_bytes });
        }
        let (metadata, attributes) = told_at_join(join);
        let fields = [
            ("identity", claims.sub.len(), limits.identity_bytes),
            ("name", claims.name.len(), limits.name_bytes),
            ("metadata", metadata.len(), limits.metadata_bytes),
            ("attributes", attributes_bytes(&attributes), limits.attributes_bytes),
        ];
        if let Some((what, bytes, limit)) = fields.into_iter().find(|(_, bytes, limit)| over(*bytes, *limit)) {
            return Err(JoinError::ParticipantFieldTooLong { what: what.into(), bytes, limit });
        }
        Ok(())
    }
}

/// Reads the room settings of a token; unknown and malformed ones are left out, so that a token for a newer server
/// still opens the door.
pub(crate) fn preset(value: &serde_json::Value) -> Option<Box<lk::RoomConfiguration>> {
    let number = |camel: &str, snake: &str| -> u32 {
        let field = value.get(camel).or_else(|| value.get(snake));
        // Protobuf's JSON writes numbers as texts too.
        let number = field.and_then(|field| field.as_u64().or_else(|| field.as_str()?.parse().ok()));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    };
    let metadata = value.get("metadata").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    value.as_object()?;
    Some(Box::new(lk::RoomConfiguration {
        empty_timeout: number("emptyTimeout", "empty_timeout"),
        departure_timeout: number("departureTimeout", "departure_timeout"),
        max_participants: number("maxParticipants", "max_participants"),
        metadata,
        ..Default::default()
    }))
}

fn closing() -> JoinError {
    JoinError::Unavailable { reason: "node is shutting down".into() }
}

/// Asks an actor; `None` when it does not answer.
pub(crate) async fn ask<M: Message, T: Send + 'static>(
    actor: &ActorRef<M>,
    message: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Option<T> {
    ask_within(actor, CALL_TIMEOUT, message).await
}

/// Asks an actor that may take so long.
async fn ask_within<M: Message, T: Send + 'static>(
    actor: &ActorRef<M>,
    limit: Duration,
    message: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Option<T> {
    match actor.call(message, Some(limit)).await {
        Ok(CallResult::Success(answer)) => Some(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
    }
}
