//! Which payload types of a section are taken, in which order and with which parameters and feedback.

use crate::codec::{Codec, Kind, Payload};
use crate::sdp::model::{Format, Section};
use crate::sdp::{CodecPolicy, PublishedTrack, SubscribedTrack};

/// One payload type of a remote section that the policy allows.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) payload: Payload,
    /// All feedback that the remote side names for it.
    pub(super) feedback: Vec<String>,
}

/// RFC 5761 §4: with RTP and RTCP on one port these payload types look like RTCP.
const RTCP_LOOKALIKES: std::ops::RangeInclusive<u8> = 64..=95;

/// A parameter of an `a=fmtp` value.
pub(super) fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn codec_of(format: &Format) -> Option<Codec> {
    let codec = Codec::parse(&format.name)?;
    let channels = matches!(codec, Codec::Opus | Codec::Red).then_some(2);
    let fits = format.clock_rate == codec.clock_rate() && channels.is_none_or(|channels| channels == format.channels);
    (fits && !RTCP_LOOKALIKES.contains(&format.pt)).then_some(codec)
}

/// What is after `a=rtpmap:<pt> `.
pub(super) fn encoding(codec: Codec) -> String {
    let channels = if matches!(codec, Codec::Opus | Codec::Red) { "/2" } else { "" };
    format!("{}/{}{channels}", codec.name(), codec.clock_rate())
}

fn rtx_of(section: &Section, format: &Format) -> Option<u8> {
    let is_rtx = |candidate: &&Format| {
        candidate.name.eq_ignore_ascii_case("rtx")
            && candidate.clock_rate == format.clock_rate
            && !RTCP_LOOKALIKES.contains(&candidate.pt)
            && parameter(&candidate.fmtp, "apt").and_then(|apt| apt.parse().ok()) == Some(format.pt)
    };
    section.formats.iter().find(is_rtx).map(|rtx| rtx.pt)
}

/// Every usable payload type, in the policy's order of codecs and, within one, in the remote side's.
pub(super) fn usable(section: &Section, policy: &CodecPolicy) -> Vec<Accepted> {
    let mut list: Vec<Accepted> = Vec::new();
    if !section.is_rtp() {
        return list;
    }
    for codec in &policy.enabled {
        for format in section.formats.iter().filter(|format| codec_of(format) == Some(*codec)) {
            if Some(codec.kind()) != section.media.kind() || list.iter().any(|known| known.payload.pt == format.pt) {
                continue;
            }
            let feedback: Vec<String> = section.feedback.iter().chain(&format.feedback).cloned().collect();
            let nack = feedback.iter().any(|message| message == "nack");
            let rtx_pt = rtx_of(section, format);
            let payload = Payload { pt: format.pt, rtx_pt, codec: *codec, fmtp: format.fmtp.clone(), nack };
            list.push(Accepted { payload, feedback });
        }
    }
    let opus: Vec<u8> = list.iter().filter(|a| a.payload.codec == Codec::Opus).map(|a| a.payload.pt).collect();
    list.retain(|accepted| {
        let mut blocks = accepted.payload.fmtp.split('/').map(|pt| pt.trim().parse::<u8>());
        accepted.payload.codec != Codec::Red || blocks.all(|pt| pt.is_ok_and(|pt| opus.contains(&pt)))
    });
    list
}

/// The codec profile that decides whether two payload formats are the same (RFC 9628 §6, AV1 RTP §7.2).
fn profile(codec: Codec, fmtp: &str) -> &str {
    match codec {
        Codec::Vp9 => parameter(fmtp, "profile-id").unwrap_or("0"),
        Codec::Av1 => parameter(fmtp, "profile").unwrap_or("0"),
        _ => "0",
    }
}

/// What a publishing section may send: profile 0 of VP9 and AV1, which every subscriber has; RED first where the
/// track has it, nowhere else; `preferred` (the codec that AddTrack named for this section) before all others.
pub(super) fn for_receiving(
    mut list: Vec<Accepted>,
    track: Option<&PublishedTrack>,
    preferred: Option<Codec>,
) -> Vec<Accepted> {
    let red = track.is_some_and(|track| track.red);
    list.retain(|a| profile(a.payload.codec, &a.payload.fmtp) == "0" && (red || a.payload.codec != Codec::Red));
    list.sort_by_key(|a| (a.payload.codec != Codec::Red, preferred.is_some() && Some(a.payload.codec) != preferred));
    list
}

/// H264 as `(profile, packetization mode)`: the profile in four hexadecimal digits, constrained ones folded.
pub(super) fn h264(fmtp: &str) -> (String, u8) {
    let level_id = parameter(fmtp, "profile-level-id").unwrap_or("42e01f").to_ascii_lowercase();
    let mode = parameter(fmtp, "packetization-mode").and_then(|mode| mode.parse().ok()).unwrap_or(0);
    let profile = match level_id.get(..4) {
        // Constrained baseline has more spellings than one (RFC 6184 §8.1, table 5).
        Some("42c0" | "42f0" | "42e0" | "4de0" | "58c0") | None => "42e0".to_owned(),
        Some(profile) => profile.to_owned(),
    };
    (profile, mode)
}

/// How badly a subscriber's payload type fits what the publisher sends; `None` where it cannot decode it.
fn distance(wanted: &str, offered: &Payload) -> Option<u8> {
    if profile(offered.codec, wanted) != profile(offered.codec, &offered.fmtp) {
        return None;
    }
    if offered.codec != Codec::H264 || wanted.is_empty() {
        return Some(0);
    }
    let ((want, want_mode), (have, have_mode)) = (h264(wanted), h264(&offered.fmtp));
    let mode = if want_mode == have_mode { 0 } else { 1 };
    // A decoder of a greater profile reads the lesser streams; Chromium's decoders read all of them under any name.
    let class = match (want.as_str(), have.as_str()) {
        (a, b) if a == b => 0,
        ("42e0", "4200" | "4d00" | "6400" | "640c") | ("4200", "42e0") => 2,
        ("4d00", "6400" | "640c") => 2,
        _ => 4,
    };
    Some(mode + class)
}

/// The payload types of a subscription, one per codec of the publisher; empty where the subscriber can read none.
pub(super) fn for_sending(list: &[Accepted], track: &SubscribedTrack) -> Vec<Accepted> {
    let mut chosen: Vec<Accepted> = Vec::new();
    let mut wanted = track.codecs.clone();
    if wanted.iter().any(|(codec, _)| *codec == Codec::Red) && !wanted.iter().any(|(codec, _)| *codec == Codec::Opus) {
        // RED names Opus by payload type, and is opened for subscribers without RED.
        wanted.push((Codec::Opus, String::new()));
    }
    for (codec, fmtp) in &wanted {
        if chosen.iter().any(|accepted| accepted.payload.codec == *codec) {
            continue;
        }
        let best = list
            .iter()
            .filter(|accepted| accepted.payload.codec == *codec)
            .filter_map(|accepted| Some((distance(fmtp, &accepted.payload)?, accepted)))
            .min_by_key(|(distance, _)| *distance);
        chosen.extend(best.map(|(_, accepted)| accepted.clone()));
    }
    chosen
}

/// The feedback that we repeat of what was offered.
pub(super) fn feedback(kind: Kind, offered: &[String], remb: bool) -> Vec<&'static str> {
    let known: &[&'static str] = match kind {
        Kind::Audio => &["transport-cc", "nack"],
        Kind::Video => &["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"],
    };
    let wanted = |message: &&&'static str| (remb || **message != "goog-remb") && offered.iter().any(|o| o == **message);
    known.iter().filter(wanted).copied().collect()
}

/// Opus parameters of an answer to a publisher: what we would like to receive (RFC 7587 §7.1).
pub(super) fn opus_fmtp(offered: &str, dtx: bool, stereo: bool) -> String {
    let ours = ["usedtx", "stereo", "sprop-stereo", "maxaveragebitrate"];
    let mut parts: Vec<String> = offered
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty() && !ours.contains(&part.split('=').next().unwrap_or_default().trim()))
        .map(str::to_owned)
        .collect();
    if dtx {
        parts.push("usedtx=1".to_owned());
    }
    if stereo {
        // LiveKit's number for stereo, bit/s: the greatest that Opus has.
        parts.extend(["stereo=1".to_owned(), "maxaveragebitrate=510000".to_owned()]);
    }
    parts.join(";")
}

/// Opus parameters towards a subscriber: `sprop-stereo=1` where the publisher sends stereo.
pub(super) fn opus_sending_fmtp(offered: &str, stereo: bool) -> String {
    let mono = opus_fmtp(offered, false, false);
    match (stereo, mono.is_empty()) {
        (false, _) => mono,
        (true, true) => "sprop-stereo=1".to_owned(),
        (true, false) => format!("{mono};sprop-stereo=1"),
    }
}
