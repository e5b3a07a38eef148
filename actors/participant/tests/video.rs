//! Video tracks: layers, codecs, and what others are told of them.

use super::*;
use crate::legacy;
use starling_protocol::livekit::video_layer::Mode;

/// A camera of 720p in three layers, as livekit-client announces it.
fn camera(codecs: &[(&str, &str)]) -> lk::AddTrackRequest {
    let layer = |quality, width, height| lk::VideoLayer { quality, width, height, bitrate: 1, ..Default::default() };
    let codec = |(codec, cid): &(&str, &str)| lk::SimulcastCodec {
        codec: (*codec).into(),
        cid: (*cid).into(),
        ..Default::default()
    };
    lk::AddTrackRequest {
        cid: "cam".into(),
        r#type: lk::TrackType::Video as i32,
        source: lk::TrackSource::Camera as i32,
        width: 1280,
        height: 720,
        // High first: the order of a client is not ours.
        layers: vec![layer(2, 1280, 720), layer(1, 640, 360), layer(0, 320, 180)],
        simulcast_codecs: codecs.iter().map(codec).collect(),
        ..Default::default()
    }
}

/// Video sections of a v1 client, each with (mid, cid, payload type, codec, rids).
fn video(sections: &[(&str, &str, u8, &str, &[&str])]) -> String {
    let fingerprint = ["CD"; 32].join(":");
    let mut sdp = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE".to_owned();
    for (mid, ..) in sections {
        sdp += &format!(" {mid}");
    }
    sdp += "\r\n";
    for (mid, cid, payload, codec, rids) in sections {
        sdp += &format!(
            "m=video 9 UDP/TLS/RTP/SAVPF {payload}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:aaaa\r\n\
             a=ice-pwd:0123456789abcdef01234567\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n\
             a=mid:{mid}\r\na=sendonly\r\na=msid:- {cid}\r\na=rtcp-mux\r\na=rtpmap:{payload} {codec}/90000\r\n\
             a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
             a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
        );
        for rid in *rids {
            sdp += &format!("a=rid:{rid} send\r\n");
        }
        if !rids.is_empty() {
            sdp += &format!("a=simulcast:send {}\r\n", rids.join(";"));
        }
    }
    sdp
}

impl Client {
    /// The first packet of a layer; what the room is told of it.
    fn layer(&mut self, sid: &str, codec: Codec, layer: u8, ssrc: u32) -> TrackFacts {
        let track = self.state.tracks[sid].key;
        let event = MediaEvent::LayerStarted { peer: PUBLISHER, track, codec, layer, ssrc };
        self.state.handle_media(event, self.now);
        let seen = self.seen();
        let told = seen.into_iter().find_map(|seen| match seen {
            Seen::Room(FromParticipant::TrackChanged(facts)) => Some(*facts),
            _ => None,
        });
        told.expect("the room hears of each layer")
    }
}

#[test]
fn each_layer_is_told_with_its_rid_and_ssrc() {
    let mut client = Client::v1();
    let info = client.publish(camera(&[("vp8", "cam")]));
    assert!(legacy::is_simulcast(&info) && info.sid.starts_with("TR_VC"));
    assert_eq!((info.width, info.height), (1280, 720));
    client.offer(&video(&[("0", "cam", 96, "VP8", &["q", "h", "f"])]));
    let mut version = None;
    for layer in 0..3 {
        let facts = client.layer(&info.sid, Codec::Vp8, layer, 100 + u32::from(layer));
        let told = facts.info.version.map(|version| (version.unix_micro, version.ticks));
        assert!(told > version, "versions rise");
        version = told;
    }
    let told = client.state.tracks[&info.sid].info.clone();
    assert_eq!((told.mime_type.as_str(), told.mid.as_str()), ("video/VP8", "0"));
    let codec = &told.codecs[0];
    assert_eq!((codec.mime_type.as_str(), codec.mid.as_str(), codec.cid.as_str()), ("video/VP8", "0", "cam"));
    assert_eq!(codec.video_layer_mode, Mode::OneSpatialLayerPerStream as i32);
    for layers in [legacy::layers(&told), &codec.layers] {
        let seen: Vec<_> =
            layers.iter().map(|layer| (layer.quality, layer.width, layer.rid.as_str(), layer.ssrc)).collect();
        assert_eq!(seen, [(0, 320, "q", 100), (1, 640, "h", 101), (2, 1280, "f", 102)]);
    }
}

#[test]
fn a_scalable_codec_carries_its_layers_in_one_stream_unless_sdp_shows_several() {
    for (rids, mode) in
        [(&[][..], Mode::MultipleSpatialLayersPerStream), (&["q", "h", "f"], Mode::OneSpatialLayerPerStream)]
    {
        let mut client = Client::v1();
        let info = client.publish(camera(&[("av1", "cam")]));
        client.offer(&video(&[("0", "cam", 45, "AV1", rids)]));
        let facts = client.layer(&info.sid, Codec::Av1, 0, 100);
        assert_eq!(facts.info.codecs[0].video_layer_mode, mode as i32, "{rids:?}");
    }
}

#[test]
fn one_stream_of_high_quality_has_its_ssrc_in_its_only_layer() {
    let mut client = Client::v1();
    let mut request = camera(&[("vp8", "cam")]);
    request.layers.truncate(1);
    let info = client.publish(request);
    assert!(!legacy::is_simulcast(&info));
    client.offer(&video(&[("0", "cam", 96, "VP8", &[])]));
    let facts = client.layer(&info.sid, Codec::Vp8, 2, 100);
    assert_eq!(legacy::layers(&facts.info)[0].ssrc, 100);
}

#[test]
fn a_new_size_is_told() {
    let mut client = Client::v1();
    let info = client.publish(camera(&[("vp8", "cam")]));
    client.offer(&video(&[("0", "cam", 96, "VP8", &["q", "h", "f"])]));
    client.layer(&info.sid, Codec::Vp8, 0, 100);
    let resize = lk::UpdateLocalVideoTrack { track_sid: info.sid.clone(), width: 640, height: 480 };
    let seen = client.ask(Request::UpdateVideoTrack(resize));
    assert!(
        matches!(&seen[..], [Seen::Room(FromParticipant::TrackChanged(facts))] if (facts.info.width, facts.info.height) == (640, 480))
    );
    let unknown = lk::UpdateLocalVideoTrack { track_sid: "TR_VCnone".into(), ..Default::default() };
    let seen = client.ask(Request::UpdateVideoTrack(unknown));
    let not_found = lk::request_response::Reason::NotFound as i32;
    assert!(matches!(&seen[..], [Seen::Send(Message::RequestResponse(response))] if response.reason == not_found));
}

#[test]
fn a_backup_codec_extends_its_track_and_has_its_own_section_and_layers() {
    let mut client = Client::v1();
    let info = client.publish(camera(&[("av1", "cam"), ("vp8", "")]));
    let mimes: Vec<_> = info.codecs.iter().map(|codec| codec.mime_type.as_str()).collect();
    assert_eq!(mimes, ["video/AV1", "video/VP8"], "the promise of a backup is told");
    client.offer(&video(&[("0", "cam", 45, "AV1", &[])]));
    let facts = client.layer(&info.sid, Codec::Av1, 0, 100);
    assert_eq!(facts.codec_names(), ["av1", "vp8"]);
    assert_eq!(facts.codecs.iter().map(|(codec, _)| *codec).collect::<Vec<_>>(), [Codec::Av1]);
    let backup = lk::AddTrackRequest { sid: info.sid.clone(), cid: "cam2".into(), ..camera(&[("vp8", "cam2")]) };
    let extended = client.publish(backup);
    assert_eq!(extended.sid, info.sid);
    assert_eq!(extended.codecs[1].cid, "cam2");
    client.offer(&video(&[("0", "cam", 45, "AV1", &[]), ("1", "cam2", 96, "VP8", &["q", "h", "f"])]));
    assert_eq!(client.state.tracks.len(), 1, "one track with two sections");
    let facts = client.layer(&info.sid, Codec::Vp8, 1, 201);
    assert_eq!(facts.codecs.iter().map(|(codec, _)| *codec).collect::<Vec<_>>(), [Codec::Av1, Codec::Vp8]);
    let told = facts.info;
    assert_eq!((told.mime_type.as_str(), told.mid.as_str()), ("video/AV1", "0"), "the first codec stays the first");
    assert_eq!(told.codecs[1].mid, "1");
    let backups: Vec<_> = told.codecs[1].layers.iter().map(|layer| (layer.rid.as_str(), layer.ssrc)).collect();
    assert_eq!(backups, [("q", 0), ("h", 201), ("f", 0)]);
    assert_eq!(legacy::layers(&told)[0].ssrc, 100, "layers of the first codec are its own");
    // The backup ends, the track stays.
    let seen = client.offer(&video(&[("0", "cam", 45, "AV1", &[])]));
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Room(FromParticipant::TrackUnpublished { .. }))));
    assert_eq!(client.state.tracks[&info.sid].sections.len(), 1);
}

#[test]
fn a_backup_for_an_unknown_track_is_refused() {
    let mut client = Client::v1();
    let backup = lk::AddTrackRequest { sid: "TR_VCnone".into(), ..camera(&[("vp8", "cam2")]) };
    let seen = client.ask(Request::AddTrack(backup));
    let not_found = lk::request_response::Reason::NotFound as i32;
    assert!(matches!(&seen[..], [Seen::Send(Message::RequestResponse(response))] if response.reason == not_found));
}

#[test]
fn a_subscriber_without_the_first_codec_is_told_so_and_asks_for_the_backup() {
    let mut client = Client::v0();
    let mut facts = bobs(50, Kind::Video);
    let codec = |mime: &str| lk::SimulcastCodecInfo { mime_type: mime.into(), ..Default::default() };
    facts.info.codecs = vec![codec("video/AV1"), codec("video/VP8")];
    facts.codecs = vec![(Codec::Av1, String::new())];
    let key = facts.key;
    client.state.handle_room(ToParticipant::Subscribe(Box::new(facts.clone())), client.now);
    client.seen();
    client.state.refuse_incompatible(&[key]);
    let seen = client.seen();
    let refused =
        lk::SubscriptionResponse { track_sid: "TR_50".into(), err: lk::SubscriptionError::SeCodecUnsupported as i32 };
    let want = FromParticipant::Want { track_sid: "TR_50".into(), codec: "vp8".into(), quality: Some(0) };
    assert_eq!(seen, [Seen::Room(want), Seen::Send(Message::SubscriptionResponse(refused))]);
    facts.codecs.push((Codec::Vp8, String::new()));
    client.state.handle_room(ToParticipant::TrackChanged(Box::new(facts)), client.now);
    assert!(!client.state.subscriptions["TR_50"].refused, "the backup came: it is tried again");
}

#[test]
fn refusals_of_tracks_name_the_limit() {
    let mut client = Client::v1();
    let text = |seen: Vec<Seen>| match &seen[..] {
        [Seen::Send(Message::RequestResponse(response))] => response.message.clone(),
        other => panic!("{other:?}"),
    };
    let long = lk::AddTrackRequest { name: "n".repeat(1_025), ..microphone() };
    assert_eq!(text(client.ask(Request::AddTrack(long))), "track name of 1025 bytes exceeds the limit of 1024");
    for cid in 0..20 {
        client.publish(lk::AddTrackRequest { cid: cid.to_string(), ..microphone() });
    }
    assert_eq!(text(client.ask(Request::AddTrack(microphone()))), "20 tracks are pending, which is the limit");
    let mut config = (*client.state.config).clone();
    config.limits.tracks_per_participant = 20;
    client.state.config = Arc::new(config);
    for track in client.state.tracks.values_mut() {
        track.sections.insert("0".into(), Vec::new());
    }
    let refusal = text(client.ask(Request::AddTrack(microphone())));
    assert_eq!(refusal, "20 tracks are published, which is the limit of a participant");
}
