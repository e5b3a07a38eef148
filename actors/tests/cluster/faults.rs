//! Entries and hosts that are lost, links that are full, cut or lossy, and parts that meet again.
#![expect(clippy::disallowed_methods, reason = "measures virtual time")]

use super::*;
use crate::supervisor::SupervisorMessage;

#[tokio::test(start_paused = true)]
async fn a_lost_entry_leaves_the_session_waiting_for_its_resume() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let (alice, _bob) = (cluster.join(0, &name, "alice").await, cluster.join(0, &name, "bob").await);
    let own = sid(&alice);
    cluster.kill(0);
    settle().await;
    assert_eq!(cluster.nodes[1].rooms.relayed(), (0, 0));
    let mut returned = cluster.nodes[2].rooms.join(back(&name, "alice", &own)).await.unwrap();
    assert!(matches!(returned.first.message, Some(Message::Reconnect(_))));
    tokio::time::sleep(Duration::from_secs(25)).await;
    pong(&mut returned).await;
    let rooms = cluster.nodes[1].rooms.snapshot().await.rooms;
    let identities = rooms.iter().find(|room| room.name == name).unwrap().participants.iter();
    let identities: BTreeSet<_> = identities.map(|participant| participant.identity.as_str()).collect();
    assert_eq!(identities, ["alice", "keeper"].into(), "who did not come back is gone");
}

#[tokio::test(start_paused = true)]
async fn a_lost_host_ends_its_sessions_and_the_room_is_placed_anew() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    let own = sid(&alice);
    cluster.kill(1);
    end(&mut alice).await;
    assert!(alice.requests.send(request(Request::Ping(1))).is_ok() || cluster.nodes[0].rooms.relayed() == (0, 0));
    let refused = cluster.nodes[0].rooms.join(back(&name, "alice", &own)).await.unwrap();
    assert!(matches!(&refused.first.message, Some(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    let mut again = cluster.join(0, &name, "alice").await;
    let mut bob = cluster.join(2, &name, "bob").await;
    pong(&mut again).await;
    pong(&mut bob).await;
    let room = cluster.room(&name).await;
    assert_eq!(room.participants.len(), 2);
    assert_ne!(room.host.as_str(), "ND_2");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_full_for_a_moment_loses_nothing() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    for (from, to) in [(0, 1), (1, 0)] {
        cluster.set_full(from, to, true);
        for timestamp in 0..100 {
            alice.requests.send(request(Request::PingReq(lk::Ping { timestamp, rtt: 0 }))).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.set_full(from, to, false);
        for timestamp in 0..100 {
            let pong = expect(&mut alice, |message| match message {
                Message::PongResp(pong) => Some(pong.last_ping_timestamp),
                _ => None,
            });
            assert_eq!(pong.await, timestamp);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_stays_full_ends_the_session_on_both_sides() {
    for (from, to) in [(0, 1), (1, 0)] {
        let cluster = Cluster::start(|_| {}).await;
        let (name, _keeper) = cluster.room_at(1).await;
        let mut alice = cluster.join(0, &name, "alice").await;
        let own = sid(&alice);
        cluster.set_full(from, to, true);
        let flood = 0..=crate::session::SESSION_REQUESTS_MAX;
        let busy = flood.filter(|_| alice.requests.send(request(Request::Ping(1))).is_err()).count();
        assert!(busy > 0, "requests that wait are bounded");
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.set_full(from, to, false);
        end(&mut alice).await;
        settle().await;
        assert_eq!((cluster.nodes[0].rooms.relayed(), cluster.nodes[1].rooms.relayed()), ((0, 0), (0, 0)));
        let mut again = cluster.nodes[0].rooms.join(back(&name, "alice", &own)).await.unwrap();
        assert!(matches!(again.first.message, Some(Message::Reconnect(_))), "the session waited for its resume");
        pong(&mut again).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_lost_ends_the_session_instead_of_going_unnoticed() {
    for (from, to) in [(0, 1), (1, 0)] {
        let cluster = Cluster::start(|_| {}).await;
        let (name, _keeper) = cluster.room_at(1).await;
        let mut alice = cluster.join(0, &name, "alice").await;
        settle().await;
        cluster.lose(from, to, 1);
        for _ in 0..2 {
            alice.requests.send(request(Request::Ping(1))).unwrap();
            settle().await;
        }
        end(&mut alice).await;
        settle().await;
        assert_eq!((cluster.nodes[0].rooms.relayed(), cluster.nodes[1].rooms.relayed()), ((0, 0), (0, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_cut_and_came_back_serves_resumes() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    let own = sid(&alice);
    cluster.cut(0, 1);
    end(&mut alice).await;
    cluster.mend(0, 1);
    let mut again = cluster.nodes[0].rooms.join(back(&name, "alice", &own)).await.unwrap();
    assert!(matches!(again.first.message, Some(Message::Reconnect(_))));
    pong(&mut again).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_cannot_be_read_break_nothing() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    for topic in [0x0100, 0x0200, 0x0999] {
        for body in [vec![], vec![1], vec![9, 9, 9], vec![0xff; 1_000], vec![1, 0xdf, 0xff, 0xff, 0xff, 0xff]] {
            cluster.cast(0, 1, topic, body);
        }
    }
    let newer = cluster.call(0, 1, 0x0200, vec![2, 0xc0]).await.unwrap_err();
    assert!(newer.to_string().contains("version 2; this node reads version 1"), "{newer}");
    assert!(cluster.call(0, 1, 0x0200, vec![1, 0xc1]).await.is_err());
    assert!(cluster.call(0, 1, 0x0999, vec![1]).await.unwrap_err().to_string().contains("unknown topic"));
    pong(&mut alice).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_one_of_two_rooms_remains_and_all_meet_there() {
    let cluster = Cluster::start(|_| {}).await;
    cluster.part(&[&[0], &[1, 2]]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut alice = cluster.join(0, "room", "alice").await;
    let mut others = vec![cluster.join(1, "room", "bob").await, cluster.join(2, "room", "carol").await];
    // Hosts tell their owners once a second how many are in a room.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.part(&[&[0, 1, 2]]);
    assert_eq!(leave(&mut alice).await, (DisconnectReason::Migration, Action::Reconnect), "the smaller one retires");
    let mut again = cluster.join(0, "room", "alice").await;
    pong(&mut again).await;
    for session in &mut others {
        pong(session).await;
    }
    let overview = cluster.nodes[1].rooms.overview().await;
    assert_eq!((overview.rooms.len(), overview.rooms[0].participants.len()), (1, 3));
    assert!(overview.rooms[0].epoch > 1, "decided anew");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_only_this_entry_cannot_reach_is_an_error_in_bounded_time() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, mut keeper) = cluster.room_at(1).await;
    cluster.cut(0, 1);
    let started = tokio::time::Instant::now();
    let error = cluster.nodes[0].rooms.join(single(&name, "alice")).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error}");
    assert!(started.elapsed() <= crate::limits::JOIN_DEADLINE);
    pong(&mut keeper).await;
    let mut bob = cluster.join(2, &name, "bob").await;
    pong(&mut bob).await;
    assert_eq!(cluster.nodes[2].rooms.overview().await.rooms.iter().filter(|room| room.name == name).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_retires_sends_its_people_to_join_anew() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, mut keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    cluster.nodes[1].rooms.supervisor().cast(SupervisorMessage::Retire { name: name.clone() }).unwrap();
    for session in [&mut keeper, &mut alice] {
        assert_eq!(leave(session).await, (DisconnectReason::Migration, Action::Reconnect));
    }
    settle().await;
    assert!(cluster.nodes[1].rooms.snapshot().await.rooms.iter().all(|room| room.name != name));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_shuts_down_sends_its_people_to_a_room_on_another_node() {
    let cluster = Cluster::start(|_| {}).await;
    let (name, _keeper) = cluster.room_at(1).await;
    let mut alice = cluster.join(0, &name, "alice").await;
    cluster.nodes[1].rooms.shutdown().await;
    assert_eq!(leave(&mut alice).await, (DisconnectReason::ServerShutdown, Action::Reconnect));
    let mut again = cluster.join(0, &name, "alice").await;
    pong(&mut again).await;
    assert_ne!(cluster.room(&name).await.host.as_str(), "ND_2");
}
