//! The side of a relayed session that has the room.

use crate::error::JoinError;
use crate::placement::core::{Epoch, Located};
use crate::relay::blob::Blob;
use crate::relay::join::WireJoin;
use crate::relay::pump::{Queued, Stopped, pump};
use crate::relay::route::Elsewhere;
use crate::relay::state::Arrival;
use crate::relay::wire::{Cast, HostEnd, OpenAnswer};
use crate::relay::{HostKey, Relay, Served};
use crate::rooms::{Refusal, Rooms};
use crate::session::{Session, SessionOutput};
use starling_cluster::member::MemberId;
use starling_protocol::livekit as lk;
use std::sync::Arc;

/// Serves [`crate::relay::wire::Call::Open`].
pub(crate) async fn open(rooms: &Rooms, entry: MemberId, session: u64, epoch: Epoch, join: &WireJoin) -> OpenAnswer {
    let join = match join.open() {
        Ok(join) => join,
        Err(error) => {
            tracing::warn!(%entry, %error, "relayed join refused");
            let reason = "host cannot read the join".into();
            return OpenAnswer::Refused(JoinError::Unavailable { reason });
        }
    };
    let relay = rooms.relay();
    let key = (entry, session);
    if relay.tables().host.open(key.clone(), key.0.clone()).is_err() {
        return OpenAnswer::Refused(JoinError::Unavailable { reason: "too many sessions are relayed".into() });
    }
    let entered = rooms.enter(&join, Some(epoch), key.0.node_id.clone()).await;
    match entered {
        Ok(session) => admit(relay, key, session),
        Err(refusal) => {
            relay.close_host(&key);
            match refusal {
                Refusal::Join(error) => OpenAnswer::Refused(error),
                Refusal::Elsewhere(Elsewhere::Moved(Located { host, epoch })) => {
                    OpenAnswer::Moved { winner: host, epoch }
                }
                Refusal::Elsewhere(_) => OpenAnswer::NotHere,
            }
        }
    }
}

/// Relays the session, unless its entry closed it meanwhile: then its drop tells the participant.
fn admit(relay: &Arc<Relay>, key: HostKey, session: Session) -> OpenAnswer {
    let first = Blob::of(&*session.first);
    let Session { requests: input, mut responses, .. } = session;
    if input.is_over() {
        relay.close_host(&key);
        return OpenAnswer::Opened { first, serves: false };
    }
    let mut tables = relay.tables();
    if !tables.host.has(&key) {
        drop(tables);
        drop(input);
        return OpenAnswer::NotHere;
    }
    let (task_relay, task_key) = (Arc::clone(relay), key.clone());
    let pump = tokio::spawn(async move {
        let (relay, (entry, session)) = (task_relay, &task_key);
        let session = *session;
        let cast = |first, frames| Cast::Responses { session, first, frames };
        let read = |output| match output {
            SessionOutput::Signal(response) => Queued::Frame(Blob::of(&*response)),
            SessionOutput::Close => Queued::End,
        };
        let stopped = pump(&relay, entry, &mut responses, read, cast).await;
        let (frames, end) = match stopped {
            Stopped::Ended { frames } => (frames, HostEnd::Close),
            Stopped::Deserted { frames } => (frames, HostEnd::Over),
            Stopped::Stuck { frames, error } => {
                ended("stuck");
                tracing::info!(%entry, session, %error, "relayed session ends");
                (frames, HostEnd::Broken)
            }
        };
        relay.say_goodbye(entry.clone(), Cast::HostClosed { session, frames, end });
        relay.close_host(&task_key);
    });
    tables.served.insert(key, Served { input, pump: pump.abort_handle() });
    OpenAnswer::Opened { first, serves: true }
}

fn ended(reason: &'static str) {
    metrics::counter!("starling_relay_sessions_ended_total", "side" => "host", "reason" => reason).increment(1);
}

impl Relay {
    /// Requests of a client at another node.
    pub(super) fn requests(&self, from: &MemberId, session: u64, first: u64, frames: &[Blob]) {
        let key = (from.clone(), session);
        let mut tables = self.tables();
        let arrival = tables.host.arrived(&key, from, first, frames.len() as u64);
        let broken = match arrival {
            Arrival::InOrder => {
                let served = tables.served.get(&key);
                let broken = served.and_then(|served| frames.iter().find_map(|frame| hand_in(served, frame).err()));
                broken.map(|reason| (reason, HostEnd::Broken))
            }
            Arrival::Gap { due, came } => {
                tracing::warn!(entry = %from, session, due, came, "requests are missing, relayed session ends");
                Some(("gap", HostEnd::Broken))
            }
            Arrival::Unknown => Some(("unknown", HostEnd::Unknown)),
        };
        drop(tables);
        if let Some((reason, end)) = broken {
            ended(reason);
            self.close_host(&key);
            self.say_goodbye(from.clone(), Cast::HostClosed { session, frames: 0, end });
        }
    }

    /// The WebSocket of a client at another node is gone.
    pub(super) fn entry_closed(&self, from: &MemberId, session: u64) {
        self.close_host(&(from.clone(), session));
    }
}

/// Gives a request to the participant; one too many ends the session as it ends a WebSocket.
fn hand_in(served: &Served, frame: &Blob) -> Result<(), &'static str> {
    let request: lk::SignalRequest = frame.read().map_err(|_| "unreadable")?;
    served.input.send(request).map_err(|_| "overflow")
}
