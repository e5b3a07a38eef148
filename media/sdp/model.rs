//! What a remote description says, as the parser hands it on: only what an SFU needs, in the order of the text.

use crate::codec::{IceCredentials, Kind, RemoteTransport, Setup};
use crate::sdp::SdpError;

/// The media type of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Audio,
    Video,
    Application,
    Other,
}

impl Media {
    pub(super) const fn kind(self) -> Option<Kind> {
        match self {
            Self::Audio => Some(Kind::Audio),
            Self::Video => Some(Kind::Video),
            Self::Application | Self::Other => None,
        }
    }

    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Audio => Self::Audio,
            Kind::Video => Self::Video,
        }
    }
}

/// The direction attribute, from the view of whoever wrote the description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(super) const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|d| d.name() == text)
    }
}

/// `a=setup` as written (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetupAttribute {
    Active,
    Passive,
    ActPass,
    HoldConn,
}

/// Transport attributes, at session or at media level.
#[derive(Clone, Debug, Default)]
pub(super) struct TransportAttributes {
    pub(super) ufrag: Option<String>,
    pub(super) pwd: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) setup: Option<SetupAttribute>,
}

/// One format of an `m=` line with everything that refers to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    pub(super) pt: u8,
    pub(super) name: String,
    pub(super) clock_rate: u32,
    pub(super) channels: u8,
    pub(super) fmtp: String,
    pub(super) feedback: Vec<String>,
}

/// One `m=` section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) media: Media,
    /// The media type as written, for echoing a section of an unknown kind.
    pub(super) media_name: String,
    /// The transport protocol as written.
    pub(super) protocol: String,
    /// Port 0 without `a=bundle-only` (RFC 8843 §6): not wanted.
    pub(super) rejected: bool,
    pub(super) mid: String,
    pub(super) direction: Direction,
    pub(super) formats: Vec<Format>,
    /// Feedback for all formats (`a=rtcp-fb:*`).
    pub(super) feedback: Vec<String>,
    /// `a=extmap`: id and URI.
    pub(super) extensions: Vec<(u8, String)>,
    /// `a=rid:… send`, in the order of the text.
    pub(super) rids: Vec<String>,
    /// `a=simulcast:send`, the first alternative of each stream, without `~`.
    pub(super) simulcast: Vec<String>,
    /// Distinct `a=msid` values: stream and track.
    pub(super) msids: Vec<(String, String)>,
    /// Distinct SSRCs of `a=ssrc`, in order.
    pub(super) ssrcs: Vec<u32>,
    /// `a=ssrc-group`: semantics and members.
    pub(super) ssrc_groups: Vec<(String, Vec<u32>)>,
    pub(super) transport: TransportAttributes,
    pub(super) sctp_port: Option<u16>,
}

impl Section {
    /// The second token of `a=msid`, LiveKit's client id of a track; empty where nothing is said.
    pub(super) fn msid_track(&self) -> &str {
        self.msids.first().map_or("", |(_, track)| track.as_str())
    }

    /// Whether the section is RTP over DTLS-SRTP with feedback, the only profile that WebRTC has (RFC 8834 §4.2).
    pub(super) fn is_rtp(&self) -> bool {
        self.media.kind().is_some() && self.protocol.ends_with("RTP/SAVPF")
    }

    /// Whether the section is data channels in today's notation (RFC 8841).
    pub(super) fn is_data(&self) -> bool {
        self.media == Media::Application && self.protocol.ends_with("/DTLS/SCTP")
    }

    /// Simulcast streams in the order offered; a lone `a=rid` counts as one stream.
    pub(super) fn streams(&self) -> Vec<String> {
        let listed = if self.simulcast.is_empty() { &self.rids } else { &self.simulcast };
        listed.iter().filter(|rid| self.rids.contains(rid)).cloned().collect()
    }

    /// Media SSRCs, lowest layer first, each with its retransmission SSRC.
    pub(super) fn media_ssrcs(&self) -> Vec<(u32, Option<u32>)> {
        let groups = |wanted: &'static str| self.ssrc_groups.iter().filter(move |(name, _)| name == wanted);
        let repair =
            |ssrc: u32| groups("FID").find(|(_, m)| m.first() == Some(&ssrc)).and_then(|(_, m)| m.get(1)).copied();
        if let Some((_, members)) = groups("SIM").next() {
            return members.iter().map(|ssrc| (*ssrc, repair(*ssrc))).collect();
        }
        let secondary =
            |ssrc: &u32| self.ssrc_groups.iter().any(|(name, m)| name != "SIM" && m.iter().skip(1).any(|x| x == ssrc));
        self.ssrcs.iter().filter(|ssrc| !secondary(ssrc)).map(|ssrc| (*ssrc, repair(*ssrc))).collect()
    }
}

/// A whole remote description.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    pub(super) transport: TransportAttributes,
    /// Members of the first `a=group:BUNDLE`.
    pub(super) bundle: Option<Vec<String>>,
    /// `a=extmap-allow-mixed` at either level.
    pub(super) allow_mixed: bool,
    pub(super) sections: Vec<Section>,
}

impl Description {
    /// Whether a section travels over the one transport that there is.
    pub(super) fn bundled(&self, index: usize) -> bool {
        match (&self.bundle, self.sections.get(index)) {
            (Some(mids), Some(section)) => mids.contains(&section.mid),
            (None, Some(_)) => self.sections.iter().position(|section| !section.rejected) == Some(index),
            (_, None) => false,
        }
    }

    /// The transport of the BUNDLE group: media level before session level, tagged section first (RFC 8843 §7.2).
    pub(super) fn remote(&self) -> Result<RemoteTransport, SdpError> {
        let tagged = self.bundle.iter().flatten().filter_map(|mid| self.sections.iter().find(|s| &s.mid == mid));
        let levels: Vec<&TransportAttributes> = tagged
            .filter(|section| !section.rejected)
            .chain(self.sections.iter().filter(|section| !section.rejected))
            .map(|section| &section.transport)
            .chain([&self.transport])
            .collect();
        let ice = levels.iter().find_map(|level| Some((level.ufrag.as_ref()?, level.pwd.as_ref()?)));
        let (ufrag, pwd) = ice.ok_or(SdpError::Missing { what: "a=ice-ufrag and a=ice-pwd" })?;
        let fingerprint = levels.iter().find_map(|level| level.fingerprint.as_ref());
        let setup = match levels.iter().find_map(|level| level.setup) {
            Some(SetupAttribute::Passive) => return Err(SdpError::UnsupportedSetup),
            // RFC 4145 §4.1: the offerer's default is active.
            None | Some(SetupAttribute::Active | SetupAttribute::ActPass | SetupAttribute::HoldConn) => Setup::Active,
        };
        Ok(RemoteTransport {
            ice: IceCredentials { ufrag: ufrag.clone(), pwd: pwd.clone() },
            fingerprint: fingerprint.ok_or(SdpError::Missing { what: "a=fingerprint with sha-256" })?.clone(),
            setup,
            sctp_port: self
                .sections
                .iter()
                .find(|section| section.is_data() && !section.rejected)
                .map(|section| section.sctp_port.unwrap_or(DEFAULT_SCTP_PORT)),
        })
    }
}

/// The SCTP port of a data section that names none, and ours.
pub(super) const DEFAULT_SCTP_PORT: u16 = 5000;
