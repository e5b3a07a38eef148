//! Speakers and connection quality.

use super::*;

#[test]
fn speakers_are_told_as_differences_to_those_who_hear_them() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    let deaf = room.try_join("deaf", |join| join.parameters.auto_subscribe = false).unwrap().sid;
    room.publish(&alice, 1, Kind::Audio);
    room.state.speakers(&[SpeakerLevel { track: TrackKey(1), level: 0.4 }]);
    let told = room.told();
    assert_eq!(names(&told, &alice), ["speakers"]);
    assert_eq!(names(&told, &bob), ["speakers"]);
    assert!(names(&told, &deaf).is_empty());
    room.state.speakers(&[SpeakerLevel { track: TrackKey(1), level: 0.41 }]);
    assert!(room.told().is_empty(), "no step of the level");
    room.state.speakers(&[]);
    let silent = room.told().into_iter().find_map(|(_, message)| match message {
        ToParticipant::Signal(Message::SpeakersChanged(changed)) => Some(changed.speakers[0].clone()),
        _ => None,
    });
    assert_eq!(silent, Some(lk::SpeakerInfo { sid: alice, level: 0.0, active: false }));
}

#[test]
fn quality_is_told_when_it_changed_and_lost_only_to_those_who_know_the_word() {
    let mut room = Room::new();
    let alice = room.join("alice");
    room.pass(Duration::from_secs(6));
    assert!(names(&room.told(), &alice).contains(&"connection"));
    room.pass(Duration::from_secs(10));
    assert!(!names(&room.told(), &alice).contains(&"connection"), "nothing changed");
    let lost = FromParticipant::Quality { quality: starling_media::command::Quality::Lost, score: 0.0 };
    room.say(&alice, lost);
    room.pass(Duration::from_secs(5));
    assert!(names(&room.told(), &alice).contains(&"connection"));
}

fn speakers(told: &[(String, ToParticipant)], to: &str) -> Vec<(String, bool)> {
    let infos = told.iter().filter(|(sid, _)| sid == to).filter_map(|(_, message)| match message {
        ToParticipant::Signal(Message::SpeakersChanged(changed)) => Some(changed.speakers.clone()),
        _ => None,
    });
    infos.flatten().map(|info| (info.sid, info.active)).collect()
}

#[test]
fn only_speakers_that_changed_are_told_and_those_who_begin_to_listen_hear_who_speaks() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    room.publish(&bob, 2, Kind::Audio);
    let speak = |levels: &[(u64, f32)]| -> Vec<SpeakerLevel> {
        levels.iter().map(|(key, level)| SpeakerLevel { track: TrackKey(*key), level: *level }).collect()
    };
    room.state.speakers(&speak(&[(1, 0.5), (2, 0.5)]));
    let told = room.told();
    assert_eq!(speakers(&told, &alice).len(), 2, "itself included");
    room.state.speakers(&speak(&[(1, 0.5), (2, 1.0)]));
    assert_eq!(speakers(&room.told(), &alice), [(bob.clone(), true)]);
    let late = room.join("late");
    room.state.speakers(&speak(&[(1, 0.5), (2, 1.0)]));
    let told = room.told();
    assert_eq!(speakers(&told, &late).len(), 2, "they spoke before it came");
    assert!(speakers(&told, &alice).is_empty());
    let away = lk::UpdateSubscription { track_sids: vec!["TR_2".into()], subscribe: false, ..Default::default() };
    room.say(&late, FromParticipant::UpdateSubscription(away));
    room.state.speakers(&speak(&[(1, 0.5), (2, 1.0)]));
    assert_eq!(speakers(&room.told(), &late), [(bob.clone(), false)], "whom it does not hear is silent to it");
    room.say(&bob, FromParticipant::Left { reason: DisconnectReason::ClientInitiated });
    room.state.speakers(&speak(&[(1, 0.5)]));
    assert!(room.told().is_empty(), "who left needs no end of speech");
    room.state.speakers(&[]);
    assert_eq!(speakers(&room.told(), &late), [(alice, false)]);
}

#[test]
fn nobody_hears_that_it_is_lost_itself() {
    let mut room = Room::new();
    let (alice, bob) = (room.join("alice"), room.join("bob"));
    room.publish(&alice, 1, Kind::Audio);
    room.say(&alice, FromParticipant::Quality { quality: starling_media::command::Quality::Lost, score: 1.0 });
    room.pass(Duration::from_secs(5));
    let told = room.told();
    let quality = |to: &str| {
        told.iter().filter(|(sid, _)| sid == to).find_map(|(_, message)| match message {
            ToParticipant::Signal(Message::ConnectionQuality(update)) => {
                update.updates.iter().find(|info| info.participant_sid == alice).map(|info| info.quality)
            }
            _ => None,
        })
    };
    assert_eq!(quality(&alice), Some(lk::ConnectionQuality::Poor as i32));
    assert_eq!(quality(&bob), Some(lk::ConnectionQuality::Lost as i32));
}
