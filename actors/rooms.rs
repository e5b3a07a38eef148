//! The door into the rooms of this node.

use crate::config::RoomsConfig;
use crate::error::{JoinError, RelocateError, StartError};
use crate::ids::Numbers;
use crate::inbox::ClusterDoor;
use crate::limits::CALL_TIMEOUT;
use crate::placement::{PlacementActor, PlacementMessage};
use crate::registry::Shared;
use crate::room::{RoomMessage, attributes_bytes, refused_resume, told_at_join};
use crate::router;
use crate::session::{Join, Session};
use crate::snapshot::RoomsSnapshot;
use crate::supervisor::{SupervisorActor, SupervisorArguments, SupervisorMessage};
use dashmap::DashMap;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, Message, RpcReplyPort};
use starling_media::command::MediaEvent;
use starling_media::worker::{MediaPlane, Relocation};
use starling_protocol::livekit as lk;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A room that ends in the moment of a join is asked for anew this often.
const ROOM_ATTEMPTS: usize = 3;
/// How long [`Rooms::shutdown`] waits for sessions to end, and how often it looks.
const SHUTDOWN_CHECKS: u32 = 100;
const SHUTDOWN_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Every room of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    shared: Arc<Shared>,
    supervisor: ActorRef<SupervisorMessage>,
    placement: ActorRef<PlacementMessage>,
}

impl Rooms {
    /// Starts the supervisor and the router of media events.
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
        let rooms_max = config.limits.rooms;
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            media,
            me: door.peers.view().borrow().me.clone(),
            cluster: door.peers,
            numbers: Numbers::default(),
            peers: DashMap::new(),
            rooms: DashMap::new(),
            participants: DashMap::new(),
        });
        let (placement, _) = Actor::spawn(None, PlacementActor, rooms_max).await?;
        let arguments = SupervisorArguments { shared: Arc::clone(&shared), placement: placement.clone() };
        let (supervisor, _) = Actor::spawn(None, SupervisorActor, arguments).await?;
        tokio::spawn(router::run(Arc::clone(&shared), events));
        Ok(Self { shared, supervisor, placement })
    }

    /// Checks a join without opening a session.
    ///
    /// # Errors
    /// [`JoinError`] as [`Rooms::join`] would give it.
    pub async fn validate(&self, join: &Join) -> Result<(), JoinError> {
        self.check(join)?;
        let room = match self.find_room(join, false).await {
            Ok(room) => room,
            Err(JoinError::RoomNotFound) if self.may_create(join) => return Ok(()),
            Err(error) => return Err(error),
        };
        let join = Box::new(join.clone());
        ask(&room, |reply| RoomMessage::Validate { join, reply }).await.unwrap_or(Ok(()))
    }

    /// Joins or resumes.
    ///
    /// # Errors
    /// [`JoinError`] with its HTTP status.
    pub async fn join(&self, join: Join) -> Result<Session, JoinError> {
        self.check(&join)?;
        for _ in 0..ROOM_ATTEMPTS {
            // A resume never makes a room: its session cannot be there.
            let create = !join.parameters.reconnect && self.may_create(&join);
            let room = match self.find_room(&join, create).await {
                Err(JoinError::RoomNotFound) if join.parameters.reconnect => return Ok(refused_resume()),
                room => room?,
            };
            let asked = Box::new(join.clone());
            if let Some(answer) =
                ask(&room, |reply| RoomMessage::Join { join: asked, entry: self.shared.me.node_id.clone(), reply })
                    .await
            {
                return answer;
            }
            tokio::task::yield_now().await;
        }
        Err(JoinError::Unavailable { reason: "room is closing" })
    }

    /// Ends every session with SERVER_SHUTDOWN and closes all peers; waits at most two seconds for it.
    pub async fn shutdown(&self) {
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
        snapshot
    }

    /// What is going on in the whole cluster: the rooms of every living member that answers in time.
    pub async fn overview(&self) -> RoomsSnapshot {
        self.snapshot().await
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

    /// The room's actor, for the server API.
    pub(crate) async fn room(&self, name: &str) -> Option<ActorRef<RoomMessage>> {
        let rooms = ask(&self.supervisor, |reply| SupervisorMessage::Rooms { reply }).await?;
        rooms.into_iter().find(|(other, _)| other == name).map(|(_, room)| room)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn may_create(&self, join: &Join) -> bool {
        self.shared.config.room.auto_create || join.claims.video.room_create
    }

    async fn find_room(&self, join: &Join, create: bool) -> Result<ActorRef<RoomMessage>, JoinError> {
        let name = join.claims.video.room.clone();
        let room = name.clone();
        ask(&self.placement, |reply| PlacementMessage::Locate { room, create, reply })
            .await
            .unwrap_or(Err(JoinError::Unavailable { reason: "placement does not answer" }))?;
        let preset = join.claims.room_config.as_ref().and_then(preset);
        ask(&self.supervisor, |reply| SupervisorMessage::Room { name, create, preset, reply })
            .await
            .unwrap_or(Err(JoinError::Unavailable { reason: "supervisor does not answer" }))
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
            return Err(JoinError::ParticipantFieldTooLong { what, bytes, limit });
        }
        let limit = limits.participants;
        if limit > 0 && !join.parameters.reconnect && self.shared.participants.len() >= limit {
            return Err(JoinError::NodeFull { what: "participants", limit });
        }
        let limit = limits.tracks;
        if limit > 0 && !join.parameters.reconnect && self.shared.tracks() >= limit {
            return Err(JoinError::NodeFull { what: "tracks", limit });
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

/// Asks an actor; `None` when it does not answer.
pub(crate) async fn ask<M: Message, T: Send + 'static>(
    actor: &ActorRef<M>,
    message: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Option<T> {
    match actor.call(message, Some(CALL_TIMEOUT)).await {
        Ok(CallResult::Success(answer)) => Some(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
    }
}
