//! How often everybody hears of participants.

use super::*;
use crate::limits;

/// How many listeners besides the first participant the rooms here have.
const LISTENERS: usize = 500;

fn updates(told: &[(String, ToParticipant)], sid: &str) -> Vec<Vec<lk::ParticipantInfo>> {
    let updates = told.iter().filter(|(to, _)| to == sid).filter_map(|(_, message)| match message {
        ToParticipant::Signal(Message::Update(update)) => Some(update.participants.clone()),
        _ => None,
    });
    updates.collect()
}

fn count(told: &[(String, ToParticipant)]) -> usize {
    told.iter().filter(|(_, message)| matches!(message, ToParticipant::Signal(Message::Update(_)))).count()
}

/// A room of many listeners that has told everything of their joins.
fn crowd(listeners: usize) -> (Room, String) {
    let mut room = Room::new();
    let first = room.join("first");
    for number in 0..listeners {
        room.join(&format!("listener {number}"));
    }
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    room.effects();
    (room, first)
}

#[test]
fn the_five_hundredth_listener_costs_each_other_one_update_in_three_seconds() {
    let (mut room, first) = crowd(LISTENERS - 2);
    let newcomer = room.try_join("newcomer", |_| {}).unwrap();
    assert_eq!(newcomer.response.other_participants.len(), LISTENERS - 1, "it knows everybody at once");
    room.state.handle_participant(&newcomer.sid, FromParticipant::Connected, room.now);
    let told = room.told();
    assert_eq!(count(&told), 1, "only itself hears that it is active");
    assert_eq!(updates(&told, &newcomer.sid).len(), 1);
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    let told = room.told();
    assert_eq!(count(&told), LISTENERS - 1, "one for each, none for itself");
    let heard = updates(&told, &first);
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].len(), 1, "nothing of those who did not change");
    assert_eq!((&heard[0][0].sid, heard[0][0].state), (&newcomer.sid, State::Active as i32));
}

#[test]
fn five_hundred_joins_cost_each_participant_few_messages() {
    let mut room = Room::new();
    let first = room.join("first");
    let mut heard = Vec::new();
    for number in 0..LISTENERS {
        room.try_join(&format!("listener {number}"), |_| {}).unwrap();
        heard.extend(updates(&room.told(), &first));
        room.pass(Duration::from_millis(10));
        heard.extend(updates(&room.told(), &first));
    }
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    heard.extend(updates(&room.told(), &first));
    assert!(heard.len() <= limits::LARGE_ROOM_PARTICIPANTS + 3, "{} messages", heard.len());
    assert_eq!(heard.iter().map(Vec::len).sum::<usize>(), LISTENERS, "everybody is named once");
}

#[test]
fn a_publisher_in_a_large_room_is_heard_of_at_once() {
    let (mut room, first) = crowd(100);
    let singer = room.try_join("singer", |_| {}).unwrap().sid;
    assert_eq!(count(&room.told()), 0);
    let told = room.publish(&singer, 1, Kind::Audio);
    let heard = updates(&told, &first);
    assert_eq!((heard.len(), heard[0].len(), heard[0][0].tracks.len()), (1, 1, 1));
    assert!(heard[0][0].is_publisher);
    let told = room.say(&singer, FromParticipant::TrackUnpublished { track_sid: "TR_1".into() });
    assert_eq!(updates(&told, &first).len(), 1, "that it publishes no more is urgent too");
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    assert_eq!(count(&room.told()), 0, "nothing is told twice");
}

#[test]
fn a_listener_that_comes_and_goes_between_batches_is_told_as_gone() {
    let (mut room, first) = crowd(100);
    let visitor = room.join("visitor");
    let witness = room.try_join("witness", |_| {}).unwrap();
    assert!(witness.response.other_participants.iter().any(|info| info.sid == visitor));
    room.say(&visitor, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    let told = room.told();
    let state = |sid: &str| {
        let heard = updates(&told, sid).concat();
        heard.into_iter().filter(|info| info.sid == visitor).map(|info| info.state).collect::<Vec<_>>()
    };
    assert_eq!(state(&first), [State::Disconnected as i32]);
    assert_eq!(state(&witness.sid), [State::Disconnected as i32]);
}

#[test]
fn an_earlier_session_ends_before_the_next_one_of_its_identity_begins() {
    let (mut room, first) = crowd(100);
    let old = room.state.identities["listener 7"].clone();
    let new = room.try_join("listener 7", |_| {}).unwrap().sid;
    let told = room.told();
    assert_eq!(names(&told, &old), ["leave"]);
    assert_eq!(count(&told), 0);
    let sessions = |infos: &[lk::ParticipantInfo]| -> Vec<(String, i32)> {
        infos.iter().map(|info| (info.sid.clone(), info.state)).collect()
    };
    let expected = [(old, State::Disconnected as i32), (new.clone(), State::Joined as i32)];
    // A publisher is told at once, and with it that its older session is over.
    let told = room.publish(&new, 1, Kind::Audio);
    assert_eq!(sessions(&updates(&told, &first)[0]), expected);
    assert_eq!(updates(&told, &new).len(), 1);
    assert_eq!(updates(&told, &new)[0].len(), 1, "nobody hears of an end of its own identity");
    // And within a batch.
    let old = room.state.identities["listener 8"].clone();
    let new = room.join("listener 8");
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    let told = room.told();
    let expected = [(old, State::Disconnected as i32), (new.clone(), State::Joined as i32)];
    assert_eq!(sessions(&updates(&told, &first)[0]), expected);
    assert!(updates(&told, &new).is_empty());
}

#[test]
fn a_batch_is_split_where_it_grows_too_large() {
    let mut room = Room::new();
    let first = room.join("first");
    let fat = |join: &mut Join| join.claims.metadata = "m".repeat(50 * 1024);
    for number in 0..60 {
        room.try_join(&format!("fat {number}"), fat).unwrap();
    }
    room.effects();
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    let heard = updates(&room.told(), &first);
    assert!(heard.len() > 1);
    for infos in heard {
        assert!(infos.iter().map(prost::Message::encoded_len).sum::<usize>() <= limits::UPDATE_BYTES_MAX);
    }
    let resumed = room.state.resume(&crate::tests::join("room", "first")).unwrap();
    assert!(resumed.updates.len() > 2, "so is what a resuming client hears");
}

#[test]
fn a_hidden_listener_of_a_large_room_stays_hidden() {
    let (mut room, first) = crowd(100);
    let ghost = room.try_join("ghost", |join| join.claims.video.hidden = true).unwrap().sid;
    room.say(&ghost, FromParticipant::Connected);
    let visible = room.join("seen");
    let hidden = lk::ParticipantPermission { can_subscribe: true, hidden: true, ..Default::default() };
    room.state.update_participant("seen", None, None, Vec::new(), Some(hidden), room.now).unwrap();
    let heard = updates(&room.told(), &first).concat();
    assert_eq!(
        heard.iter().map(|info| (&info.sid, info.state)).collect::<Vec<_>>(),
        [(&visible, State::Disconnected as i32)]
    );
    room.pass(limits::UPDATE_BATCH_INTERVAL);
    assert_eq!(count(&room.told()), 0);
}
