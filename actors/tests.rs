//! Whole rooms in virtual time, with a media plane that only listens.

mod cluster;
mod net;
mod resume;

use crate::config::{RoomsConfig, TokenSigner};
use crate::error::JoinError;
use crate::inbox::ClusterDoor;
use crate::rooms::Rooms;
use crate::session::{Join, Session, SessionOutput};
use crate::signal::Message;
use starling_cluster::member::{BootId, Capacity, Load, MemberFacts, MemberId, NodeId, Role};
use starling_media::command::{MediaCommand, MediaEvent};
use starling_media::worker::MediaPlane;
use starling_protocol::join::{Dialect, JoinParameters};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::signal_request::Message as Request;
use starling_protocol::token::{Claims, VideoGrants};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A join of a v0 client that may do everything.
pub(crate) fn join(room: &str, identity: &str) -> Join {
    let video = VideoGrants { room_join: true, room: room.into(), ..Default::default() };
    Join {
        claims: Claims { sub: identity.into(), name: identity.into(), video, ..Default::default() },
        parameters: JoinParameters {
            dialect: Dialect::DualPeer,
            client: lk::ClientInfo { protocol: 17, client_protocol: 2, ..Default::default() },
            auto_subscribe: true,
            adaptive_stream: false,
            subscriber_allow_pause: None,
            disable_ice_lite: false,
            attributes: std::collections::HashMap::new(),
            metadata: String::new(),
            reconnect: false,
            reconnect_reason: 0,
            participant_sid: String::new(),
            add_tracks: Vec::new(),
            publisher_offer: None,
            sync_state: None,
        },
        remote: ([127, 0, 0, 1], 1).into(),
    }
}

#[derive(Debug)]
struct Signer;

impl TokenSigner for Signer {
    fn sign(&self, claims: &Claims) -> String {
        format!("token of {}", claims.sub)
    }
}

/// What a node that takes rooms says of itself.
pub(crate) fn facts(node_id: &str) -> MemberFacts {
    let node_id: NodeId = serde_json::from_value(node_id.into()).unwrap();
    MemberFacts {
        member: MemberId { node_id, boot_id: BootId::after(None, 1) },
        region: String::new(),
        version: String::new(),
        roles: [Role::Room].into(),
        capacity: Capacity { cpu_millicores: 4_000, egress_mbps: 1_000 },
        load: Load::default(),
        http: String::new(),
        ready: true,
        draining: false,
    }
}

struct Node {
    rooms: Rooms,
    commands: mpsc::Receiver<MediaCommand>,
    events: mpsc::Sender<MediaEvent>,
}

impl Node {
    async fn start(change: impl FnOnce(&mut RoomsConfig)) -> Self {
        let mut config = RoomsConfig::new(Arc::new(Signer));
        config.test_faults = true;
        change(&mut config);
        let (media, mut receivers) = MediaPlane::without_workers(1);
        let (events, receiver) = mpsc::channel(64);
        let rooms = Rooms::start(config, media, receiver, ClusterDoor::alone(facts("ND_1"))).await.unwrap();
        Self { rooms, commands: receivers.remove(0), events }
    }

    async fn join(&self, room: &str, identity: &str) -> Session {
        self.rooms.join(join(room, identity)).await.unwrap()
    }

    fn commands(&mut self) -> Vec<MediaCommand> {
        std::iter::from_fn(|| self.commands.try_recv().ok()).collect()
    }
}

/// The next message that `pick` finds; fails when the session ends before.
async fn expect<T>(session: &mut Session, mut pick: impl FnMut(&Message) -> Option<T>) -> T {
    loop {
        let output = tokio::time::timeout(Duration::from_secs(600), session.responses.recv()).await;
        match output.expect("a message in time").expect("a session that lives") {
            SessionOutput::Signal(response) => {
                if let Some(found) = response.message.as_ref().and_then(&mut pick) {
                    return found;
                }
            }
            SessionOutput::Close => panic!("closed"),
        }
    }
}

async fn leave(session: &mut Session) -> (DisconnectReason, Action) {
    let leave = expect(session, |message| match message {
        Message::Leave(leave) => Some(leave.clone()),
        _ => None,
    })
    .await;
    (DisconnectReason::try_from(leave.reason).unwrap(), Action::try_from(leave.action).unwrap())
}

fn request(message: Request) -> lk::SignalRequest {
    lk::SignalRequest { message: Some(message) }
}

fn sid(session: &Session) -> String {
    match &session.first.message {
        Some(Message::Join(join)) => join.participant.as_ref().unwrap().sid.clone(),
        other => panic!("not a join: {other:?}"),
    }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_v0_session_gets_a_token_and_an_offer_and_answers_pings() {
    let mut node = Node::start(|_| {}).await;
    let mut alice = node.join("room", "alice").await;
    let token = expect(&mut alice, |message| match message {
        Message::RefreshToken(token) => Some(token.clone()),
        _ => None,
    });
    assert_eq!(token.await, "token of alice");
    let offer = expect(&mut alice, |message| match message {
        Message::Offer(offer) => Some(offer.clone()),
        _ => None,
    });
    let offer = offer.await;
    assert_eq!(offer.id, 1);
    assert!(offer.sdp.contains("m=application"));
    alice.requests.send(request(Request::PingReq(lk::Ping { timestamp: 7, rtt: 1 }))).unwrap();
    let pong = expect(&mut alice, |message| match message {
        Message::PongResp(pong) => Some(pong.last_ping_timestamp),
        _ => None,
    });
    assert_eq!(pong.await, 7);
    let opened = node.commands().iter().filter(|command| matches!(command, MediaCommand::OpenPeer { .. })).count();
    assert_eq!(opened, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_room_ends_that_room_and_nothing_else() {
    let mut node = Node::start(|_| {}).await;
    let mut alice = node.join("broken", "alice").await;
    let mut bob = node.join("whole", "bob").await;
    settle().await;
    node.commands();
    node.rooms.crash_room("broken").await;
    assert_eq!(leave(&mut alice).await, (DisconnectReason::StateMismatch, Action::Reconnect));
    settle().await;
    let closed = node.commands().iter().filter(|command| matches!(command, MediaCommand::ClosePeer { .. })).count();
    assert_eq!(closed, 2, "both peers of alice");
    bob.requests.send(request(Request::Ping(1))).unwrap();
    expect(&mut bob, |message| matches!(message, Message::Pong(_)).then_some(())).await;
    let again = node.join("broken", "alice").await;
    assert_ne!(sid(&again), sid(&alice), "a new room with a new session");
    assert_eq!(node.rooms.snapshot().await.rooms.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_identity_takes_over() {
    let node = Node::start(|_| {}).await;
    let mut old = node.join("room", "alice").await;
    let new = node.join("room", "alice").await;
    assert_eq!(leave(&mut old).await, (DisconnectReason::DuplicateIdentity, Action::Disconnect));
    settle().await;
    let snapshot = node.rooms.snapshot().await;
    assert_eq!(snapshot.rooms[0].participants.len(), 1);
    assert_eq!(snapshot.rooms[0].participants[0].sid, sid(&new));
}

#[tokio::test(start_paused = true)]
async fn a_resume_keeps_the_session_and_restarts_ice_with_higher_candidates() {
    let mut node = Node::start(|_| {}).await;
    let mut alice = node.join("room", "alice").await;
    let own = sid(&alice);
    expect(&mut alice, |message| matches!(message, Message::Offer(_)).then_some(())).await;
    drop(alice);
    settle().await;
    node.commands();
    let mut back = join("room", "alice");
    back.parameters.reconnect = true;
    back.parameters.participant_sid.clone_from(&own);
    let mut back = node.rooms.join(back).await.unwrap();
    assert!(matches!(back.first.message, Some(Message::Reconnect(_))));
    let mut order = Vec::new();
    let offer = expect(&mut back, |message| match message {
        Message::Update(_) => {
            order.push("update");
            None
        }
        Message::RoomUpdate(_) => {
            order.push("room");
            None
        }
        Message::Offer(offer) => Some(offer.clone()),
        _ => None,
    })
    .await;
    assert_eq!(order, ["update", "room"]);
    assert_eq!(offer.id, 2);
    let restarted = node.commands().into_iter().find_map(|command| match command {
        MediaCommand::RestartIce { local, .. } => Some(local),
        _ => None,
    });
    assert!(offer.sdp.contains(&restarted.unwrap().ufrag), "the offer has the new credentials");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(node.rooms.snapshot().await.rooms[0].participants[0].sid, own);
}

#[tokio::test(start_paused = true)]
async fn a_resume_of_an_unknown_session_is_told_to_join_anew() {
    let node = Node::start(|_| {}).await;
    let mut lost = join("room", "alice");
    lost.parameters.reconnect = true;
    lost.parameters.participant_sid = "PA_unknown".into();
    for _ in 0..2 {
        let session = node.rooms.join(lost.clone()).await.unwrap();
        let Some(Message::Leave(leave)) = &session.first.message else { panic!("not a leave") };
        assert_eq!((leave.reason, leave.action), (DisconnectReason::StateMismatch as i32, Action::Reconnect as i32));
        assert!(session.requests.send(request(Request::Ping(1))).is_err());
        let _other = node.join("room", "bob").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_websocket_ends_after_its_grace() {
    let node = Node::start(|_| {}).await;
    let mut bob = join("room", "bob");
    bob.parameters.dialect = Dialect::SinglePeer;
    let mut bob = node.rooms.join(bob).await.unwrap();
    let alice = node.join("room", "alice").await;
    let own = sid(&alice);
    drop(alice);
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert_eq!(node.rooms.snapshot().await.rooms[0].participants.len(), 2);
    let state = expect(&mut bob, |message| match message {
        Message::Update(update) => update
            .participants
            .iter()
            .find(|info| info.sid == own && info.state == lk::participant_info::State::Disconnected as i32)
            .map(|info| info.disconnect_reason),
        _ => None,
    });
    assert_eq!(state.await, DisconnectReason::SignalClose as i32);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_connects_ends_its_session_after_a_minute() {
    let mut node = Node::start(|_| {}).await;
    // A v1 client: its one connection is offered by itself, and never is.
    let mut silent = join("room", "silent");
    silent.parameters.dialect = Dialect::SinglePeer;
    let mut silent = node.rooms.join(silent).await.unwrap();
    assert_eq!(leave(&mut silent).await, (DisconnectReason::JoinFailure, Action::Disconnect));
    settle().await;
    assert!(node.commands().iter().any(|command| matches!(command, MediaCommand::ClosePeer { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_connected_primary_peer_makes_its_participant_active() {
    let mut node = Node::start(|_| {}).await;
    let mut alice = node.join("room", "alice").await;
    settle().await;
    let peer = node.commands().into_iter().find_map(|command| match command {
        MediaCommand::OpenPeer { peer, open_channels: true, .. } => Some(peer),
        _ => None,
    });
    node.events.send(MediaEvent::PeerConnected { peer: peer.unwrap() }).await.unwrap();
    let own = sid(&alice);
    expect(&mut alice, |message| match message {
        Message::Update(update) => update
            .participants
            .iter()
            .any(|info| info.sid == own && info.state == lk::participant_info::State::Active as i32)
            .then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_tells_everybody_and_leaves_nothing() {
    let node = Node::start(|_| {}).await;
    let mut alice = node.join("a", "alice").await;
    let mut bob = node.join("b", "bob").await;
    node.rooms.shutdown().await;
    for session in [&mut alice, &mut bob] {
        assert_eq!(leave(session).await, (DisconnectReason::ServerShutdown, Action::Disconnect));
    }
    assert!(node.rooms.shared().peers.is_empty() && node.rooms.shared().participants.is_empty());
    assert!(matches!(node.rooms.join(join("c", "carol")).await, Err(JoinError::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn twenty_rounds_of_join_and_leave_leave_nothing_behind() {
    let node = Node::start(|_| {}).await;
    for _ in 0..20 {
        let alice = node.join("room", "alice").await;
        alice.requests.send(request(Request::Leave(lk::LeaveRequest::default()))).unwrap();
        settle().await;
    }
    let shared = node.rooms.shared();
    assert_eq!((shared.participants.len(), shared.peers.len(), shared.rooms.len()), (0, 0, 1));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(shared.rooms.is_empty());
    assert!(node.rooms.snapshot().await.rooms.is_empty());
}

#[tokio::test(start_paused = true)]
async fn refused_joins_say_why_with_their_status() {
    let node = Node::start(|config| config.room.auto_create = false).await;
    type Change = fn(&mut Join);
    let cases: [(Change, u16, &str); 10] = [
        (|_| {}, 404, "requested room does not exist"),
        (|join| join.claims.video.room_join = false, 401, "permissions denied"),
        (|join| join.claims.sub.clear(), 400, "identity cannot be empty"),
        (|join| join.claims.video.room.clear(), 400, "room name cannot be empty"),
        (|join| join.claims.video.room = "r".repeat(257), 400, "room name of 257 bytes"),
        (|join| join.claims.sub = "i".repeat(257), 400, "participant identity of 257 bytes"),
        (|join| join.claims.metadata = "m".repeat(512 * 1024 + 1), 400, "participant metadata of 524289 bytes"),
        (|join| join.claims.name = "n".repeat(257), 400, "participant name of 257 bytes exceeds the limit of 256"),
        (
            |join| join.claims.attributes = [("k".to_owned(), "v".repeat(64 * 1024))].into(),
            400,
            "participant attributes of 65537 bytes exceeds the limit of 65536",
        ),
        (
            |join| {
                join.claims.video.can_update_own_metadata = Some(true);
                join.parameters.attributes = [("k".to_owned(), "v".repeat(64 * 1024))].into();
            },
            400,
            "participant attributes of 65537 bytes exceeds the limit of 65536",
        ),
    ];
    for (change, status, text) in cases {
        let mut join = join("room", "alice");
        change(&mut join);
        let error = node.rooms.join(join.clone()).await.unwrap_err();
        assert_eq!(error.status(), status);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(node.rooms.validate(&join).await, Err(error));
    }
    let mut creator = join("room", "alice");
    creator.claims.video.room_create = true;
    assert!(node.rooms.validate(&creator).await.is_ok());
    assert!(node.rooms.join(creator).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_floods_is_refused() {
    let node = Node::start(|_| {}).await;
    let alice = node.join("room", "alice").await;
    let refused = (0..=crate::session::SESSION_REQUESTS_MAX)
        .map(|_| alice.requests.send(request(Request::Ping(1))))
        .filter(Result::is_err)
        .count();
    assert!(refused >= 1, "nobody runs in between");
}
