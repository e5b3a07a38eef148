//! Own tracks: from AddTrack to what the room hears.

use super::*;

#[test]
fn a_track_is_published_before_its_answer_and_announced_with_its_first_packet() {
    let mut client = Client::v1();
    let info = client.publish(microphone());
    assert!(info.sid.starts_with("TR_AM") && info.stream == "camera");
    let seen = client.offer(&offer("aaaa", Some("mic")));
    assert_eq!(seen[..3], [Seen::Media("remote"), Seen::Media("receivers"), Seen::Media("senders")]);
    let Some(Seen::Send(Message::Answer(answer))) = seen.last() else { panic!("{seen:?}") };
    assert_eq!(answer.id, 4);
    let key = client.state.tracks[&info.sid].key;
    let event = MediaEvent::LayerStarted { peer: PUBLISHER, track: key, codec: Codec::Opus, layer: 0, ssrc: 9 };
    client.state.handle_media(event, client.now);
    let seen = client.seen();
    let Some(Seen::Room(FromParticipant::TrackChanged(facts))) = seen.first() else { panic!("{seen:?}") };
    assert_eq!((facts.info.mid.as_str(), facts.info.mime_type.as_str()), ("0", "audio/opus"));
    assert!(facts.info.version.is_some());
}

#[test]
fn a_muted_track_is_announced_by_its_section() {
    let mut client = Client::v1();
    client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    let seen = client.offer(&offer("aaaa", Some("mic")));
    assert!(seen.contains(&Seen::Media("muted")));
    assert!(
        seen.iter().any(|seen| matches!(seen, Seen::Room(FromParticipant::TrackChanged(facts)) if facts.info.muted))
    );
}

#[test]
fn a_section_that_ends_unpublishes_its_track_and_lets_the_queued_one_in() {
    let mut client = Client::v1();
    let info = client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    client.offer(&offer("aaaa", Some("mic")));
    let seen = client.ask(Request::AddTrack(microphone()));
    let queued = |response: &lk::RequestResponse| response.reason == lk::request_response::Reason::Queued as i32;
    assert!(matches!(&seen[..], [Seen::Send(Message::RequestResponse(response))] if queued(response)));
    let seen = client.offer(&offer("aaaa", None));
    assert!(seen.contains(&Seen::Room(FromParticipant::TrackUnpublished { track_sid: info.sid.clone() })));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Send(Message::TrackPublished(_)))), "the queued one");
    assert!(!client.state.tracks.contains_key(&info.sid));
}

#[test]
fn an_announcement_that_is_repeated_keeps_its_sid() {
    let mut client = Client::v1();
    let first = client.publish(microphone());
    assert_eq!(client.publish(microphone()).sid, first.sid);
}

#[test]
fn forbidden_and_too_many_tracks_are_refused_with_their_request() {
    let mut client = Client::v1();
    client.state.permission.can_publish_sources = vec![lk::TrackSource::Camera as i32];
    let refusal = |seen: Vec<Seen>| match &seen[..] {
        [Seen::Send(Message::RequestResponse(response))] if response.request.is_some() => response.reason,
        other => panic!("{other:?}"),
    };
    let not_allowed = lk::request_response::Reason::NotAllowed as i32;
    assert_eq!(refusal(client.ask(Request::AddTrack(microphone()))), not_allowed);
    client.state.permission.can_publish_sources.clear();
    for cid in 0..20 {
        client.publish(lk::AddTrackRequest { cid: cid.to_string(), ..microphone() });
    }
    let over = refusal(client.ask(Request::AddTrack(microphone())));
    assert_eq!(over, lk::request_response::Reason::LimitExceeded as i32);
    let data = client.ask(Request::PublishDataTrackRequest(lk::PublishDataTrackRequest::default()));
    assert_eq!(refusal(data), not_allowed);
}

#[test]
fn a_lost_permission_to_publish_takes_the_track_away() {
    let mut client = Client::v1();
    let info = client.publish(lk::AddTrackRequest { muted: true, ..microphone() });
    client.offer(&offer("aaaa", Some("mic")));
    let permission = Box::new(lk::ParticipantPermission { can_subscribe: true, ..Default::default() });
    client.state.handle_room(ToParticipant::PermissionChanged(permission), client.now);
    let seen = client.seen();
    let gone = lk::TrackUnpublishedResponse { track_sid: info.sid.clone() };
    assert!(seen.contains(&Seen::Send(Message::TrackUnpublished(gone))));
    assert!(seen.contains(&Seen::Room(FromParticipant::TrackUnpublished { track_sid: info.sid })));
}
