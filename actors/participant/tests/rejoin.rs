//! Subscriptions of clients that were told to join anew.

use super::*;
use crate::limits;

/// Whether anything was said to the room of the wish for a track.
fn is_wanted(seen: &[Seen], wanted: &str) -> bool {
    seen.iter().any(|seen| matches!(seen, Seen::Room(FromParticipant::Want { track_sid, .. }) if track_sid == wanted))
}

fn rejoined() -> Client {
    let (state, now) = Client::state(false, None, true);
    let mut client = Client { state, now };
    client.seen();
    client
}

fn subscribe(client: &mut Client, key: u64) -> Vec<Seen> {
    client.state.handle_room(ToParticipant::Subscribe(Box::new(bobs(key, Kind::Video))), client.now);
    client.seen()
}

fn connect(client: &mut Client) {
    client.state.handle_media(MediaEvent::PeerConnected { peer: PUBLISHER }, client.now);
    client.seen();
}

#[test]
fn a_client_told_to_join_anew_is_sent_tracks_after_it_has_stopped_counting_as_reconnecting() {
    let mut client = rejoined();
    assert!(!is_wanted(&subscribe(&mut client, 50), "TR_50"));
    client.pass(Duration::from_secs(1));
    connect(&mut client);
    let almost = limits::REJOIN_SUBSCRIPTION_WAIT - Duration::from_millis(1_001);
    assert!(!is_wanted(&client.pass(almost), "TR_50"), "too early");
    assert!(is_wanted(&client.pass(Duration::from_millis(1)), "TR_50"));
    assert!(is_wanted(&subscribe(&mut client, 51), "TR_51"), "nothing waits any more");
}

#[test]
fn a_late_connection_is_waited_for_and_a_little_longer() {
    let mut client = rejoined();
    subscribe(&mut client, 50);
    assert!(!is_wanted(&client.pass(Duration::from_secs(5)), "TR_50"), "not connected");
    connect(&mut client);
    assert_eq!(client.state.waiting_deadline(), Some(client.now + limits::REJOIN_CONNECTED_WAIT));
    assert!(is_wanted(&client.pass(limits::REJOIN_CONNECTED_WAIT), "TR_50"));
}

#[test]
fn what_ends_or_changes_while_it_waits_is_not_sent_as_it_was() {
    let mut client = rejoined();
    connect(&mut client);
    subscribe(&mut client, 50);
    subscribe(&mut client, 51);
    client.state.handle_room(ToParticipant::Unsubscribe { track_sid: "TR_50".into() }, client.now);
    let mut changed = bobs(51, Kind::Video);
    changed.codecs = vec![(Codec::H264, String::new())];
    changed.info.mime_type = Codec::H264.mime();
    client.state.handle_room(ToParticipant::TrackChanged(Box::new(changed)), client.now);
    let seen = client.pass(limits::REJOIN_SUBSCRIPTION_WAIT);
    assert!(!is_wanted(&seen, "TR_50") && is_wanted(&seen, "TR_51"));
    assert_eq!(client.state.subscriptions["TR_51"].codec, "h264");
}

#[test]
fn others_are_sent_tracks_at_once() {
    let mut client = Client::v1();
    assert!(is_wanted(&subscribe(&mut client, 50), "TR_50"));
}
