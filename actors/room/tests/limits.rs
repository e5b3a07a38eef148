//! Limits, and whom a room counts.

use super::*;
use crate::rooms::preset;

fn subscribed(room: &Room, sid: &str) -> Vec<String> {
    room.state.members[sid].subscribed.keys().cloned().collect()
}

fn choose(track_sid: &str, subscribe: bool) -> FromParticipant {
    FromParticipant::UpdateSubscription(lk::UpdateSubscription {
        track_sids: vec![track_sid.into()],
        subscribe,
        ..Default::default()
    })
}

#[test]
fn video_and_audio_subscriptions_are_limited_apart_and_a_free_place_is_taken() {
    let mut room = Room::with(|config| {
        config.limits.video_subscriptions = 1;
        config.limits.audio_subscriptions = 2;
    });
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    for key in 1..=3 {
        room.publish(&alice, key, Kind::Video);
        room.publish(&alice, 10 + key, Kind::Audio);
    }
    assert_eq!(subscribed(&room, &bob), ["TR_1", "TR_11", "TR_12"]);
    let told = room.say(&bob, choose("TR_1", false));
    assert_eq!(names(&told, &bob), ["unsubscribe", "subscribe"], "the next video takes the place");
    assert_eq!(subscribed(&room, &bob), ["TR_11", "TR_12", "TR_2"]);
    room.say(&alice, FromParticipant::TrackUnpublished { track_sid: "TR_2".into() });
    room.say(&alice, FromParticipant::TrackUnpublished { track_sid: "TR_11".into() });
    assert_eq!(subscribed(&room, &bob), ["TR_12", "TR_13", "TR_3"]);
    assert_eq!(room.state.track_count(), 4 + 3);
    room.say(&alice, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    assert_eq!(room.state.track_count(), 0);
    assert!(room.state.members[&bob].crowded_out.is_empty());
}

#[test]
fn agents_and_recorders_take_no_place_and_keep_no_room() {
    let mut room = Room::with(|config| config.room.max_participants = 1);
    let alice = room.join("alice");
    let agent = room.try_join("agent", |join| join.claims.kind = "agent".into()).unwrap();
    let info = agent.response.participant.unwrap();
    assert_eq!(info.kind, lk::participant_info::Kind::Agent as i32);
    assert_eq!(room.state.room.num_participants, 1);
    assert!(room.try_join("bob", |_| {}).is_err());
    room.say(&alice, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    room.pass(Duration::from_secs(19));
    room.effects();
    room.pass(Duration::from_secs(2));
    let effects = room.effects();
    let reason = effects.iter().find_map(|effect| match effect {
        RoomEffect::To { sid, message } if *sid == agent.sid => match &**message {
            ToParticipant::Leave { reason, .. } => Some(*reason),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(reason, Some(DisconnectReason::RoomClosed));
    assert!(matches!(effects.last(), Some(RoomEffect::Closed)));
}

#[test]
fn an_agent_that_waits_alone_neither_shortens_nor_lengthens_the_wait() {
    let mut room = Room::new();
    room.try_join("agent", |join| join.claims.video.agent = true).unwrap();
    room.pass(Duration::from_secs(298));
    assert!(!room.state.members.is_empty());
    room.pass(Duration::from_secs(3));
    assert!(room.state.members.is_empty(), "the room's empty timeout");
}

#[test]
fn a_recorder_is_seen_by_its_flag_on_the_room_alone() {
    let mut room = Room::new();
    let alice = room.join("alice");
    let recorder = room
        .try_join("recorder", |join| {
            join.claims.kind = "egress".into();
            (join.claims.video.recorder, join.claims.video.hidden) = (true, true);
        })
        .unwrap()
        .sid;
    let told = room.told();
    assert_eq!(names(&told, &alice), ["room"], "at once, and nothing of a participant");
    assert!(room.state.room.active_recording);
    let told = room.say(&recorder, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    assert_eq!(names(&told, &alice), ["room"]);
    assert!(!room.state.room.active_recording);
}

#[test]
fn the_room_configuration_of_a_token_is_read_with_tolerance() {
    let json = serde_json::json!({
        "emptyTimeout": "30", "departure_timeout": 7, "maxParticipants": -1, "metadata": "hello",
        "egress": {"room": []}, "agents": [{"agentName": "a"}], "tags": null, "fromTheFuture": [1, 2],
    });
    let read = preset(&json).unwrap();
    assert_eq!((read.empty_timeout, read.departure_timeout, read.max_participants), (30, 7, 0));
    assert_eq!(read.metadata, "hello");
    for odd in [serde_json::json!(null), serde_json::json!([1]), serde_json::json!("text")] {
        assert!(preset(&odd).is_none());
    }
    let wrong = preset(&serde_json::json!({"metadata": 5, "emptyTimeout": {}, "maxParticipants": 1e99})).unwrap();
    assert_eq!(*wrong, lk::RoomConfiguration::default());
}

#[test]
fn what_a_client_says_of_itself_counts_only_where_its_token_allows() {
    let mut room = Room::new();
    let told = |join: &mut Join| {
        join.claims.attributes = [("role".to_owned(), "host".to_owned())].into();
        join.parameters.attributes = [("role".to_owned(), "king".to_owned()), ("x".to_owned(), String::new())].into();
        join.parameters.metadata = "mine".into();
    };
    let info = room.try_join("alice", told).unwrap().response.participant.unwrap();
    assert_eq!((info.attributes["role"].as_str(), info.metadata.as_str()), ("host", ""));
    let allowed = |join: &mut Join| {
        told(join);
        join.claims.video.can_update_own_metadata = Some(true);
    };
    let info = room.try_join("alice", allowed).unwrap().response.participant.unwrap();
    assert_eq!((info.attributes["role"].as_str(), info.metadata.as_str()), ("king", "mine"));
    assert_eq!(info.attributes.len(), 1, "an empty value is no attribute");
}
