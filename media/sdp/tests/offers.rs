//! Each rule of the server's offers and of the answers to them.

use super::fixtures::*;
use crate::codec::{Codec, Kind};
use crate::id::TrackKey;
use crate::sdp::{CodecPolicy, Offerer, SdpError, SubscribedTrack, validate_local};

/// What a client answers: everything offered, received.
pub(super) fn answer_to(offer: &str) -> String {
    offer
        .replace("a=setup:actpass", "a=setup:active")
        .replace("a=ice-ufrag:srv1", "a=ice-ufrag:client")
        .replace("a=ice-lite\r\n", "")
        .replace("a=sendonly", "a=recvonly")
        .split_inclusive("\r\n")
        .filter(|line| !["a=msid:", "a=ssrc", "a=candidate", "a=end-of"].iter().any(|own| line.starts_with(own)))
        .collect()
}

fn offerer() -> Offerer {
    let mut o = Offerer::new(policy());
    o.force();
    o
}

#[test]
fn the_first_offer_has_data_first_and_the_tracks_known_by_then() {
    let mut o = offerer();
    o.subscribe(SubscribedTrack { stereo: true, ..subscribed(1, Kind::Audio) });
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f";
    o.subscribe(SubscribedTrack { codecs: vec![(Codec::H264, h264.to_owned())], ..subscribed(2, Kind::Video) });
    o.subscribe(SubscribedTrack { codecs: vec![(Codec::Vp9, String::new())], ..subscribed(3, Kind::Video) });
    let text = o.create_offer(&local()).unwrap();
    validate_local(&text).unwrap();
    assert!(lines(&text, "0")[0].starts_with("m=application 9") && has(&text, "0", "a=setup:actpass"));
    assert_eq!(lines(&text, "1")[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111 63");
    assert!(has(&text, "1", "a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1") && has(&text, "1", "a=sendonly"));
    assert_eq!(lines(&text, "2")[0], "m=video 9 UDP/TLS/RTP/SAVPF 102 103");
    assert_eq!(lines(&text, "3")[0], "m=video 9 UDP/TLS/RTP/SAVPF 98 99");
    let descriptor = |mid| lines(&text, mid).iter().any(|line| line.contains("dependency-descriptor"));
    assert!(descriptor("3") && !descriptor("2") && has(&text, "2", "a=msid:PA_x|s2 TR_2"));
    assert!(!text.contains("playout-delay") && !text.contains("rtp-stream-id"));
    assert_eq!(o.mid_to_track_id().into_values().collect::<Vec<_>>(), ["TR_1", "TR_2", "TR_3"]);
    let n = o.apply_answer(&answer_to(&text)).unwrap();
    assert_eq!((n.senders.len(), n.mid_to_track_id.len(), n.data), (3, 3, true));
    assert_eq!((n.senders[1].payloads[0].pt, n.senders[1].payloads[0].rtx_pt), (102, Some(103)));
    assert_eq!(
        (n.extensions.mid, n.extensions.transport_cc, n.extensions.dependency_descriptor),
        (Some(4), Some(3), Some(12))
    );
}

#[test]
fn one_offer_is_unanswered_at_a_time() {
    let mut o = offerer();
    assert!(o.apply_answer("v=0\r\n").is_err());
    let first = o.create_offer(&local()).unwrap();
    o.subscribe(subscribed(1, Kind::Video));
    assert_eq!(o.create_offer(&local()), None);
    o.apply_answer(&answer_to(&first)).unwrap();
    let second = o.create_offer(&local()).unwrap();
    assert!(has(&second, "1", "a=sendonly") && second.contains(" 3 IN IP4"));
    o.apply_answer(&answer_to(&second)).unwrap();
    assert_eq!(o.create_offer(&local()), None);
    o.force();
    assert!(o.create_offer(&local()).is_some());
    o.abandon();
    assert!(o.create_offer(&local()).is_some());
}

#[test]
fn an_ended_section_is_inactive_once_and_then_used_again() {
    let mut o = offerer();
    o.subscribe(subscribed(1, Kind::Video));
    let first = o.create_offer(&local()).unwrap();
    // Ended while the offer is under way, and another one wanted.
    o.unsubscribe(TrackKey(1));
    o.subscribe(subscribed(2, Kind::Video));
    assert!(o.apply_answer(&answer_to(&first)).unwrap().senders.is_empty());
    let second = o.create_offer(&local()).unwrap();
    assert!(has(&second, "1", "a=inactive") && has(&second, "2", "a=msid:PA_x|s2 TR_2"));
    o.apply_answer(&answer_to(&second)).unwrap();
    o.subscribe(subscribed(3, Kind::Video));
    o.subscribe(subscribed(4, Kind::Audio));
    let third = o.create_offer(&local()).unwrap();
    assert!(has(&third, "1", "a=msid:PA_x|TR_3 TR_3") && has(&third, "3", "a=msid:PA_x|s4 TR_4"));
    assert_eq!(o.apply_answer(&answer_to(&third)).unwrap().senders.len(), 3);
}

#[test]
fn a_refused_section_leaves_the_subscription_unplaced_and_is_never_used_again() {
    let mut o = offerer();
    o.subscribe(subscribed(1, Kind::Video));
    o.subscribe(subscribed(2, Kind::Audio));
    let text = o.create_offer(&local()).unwrap();
    let answer = answer_to(&text).replace("m=video 9", "m=video 0").replace("BUNDLE 0 1 2", "BUNDLE 0 2");
    let n = o.apply_answer(&answer).unwrap();
    assert_eq!((n.senders.len(), o.incompatible()), (1, vec![TrackKey(1)]));
    o.subscribe(subscribed(3, Kind::Video));
    let next = o.create_offer(&local()).unwrap();
    assert!(lines(&next, "1")[0].starts_with("m=video 0 ") && has(&next, "3", "a=sendonly"));
    assert!(next.contains("a=group:BUNDLE 0 2 3\r\n"));
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_the_offer_stays() {
    let mut o = offerer();
    o.subscribe(subscribed(1, Kind::Video));
    let text = o.create_offer(&local()).unwrap();
    let good = answer_to(&text);
    let passive = good.replace("setup:active", "setup:passive");
    assert_eq!(o.apply_answer(&passive).unwrap_err(), SdpError::UnsupportedSetup);
    for bad in [
        good.replace("a=mid:1", "a=mid:x"),
        good.replace("m=video", "m=audio"),
        good.split("m=video").next().unwrap().into(),
    ] {
        assert!(matches!(o.apply_answer(&bad), Err(SdpError::Mismatch { .. })));
    }
    assert_eq!(o.apply_answer(&good).unwrap().senders.len(), 1);
}

#[test]
fn a_codec_that_is_not_enabled_is_not_offered() {
    let mut o = Offerer::new(CodecPolicy { enabled: vec![Codec::Opus] });
    o.subscribe(subscribed(1, Kind::Video));
    o.force();
    assert_eq!(o.create_offer(&local()).unwrap().matches("\r\nm=").count(), 1);
    assert_eq!(o.incompatible(), [TrackKey(1)]);
}
