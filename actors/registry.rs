//! Which actor a media-plane name or an actor id belongs to. Read by the router for every media event and by the
//! supervisor when something died; the truth about rooms and participants stays in their actors.

use crate::config::RoomsConfig;
use crate::error::JoinError;
use crate::ids::Numbers;
use crate::participant::ParticipantMessage;
use crate::room::RoomMessage;
use dashmap::DashMap;
use ractor::{ActorId, ActorRef};
use starling_cluster::member::MemberId;
use starling_cluster::peers::Peers;
use starling_media::command::MediaCommand;
use starling_media::id::{PeerId, RoomKey};
use starling_media::worker::{MediaPlane, SendCommandError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What every actor of this node shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<RoomsConfig>,
    pub(crate) media: MediaPlane,
    /// This life of this node.
    pub(crate) me: MemberId,
    /// The way to other nodes.
    pub(crate) cluster: Arc<dyn Peers>,
    /// The node shuts down: nobody comes in.
    pub(crate) closing: AtomicBool,
    pub(crate) numbers: Numbers,
    pub(crate) peers: DashMap<PeerId, PeerEntry>,
    pub(crate) rooms: DashMap<RoomKey, RoomEntry>,
    pub(crate) participants: DashMap<ActorId, ParticipantEntry>,
}

/// Whose peer it is.
#[derive(Clone, Debug)]
pub(crate) struct PeerEntry {
    pub(crate) participant: ActorRef<ParticipantMessage>,
    pub(crate) owner: ActorId,
    pub(crate) room: RoomKey,
    pub(crate) sid: String,
    pub(crate) worker: usize,
}

/// A room's actor.
#[derive(Clone, Debug)]
pub(crate) struct RoomEntry {
    pub(crate) actor: ActorRef<RoomMessage>,
    pub(crate) data_waiting: Arc<AtomicUsize>,
    /// Its published and subscribed tracks, for the node's limit.
    pub(crate) tracks: Arc<AtomicUsize>,
}

/// A participant's actor.
#[derive(Clone, Debug)]
pub(crate) struct ParticipantEntry {
    pub(crate) actor: ActorRef<ParticipantMessage>,
    pub(crate) room: RoomKey,
    pub(crate) sid: String,
}

impl Shared {
    /// Hands a command to a worker and counts a refusal.
    pub(crate) fn send(&self, worker: usize, command: MediaCommand) -> Result<(), SendCommandError> {
        self.media.send(worker, command).inspect_err(|error| {
            metrics::counter!("starling_actors_media_commands_refused_total").increment(1);
            tracing::warn!(%error, "media command refused");
        })
    }

    /// The limit of this node that leaves no place for anybody new.
    pub(crate) fn full(&self) -> Option<JoinError> {
        let limits = &self.config.limits;
        if limits.participants > 0 && self.participants.len() >= limits.participants {
            return Some(JoinError::NodeFull { what: "participants".into(), limit: limits.participants });
        }
        if limits.tracks > 0 && self.tracks() >= limits.tracks {
            return Some(JoinError::NodeFull { what: "tracks".into(), limit: limits.tracks });
        }
        None
    }

    /// Published and subscribed tracks of all rooms.
    pub(crate) fn tracks(&self) -> usize {
        self.rooms.iter().map(|entry| entry.tracks.load(Ordering::Relaxed)).sum()
    }

    /// Closes every peer of a participant actor and forgets it.
    pub(crate) fn forget_participant(&self, id: ActorId) -> Option<ParticipantEntry> {
        let peers: Vec<(PeerId, usize)> =
            self.peers.iter().filter(|entry| entry.owner == id).map(|entry| (*entry.key(), entry.worker)).collect();
        for (peer, worker) in peers {
            self.peers.remove(&peer);
            // A full worker is counted by `send`; its consent timer ends the peer then.
            let _ = self.send(worker, MediaCommand::ClosePeer { peer });
        }
        self.participants.remove(&id).map(|(_, entry)| entry)
    }
}
