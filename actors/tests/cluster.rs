//! Sessions that enter at one node and live in a room of another, in virtual time.

mod faults;

use super::net::Cluster;
use super::*;
use crate::snapshot::{ParticipantSnapshot, RoomSnapshot};
use std::collections::BTreeSet;

impl Cluster {
    async fn join(&self, node: usize, room: &str, identity: &str) -> Session {
        self.nodes[node].rooms.join(single(room, identity)).await.unwrap()
    }

    async fn room(&self, name: &str) -> RoomSnapshot {
        let overview = self.nodes[0].rooms.overview().await;
        overview.rooms.into_iter().find(|room| room.name == name).expect("a room")
    }

    /// A room that is hosted by `host`, and somebody who keeps it, entered there.
    async fn room_at(&self, host: usize) -> (String, Session) {
        for number in 0..200 {
            let name = format!("room {number}");
            let keeper = self.join(host, &name, "keeper").await;
            if self.room(&name).await.host == self.nodes[host].id.node_id {
                return (name, keeper);
            }
        }
        panic!("no room is placed on node {host}");
    }
}

/// A v1 client: it owes no answer to an offer.
fn single(room: &str, identity: &str) -> Join {
    let mut join = join(room, identity);
    join.parameters.dialect = Dialect::SinglePeer;
    join
}

fn back(room: &str, identity: &str, sid: &str) -> Join {
    let mut back = single(room, identity);
    back.parameters.reconnect = true;
    back.parameters.participant_sid = sid.into();
    back
}

fn participant<'a>(room: &'a RoomSnapshot, identity: &str) -> &'a ParticipantSnapshot {
    room.participants.iter().find(|participant| participant.identity == identity).expect("a participant")
}

async fn pong(session: &mut Session) {
    session.requests.send(request(Request::Ping(1))).unwrap();
    expect(session, |message| matches!(message, Message::Pong(_)).then_some(())).await;
}

/// Reads until the session ends.
async fn end(session: &mut Session) {
    while let Some(output) = session.responses.recv().await {
        if output == SessionOutput::Close {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_joins_through_another_node_and_hears_in_order() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, mut keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    assert_eq!((cluster.nodes[0].rooms.relayed(), cluster.nodes[1].rooms.relayed()), ((1, 0), (0, 1)));
    let own = sid(&alice);
    expect(&mut keeper, |message| match message {
        Message::Update(update) => update.participants.iter().any(|info| info.sid == own).then_some(()),
        _ => None,
    })
    .await;
    for timestamp in 0..300 {
        alice.requests.send(request(Request::PingReq(lk::Ping { timestamp, rtt: 0 }))).unwrap();
    }
    for timestamp in 0..300 {
        let pong = expect(&mut alice, |message| match message {
            Message::PongResp(pong) => Some(pong.last_ping_timestamp),
            _ => None,
        });
        assert_eq!(pong.await, timestamp);
    }
    let room = cluster.room(&name).await;
    assert_eq!((room.host.as_str(), room.standby.as_ref()), ("ND_2", None));
    assert!(room.epoch > 0);
    assert_eq!(participant(&room, "alice").entry.as_str(), "ND_1");
    assert_eq!(participant(&room, "keeper").entry.as_str(), "ND_2");
}

#[tokio::test(start_paused = true)]
async fn participants_of_three_entries_see_each_other_come_and_go() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(2).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    let bob = cluster.join(1, &name, "bob").await;
    let theirs = sid(&bob);
    let state = |state: lk::participant_info::State| {
        let theirs = theirs.clone();
        move |message: &Message| match message {
            Message::Update(update) => {
                let mut infos = update.participants.iter();
                infos.any(|info| info.sid == theirs && info.state == state as i32).then_some(())
            }
            _ => None,
        }
    };
    expect(&mut alice, state(lk::participant_info::State::Joined)).await;
    bob.requests.send(request(Request::Leave(lk::LeaveRequest::default()))).unwrap();
    expect(&mut alice, state(lk::participant_info::State::Disconnected)).await;
    settle().await;
    assert_eq!(cluster.nodes[1].rooms.relayed(), (0, 0), "nothing is left at the entry");
    assert_eq!(cluster.nodes[2].rooms.relayed(), (0, 1), "nor at the host");
}

#[tokio::test(start_paused = true)]
async fn limits_of_room_and_host_hold_for_those_who_enter_elsewhere() {
    let cluster = Cluster::start(|config| config.room.max_participants = 2).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let _alice = cluster.join(0, &name, "alice").await;
    let full = JoinError::RoomFull { limit: 2 };
    assert_eq!(cluster.nodes[2].rooms.join(single(&name, "bob")).await.unwrap_err(), full);
    assert_eq!(cluster.nodes[2].rooms.validate(&single(&name, "bob")).await, Err(full));
    assert_eq!(cluster.nodes[2].rooms.validate(&single(&name, "alice")).await, Ok(()), "who is in may come again");
    let cluster = Cluster::start(|config| config.limits.participants = 1).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let error = cluster.nodes[0].rooms.join(single(&name, "alice")).await.unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (503, "node limits reached: 1 participants"));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_a_token_go_with_its_join_to_the_host() {
    let cluster = Cluster::start(|_| {}).await;
    for number in 0..8 {
        let mut first = single(&format!("r{number}"), "alice");
        first.claims.room_config = Some(serde_json::json!({ "maxParticipants": 1 }));
        let _alice = cluster.nodes[0].rooms.join(first).await.unwrap();
        let error = cluster.nodes[1].rooms.join(single(&format!("r{number}"), "bob")).await.unwrap_err();
        assert_eq!(error, JoinError::RoomFull { limit: 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_identity_takes_over_from_another_entry() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut old = cluster.join(0, &name, "alice").await;
    let mut new = cluster.join(2, &name, "alice").await;
    assert_eq!(leave(&mut old).await, (DisconnectReason::DuplicateIdentity, Action::Disconnect));
    end(&mut old).await;
    pong(&mut new).await;
    let room = cluster.room(&name).await;
    assert_eq!((room.participants.len(), participant(&room, "alice").entry.as_str()), (2, "ND_3"));
}

#[tokio::test(start_paused = true)]
async fn a_client_resumes_through_another_entry_and_keeps_its_session() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut old = cluster.join(0, &name, "alice").await;
    let own = sid(&old);
    let mut new = cluster.nodes[2].rooms.join(back(&name, "alice", &own)).await.unwrap();
    assert!(matches!(new.first.message, Some(Message::Reconnect(_))));
    end(&mut old).await;
    drop(old);
    pong(&mut new).await;
    let room = cluster.room(&name).await;
    let alice = participant(&room, "alice");
    assert_eq!((alice.sid.as_str(), alice.entry.as_str()), (own.as_str(), "ND_3"));
    let refused = cluster.nodes[0].rooms.join(back(&name, "alice", "PA_other")).await.unwrap();
    assert!(matches!(&refused.first.message, Some(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    assert!(refused.requests.send(request(Request::Ping(1))).is_err());
    settle().await;
    assert_eq!(cluster.nodes[0].rooms.relayed(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_rooms_created_through_two_nodes_at_once_have_one_host_each() {
    let cluster = Cluster::start(|_| {}).await;
    let mut joins = tokio::task::JoinSet::new();
    for number in 0..200 {
        for (node, identity) in [(0, "alice"), (1, "bob")] {
            let rooms = cluster.nodes[node].rooms.clone();
            joins.spawn(async move { rooms.join(single(&format!("race {number}"), identity)).await });
        }
    }
    let sessions: Vec<_> = joins.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(sessions.len(), 400);
    let overview = cluster.nodes[2].rooms.overview().await;
    assert_eq!(overview.rooms.len(), 200, "each has one host");
    assert!(overview.rooms.iter().all(|room| room.participants.len() == 2));
    let hosts: BTreeSet<_> = overview.rooms.iter().map(|room| room.host.clone()).collect();
    assert_eq!(hosts.len(), 3, "rooms are spread");
}

#[tokio::test(start_paused = true)]
async fn the_overview_is_the_same_from_every_node_and_names_who_does_not_answer() {
    let cluster = Cluster::start(|_| {}).await;
    let mut sessions = Vec::new();
    for number in 0..6 {
        sessions.push(cluster.join(number % 3, &format!("room {number}"), "alice").await);
    }
    let first = cluster.nodes[0].rooms.overview().await;
    assert_eq!((first.rooms.len(), first.missing.len()), (6, 0));
    for node in &cluster.nodes[1..] {
        assert_eq!(node.rooms.overview().await, first);
    }
    cluster.cut(0, 2);
    let missing: Vec<_> = cluster.nodes[0].rooms.overview().await.missing;
    assert_eq!(missing, [cluster.nodes[2].id.node_id.clone()]);
}

#[tokio::test(start_paused = true)]
async fn the_server_api_reaches_a_room_of_another_node() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, mut keeper) = cluster.room_at(1).await;
    let rooms = &cluster.nodes[0].rooms;
    let change = crate::ParticipantChange { name: Some("New".into()), ..Default::default() };
    let info = rooms.update_participant(&name, "keeper", change).await.expect("a participant");
    assert_eq!((info.identity.as_str(), info.name.as_str()), ("keeper", "New"));
    assert_eq!(rooms.update_room_metadata(&name, "m".into()).await.expect("a room").metadata, "m");
    assert!(!rooms.remove_participant(&name, "nobody").await);
    assert!(rooms.remove_participant(&name, "keeper").await);
    assert_eq!(leave(&mut keeper).await, (DisconnectReason::ParticipantRemoved, Action::Disconnect));
    assert!(rooms.delete_room(&name).await);
    settle().await;
    assert!(!rooms.delete_room("nowhere").await);
    assert!(cluster.nodes[1].rooms.snapshot().await.rooms.iter().all(|room| room.name != name));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_shuts_down_sends_its_clients_to_another_one() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    let own = sid(&alice);
    cluster.nodes[0].rooms.shutdown().await;
    assert_eq!(leave(&mut alice).await, (DisconnectReason::ServerShutdown, Action::Resume));
    let mut again = cluster.nodes[2].rooms.join(back(&name, "alice", &own)).await.unwrap();
    assert!(matches!(again.first.message, Some(Message::Reconnect(_))));
    pong(&mut again).await;
}
