//! Resumes against whole rooms: who may, and what becomes of the WebSocket before.

use super::*;

fn back(identity: &str, sid: &str) -> Join {
    let mut back = join("room", identity);
    back.parameters.reconnect = true;
    back.parameters.participant_sid = sid.into();
    back
}

fn is_refused(session: &Session) -> bool {
    matches!(&session.first.message, Some(Message::Leave(leave))
        if leave.reason == DisconnectReason::StateMismatch as i32 && leave.action == Action::Reconnect as i32)
}

/// Whether the session is closed before it ends.
async fn is_closed(session: &mut Session) -> bool {
    while let Some(output) = session.responses.recv().await {
        if output == SessionOutput::Close {
            return true;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn the_websocket_before_a_resume_is_closed_and_the_new_one_serves() {
    let node = Node::start(|_| {}).await;
    // A v1 client: it owes no answer to an offer.
    let mut first = join("room", "alice");
    first.parameters.dialect = Dialect::SinglePeer;
    let mut first = node.rooms.join(first).await.unwrap();
    let own = sid(&first);
    let mut second = node.rooms.join(back("alice", &own)).await.unwrap();
    assert!(matches!(second.first.message, Some(Message::Reconnect(_))));
    assert!(is_closed(&mut first).await);
    drop(first);
    tokio::time::sleep(Duration::from_secs(25)).await;
    second.requests.send(request(Request::Ping(1))).unwrap();
    expect(&mut second, |message| matches!(message, Message::Pong(_)).then_some(())).await;
    assert_eq!(node.rooms.snapshot().await.rooms[0].participants[0].sid, own);
}

#[tokio::test(start_paused = true)]
async fn of_two_racing_resumes_one_serves_and_the_other_is_closed() {
    let node = Node::start(|_| {}).await;
    let first = node.join("room", "alice").await;
    let own = sid(&first);
    drop(first);
    let (one, other) = tokio::join!(node.rooms.join(back("alice", &own)), node.rooms.join(back("alice", &own)));
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    settle().await;
    let pongs = async |session: &mut Session| {
        let sent = session.requests.send(request(Request::Ping(1)));
        settle().await;
        let mut answered = false;
        while let Ok(output) = session.responses.try_recv() {
            answered |= matches!(&output, SessionOutput::Signal(response)
                if matches!(response.message, Some(Message::Pong(_))));
        }
        sent.is_ok() && answered
    };
    assert_ne!(pongs(&mut one).await, pongs(&mut other).await, "exactly one serves");
    let snapshot = node.rooms.snapshot().await;
    assert_eq!((snapshot.rooms[0].participants.len(), &snapshot.rooms[0].participants[0].sid), (1, &own));
}

#[tokio::test(start_paused = true)]
async fn nobody_resumes_the_session_of_another_identity() {
    let node = Node::start(|_| {}).await;
    let mut alice = node.join("room", "alice").await;
    let bob = node.join("room", "bob").await;
    for thief in ["bob", "mallory"] {
        let session = node.rooms.join(back(thief, &sid(&alice))).await.unwrap();
        assert!(is_refused(&session), "{thief}");
    }
    alice.requests.send(request(Request::Ping(1))).unwrap();
    expect(&mut alice, |message| matches!(message, Message::Pong(_)).then_some(())).await;
    let mut elsewhere = back("alice", &sid(&alice));
    elsewhere.claims.video.room = "another".into();
    assert!(is_refused(&node.rooms.join(elsewhere).await.unwrap()));
    assert_eq!(node.rooms.snapshot().await.rooms.len(), 1, "a resume makes no room");
    drop(bob);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expired_is_not_resumed() {
    let node = Node::start(|_| {}).await;
    let _bob = node.join("room", "bob").await;
    let alice = node.join("room", "alice").await;
    let own = sid(&alice);
    drop(alice);
    tokio::time::sleep(Duration::from_secs(19)).await;
    let returned = node.rooms.join(back("alice", &own)).await.unwrap();
    assert!(!is_refused(&returned), "just in time");
    drop(returned);
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(is_refused(&node.rooms.join(back("alice", &own)).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_node_full_of_tracks_takes_nobody_new_and_lets_the_others_resume() {
    let mut node = Node::start(|config| config.limits.tracks = 1).await;
    let mut alice = join("room", "alice");
    alice.parameters.dialect = Dialect::SinglePeer;
    let alice = node.rooms.join(alice).await.unwrap();
    let own = sid(&alice);
    let entry = node.rooms.shared().rooms.iter().next().unwrap().actor.clone();
    let facts = crate::track::TrackFacts {
        key: starling_media::id::TrackKey(900),
        kind: starling_media::codec::Kind::Audio,
        publisher_sid: own.clone(),
        info: lk::TrackInfo { sid: "TR_A".into(), ..Default::default() },
        codecs: Vec::new(),
    };
    let message = Box::new(crate::room::FromParticipant::TrackChanged(Box::new(facts)));
    entry.cast(crate::room::RoomMessage::From { sid: own.clone(), message }).unwrap();
    settle().await;
    let error = node.rooms.join(join("elsewhere", "bob")).await.unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (503, "node limits reached: 1 tracks"));
    assert!(!is_refused(&node.rooms.join(back("alice", &own)).await.unwrap()));
    node.rooms.crash_room("room").await;
    settle().await;
    assert!(node.rooms.join(join("elsewhere", "bob")).await.is_ok(), "a crash leaves nothing counted");
    node.commands();
}
