//! Resuming, leaving, and what ends a session.

use super::*;

#[test]
fn sync_state_with_an_unknown_track_asks_for_a_full_reconnect() {
    let mut client = Client::v1();
    let info = client.publish(microphone());
    let sync = |sid: &str| {
        let track = Some(lk::TrackInfo { sid: sid.into(), ..Default::default() });
        let publish_tracks = vec![lk::TrackPublishedResponse { cid: "mic".into(), track }];
        Request::SyncState(lk::SyncState {
            publish_tracks,
            track_sids_disabled: vec!["TR_50".into()],
            ..Default::default()
        })
    };
    assert_eq!(client.ask(sync(&info.sid)), [Seen::Room(FromParticipant::ReceiveStates(Vec::new()))]);
    assert!(client.state.settings["TR_50"].disabled);
    let seen = client.ask(sync("TR_unknown"));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
}

#[test]
fn requests_of_a_replaced_websocket_mean_nothing() {
    let mut client = Client::v1();
    let join = crate::tests::join("room", "alice");
    let resume = Resume { claims: join.claims, parameters: join.parameters, updates: Vec::new() };
    client.state.resume(2, resume, client.now);
    client.seen();
    assert!(client.ask(Request::Ping(1)).is_empty());
    client.state.sink_closed(1, client.now);
    assert!(client.pass(Duration::from_secs(30)).is_empty(), "the session lives on its new one");
}

#[test]
fn a_lost_peer_means_a_new_join_and_a_closed_one_gets_a_moment() {
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerConnected { peer: PUBLISHER }, client.now);
    assert_eq!(client.seen(), [Seen::Room(FromParticipant::Connected)]);
    client.state.handle_media(MediaEvent::PeerEnded { peer: PUBLISHER, end: PeerEnd::Closed }, client.now);
    assert!(client.pass(Duration::from_secs(4)).is_empty());
    let seen = client.pass(Duration::from_secs(1));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerEnded { peer: PUBLISHER, end: PeerEnd::Fault }, client.now);
    assert_eq!(client.seen().last(), Some(&Seen::End));
}

#[test]
fn a_leave_is_clean_and_not_answered() {
    let mut client = Client::v1();
    let seen = client.ask(Request::Leave(lk::LeaveRequest::default()));
    let left = FromParticipant::Left { reason: lk::DisconnectReason::ClientInitiated };
    assert_eq!(seen, [Seen::Close, Seen::Room(left), Seen::End]);
}

#[test]
fn what_the_client_says_of_pauses_reaches_each_of_its_peers() {
    for (dual, allow_pause) in [(true, Some(true)), (false, Some(false)), (true, None)] {
        let (mut state, _) = Client::state(dual, allow_pause, false);
        let effects = std::iter::from_fn(|| state.poll_effect());
        let opened: Vec<_> = effects
            .filter_map(|effect| match effect {
                ParticipantEffect::Media(command) => match *command {
                    MediaCommand::OpenPeer { allow_pause, .. } => Some(allow_pause),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        assert_eq!(opened, vec![allow_pause; if dual { 2 } else { 1 }]);
    }
}
