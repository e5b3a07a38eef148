//! Reads the inbox: brings each message of another node to the session, the placement or the door that it concerns.

use crate::clock;
use crate::inbox::{Heard, InboxReceiver};
use crate::limits::{PLACEMENT_WAITING_MAX, RELAY_CALLS_MAX};
use crate::placement::PlacementMessage;
use crate::placement::core::Message;
use crate::relay::wire::{self, Call, Cast, WireError};
use crate::relay::{Relay, host, overview};
use crate::rooms::Rooms;
use crate::session::Admission;
use bytes::Bytes;
use serde::Serialize;
use starling_cluster::member::MemberId;
use starling_cluster::peers::{Inbound, Unreadable};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;
use tokio::sync::oneshot;

/// Runs until the cluster's half of the inbox is gone. Nothing in here waits for an actor.
pub(crate) async fn run(rooms: Rooms, mut inbox: InboxReceiver) {
    let places = Places::default();
    loop {
        let relay = rooms.relay();
        let goodbyes_at = relay.tables().goodbyes.next_deadline();
        tokio::select! {
            biased;
            () = wait(goodbyes_at) => {
                let due = relay.tables().goodbyes.due(clock::now());
                due.into_iter().for_each(|(to, cast)| relay.say_goodbye(to, cast));
            }
            () = relay.postponed.notified() => {}
            heard = inbox.next() => match heard {
                Some(Heard::Message(inbound)) => places.hear(&rooms, inbound),
                Some(Heard::Lost(member)) => {
                    relay.lost(&member);
                    // Placement lives as long as the rooms.
                    let _ = rooms.placement().cast(PlacementMessage::Lost(member));
                }
                None => return,
            }
        }
    }
}

async fn wait(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// What other nodes may have waiting here.
#[derive(Debug, Default)]
struct Places {
    placement: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Places {
    fn hear(&self, rooms: &Rooms, inbound: Inbound) {
        let Inbound { from, topic, body, reply } = inbound;
        match (topic, reply) {
            (wire::PLACEMENT, None) => self.placement(rooms, from, &body),
            (wire::RELAY, None) => hear_cast(rooms.relay(), &from, &body),
            (wire::RELAY, Some(reply)) => self.call(rooms, from, &body, reply),
            (topic, reply) => {
                dropped("topic");
                tracing::debug!(%from, topic = topic.0, "message of an unknown topic");
                answer(reply, Err(Unreadable { why: format!("unknown topic {}", topic.0) }));
            }
        }
    }

    fn placement(&self, rooms: &Rooms, from: MemberId, body: &[u8]) {
        let message = match Message::decode(body) {
            Ok(message) => Box::new(message),
            Err(error) => {
                dropped("unreadable");
                tracing::debug!(%from, %error, "placement message dropped");
                return;
            }
        };
        let Some(admission) = Admission::take(&self.placement, PLACEMENT_WAITING_MAX) else {
            dropped("overload");
            return;
        };
        // Placement lives as long as the rooms.
        let _ = rooms.placement().cast(PlacementMessage::Heard { from, message, admission });
    }

    fn call(&self, rooms: &Rooms, from: MemberId, body: &[u8], reply: Reply) {
        let call = match wire::decode::<Call>(body) {
            Ok(call) => call,
            Err(error) => return unreadable(&from, &error, Some(reply)),
        };
        let Some(admission) = Admission::take(&self.calls, RELAY_CALLS_MAX) else {
            dropped("overload");
            answer(Some(reply), Err(Unreadable { why: "too many calls wait".into() }));
            return;
        };
        let rooms = rooms.clone();
        tokio::spawn(async move {
            serve(&rooms, from, call, reply).await;
            drop(admission);
        });
    }
}

type Reply = oneshot::Sender<Result<Bytes, Unreadable>>;

async fn serve(rooms: &Rooms, from: MemberId, call: Call, reply: Reply) {
    match call {
        Call::Open { session, epoch, join } => {
            let opened = host::open(rooms, from, session, epoch, &join).await;
            respond(reply, &opened);
        }
        Call::Validate { join } => {
            // What cannot be read is refused when it joins.
            let valid = match join.open() {
                Ok(join) => rooms.validate_here(&join).await,
                Err(_) => Ok(()),
            };
            respond(reply, &valid);
        }
        Call::Rooms { after } => respond(reply, &overview::page(rooms.snapshot().await.rooms, after.as_deref())),
        Call::Room { room, call } => respond(reply, &rooms.perform(&room, call).await),
    }
}

fn respond(reply: Reply, message: &impl Serialize) {
    let body = wire::encode(message).map_err(|error| Unreadable { why: error.to_string() });
    answer(Some(reply), body);
}

/// A caller that gave up needs no answer.
fn answer(reply: Option<Reply>, body: Result<Bytes, Unreadable>) {
    if let Some(reply) = reply {
        let _ = reply.send(body);
    }
}

fn hear_cast(relay: &Relay, from: &MemberId, body: &[u8]) {
    match wire::decode::<Cast>(body) {
        Ok(Cast::Requests { session, first, frames }) => relay.requests(from, session, first, &frames),
        Ok(Cast::Responses { session, first, frames }) => relay.responses(from, session, first, &frames),
        Ok(Cast::EntryClosed { session }) => relay.entry_closed(from, session),
        Ok(Cast::HostClosed { session, frames, end }) => relay.host_closed(from, session, frames, end),
        Err(error) => unreadable(from, &error, None),
    }
}

fn unreadable(from: &MemberId, error: &WireError, reply: Option<Reply>) {
    dropped(if matches!(error, WireError::Version { .. }) { "version" } else { "unreadable" });
    tracing::warn!(%from, %error, "relay message dropped");
    answer(reply, Err(Unreadable { why: error.to_string() }));
}

fn dropped(reason: &'static str) {
    metrics::counter!("starling_relay_messages_dropped_total", "reason" => reason).increment(1);
}
