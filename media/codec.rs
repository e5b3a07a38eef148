//! Codecs, header extensions and the per-section tables that signalling hands to the media plane.

use crate::id::TrackKey;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// A payload format that Starling forwards (RTX is not one: it carries one of these).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 2198 redundancy whose blocks are Opus.
    Red,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP payload format.
    Av1,
    /// RFC 7798.
    H265,
}

impl Codec {
    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Opus | Self::Red | Self::Pcmu | Self::Pcma => Kind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 | Self::H265 => Kind::Video,
        }
    }

    /// RTP clock rate in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
            _ => 90_000,
        }
    }

    /// The encoding name of `a=rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
            Self::H265 => "H265",
        }
    }

    /// The MIME type of LiveKit's `TrackInfo`, for example `video/VP8`.
    #[must_use]
    pub fn mime(self) -> String {
        match self.kind() {
            Kind::Audio => format!("audio/{}", self.name()),
            Kind::Video => format!("video/{}", self.name()),
        }
    }

    /// Reads a MIME type or a bare codec name, without regard to case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.rsplit('/').next().unwrap_or(text);
        [Self::Opus, Self::Red, Self::Pcmu, Self::Pcma, Self::Vp8, Self::Vp9, Self::H264, Self::Av1, Self::H265]
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

/// One negotiated payload type of a section.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Payload {
    /// RTP payload type, 0 to 127.
    pub pt: u8,
    /// Payload type of its RFC 4588 retransmissions, where negotiated.
    pub rtx_pt: Option<u8>,
    /// What it carries.
    pub codec: Codec,
    /// The `a=fmtp` parameters, without the payload type.
    pub fmtp: String,
    /// Whether the peer asks for or answers NACKs (`a=rtcp-fb … nack`).
    pub nack: bool,
}

/// Header-extension ids (1 to 255) of one BUNDLE group; `None` where not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`.
    pub mid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`.
    pub rid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`.
    pub repaired_rid: Option<u8>,
    /// Transport-wide congestion control, draft-holmer-rmcat-transport-wide-cc-extensions-01.
    pub transport_cc: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`.
    pub abs_send_time: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    pub audio_level: Option<u8>,
    /// AV1 dependency descriptor.
    pub dependency_descriptor: Option<u8>,
    /// `urn:3gpp:video-orientation`.
    pub video_orientation: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`.
    pub abs_capture_time: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`.
    pub playout_delay: Option<u8>,
}

/// What one `m=` section brings in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReceiveSection {
    /// The section's `a=mid`.
    pub mid: String,
    /// The track that its packets belong to.
    pub track: TrackKey,
    /// Audio or video.
    pub kind: Kind,
    /// Accepted payload types, the peer's numbers.
    pub payloads: Vec<Payload>,
    /// Simulcast rids, lowest layer first; empty without simulcast by rid.
    pub rids: Vec<String>,
    /// SSRCs announced by `a=ssrc`, lowest layer first (`a=ssrc-group:SIM`), each with its RTX SSRC (`FID`).
    pub ssrcs: Vec<(u32, Option<u32>)>,
}

/// What one `m=` section sends out: a subscription.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SendSection {
    /// The section's `a=mid`.
    pub mid: String,
    /// The track whose packets it carries.
    pub track: TrackKey,
    /// Audio or video.
    pub kind: Kind,
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of the retransmissions.
    pub rtx_ssrc: u32,
    /// The subscriber's payload types, one per codec at most.
    pub payloads: Vec<Payload>,
}

/// Local or remote ICE user name fragment and password (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IceCredentials {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

/// Without the password, which lets anyone take part in the peer's checks.
impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The `a=setup` role that the remote side takes (RFC 4145, RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Setup {
    /// The remote side starts the DTLS handshake; we are the server.
    Active,
    /// The remote side waits; we would have to be the client.
    Passive,
}

/// What the remote description says of its transport.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemoteTransport {
    /// ICE credentials of the remote side.
    pub ice: IceCredentials,
    /// SHA-256 certificate fingerprint, upper-case hex pairs joined by colons.
    pub fingerprint: String,
    /// Its DTLS role.
    pub setup: Setup,
    /// Its `a=sctp-port`, where data channels are negotiated.
    pub sctp_port: Option<u16>,
}

/// One local ICE candidate (RFC 8839 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// UDP, or passive TCP.
    pub tcp: bool,
    /// Address that clients reach.
    pub address: std::net::SocketAddr,
    /// Server-reflexive (mapped by NAT) instead of host.
    pub reflexive: bool,
}

/// LiveKit's data channels, by label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Channel {
    /// `_reliable`: ordered, reliable.
    Reliable,
    /// `_lossy`: unordered, no retransmission.
    Lossy,
    /// `_data_track`: unordered, no retransmission.
    DataTrack,
}

impl Channel {
    /// Every channel, in the order in which the server opens them.
    pub const ALL: [Self; 3] = [Self::Reliable, Self::Lossy, Self::DataTrack];

    /// The channel's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
            Self::DataTrack => "_data_track",
        }
    }

    /// Finds a channel by label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.label() == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_keeps_the_ice_password() {
        let ice = IceCredentials { ufrag: "user".into(), pwd: "hidden".into() };
        assert_eq!(format!("{ice:?}"), "IceCredentials { ufrag: \"user\", .. }");
    }
}
