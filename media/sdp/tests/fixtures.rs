//! Offers as clients write them, and what tests need again and again.

use crate::codec::{Candidate, Codec, IceCredentials, Kind};
use crate::id::TrackKey;
use crate::sdp::{CodecPolicy, LocalTransport, PublishedTrack, SubscribedTrack};
use std::fmt::Write as _;

pub(super) const PRINT: &str =
    "D2:B9:31:8F:DF:24:D8:0E:ED:D2:EF:25:9E:AF:6F:B8:34:AE:53:9C:E6:F3:8F:F2:64:15:FA:E8:7F:53:2D:38";

const VIDEO_EXTENSIONS: &str = "a=extmap:14 urn:ietf:params:rtp-hdrext:toffset\r\n\
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
a=extmap:13 urn:3gpp:video-orientation\r\n\
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/video-content-type\r\n\
a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n";

const AUDIO_EXTENSIONS: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";

const AUDIO_FORMATS: &str = "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n";

/// One section of a fake client.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) media: &'static str,
    pub(super) mid: String,
    pub(super) direction: &'static str,
    /// Lines of its own: msid, rids, …
    pub(super) extra: String,
}

pub(super) fn part(media: &'static str, mid: impl ToString, direction: &'static str) -> Part {
    Part { media, mid: mid.to_string(), direction, extra: String::new() }
}

impl Part {
    pub(super) fn with(mut self, line: &str) -> Self {
        let _ = write!(self.extra, "{line}\r\n");
        self
    }

    pub(super) fn camera(mid: impl ToString, cid: &str) -> Self {
        part("video", mid, "sendonly")
            .with(&format!("a=msid:- {cid}"))
            .with("a=rid:q send")
            .with("a=rid:h send")
            .with("a=rid:f send")
            .with("a=simulcast:send q;~h;f")
    }
}

fn video_formats() -> String {
    let mut text = String::new();
    let list: [(u8, &str, &str); 7] = [
        (96, "VP8", ""),
        (102, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
        (108, "H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
        (45, "AV1", "level-idx=5;profile=0;tier=0"),
        (98, "VP9", "profile-id=0"),
        (100, "VP9", "profile-id=2"),
        (112, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
    ];
    for (pt, name, fmtp) in list {
        let _ = write!(text, "a=rtpmap:{pt} {name}/90000\r\n");
        for message in ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"] {
            let _ = write!(text, "a=rtcp-fb:{pt} {message}\r\n");
        }
        if !fmtp.is_empty() {
            let _ = write!(text, "a=fmtp:{pt} {fmtp}\r\n");
        }
        let rtx = pt + 1;
        let _ = write!(text, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}\r\n");
    }
    text + "a=rtpmap:118 red/90000\r\na=rtpmap:120 ulpfec/90000\r\n"
}

/// An offer in Chromium's manner.
pub(super) fn offer(parts: &[Part]) -> String {
    offer_with(parts, "kPzC", "actpass")
}

pub(super) fn offer_with(parts: &[Part], ufrag: &str, setup: &str) -> String {
    let mids: Vec<&str> = parts.iter().map(|part| part.mid.as_str()).collect();
    let mut text = format!(
        "v=0\r\no=- 5170486402402146101 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
        mids.join(" ")
    );
    for Part { media, mid, direction, extra } in parts {
        let port = if *direction == "rejected" { 0 } else { 9 };
        let formats = match *media {
            "audio" => "UDP/TLS/RTP/SAVPF 111 63 9 0 13 110",
            "video" => "UDP/TLS/RTP/SAVPF 96 97 102 103 108 109 45 46 98 99 100 101 112 113 118 120",
            _ => "UDP/DTLS/SCTP webrtc-datachannel",
        };
        let _ = write!(
            text,
            "m={media} {port} {formats}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:0w8OhNzVl5wC6HjvHBRMQO0q\r\n\
             a=ice-options:trickle\r\na=fingerprint:sha-256 {PRINT}\r\na=setup:{setup}\r\na=mid:{mid}\r\n"
        );
        if *media == "application" {
            text.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n");
            continue;
        }
        text.push_str(if *media == "audio" { AUDIO_EXTENSIONS } else { VIDEO_EXTENSIONS });
        let direction = if *direction == "rejected" { "inactive" } else { direction };
        let _ = write!(text, "a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
        text.push_str(&if *media == "audio" { AUDIO_FORMATS.to_owned() } else { video_formats() });
        text.push_str(extra);
    }
    text
}

/// The first offer of livekit-client over one peer connection: mids 0 to 6.
pub(super) fn first_v1() -> Vec<Part> {
    let mut parts: Vec<Part> = (0..3).map(|mid| part("audio", mid, "recvonly")).collect();
    parts.extend((3..6).map(|mid| part("video", mid, "recvonly")));
    parts.push(part("application", 6, "sendrecv"));
    parts
}

pub(super) fn local() -> LocalTransport {
    let candidate = |tcp, address: &str| Candidate { tcp, address: address.parse().unwrap(), reflexive: false };
    LocalTransport {
        ice: IceCredentials { ufrag: "srv1".to_owned(), pwd: "serverserverserverserver".to_owned() },
        fingerprint: PRINT.to_owned(),
        candidates: vec![candidate(false, "192.0.2.1:7882"), candidate(true, "[2001:db8::1]:7881")],
        local_preference: 1024,
        ice_lite: true,
    }
}

pub(super) fn policy() -> CodecPolicy {
    CodecPolicy { enabled: vec![Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1, Codec::Opus, Codec::Red] }
}

pub(super) fn published(track: u64, kind: Kind, cid: &str) -> PublishedTrack {
    PublishedTrack {
        track: TrackKey(track),
        cid: cid.to_owned(),
        codec_cids: Vec::new(),
        kind,
        dtx: true,
        stereo: false,
        red: true,
    }
}

pub(super) fn subscribed(track: u64, kind: Kind) -> SubscribedTrack {
    let codec = if kind == Kind::Audio { Codec::Opus } else { Codec::Vp8 };
    let ssrc = u32::try_from(track).unwrap() * 10;
    SubscribedTrack {
        track: TrackKey(track),
        track_sid: format!("TR_{track}"),
        stream_id: format!("PA_x|s{track}"),
        kind,
        codecs: vec![(codec, String::new())],
        ssrc: ssrc + 1,
        rtx_ssrc: ssrc + 2,
        stereo: false,
    }
}

/// The lines of the section with this mid.
pub(super) fn lines(sdp: &str, mid: &str) -> Vec<String> {
    let wanted = format!("a=mid:{mid}");
    sdp.split("\r\nm=")
        .skip(1)
        .find(|section| section.lines().any(|line| line == wanted))
        .map(|section| format!("m={section}").lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

pub(super) fn has(sdp: &str, mid: &str, line: &str) -> bool {
    lines(sdp, mid).iter().any(|known| known == line)
}
