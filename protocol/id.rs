//! Identifiers that clients and nodes see. LiveKit's clients check the prefixes; the rest is random.

use crate::livekit::{TrackSource, TrackType};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Random characters after the prefix, as LiveKit makes them: 62^12, about 71 bits.
pub const SID_RANDOM_LENGTH: usize = 12;

/// Makes a room sid, `RM_…`.
#[must_use]
pub fn room_sid(random: &mut impl Rng) -> String {
    sid("RM_", random)
}

/// Makes a participant sid, `PA_…`; Rust clients panic on another prefix.
#[must_use]
pub fn participant_sid(random: &mut impl Rng) -> String {
    sid("PA_", random)
}

/// Makes a track sid: `TR_`, a letter of the kind, a letter of the source, random characters.
#[must_use]
pub fn track_sid(kind: TrackType, source: TrackSource, random: &mut impl Rng) -> String {
    let kind_letter = match kind {
        TrackType::Audio => "A",
        TrackType::Video => "V",
        TrackType::Data => "D",
    };
    let source_letter = match source {
        TrackSource::Camera => "C",
        TrackSource::Microphone => "M",
        TrackSource::ScreenShare => "S",
        TrackSource::ScreenShareAudio => "s",
        TrackSource::Unknown => "",
    };
    sid(&format!("TR_{kind_letter}{source_letter}"), random)
}

fn sid(prefix: &str, random: &mut impl Rng) -> String {
    let mut text = String::with_capacity(prefix.len() + SID_RANDOM_LENGTH);
    text.push_str(prefix);
    text.extend((0..SID_RANDOM_LENGTH).map(|_| char::from(random.sample(rand::distr::Alphanumeric))));
    text
}

/// Name of a node, stable over restarts; `ND_…` as LiveKit's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// Longest node id, bytes: it is part of every gossiped identity, of log lines and of file names.
pub const NODE_ID_BYTES_MAX: usize = 64;

/// A text is no node id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id has 1 to {NODE_ID_BYTES_MAX} letters, digits, dots, dashes or underscores; {0:?} has not")]
pub struct NotANodeId(String);

impl TryFrom<String> for NodeId {
    type Error = NotANodeId;

    fn try_from(text: String) -> Result<Self, NotANodeId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (1..=NODE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        Err(NotANodeId(text.chars().take(NODE_ID_BYTES_MAX).collect()))
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl NodeId {
    /// Makes a random node id.
    #[must_use]
    pub fn random(random: &mut impl Rng) -> Self {
        Self(sid("ND_", random))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_carry_their_prefix_and_twelve_random_characters() {
        let mut random = rand::rng();
        let cases = [
            (room_sid(&mut random), "RM_"),
            (participant_sid(&mut random), "PA_"),
            (track_sid(TrackType::Audio, TrackSource::Microphone, &mut random), "TR_AM"),
            (track_sid(TrackType::Video, TrackSource::Camera, &mut random), "TR_VC"),
            (track_sid(TrackType::Video, TrackSource::ScreenShare, &mut random), "TR_VS"),
            (track_sid(TrackType::Audio, TrackSource::ScreenShareAudio, &mut random), "TR_As"),
            (track_sid(TrackType::Video, TrackSource::Unknown, &mut random), "TR_V"),
            (NodeId::random(&mut random).to_string(), "ND_"),
        ];
        for (text, prefix) in cases {
            let rest = text.strip_prefix(prefix).expect("the prefix");
            assert_eq!(rest.len(), SID_RANDOM_LENGTH, "{text}");
            assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        }
    }

    #[test]
    fn a_node_id_is_short_and_plain() {
        for good in ["a", "ND_x1", "eu-west.3", &"n".repeat(NODE_ID_BYTES_MAX)] {
            assert_eq!(NodeId::try_from(good.to_owned()).expect(good).as_str(), good);
        }
        for bad in ["", "a b", "a~1", "a@1", "a/b", "ü", &"n".repeat(NODE_ID_BYTES_MAX + 1)] {
            assert!(NodeId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_sids_differ() {
        let mut random = rand::rng();
        assert_ne!(room_sid(&mut random), room_sid(&mut random));
    }
}
