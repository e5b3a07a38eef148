//! RTP header extensions: which ones are negotiated for which kind of media, and under which ids.

use crate::codec::{ExtensionIds, Kind};
use crate::sdp::model::{Description, Section};

/// One extension that Starling understands.
pub(super) struct Known {
    pub(super) uri: &'static str,
    audio: bool,
    /// The id under which [`crate::sdp::Offerer`] offers it; Chromium's own numbers, so that nothing is renumbered.
    offered: Option<u8>,
    slot: fn(&mut ExtensionIds) -> &mut Option<u8>,
}

/// Repaired stream ids and the like make sense for video only; the others serve both.
const KNOWN: [Known; 10] = [
    Known { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", audio: true, offered: Some(4), slot: |ids| &mut ids.mid },
    Known {
        uri: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        audio: true,
        offered: None,
        slot: |ids| &mut ids.rid,
    },
    Known {
        uri: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        audio: false,
        offered: None,
        slot: |ids| &mut ids.repaired_rid,
    },
    Known {
        uri: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        audio: true,
        offered: Some(3),
        slot: |ids| &mut ids.transport_cc,
    },
    Known {
        uri: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        audio: true,
        offered: Some(2),
        slot: |ids| &mut ids.abs_send_time,
    },
    Known {
        uri: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        audio: true,
        offered: None,
        slot: |ids| &mut ids.audio_level,
    },
    Known { uri: DEPENDENCY_DESCRIPTOR, audio: false, offered: Some(12), slot: |ids| &mut ids.dependency_descriptor },
    Known {
        uri: "urn:3gpp:video-orientation",
        audio: false,
        offered: Some(13),
        slot: |ids| &mut ids.video_orientation,
    },
    Known {
        uri: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
        audio: true,
        offered: Some(8),
        slot: |ids| &mut ids.abs_capture_time,
    },
    Known {
        uri: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        audio: false,
        offered: None,
        slot: |ids| &mut ids.playout_delay,
    },
];

const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// The first id that one-byte headers cannot carry (RFC 8285 §4.2).
const FIRST_TWO_BYTE_ID: u8 = 15;

fn fits(known: &Known, kind: Kind) -> bool {
    match kind {
        Kind::Audio => known.audio,
        Kind::Video => known.uri != AUDIO_LEVEL,
    }
}

/// The one extension map that a BUNDLE group may have (RFC 8843 §9.1), from whichever section says it first.
pub(super) fn bundle_map(description: &Description, accepted: impl Fn(usize) -> bool) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    let mut used = [false; 256];
    for (index, section) in description.sections.iter().enumerate() {
        let Some(kind) = section.media.kind().filter(|_| accepted(index)) else { continue };
        for (id, uri) in &section.extensions {
            let Some(known) = KNOWN.iter().find(|known| known.uri == uri && fits(known, kind)) else { continue };
            let slot = (known.slot)(&mut ids);
            let carried = *id < FIRST_TWO_BYTE_ID || (description.allow_mixed && *id != FIRST_TWO_BYTE_ID);
            if slot.is_none() && carried && !used[usize::from(*id)] {
                *slot = Some(*id);
                used[usize::from(*id)] = true;
            }
        }
    }
    ids
}

/// The extensions that the answer to one section repeats. Stream ids are repeated in sections without simulcast too:
/// a later simulcast offer of Chromium fails where the first answer left them out.
pub(super) fn answered(section: &Section, mut ids: ExtensionIds) -> Vec<(u8, &'static str)> {
    let Some(kind) = section.media.kind() else { return Vec::new() };
    let mut list = Vec::new();
    for (id, uri) in &section.extensions {
        let Some(known) = KNOWN.iter().find(|known| known.uri == uri && fits(known, kind)) else { continue };
        if *(known.slot)(&mut ids) == Some(*id) && !list.contains(&(*id, known.uri)) {
            list.push((*id, known.uri));
        }
    }
    list
}

/// What an offered section says. The dependency descriptor goes with the codecs that have one.
pub(super) fn offered(kind: Kind, descriptor: bool) -> Vec<(u8, &'static str)> {
    let wanted = |known: &&Known| fits(known, kind) && (descriptor || known.uri != DEPENDENCY_DESCRIPTOR);
    KNOWN.iter().filter(wanted).filter_map(|known| Some((known.offered?, known.uri))).collect()
}
