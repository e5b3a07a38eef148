//! Entry points for cargo-fuzz: arbitrary bytes as an offer and as an answer.

use crate::codec::{Codec, IceCredentials, Kind};
use crate::id::TrackKey;
use crate::sdp::{Answerer, CodecPolicy, LocalTransport, Offerer, SubscribedTrack};

fn local() -> LocalTransport {
    let ice = IceCredentials { ufrag: "fuzz".to_owned(), pwd: "fuzzfuzzfuzzfuzzfuzzfuzz".to_owned() };
    let fingerprint = ["AB"; 32].join(":");
    LocalTransport { ice, fingerprint, candidates: Vec::new(), local_preference: 1024, ice_lite: true }
}

fn policy() -> CodecPolicy {
    CodecPolicy { enabled: vec![Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1, Codec::Opus, Codec::Red] }
}

fn subscription() -> SubscribedTrack {
    SubscribedTrack {
        track: TrackKey(1),
        track_sid: "TR_fuzz".to_owned(),
        stream_id: "PA_fuzz|camera".to_owned(),
        kind: Kind::Video,
        codecs: vec![(Codec::Vp8, String::new())],
        ssrc: 1,
        rtx_ssrc: 2,
        stereo: false,
    }
}

/// Answers the bytes as an offer, twice.
pub fn fuzz_offer(data: &[u8]) {
    let mut answerer = Answerer::new(policy(), true);
    answerer.subscribe(subscription());
    let text = String::from_utf8_lossy(data);
    for _ in 0..2 {
        let _ = answerer.apply_offer(&local(), &text);
        let _ = answerer.sections_requirement();
    }
}

/// Applies the bytes as the answer to an offer.
pub fn fuzz_answer(data: &[u8]) {
    let mut offerer = Offerer::new(policy());
    offerer.subscribe(subscription());
    if offerer.create_offer(&local()).is_some() {
        let _ = offerer.apply_answer(&String::from_utf8_lossy(data));
    }
}
