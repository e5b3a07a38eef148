//! Who is there, and what it says of itself.

use super::*;

#[test]
fn a_join_response_has_all_that_clients_need() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let joined = room.try_join("bob", |_| {}).unwrap();
    let response = joined.response;
    assert!(response.room.unwrap().sid.starts_with("RM_"));
    let own = response.participant.unwrap();
    assert!(own.sid.starts_with("PA_") && own.permission.unwrap().can_publish);
    assert_eq!(response.other_participants[0].sid, alice);
    assert!(response.ping_interval > 0 && response.ping_timeout > response.ping_interval);
    assert_eq!(response.server_info.unwrap().protocol, 17);
    assert!(response.enabled_publish_codecs[0].mime.starts_with("video/"));
    assert_eq!(response.sif_trailer.len(), 16);
    assert!(response.subscriber_primary, "two connections, and bob may subscribe");
    assert_eq!(names(&room.told(), &alice), ["update"]);
}

#[test]
fn a_second_session_of_an_identity_ends_the_first_before_it_is_announced() {
    let mut room = Room::new();
    let bob = room.join("bob");
    let old = room.join("alice");
    let new = room.try_join("alice", |_| {}).unwrap().sid;
    let told = room.told();
    let reason = told.iter().find_map(|(to, message)| match message {
        ToParticipant::Leave { reason, .. } if *to == old => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(DisconnectReason::DuplicateIdentity));
    let heard: Vec<(String, i32)> = told
        .iter()
        .filter(|(to, _)| *to == bob)
        .filter_map(|(_, message)| match message {
            ToParticipant::Signal(Message::Update(update)) => Some(update.participants[0].clone()),
            _ => None,
        })
        .map(|info| (info.sid, info.state))
        .collect();
    assert_eq!(heard, [(old, State::Disconnected as i32), (new, State::Joined as i32)]);
}

#[test]
fn a_hidden_participant_is_seen_by_nobody_and_sees_everybody() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let joined = room.try_join("ghost", |join| join.claims.video.hidden = true).unwrap();
    assert_eq!(joined.response.other_participants.len(), 1);
    assert!(names(&room.told(), &alice).is_empty());
    assert!(room.try_join("bob", |_| {}).unwrap().response.other_participants.len() == 1);
    room.effects();
    let told = room.say(&joined.sid, FromParticipant::Connected);
    assert!(names(&told, &alice).is_empty());
    assert_eq!(names(&told, &joined.sid), ["update"]);
}

#[test]
fn a_full_room_refuses_a_newcomer_but_not_a_returning_identity() {
    let mut room = Room::with(|config| config.room.max_participants = 1);
    room.join("alice");
    assert_eq!(room.try_join("bob", |_| {}).unwrap_err(), JoinError::RoomFull { limit: 1 });
    assert!(room.try_join("alice", |_| {}).is_ok());
}

#[test]
fn versions_of_a_participant_rise_with_every_update() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let mut versions = Vec::new();
    for told in [room.say(&alice, FromParticipant::Connected), room.publish(&alice, 1, Kind::Audio)] {
        versions.extend(told.into_iter().filter_map(|(_, message)| match message {
            ToParticipant::Signal(Message::Update(update)) => Some(update.participants[0].version),
            _ => None,
        }));
    }
    assert_eq!(versions, [2, 3]);
}

#[test]
fn an_empty_room_closes_after_its_timeouts() {
    let mut room = Room::new();
    room.pass(Duration::from_secs(299));
    assert!(room.effects().is_empty());
    let alice = room.join("alice");
    room.pass(Duration::from_secs(1_000));
    room.effects();
    room.say(&alice, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    room.pass(Duration::from_secs(19));
    assert!(room.effects().is_empty());
    room.pass(Duration::from_secs(2));
    assert!(matches!(room.effects()[..], [RoomEffect::Closed]));
    assert!(room.try_join("bob", |_| {}).is_err(), "a closed room takes nobody");
}

#[test]
fn a_resume_finds_only_its_own_session() {
    let mut room = Room::new();
    let sid = room.join("alice");
    room.join("bob");
    let mut join = crate::tests::join("room", "alice");
    join.parameters.participant_sid.clone_from(&sid);
    let found = room.state.resume(&join).unwrap();
    assert_eq!(found.sid, sid);
    let Message::Update(update) = &found.updates[0] else { panic!("everybody first") };
    assert_eq!(update.participants.len(), 2, "self included");
    assert!(matches!(&found.updates[1], Message::RoomUpdate(update) if update.room.is_some()));
    join.parameters.participant_sid = "PA_other".into();
    assert!(room.state.resume(&join).is_none());
}

#[test]
fn a_remote_unmute_needs_the_setting() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let mut muted = facts(&alice, 1, Kind::Audio);
    muted.info.muted = true;
    room.say(&alice, FromParticipant::TrackChanged(Box::new(muted)));
    assert!(room.state.mute_track("alice", "TR_1", false).is_none());
    assert!(room.state.mute_track("alice", "TR_1", true).is_some_and(|info| info.muted));
    assert_eq!(names(&room.told(), &alice), ["mute"]);
}

#[test]
fn own_metadata_needs_permission_and_keeps_limits() {
    let mut room = Room::new();
    let alice = room.try_join("alice", |join| join.claims.video.can_update_own_metadata = Some(true)).unwrap().sid;
    let bob = room.join("bob");
    let response = |told: &[(String, ToParticipant)]| {
        told.iter().find_map(|(_, message)| match message {
            ToParticipant::Signal(Message::RequestResponse(response)) => Some((response.request_id, response.reason)),
            _ => None,
        })
    };
    let request = |name: &str, mood: &str| {
        FromParticipant::UpdateMetadata(Box::new(lk::UpdateParticipantMetadata {
            name: name.into(),
            attributes: [("mood".to_owned(), mood.to_owned())].into(),
            request_id: 5,
            ..Default::default()
        }))
    };
    assert_eq!(response(&room.say(&bob, request("x", "y"))), Some((5, 2)), "not allowed");
    assert_eq!(response(&room.say(&alice, request(&"n".repeat(257), "y"))), Some((5, 3)), "limit exceeded");
    assert_eq!(response(&room.say(&alice, request("Alice", "good"))), Some((5, 0)));
    assert_eq!(room.state.members[&alice].info.attributes["mood"], "good");
    room.say(&alice, request("Alice", ""));
    assert!(room.state.members[&alice].info.attributes.is_empty(), "an empty value deletes");
}

#[test]
fn the_number_of_participants_is_told_late_and_metadata_at_once() {
    let mut room = Room::new();
    let alice = room.join("alice");
    room.pass(Duration::from_secs(4));
    assert!(!names(&room.told(), &alice).contains(&"room"));
    room.pass(Duration::from_secs(2));
    assert!(names(&room.told(), &alice).contains(&"room"));
    room.state.update_room_metadata("new".into());
    assert_eq!(names(&room.told(), &alice), ["room"]);
}
