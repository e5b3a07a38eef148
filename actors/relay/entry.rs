//! The side of a relayed session that has the WebSocket.

use crate::error::JoinError;
use crate::limits::RELAY_OPEN_TIMEOUT;
use crate::placement::core::Located;
use crate::relay::Relay;
use crate::relay::api::{RoomAnswer, RoomCall};
use crate::relay::blob::Blob;
use crate::relay::join::WireJoin;
use crate::relay::pump::{Queued, Stopped, pump};
use crate::relay::route::Elsewhere;
use crate::relay::state::Arrival;
use crate::relay::wire::{self, Call, Cast, HostEnd, OpenAnswer};
use crate::rooms::Refusal;
use crate::session::{Join, SESSION_REQUESTS_MAX, SESSION_RESPONSES_MAX, Session, SessionInput, SessionOutput};
use serde::de::DeserializeOwned;
use starling_cluster::member::MemberId;
use starling_cluster::peers::{CallError, CastError};
use starling_protocol::livekit as lk;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Joins or resumes at another node.
///
/// # Errors
/// [`Refusal`]: its refusal, or that the room is elsewhere.
pub(crate) async fn at_host(relay: &Arc<Relay>, located: &Located, join: &Join) -> Result<Session, Refusal> {
    let join = WireJoin::new(join).map_err(|error| unavailable(error.to_string()))?;
    let (output, responses) = mpsc::channel(SESSION_RESPONSES_MAX);
    let session = relay.number();
    let opened = Opened::new(relay, session, &located.host, output)?;
    let call = Call::Open { session, epoch: located.epoch.clone(), join };
    let answer: OpenAnswer = ask(relay, &located.host, &call).await?;
    match answer {
        OpenAnswer::Opened { first, serves } => {
            let first: lk::SignalResponse = first.read().map_err(|error| unavailable(error.to_string()))?;
            let requests = if serves { opened.serve(located.host.clone()) } else { SessionInput::ended() };
            Ok(Session { first: Box::new(first), requests, responses })
        }
        OpenAnswer::Refused(error) => Err(Refusal::Join(error)),
        OpenAnswer::Moved { winner, epoch } => {
            Err(Refusal::Elsewhere(Elsewhere::Moved(Located { host: winner, epoch })))
        }
        OpenAnswer::NotHere => Err(Refusal::Elsewhere(Elsewhere::NotHere)),
    }
}

/// Whether another node would refuse a join; whatever it cannot say is no refusal.
pub(crate) async fn validate_at(relay: &Relay, host: &MemberId, join: &Join) -> Result<(), JoinError> {
    let Ok(join) = WireJoin::new(join) else { return Ok(()) };
    let answer: Result<Result<(), JoinError>, Refusal> = ask(relay, host, &Call::Validate { join }).await;
    answer.unwrap_or(Ok(()))
}

/// Asks a room of another node for the server API.
pub(crate) async fn call_room(relay: &Relay, host: &MemberId, room: &str, call: RoomCall) -> RoomAnswer {
    let call = Call::Room { room: room.to_owned(), call };
    let answer: Result<RoomAnswer, Refusal> = ask(relay, host, &call).await;
    answer.unwrap_or(RoomAnswer::Nothing)
}

/// Asks another node; what went wrong says whether another one may know better.
pub(crate) async fn ask<T: DeserializeOwned>(relay: &Relay, host: &MemberId, call: &Call) -> Result<T, Refusal> {
    let body = wire::encode(call).map_err(|error| unavailable(error.to_string()))?;
    let answer = relay.peers.call(host, wire::RELAY, body, RELAY_OPEN_TIMEOUT).await;
    let answer = answer.map_err(|error| match error {
        CallError::Cast(CastError::Congested(_)) => Refusal::Elsewhere(Elsewhere::Congested),
        CallError::Cast(CastError::NoLink(_)) | CallError::Timeout { .. } | CallError::LinkLost(_) => {
            Refusal::Elsewhere(Elsewhere::Unreachable)
        }
        CallError::Cast(CastError::TooLarge { .. }) | CallError::Unreadable { .. } => unavailable(error.to_string()),
    })?;
    wire::decode(&answer).map_err(|error| unavailable(error.to_string()))
}

fn unavailable(reason: String) -> Refusal {
    tracing::warn!(%reason, "join cannot be relayed");
    Refusal::Join(JoinError::Unavailable { reason: reason.into() })
}

/// A session in this entry's table; dropping it ends it here and tells the host, which may have opened it meanwhile.
#[derive(Debug)]
struct Opened {
    relay: Arc<Relay>,
    session: u64,
}

impl Opened {
    fn new(
        relay: &Arc<Relay>,
        session: u64,
        host: &MemberId,
        output: mpsc::Sender<SessionOutput>,
    ) -> Result<Self, Refusal> {
        let mut tables = relay.tables();
        if tables.entry.open(session, host.clone()).is_err() {
            drop(tables);
            return Err(unavailable("too many sessions are relayed".into()));
        }
        tables.outputs.insert(session, output);
        drop(tables);
        Ok(Self { relay: Arc::clone(relay), session })
    }

    /// Sends the client's requests to the host from here on.
    fn serve(self, host: MemberId) -> SessionInput {
        let (requests, mut queue) = mpsc::channel::<lk::SignalRequest>(SESSION_REQUESTS_MAX);
        tokio::spawn(async move {
            let session = self.session;
            let cast = |first, frames| Cast::Requests { session, first, frames };
            let read = |request| Queued::Frame(Blob::of(&request));
            if let Stopped::Stuck { error, .. } = pump(&self.relay, &host, &mut queue, read, cast).await {
                ended("stuck");
                tracing::info!(%host, session, %error, "relayed session ends");
            }
            // `self` ends here, and with it the session.
        });
        SessionInput::relayed(requests)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.relay.close_entry(self.session);
    }
}

fn ended(reason: &'static str) {
    metrics::counter!("starling_relay_sessions_ended_total", "side" => "entry", "reason" => reason).increment(1);
}

impl Relay {
    /// Responses of a host for a session of this entry.
    pub(super) fn responses(&self, from: &MemberId, session: u64, first: u64, frames: &[Blob]) {
        let mut tables = self.tables();
        let arrival = tables.entry.arrived(&session, from, first, frames.len() as u64);
        let broken = match arrival {
            Arrival::InOrder => {
                let output = tables.outputs.get(&session);
                output.and_then(|output| frames.iter().find_map(|frame| deliver(output, frame).err()))
            }
            Arrival::Gap { due, came } => {
                tracing::warn!(%from, session, due, came, "responses are missing, relayed session ends");
                tables.outputs.remove(&session);
                Some("gap")
            }
            Arrival::Unknown => Some("unknown"),
        };
        drop(tables);
        if let Some(reason) = broken {
            ended(reason);
            self.close_entry(session);
            if arrival != Arrival::InOrder {
                self.say_goodbye(from.clone(), Cast::EntryClosed { session });
            }
        }
    }

    /// A host ended a session of this entry.
    pub(super) fn host_closed(&self, from: &MemberId, session: u64, frames: u64, end: HostEnd) {
        let mut tables = self.tables();
        let arrival = tables.entry.arrived(&session, from, frames, 0);
        if arrival == Arrival::Unknown {
            return;
        }
        tables.entry.ended(&session, from);
        let output = tables.outputs.remove(&session);
        drop(tables);
        if let (Some(output), HostEnd::Close, Arrival::InOrder) = (output, end, arrival) {
            // A WebSocket that is behind closes when it has caught up.
            let _ = output.try_send(SessionOutput::Close);
        }
    }
}

/// Gives a response to the WebSocket; one that cannot keep up, or a response that cannot be read, ends the session.
fn deliver(output: &mpsc::Sender<SessionOutput>, frame: &Blob) -> Result<(), &'static str> {
    let response: lk::SignalResponse = frame.read().map_err(|_| "unreadable")?;
    output.try_send(SessionOutput::Signal(Box::new(response))).map_err(|_| "overflow")
}
