//! A client that comes back: what it keeps, what it is told, and when it has to begin anew.

use super::*;

fn resume_with(change: impl FnOnce(&mut crate::session::Join)) -> Resume {
    let mut join = crate::tests::join("room", "alice");
    change(&mut join);
    Resume { claims: join.claims, parameters: join.parameters, updates: Vec::new() }
}

fn is_reconnect(seen: &Seen) -> bool {
    matches!(seen, Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32
        && leave.reason == lk::DisconnectReason::StateMismatch as i32)
}

#[test]
fn what_the_client_has_is_restored_before_its_offer_is_answered() {
    let mut client = Client::v1();
    client.offer(&offer("aaaa", None));
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Video))), client.now);
    client.offer(&offer("aaaa", None));
    client.state.sink_closed(1, client.now);
    client.seen();
    let subscription = lk::UpdateSubscription { track_sids: vec!["TR_51".into()], ..Default::default() };
    let states = vec![lk::DataChannelReceiveState { publisher_sid: "PA_bob".into(), last_seq: 7 }];
    let sync = lk::SyncState {
        subscription: Some(subscription.clone()),
        track_sids_disabled: vec!["TR_50".into()],
        datachannel_receive_states: states.clone(),
        ..Default::default()
    };
    let restart =
        lk::SessionDescription { r#type: "offer".into(), sdp: offer("bbbb", None), id: 9, ..Default::default() };
    let resume = resume_with(|join| {
        join.parameters.sync_state = Some(sync);
        join.parameters.publisher_offer = Some(restart);
    });
    client.state.resume(2, resume, client.now);
    let seen = client.seen();
    let place = |wanted: &dyn Fn(&Seen) -> bool| seen.iter().position(wanted).unwrap_or_else(|| panic!("{seen:?}"));
    let subscribed = place(&|seen| *seen == Seen::Room(FromParticipant::UpdateSubscription(subscription.clone())));
    let disabled = place(&|seen| matches!(seen, Seen::Room(FromParticipant::Want { quality: None, .. })));
    let replayed = place(&|seen| *seen == Seen::Room(FromParticipant::ReceiveStates(states.clone())));
    let restarted = place(&|seen| *seen == Seen::Media("restart"));
    let answered = place(&|seen| matches!(seen, Seen::Send(Message::Answer(answer)) if answer.id == 9));
    assert!(subscribed < disabled && disabled < replayed && replayed < restarted && restarted < answered);
    assert!(!client.state.subscriptions["TR_50"].preference.enabled);
}

#[test]
fn a_resume_that_tells_of_an_unknown_track_begins_anew() {
    for is_known in [true, false] {
        let mut client = Client::v1();
        let sid = client.publish(microphone()).sid;
        client.state.sink_closed(1, client.now);
        let sid = if is_known { sid } else { "TR_AMunknown".into() };
        let track = Some(lk::TrackInfo { sid, ..Default::default() });
        let publish_tracks = vec![lk::TrackPublishedResponse { cid: "mic".into(), track }];
        let resume = resume_with(|join| {
            join.parameters.sync_state = Some(lk::SyncState { publish_tracks, ..Default::default() })
        });
        client.state.resume(2, resume, client.now);
        let seen = client.seen();
        assert_eq!(seen.iter().any(is_reconnect), !is_known, "{seen:?}");
        assert_eq!(seen.last() == Some(&Seen::End), !is_known);
    }
}

#[test]
fn a_resume_while_the_first_websocket_is_open_takes_over() {
    let mut client = Client::v0();
    client.pass(Duration::from_millis(10));
    client.state.resume(2, resume_with(|_| {}), client.now);
    let restarts = client.seen().iter().filter(|seen| **seen == Seen::Media("restart")).count();
    assert_eq!(restarts, 1, "the subscriber's transport");
    assert!(client.ask(Request::Ping(1)).is_empty(), "requests of the first are late");
    client.state.sink_closed(1, client.now);
    assert!(matches!(client.state.sink, crate::participant::state::Sink::Open(2)));
}

#[test]
fn of_two_resumes_in_a_race_the_later_one_stays_with_rising_candidates() {
    let mut client = Client::v0();
    client.pass(Duration::from_millis(10));
    let preference = |client: &Client| client.state.subscriber.as_ref().map(|one| one.transport.local.local_preference);
    let mut before = preference(&client);
    for sink in [2, 3] {
        client.state.resume(sink, resume_with(|_| {}), client.now);
        assert!(preference(&client) > before);
        before = preference(&client);
    }
    client.seen();
    client.state.sink_closed(2, client.now);
    let seen = client.pass(Duration::from_millis(10));
    let offers = seen.iter().filter(|seen| matches!(seen, Seen::Send(Message::Offer(offer)) if offer.id == 2)).count();
    assert_eq!(offers, 1, "one offer for both: {seen:?}");
    assert!(client.pass(Duration::from_secs(10)).is_empty());
}

#[test]
fn a_resume_of_a_session_that_has_just_ended_begins_anew() {
    let mut client = Client::v1();
    client.ask(Request::Leave(lk::LeaveRequest::default()));
    client.state.resume(2, resume_with(|_| {}), client.now);
    let seen = client.seen();
    assert!(is_reconnect(&seen[0]) && seen.len() == 1, "{seen:?}");
}

#[test]
fn a_session_without_websocket_ends_after_its_grace_unless_the_client_returns() {
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerConnected { peer: PUBLISHER }, client.now);
    client.state.sink_closed(1, client.now);
    client.seen();
    assert!(client.pass(Duration::from_secs(19)).is_empty());
    client.state.resume(2, resume_with(|_| {}), client.now);
    client.seen();
    assert!(!client.pass(Duration::from_secs(60)).contains(&Seen::End), "it returned in time");
    client.state.sink_closed(2, client.now);
    let seen = client.pass(Duration::from_secs(20));
    let left = FromParticipant::Left { reason: lk::DisconnectReason::ConnectionTimeout };
    assert_eq!(seen, [Seen::Close, Seen::Room(left), Seen::End]);
}

#[test]
fn a_refresh_token_keeps_the_grants_and_tells_what_holds_now() {
    let mut client = Client::v1();
    client.state.handle_media(MediaEvent::PeerConnected { peer: PUBLISHER }, client.now);
    client.state.claims.video.room_admin = true;
    client.state.claims.kind = "agent".into();
    client.state.claims.exp = 0;
    let info = lk::ParticipantInfo {
        name: "Alice".into(),
        metadata: "now".into(),
        attributes: [("mood".to_owned(), "good".to_owned())].into(),
        ..client.state.info.clone()
    };
    client.state.handle_room(ToParticipant::InfoChanged(Box::new(info)), client.now);
    let permission = lk::ParticipantPermission { can_subscribe: true, can_publish_data: true, ..Default::default() };
    client.state.handle_room(ToParticipant::PermissionChanged(Box::new(permission)), client.now);
    let claims = client.claims().expect("a changed permission makes a token");
    assert_eq!((claims.sub.as_str(), claims.name.as_str(), claims.metadata.as_str()), ("alice", "Alice", "now"));
    assert_eq!(claims.attributes["mood"], "good");
    let video = &claims.video;
    assert!(video.room_join && video.room_admin && video.room == "room", "grants that no permission speaks of stay");
    assert_eq!(claims.kind, "agent");
    assert_eq!((video.can_publish, video.can_subscribe, video.can_publish_data), (Some(false), Some(true), Some(true)));
    assert_eq!(claims.exp, 1_000 + crate::limits::TOKEN_VALIDITY_MIN_S, "never shorter than ten minutes");
    assert!(claims.nbf.is_none());
    client.now += Duration::from_secs(300);
    client.state.handle_timeout(client.now);
    assert_eq!(client.claims().map(|claims| claims.exp), Some(1_300 + crate::limits::TOKEN_VALIDITY_MIN_S));
    client.state.sink_closed(1, client.now);
    client.now += Duration::from_secs(10);
    client.state.handle_timeout(client.now);
    assert!(client.claims().is_none(), "nobody is there to take it");
}
