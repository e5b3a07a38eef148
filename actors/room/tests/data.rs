//! Data between participants.

use super::*;

#[test]
fn data_carries_the_true_sender_and_reaches_only_whom_it_names() {
    let mut room = Room::new();
    let (alice, bob, carol) = (room.join("alice"), room.join("bob"), room.join("carol"));
    for sid in [&alice, &bob, &carol] {
        room.open(sid);
    }
    let all = room.send(&alice, &user(1, &[]));
    assert_eq!(all[0].0, 2);
    assert_eq!((all[0].1.participant_sid.as_str(), all[0].1.participant_identity.as_str()), (&*alice, "alice"));
    let Some(lk::data_packet::Value::User(inner)) = &all[0].1.value else { panic!("a user packet") };
    assert_eq!(crate::legacy::sender(inner), alice);
    assert_eq!(room.send(&alice, &user(2, &["carol"]))[0].0, 1);
    assert!(room.send(&alice, &user(2, &[])).is_empty(), "the same sequence again");
}

#[test]
fn data_without_permission_metrics_and_garbage_go_nowhere() {
    let mut room = Room::new();
    let bob = room.join("bob");
    room.open(&bob);
    let mute = room.try_join("mute", |join| join.claims.video.can_publish_data = Some(false)).unwrap().sid;
    let alice = room.join("alice");
    assert!(room.send(&mute, &user(1, &[])).is_empty());
    let metrics = lk::DataPacket {
        value: Some(lk::data_packet::Value::Metrics(lk::MetricsBatch::default())),
        ..Default::default()
    };
    assert!(room.send(&alice, &metrics).is_empty());
    let transcription = lk::DataPacket {
        value: Some(lk::data_packet::Value::Transcription(lk::Transcription::default())),
        ..Default::default()
    };
    assert!(room.send(&alice, &transcription).is_empty(), "only agents transcribe");
    room.state.data_from(&alice, Channel::Reliable, &Bytes::from_static(&[255; 40]), room.now);
    assert!(room.sent().is_empty());
}

#[test]
fn a_nonce_is_forwarded_once() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.open(&bob);
    let mut packet = user(0, &[]);
    if let Some(lk::data_packet::Value::User(user)) = &mut packet.value {
        user.nonce = vec![1; 16];
    }
    assert_eq!(room.send(&alice, &packet).len(), 1);
    assert!(room.send(&alice, &packet).is_empty());
}

#[test]
fn who_joins_or_resumes_gets_the_reliable_messages_of_the_last_two_seconds() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.send(&alice, &user(1, &[]));
    room.pass(Duration::from_secs(3));
    room.send(&alice, &user(2, &[]));
    room.send(&alice, &user(3, &[]));
    room.state.channel_opened(&bob, Channel::Reliable, room.now);
    let sequences: Vec<u32> = room.sent().iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(sequences, [2, 3]);
    let states = vec![lk::DataChannelReceiveState { publisher_sid: alice.clone(), last_seq: 2 }];
    room.state.handle_participant(&bob, FromParticipant::ReceiveStates(states), room.now);
    let sequences: Vec<u32> = room.sent().iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(sequences, [3]);
    assert_eq!(room.state.resume(&crate::tests::join("room", "alice")).unwrap().response.last_message_seq, 3);
}
