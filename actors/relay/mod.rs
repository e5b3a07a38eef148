//! Sessions whose WebSocket ends at another node than their room: signalling frames both ways over the link. Media
//! never comes here.
//!
//! The *entry* has the WebSocket, the *host* has the room. `route` finds the host, `state` and `outlet` decide, `entry`,
//! `host` and `run` perform.

mod api;
mod blob;
mod entry;
mod host;
mod join;
mod outlet;
mod overview;
mod pump;
mod route;
mod run;
mod state;
mod wire;

pub(crate) use api::{CHANNELS, RoomAnswer, RoomCall};
pub(crate) use entry::{at_host, call_room, validate_at};
pub(crate) use overview::overview;
pub(crate) use route::{Elsewhere, Route, Step};
pub(crate) use run::run;
pub(crate) use wire::PLACEMENT;

use crate::clock;
use crate::limits::RELAY_SESSIONS_MAX;
use crate::session::{SessionInput, SessionOutput};
use crate::signal;
use starling_cluster::member::MemberId;
use starling_cluster::peers::{CastError, Peers, Urgency};
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use state::{Goodbyes, Lanes};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use wire::Cast;

/// A protobuf message for a [`RoomCall`].
pub(crate) fn blob_of(message: &impl prost::Message) -> blob::Blob {
    blob::Blob::of(message)
}

/// Name of a session at its host: the entry, and the entry's number of it.
type HostKey = (MemberId, u64);

/// Both sides of this node's relayed sessions.
#[derive(Debug)]
pub(crate) struct Relay {
    peers: Arc<dyn Peers>,
    numbers: AtomicU64,
    tables: Mutex<Tables>,
    /// A goodbye was postponed.
    postponed: Notify,
}

/// What each side knows, and the ends that its frames go to.
#[derive(Debug)]
struct Tables {
    entry: Lanes<u64>,
    outputs: BTreeMap<u64, mpsc::Sender<SessionOutput>>,
    host: Lanes<HostKey>,
    served: BTreeMap<HostKey, Served>,
    goodbyes: Goodbyes,
}

/// A session of a client at another node.
#[derive(Debug)]
struct Served {
    input: SessionInput,
    pump: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Relay {
    pub(crate) fn new(peers: Arc<dyn Peers>) -> Self {
        let tables = Tables {
            entry: Lanes::new(RELAY_SESSIONS_MAX),
            outputs: BTreeMap::new(),
            host: Lanes::new(RELAY_SESSIONS_MAX),
            served: BTreeMap::new(),
            goodbyes: Goodbyes::default(),
        };
        Self { peers, numbers: AtomicU64::new(0), tables: Mutex::new(tables), postponed: Notify::new() }
    }

    /// The tables hold together after every statement that could panic.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Sessions relayed as entry and as host.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        let tables = self.tables();
        (tables.entry.len(), tables.host.len())
    }

    fn cast(&self, to: &MemberId, cast: &Cast) -> Result<(), CastError> {
        match wire::encode(cast) {
            Ok(body) => self.peers.cast(to, wire::RELAY, Urgency::Needed, body),
            Err(error) => {
                tracing::warn!(%error, "relay message not sent");
                Err(CastError::TooLarge { bytes: usize::MAX, limit: starling_cluster::limits::BODY_BYTES_MAX })
            }
        }
    }

    /// Tells the other side of an end, at once or as soon as its window has room.
    fn say_goodbye(&self, to: MemberId, cast: Cast) {
        if let Err(CastError::Congested(_)) = self.cast(&to, &cast) {
            self.tables().goodbyes.postpone(to, cast, clock::now());
            self.postponed.notify_one();
        }
    }

    /// The WebSocket of a session of this entry is gone, or its session cannot go on: it ends.
    fn close_entry(&self, session: u64) {
        let host = {
            let mut tables = self.tables();
            tables.outputs.remove(&session);
            tables.entry.close(&session)
        };
        if let Some(host) = host {
            self.say_goodbye(host, Cast::EntryClosed { session });
        }
    }

    /// This host has no more to say to a session, or cannot.
    fn close_host(&self, key: &HostKey) {
        let mut tables = self.tables();
        tables.host.close(key);
        let served = tables.served.remove(key);
        drop(tables);
        // Its drop tells the participant, outside the lock.
        drop(served);
    }

    /// The link to that life of a node is gone: clients of its rooms resume, those who entered there may.
    fn lost(&self, member: &MemberId) {
        let mut gone = Vec::new();
        let mut tables = self.tables();
        for session in tables.entry.lost(member) {
            tables.outputs.remove(&session);
        }
        for key in tables.host.lost(member) {
            gone.extend(tables.served.remove(&key));
        }
        tables.goodbyes.lost(member);
        drop(tables);
        drop(gone);
    }

    /// This node goes: its clients resume their sessions through another entry.
    pub(crate) fn send_away(&self) {
        let (sessions, outputs) = {
            let mut tables = self.tables();
            (tables.entry.drain(), std::mem::take(&mut tables.outputs))
        };
        for output in outputs.into_values() {
            let leave = signal::leave(DisconnectReason::ServerShutdown, Action::Resume);
            // A WebSocket that is behind closes without a word, which means the same to its client.
            let _ = output.try_send(SessionOutput::Signal(signal::response(leave)));
            let _ = output.try_send(SessionOutput::Close);
        }
        for (session, host) in sessions {
            self.say_goodbye(host, Cast::EntryClosed { session });
        }
    }
}
