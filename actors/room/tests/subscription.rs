//! Who receives what, and what publishers hear of it.

use super::*;

#[test]
fn an_update_with_its_track_precedes_each_subscription() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let told = room.publish(&alice, 1, Kind::Video);
    assert_eq!(names(&told, &bob), ["update", "subscribe"]);
    assert_eq!(names(&told, &alice), ["update"]);
    let told = room.say(&bob, FromParticipant::Subscribed { track_sid: "TR_1".into() });
    assert_eq!(names(&told, &alice), ["track subscribed"]);
    assert!(room.say(&bob, FromParticipant::Subscribed { track_sid: "TR_1".into() }).is_empty(), "only the first");
    let told = room.say(&alice, FromParticipant::TrackUnpublished { track_sid: "TR_1".into() });
    assert_eq!(names(&told, &bob), ["unsubscribe", "update"]);
}

#[test]
fn a_client_without_auto_subscribe_gets_what_it_asks_for() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let bob = room.try_join("bob", |join| join.parameters.auto_subscribe = false).unwrap().sid;
    room.effects();
    assert_eq!(names(&room.publish(&alice, 1, Kind::Audio), &bob), ["update"]);
    let mut request = lk::UpdateSubscription { track_sids: vec!["TR_1".into()], subscribe: true, ..Default::default() };
    let told = room.say(&bob, FromParticipant::UpdateSubscription(request.clone()));
    assert_eq!(names(&told, &bob), ["subscribe"]);
    request.subscribe = false;
    assert_eq!(names(&room.say(&bob, FromParticipant::UpdateSubscription(request)), &bob), ["unsubscribe"]);
}

#[test]
fn an_unknown_track_is_waited_for_ten_seconds() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let tracks = lk::ParticipantTracks { participant_sid: alice.clone(), track_sids: vec!["TR_9".into()] };
    let request = lk::UpdateSubscription { subscribe: true, participant_tracks: vec![tracks], ..Default::default() };
    assert!(room.say(&bob, FromParticipant::UpdateSubscription(request.clone())).is_empty());
    room.pass(Duration::from_secs(9));
    assert!(!names(&room.told(), &bob).contains(&"refused"));
    room.pass(Duration::from_secs(2));
    assert!(names(&room.told(), &bob).contains(&"refused"));
    room.say(&bob, FromParticipant::UpdateSubscription(request));
    let told = room.publish(&alice, 9, Kind::Audio);
    assert!(names(&told, &bob).contains(&"subscribe"));
    room.pass(Duration::from_secs(11));
    assert!(!names(&room.told(), &bob).contains(&"refused"));
}

#[test]
fn a_publisher_decides_who_receives_its_tracks() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    let none = lk::SubscriptionPermission::default();
    let told = room.say(&alice, FromParticipant::SubscriptionPermission(none));
    assert_eq!(names(&told, &bob), ["permission", "unsubscribe"]);
    let for_bob = lk::TrackPermission {
        participant_identity: "bob".into(),
        track_sids: vec!["TR_1".into()],
        ..Default::default()
    };
    let some = lk::SubscriptionPermission { track_permissions: vec![for_bob], ..Default::default() };
    let told = room.say(&alice, FromParticipant::SubscriptionPermission(some));
    assert_eq!(names(&told, &bob), ["permission", "subscribe"]);
}

#[test]
fn a_lost_permission_to_subscribe_ends_every_subscription() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    let permission = lk::ParticipantPermission { can_publish: true, ..Default::default() };
    room.state.update_participant("bob", None, None, Vec::new(), Some(permission), room.now).unwrap();
    assert_eq!(names(&room.told(), &bob), ["own permission", "update", "own info", "unsubscribe"]);
}

#[test]
fn dynacast_tells_the_publisher_what_is_wanted() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Video);
    let want = |quality| FromParticipant::Want { track_sid: "TR_1".into(), codec: "vp8".into(), quality };
    assert_eq!(names(&room.say(&bob, want(Some(2))), &alice), ["quality wanted"]);
    assert!(room.say(&bob, want(None)).is_empty());
    room.pass(Duration::from_secs(6));
    let update = room.told().into_iter().find_map(|(_, message)| match message {
        ToParticipant::Signal(Message::SubscribedQualityUpdate(update)) => Some(update),
        _ => None,
    });
    let update = update.expect("nobody wants it for six seconds");
    assert_eq!(update.subscribed_codecs[0].codec, "vp8");
    assert!(update.subscribed_codecs[0].qualities.iter().all(|quality| !quality.enabled));
}
