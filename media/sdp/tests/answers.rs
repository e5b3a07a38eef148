//! Each rule of an answer.

use super::fixtures::*;
use crate::codec::{Codec, Kind, Setup};
use crate::id::TrackKey;
use crate::sdp::{Answerer, CodecPolicy, SdpError, SubscribedTrack, validate_local};

fn answerer(single: bool) -> Answerer {
    Answerer::new(policy(), single)
}

#[test]
fn a_camera_with_three_layers_is_answered_with_the_clients_numbers() {
    let mut a = answerer(false);
    a.publish(published(7, Kind::Video, "cam"));
    let (text, n) =
        a.apply_offer(&local(), &offer(&[part("application", 0, "sendrecv"), Part::camera(1, "cam")])).unwrap();
    validate_local(&text).unwrap();
    assert!(lines(&text, "1")[0].starts_with("m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 108 109 112 113 98 99 45 46"));
    assert!(
        has(&text, "1", "a=recvonly") && has(&text, "1", "a=simulcast:recv q;h;f") && has(&text, "1", "a=rid:q recv")
    );
    assert!(has(&text, "1", "a=fmtp:112 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"));
    assert!(
        !text.contains("goog-remb")
            && has(&text, "1", "a=rtcp-fb:96 nack pli")
            && has(&text, "1", "a=rtcp-fb:96 ccm fir")
    );
    assert!(has(&text, "0", "a=sctp-port:5000") && text.contains("a=ice-lite") && has(&text, "0", "a=setup:passive"));
    assert!(text.contains("192.0.2.1 7882 typ host") && text.contains("a=end-of-candidates"));
    assert_eq!(n.receivers[0].rids, ["q", "h", "f"]);
    assert_eq!((n.receivers[0].payloads[0].pt, n.receivers[0].payloads[0].rtx_pt), (96, Some(97)));
    assert!(n.receivers[0].payloads[0].nack && n.data && !n.ice_restart);
    assert_eq!(n.published[0].codecs, [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1]);
    assert_eq!((n.extensions.mid, n.extensions.rid, n.extensions.repaired_rid), (Some(4), Some(10), Some(11)));
    assert_eq!((n.extensions.dependency_descriptor, n.extensions.transport_cc), (Some(12), Some(3)));
    assert_eq!((n.remote.setup, n.remote.sctp_port), (Setup::Active, Some(5000)));
}

#[test]
fn the_old_rid_names_are_sorted_lowest_first_and_answered_in_the_clients_order() {
    let mut a = answerer(false);
    a.publish(published(7, Kind::Video, "cam"));
    let camera = part("video", 0, "sendonly").with("a=msid:s cam").with("a=rid:0 send").with("a=rid:1 send");
    let camera = camera.with("a=rid:2 send").with("a=simulcast:send 0,9;1;~2");
    let (text, n) = a.apply_offer(&local(), &offer(&[camera])).unwrap();
    assert_eq!(n.receivers[0].rids, ["2", "1", "0"]);
    assert!(has(&text, "0", "a=simulcast:recv 0;1;2"));
}

#[test]
fn simulcast_by_ssrc_group_is_told_lowest_first_with_retransmissions() {
    let mut a = answerer(false);
    a.publish(published(7, Kind::Video, "cam"));
    let mut camera = part("video", 0, "sendonly").with("a=ssrc-group:SIM 11 12 13").with("a=ssrc-group:FID 11 21");
    camera = camera.with("a=ssrc-group:FID 12 22").with("a=ssrc-group:FID 13 23").with("a=ssrc:11 cname:x");
    camera = camera.with("a=ssrc:11 msid:stream cam").with("a=ssrc:12 cname:x").with("a=ssrc:21 cname:x");
    let n = a.apply_offer(&local(), &offer(&[camera])).unwrap().1;
    assert_eq!(n.receivers[0].ssrcs, [(11, Some(21)), (12, Some(22)), (13, Some(23))]);
    assert_eq!(n.published[0].sdp_cid, "cam");
}

#[test]
fn the_python_wheel_gets_its_own_meaning_of_payload_103() {
    let mut a = answerer(true);
    a.publish(published(7, Kind::Video, "track"));
    let text = offer(&[part("video", 0, "sendonly").with("a=msid:- track")])
        .replace("96 97 102 103 108 109 45 46 98 99 100 101 112 113 118 120", "96 97 103 104 45 46 119")
        .replace("a=rtpmap:102 H264/90000", "a=rtpmap:103 H264/90000")
        .replace("a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n", "a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n")
        .replace("a=fmtp:102 ", "a=fmtp:103 ");
    let (answer, n) = a.apply_offer(&local(), &text).unwrap();
    let h264 = n.receivers[0].payloads.iter().find(|p| p.codec == Codec::H264).unwrap();
    assert_eq!((h264.pt, h264.rtx_pt), (103, Some(104)));
    assert!(has(&answer, "0", "a=rtpmap:103 H264/90000") && has(&answer, "0", "a=rtcp-fb:96 goog-remb"));
    assert_eq!(n.published[0].sdp_cid, "track");
}

#[test]
fn opus_is_adjusted_to_the_track_and_red_comes_first_where_allowed() {
    let mut a = answerer(false);
    a.publish(published(1, Kind::Audio, "mic"));
    let mut other = published(2, Kind::Audio, "music");
    (other.dtx, other.stereo, other.red) = (false, true, false);
    a.publish(other);
    let mic = part("audio", 0, "sendonly").with("a=msid:- mic");
    let music = part("audio", 1, "sendonly").with("a=msid:- music");
    let (text, n) = a.apply_offer(&local(), &offer(&[mic, music, part("audio", 2, "sendonly")])).unwrap();
    assert_eq!(lines(&text, "0")[0], "m=audio 9 UDP/TLS/RTP/SAVPF 63 111");
    assert!(has(&text, "0", "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1"));
    assert_eq!(lines(&text, "1")[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111");
    assert!(has(&text, "1", "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000"));
    assert!(has(&text, "1", "a=rtcp-fb:111 nack") && has(&text, "1", "a=rtcp-fb:111 transport-cc"));
    assert!(has(&text, "2", "a=recvonly") && n.published.len() == 2);
    assert_eq!(n.published[0].codecs, [Codec::Red, Codec::Opus]);
}

#[test]
fn a_section_without_a_track_is_taken_and_matched_when_the_track_is_announced() {
    let mut a = answerer(false);
    let (text, n) = a.apply_offer(&local(), &offer(&[Part::camera(0, "cam")])).unwrap();
    assert!(has(&text, "0", "a=recvonly") && n.receivers.is_empty());
    a.publish(published(3, Kind::Audio, "mic"));
    assert!(a.current().unwrap().published.is_empty());
    a.publish(published(4, Kind::Video, "cam"));
    let now = a.current().unwrap();
    assert_eq!((now.published[0].track, now.receivers[0].rids.len()), (TrackKey(4), 3));
}

#[test]
fn a_foreign_client_id_takes_the_first_waiting_track_until_its_own_track_comes() {
    let mut a = answerer(false);
    a.publish(published(1, Kind::Video, "first"));
    let n = a.apply_offer(&local(), &offer(&[part("video", 0, "sendonly").with("a=msid:- other")])).unwrap().1;
    assert_eq!((n.published[0].track, n.published[0].sdp_cid.as_str()), (TrackKey(1), "other"));
    a.publish(published(2, Kind::Video, "other"));
    let now = a.current().unwrap();
    assert_eq!((now.published.len(), now.published[0].track), (1, TrackKey(2)));
    let both =
        offer(&[part("video", 0, "sendonly").with("a=msid:- other"), part("video", 1, "sendonly").with("a=msid:- x")]);
    let n = a.apply_offer(&local(), &both).unwrap().1;
    assert_eq!(n.published.iter().map(|p| p.track.0).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_backup_codec_is_a_second_section_of_the_same_track_with_its_codec_first() {
    let mut a = answerer(false);
    let mut track = published(1, Kind::Video, "main");
    track.codec_cids = vec![(Codec::Av1, "main".to_owned()), (Codec::H264, "backup".to_owned())];
    a.publish(track);
    let parts =
        [part("video", 0, "sendonly").with("a=msid:- main"), part("video", 1, "sendonly").with("a=msid:- backup")];
    let n = a.apply_offer(&local(), &offer(&parts)).unwrap().1;
    assert_eq!(
        n.receivers.iter().map(|r| (r.mid.as_str(), r.track)).collect::<Vec<_>>(),
        [("0", TrackKey(1)), ("1", TrackKey(1))]
    );
    assert_eq!((n.published[0].codecs[0], n.published[1].codecs[0]), (Codec::Av1, Codec::H264));
}

#[test]
fn a_section_that_turns_inactive_leaves_the_tables_and_its_track_takes_no_other() {
    let mut a = answerer(false);
    a.publish(published(1, Kind::Video, "cam"));
    a.apply_offer(&local(), &offer(&[Part::camera(0, "cam")])).unwrap();
    let parts = [part("video", 0, "inactive"), part("video", 1, "sendonly").with("a=msid:- screen")];
    let (text, n) = a.apply_offer(&local(), &offer(&parts)).unwrap();
    assert!(has(&text, "0", "a=inactive") && n.published.is_empty() && n.receivers.is_empty());
    let n = a.apply_offer(&local(), &offer(&[Part::camera(0, "cam")])).unwrap().1;
    assert_eq!(n.published[0].track, TrackKey(1));
}

#[test]
fn an_unpublished_track_answers_inactive_until_it_is_announced_again() {
    let mut a = answerer(false);
    a.publish(published(1, Kind::Video, "cam"));
    let text = offer(&[Part::camera(0, "cam")]);
    a.apply_offer(&local(), &text).unwrap();
    a.unpublish(TrackKey(1));
    a.publish(published(2, Kind::Video, "other"));
    assert!(a.current().unwrap().receivers.is_empty());
    assert!(has(&a.apply_offer(&local(), &text).unwrap().0, "0", "a=inactive"));
    a.publish(published(1, Kind::Video, "cam"));
    assert!(has(&a.apply_offer(&local(), &text).unwrap().0, "0", "a=recvonly"));
}

#[test]
fn the_first_single_answer_echoes_stream_ids_in_every_video_section() {
    let (text, n) = answerer(true).apply_offer(&local(), &offer(&first_v1())).unwrap();
    for mid in ["3", "4", "5"] {
        assert!(has(&text, mid, "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"));
        assert!(has(&text, mid, "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"));
        assert!(has(&text, mid, "a=inactive"));
    }
    assert_eq!(text.matches("\r\nm=").count(), 7);
    assert!(n.senders.is_empty() && n.data);
}

#[test]
fn subscriptions_take_free_sections_and_say_their_msid_once() {
    let mut a = answerer(true);
    a.subscribe(subscribed(1, Kind::Audio));
    a.subscribe(SubscribedTrack { stream_id: "PA_x|my cam\r\na=x".to_owned(), ..subscribed(2, Kind::Video) });
    assert_eq!(a.sections_requirement(), None);
    let (text, n) = a.apply_offer(&local(), &offer(&first_v1())).unwrap();
    assert_eq!(
        n.mid_to_track_id.iter().map(|(m, t)| (m.as_str(), t.as_str())).collect::<Vec<_>>(),
        [("0", "TR_1"), ("3", "TR_2")]
    );
    assert!(
        has(&text, "0", "a=sendonly")
            && has(&text, "0", "a=msid:PA_x|s1 TR_1")
            && has(&text, "0", "a=ssrc:11 cname:PA_x|s1")
    );
    assert!(has(&text, "3", "a=msid:PA_x|my_cam__a_x TR_2") && has(&text, "3", "a=ssrc-group:FID 21 22"));
    assert_eq!(n.senders[1].payloads.iter().map(|p| (p.pt, p.rtx_pt)).collect::<Vec<_>>(), [(96, Some(97))]);
    let again = a.apply_offer(&local(), &offer(&first_v1())).unwrap();
    assert_eq!(again.1.senders, n.senders);
    assert!(again.0.contains(" 3 IN IP4") && text.contains(" 2 IN IP4"));
}

#[test]
fn only_missing_sections_are_asked_for_and_only_once() {
    let mut a = answerer(true);
    let mut parts = first_v1();
    a.apply_offer(&local(), &offer(&parts)).unwrap();
    assert_eq!(a.sections_requirement(), None);
    (1..=5).for_each(|track| a.subscribe(subscribed(track, Kind::Video)));
    assert_eq!(a.sections_requirement(), Some((0, 2)));
    assert_eq!(a.sections_requirement(), None);
    a.subscribe(subscribed(6, Kind::Audio));
    assert_eq!(a.sections_requirement(), None);
    a.subscribe(subscribed(7, Kind::Video));
    assert_eq!(a.sections_requirement(), Some((0, 1)));
    // An offer that crossed the request brings nothing new, yet places what fits.
    let n = a.apply_offer(&local(), &offer(&parts)).unwrap().1;
    assert_eq!((n.senders.len(), n.unplaced), (4, (0, 3)));
    assert_eq!(a.sections_requirement(), None);
    parts.extend((7..10).map(|mid| part("video", mid, "recvonly")));
    let n = a.apply_offer(&local(), &offer(&parts)).unwrap().1;
    assert_eq!((n.senders.len(), n.unplaced, n.mid_to_track_id.len()), (7, (0, 0), 7));
    assert_eq!(a.sections_requirement(), None);
}

#[test]
fn a_freed_section_is_inactive_for_one_answer_before_the_next_track() {
    let mut a = answerer(true);
    let parts = [part("video", 0, "recvonly")];
    a.subscribe(subscribed(1, Kind::Video));
    a.apply_offer(&local(), &offer(&parts)).unwrap();
    a.unsubscribe(TrackKey(1));
    a.subscribe(subscribed(2, Kind::Video));
    assert_eq!(a.sections_requirement(), Some((0, 0)));
    let (text, n) = a.apply_offer(&local(), &offer(&parts)).unwrap();
    assert!(has(&text, "0", "a=inactive") && !text.contains("a=msid:") && n.unplaced == (0, 1));
    assert_eq!(a.sections_requirement(), Some((0, 0)));
    let (text, n) = a.apply_offer(&local(), &offer(&parts)).unwrap();
    assert!(has(&text, "0", "a=msid:PA_x|s2 TR_2") && n.unplaced == (0, 0));
    assert_eq!(a.sections_requirement(), None);
}

#[test]
fn a_codec_that_the_client_lacks_is_reported_and_asks_for_no_sections() {
    let mut a = answerer(true);
    a.subscribe(SubscribedTrack { codecs: vec![(Codec::H265, String::new())], ..subscribed(1, Kind::Video) });
    let n = a.apply_offer(&local(), &offer(&first_v1())).unwrap().1;
    assert!(n.senders.is_empty() && a.incompatible() == [TrackKey(1)]);
    assert_eq!(a.sections_requirement(), None);
}

#[test]
fn h264_of_the_publisher_finds_the_nearest_profile_of_the_subscriber() {
    for (fmtp, pt) in [
        ("packetization-mode=0;profile-level-id=42e01f", 108),
        ("packetization-mode=1;profile-level-id=42001f", 102),
        ("packetization-mode=1;profile-level-id=640c1f", 112),
    ] {
        let mut a = answerer(true);
        a.subscribe(SubscribedTrack { codecs: vec![(Codec::H264, fmtp.to_owned())], ..subscribed(1, Kind::Video) });
        let n = a.apply_offer(&local(), &offer(&first_v1())).unwrap().1;
        let pts: Vec<u8> = n.senders[0].payloads.iter().map(|p| p.pt).collect();
        assert!(pts == [pt] || fmtp.contains("640c"), "{fmtp}: {pts:?}");
    }
}

#[test]
fn red_of_the_publisher_brings_opus_and_stereo_is_said() {
    let mut a = answerer(true);
    let red = vec![(Codec::Red, String::new())];
    a.subscribe(SubscribedTrack { codecs: red, stereo: true, ..subscribed(1, Kind::Audio) });
    let (text, n) = a.apply_offer(&local(), &offer(&first_v1())).unwrap();
    assert_eq!(n.senders[0].payloads.iter().map(|p| p.pt).collect::<Vec<_>>(), [63, 111]);
    assert!(has(&text, "0", "a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1"));
}

#[test]
fn what_cannot_be_carried_is_rejected_in_its_place() {
    let mut a = Answerer::new(CodecPolicy { enabled: vec![Codec::Opus] }, false);
    let parts = [part("video", "v", "sendonly"), part("audio", "a", "rejected"), part("audio", "b", "sendonly")];
    let text = offer(&parts).replace("a=group:BUNDLE v a b", "a=group:BUNDLE v b");
    let (answer, n) = a.apply_offer(&local(), &text).unwrap();
    assert!(lines(&answer, "v")[0].starts_with("m=video 0 ") && lines(&answer, "a")[0].starts_with("m=audio 0 "));
    assert!(answer.contains("a=group:BUNDLE b\r\n") && answer.matches("\r\nm=").count() == 3);
    assert!(lines(&answer, "b").iter().any(|line| line.starts_with("a=candidate:")) && !n.data);
    let outside = offer(&parts).replace("a=group:BUNDLE v a b", "a=group:BUNDLE v");
    assert!(lines(&a.apply_offer(&local(), &outside).unwrap().0, "b")[0].starts_with("m=audio 0 "));
}

#[test]
fn bundle_only_sections_with_port_0_are_wanted() {
    let text = offer(&[part("audio", 0, "sendonly"), part("video", 1, "sendonly").with("a=bundle-only")]);
    let text = text.replace("m=video 9", "m=video 0");
    let answer = answerer(false).apply_offer(&local(), &text).unwrap().0;
    assert!(lines(&answer, "1")[0].starts_with("m=video 9 "));
}

#[test]
fn new_remote_credentials_are_an_ice_restart() {
    let mut a = answerer(false);
    let parts = [part("audio", 0, "sendonly")];
    assert!(!a.apply_offer(&local(), &offer(&parts)).unwrap().1.ice_restart);
    assert!(!a.apply_offer(&local(), &offer(&parts)).unwrap().1.ice_restart);
    assert!(a.apply_offer(&local(), &offer_with(&parts, "new1", "active")).unwrap().1.ice_restart);
}

#[test]
fn a_bad_offer_changes_nothing() {
    let mut a = answerer(true);
    a.subscribe(subscribed(1, Kind::Audio));
    a.apply_offer(&local(), &offer(&first_v1())).unwrap();
    let passive = a.apply_offer(&local(), &offer_with(&first_v1(), "kPzC", "passive"));
    assert_eq!(passive.unwrap_err(), SdpError::UnsupportedSetup);
    let sha1 = offer(&first_v1()).replace("sha-256", "sha-1");
    assert!(
        matches!(a.apply_offer(&local(), &sha1).unwrap_err(), SdpError::Missing { what } if what.contains("sha-256"))
    );
    let no_ice = offer(&first_v1()).replace("a=ice-ufrag", "a=x-ufrag");
    assert!(matches!(a.apply_offer(&local(), &no_ice), Err(SdpError::Missing { .. })));
    assert!(a.apply_offer(&local(), "v=0\r\n").is_err());
    assert_eq!(a.current().unwrap().senders.len(), 1);
}

#[test]
fn extension_ids_that_differ_between_sections_are_answered_once() {
    let text = offer(&[part("audio", 0, "sendonly"), part("video", 1, "sendonly")]);
    let (head, tail) = text.split_once("m=video").unwrap();
    let text = format!("{head}m=video{}", tail.replace("a=extmap:4 ", "a=extmap:9 "));
    let (answer, n) = answerer(false).apply_offer(&local(), &text).unwrap();
    assert_eq!(n.extensions.mid, Some(4));
    assert!(!answer.contains("a=extmap:9 "));
}

/// Captured from Chromium 156: three receiving sections of each kind, data, a camera by rid and a microphone.
const CHROMIUM: &str = include_str!("chromium.sdp");

#[test]
fn a_real_offer_of_chromium_is_answered() {
    let mut a = answerer(true);
    let mut camera = published(1, Kind::Video, "2c216bcc-f5a1-4dd9-aebd-e4d3db50f759");
    camera.red = false;
    a.publish(camera);
    a.publish(published(2, Kind::Audio, "5647f8ac-f504-4d33-bd94-692561d2c2d9"));
    (3..6).for_each(|track| a.subscribe(subscribed(track, Kind::Video)));
    let (text, n) = a.apply_offer(&local(), CHROMIUM).unwrap();
    validate_local(&text).unwrap();
    assert_eq!(text.matches("\r\nm=").count(), 9);
    assert!(
        has(&text, "7", "a=simulcast:recv q;h;f") && has(&text, "7", "a=recvonly") && has(&text, "8", "a=recvonly")
    );
    assert_eq!(n.published.iter().map(|p| p.track.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(n.mid_to_track_id.keys().collect::<Vec<_>>(), ["3", "4", "5"]);
    assert_eq!((n.extensions.mid, n.extensions.rid, n.receivers[1].ssrcs.len()), (Some(4), Some(10), 1));
    assert!(n.published[0].codecs.starts_with(&[Codec::Vp8, Codec::H264]) && n.data && n.unplaced == (0, 0));
}
