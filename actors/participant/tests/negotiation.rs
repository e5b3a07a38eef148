//! Offers and answers, and what is received.

use super::*;

#[test]
fn a_v1_subscription_takes_a_free_section_of_the_next_offer() {
    let mut client = Client::v1();
    client.offer(&offer("aaaa", None));
    client.pass(Duration::from_secs(1));
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Audio))), client.now);
    assert!(client.seen().is_empty(), "it waits for company");
    let seen = client.pass(Duration::from_millis(10));
    let Some(Seen::Send(Message::MediaSectionsRequirement(required))) = seen.first() else { panic!("{seen:?}") };
    assert_eq!((required.num_audios, required.num_videos), (0, 0), "a section is free: only offer again");
    let seen = client.offer(&offer("aaaa", None));
    let answer = seen.iter().find_map(|seen| match seen {
        Seen::Send(Message::Answer(answer)) => Some(answer.clone()),
        _ => None,
    });
    let answer = answer.unwrap();
    assert_eq!(answer.mid_to_track_id["0"], "TR_50");
    assert!(answer.sdp.contains("a=msid:PA_bob|TR_50"));
    assert!(seen.contains(&Seen::Room(FromParticipant::Subscribed { track_sid: "TR_50".into() })));
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(51, Kind::Audio))), client.now);
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(52, Kind::Video))), client.now);
    let seen = client.pass(Duration::from_millis(200));
    let asked = lk::MediaSectionsRequirement { num_audios: 1, num_videos: 1 };
    assert!(seen.contains(&Seen::Send(Message::MediaSectionsRequirement(asked))));
}

#[test]
fn v0_keeps_one_offer_outstanding_and_ignores_answers_to_others() {
    let mut client = Client::v0();
    let seen = client.pass(Duration::from_millis(10));
    assert!(matches!(&seen[..], [Seen::Send(Message::Offer(offer))] if offer.id == 1), "{seen:?}");
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Audio))), client.now);
    assert!(client.pass(Duration::from_secs(1)).is_empty(), "the first is unanswered");
    let stale = lk::SessionDescription { id: 9, sdp: "v=0".into(), ..Default::default() };
    assert!(client.ask(Request::Answer(stale)).is_empty());
    let seen = client.pass(Duration::from_secs(15));
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    assert_eq!(seen.last(), Some(&Seen::End));
}

#[test]
fn a_restart_offer_is_answered_with_new_credentials() {
    let mut client = Client::v1();
    client.offer(&offer("aaaa", None));
    let preference = client.state.publisher.local.local_preference;
    let seen = client.offer(&offer("bbbb", None));
    assert_eq!(seen[..2], [Seen::Media("restart"), Seen::Media("remote")]);
    let Some(Seen::Send(Message::Answer(answer))) = seen.last() else { panic!("{seen:?}") };
    assert!(!answer.sdp.contains("0abcdefghij"));
    assert!(client.state.publisher.local.ice.ufrag.starts_with('0'), "the worker is found by the first character");
    assert!(client.state.publisher.local.local_preference > preference);
    let seen = client.offer(&offer("bbbb", None));
    assert!(!seen.contains(&Seen::Media("restart")), "the same generation");
}

#[test]
fn a_description_that_cannot_be_read_ends_the_session_with_a_reason() {
    let mut client = Client::v1();
    let seen = client.offer("garbage");
    assert!(matches!(&seen[0], Seen::Send(Message::Leave(leave)) if leave.action == Action::Reconnect as i32));
    assert!(client.offer(&offer("aaaa", None)).is_empty(), "nothing comes after a leave");
}

#[test]
fn track_settings_become_preferences_and_wishes() {
    let mut client = Client::v1();
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(50, Kind::Video))), client.now);
    let want = |quality| {
        let codec = "vp8".to_owned();
        Seen::Room(FromParticipant::Want { track_sid: "TR_50".into(), codec, quality })
    };
    assert_eq!(client.seen(), [want(Some(0))], "an adaptive stream begins low");
    let mut settings = lk::UpdateTrackSettings {
        track_sids: vec!["TR_50".into()],
        quality: lk::VideoQuality::High as i32,
        fps: 15,
        ..Default::default()
    };
    assert_eq!(client.ask(Request::TrackSetting(settings.clone())), [want(Some(2))]);
    assert_eq!(client.state.subscriptions["TR_50"].preference.temporal_max, 1);
    settings.disabled = true;
    assert_eq!(client.ask(Request::TrackSetting(settings)), [want(None)]);
}

#[test]
fn broken_candidates_are_ignored() {
    let mut client = Client::v1();
    for text in ["{", "", "{\"candidate\":\"\"}"] {
        let trickle = lk::TrickleRequest { candidate_init: text.into(), ..Default::default() };
        assert!(client.ask(Request::Trickle(trickle)).is_empty());
    }
}
