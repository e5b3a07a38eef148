//! The sections of the configuration, in LiveKit's names and with LiveKit's defaults where LiveKit has the setting.

use super::duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// One UDP port, or a range of which each media worker takes one: `7882` or `"7882-7892"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port; 0 = chosen by the system.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| {
            text.trim().parse::<u16>().map_err(|_| format!("{text:?} is not a port or a range such as \"7882-7892\""))
        };
        match text.split_once('-') {
            Some((first, last)) => Ok(Self { first: port(first)?, last: port(last)? }),
            None => port(text).map(|first| Self { first, last: first }),
        }
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            serializer.serialize_u16(self.first)
        } else {
            serializer.serialize_str(&format!("{}-{}", self.first, self.last))
        }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(u64),
            Text(String),
        }
        let text = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        // Only rtc.udp_port has this type; the reader names the section above by itself.
        text.parse().map_err(|error| serde::de::Error::custom(format!("udp_port: {error}")))
    }
}

/// What is used and what is left out; an entry in both is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only these; empty = all.
    pub includes: Vec<String>,
    /// Not these.
    pub excludes: Vec<String>,
}

/// Adaptation to thin links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CongestionControl {
    /// Lower layers before a link breaks.
    pub enabled: bool,
    /// Pause videos when even the lowest layers do not fit.
    pub allow_pause: bool,
}

impl Default for CongestionControl {
    fn default() -> Self {
        Self { enabled: true, allow_pause: false }
    }
}

/// Media transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rtc {
    /// UDP port of all media, or a range of which each worker takes one.
    pub udp_port: PortRange,
    /// TCP port of ICE-TCP; 0 = off.
    pub tcp_port: u16,
    /// First of a range of UDP ports; when set, used instead of `udp_port`.
    pub port_range_start: u16,
    /// Last of that range.
    pub port_range_end: u16,
    /// Address that clients are told; empty = those of the interfaces.
    pub node_ip: String,
    /// Ask a STUN server for the address that clients are told.
    pub use_external_ip: bool,
    /// STUN servers, `host:port`, for `use_external_ip` and for clients.
    pub stun_servers: Vec<String>,
    /// Say `a=ice-lite`.
    pub use_ice_lite: bool,
    /// Network interfaces by name.
    pub interfaces: Filter,
    /// Addresses by CIDR.
    pub ips: Filter,
    /// Tell clients the loopback address too.
    pub enable_loopback_candidate: bool,
    /// Adaptation to thin links.
    pub congestion_control: CongestionControl,
    /// Tell clients the TCP candidate.
    pub allow_tcp_fallback: bool,
    /// Media worker threads; 0 = one per core (no LiveKit counterpart).
    pub workers: u16,
    /// Peers of a room on its first worker before the next ones go to others; 0 = a room keeps to one worker (no LiveKit
    /// counterpart).
    pub spread_peers: u32,
}

impl Default for Rtc {
    fn default() -> Self {
        Self {
            udp_port: PortRange { first: 7882, last: 7882 },
            tcp_port: 7881,
            port_range_start: 0,
            port_range_end: 0,
            node_ip: String::new(),
            use_external_ip: false,
            stun_servers: Vec::new(),
            use_ice_lite: false,
            interfaces: Filter::default(),
            ips: Filter::default(),
            enable_loopback_candidate: false,
            congestion_control: CongestionControl::default(),
            allow_tcp_fallback: true,
            workers: 0,
            spread_peers: 100,
        }
    }
}

impl Rtc {
    /// The UDP ports in force.
    #[must_use]
    pub fn udp_ports(&self) -> PortRange {
        if self.port_range_start == 0 {
            self.udp_port
        } else {
            PortRange { first: self.port_range_start, last: self.port_range_end }
        }
    }
}

/// One codec that clients may publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecSpec {
    /// MIME type, such as `video/VP8`.
    pub mime: String,
    /// Format parameters; accepted for LiveKit's sake and named as not acted on, the codec's own are used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fmtp_line: String,
}

/// Defaults of rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Room {
    /// A join creates a missing room.
    pub auto_create: bool,
    /// Seconds for which a room waits for its first participant.
    pub empty_timeout: u32,
    /// Seconds for which a room lingers after its last participant left.
    pub departure_timeout: u32,
    /// Participants at a time; 0 = no limit.
    pub max_participants: u32,
    /// Codecs that clients may publish, most wanted first within each kind.
    pub enabled_codecs: Vec<CodecSpec>,
    /// The server API may unmute tracks.
    pub enable_remote_unmute: bool,
}

impl Default for Room {
    fn default() -> Self {
        let codec = |mime: &str| CodecSpec { mime: mime.to_owned(), fmtp_line: String::new() };
        Self {
            auto_create: true,
            empty_timeout: 300,
            departure_timeout: 20,
            max_participants: 0,
            enabled_codecs: [
                "audio/opus",
                "audio/red",
                "audio/PCMU",
                "audio/PCMA",
                "video/VP8",
                "video/H264",
                "video/VP9",
                "video/AV1",
                "video/H265",
            ]
            .map(codec)
            .to_vec(),
            enable_remote_unmute: false,
        }
    }
}

/// Video layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// How long a layer stays requested after its last viewer went.
    #[serde(with = "duration")]
    pub dynacast_pause_delay: Duration,
}

impl Default for Video {
    fn default() -> Self {
        Self { dynacast_pause_delay: Duration::from_secs(5) }
    }
}

/// Log output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// One JSON object per line.
    pub json: bool,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter such as `info,starling_media=debug`.
    pub level: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self { json: false, level: "info".to_owned() }
    }
}

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// Port of `/metrics`; 0 = off.
    pub port: u16,
    /// User name demanded by `/metrics`; empty = none.
    pub username: String,
    /// Password demanded by `/metrics`.
    pub password: starling_protocol::keys::Secret,
}

/// Signalling (no LiveKit counterpart).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signal {
    /// Seconds between a client's pings.
    pub ping_interval: u32,
    /// Seconds of silence after which a client resumes.
    pub ping_timeout: u32,
}

impl Default for Signal {
    fn default() -> Self {
        Self { ping_interval: 2, ping_timeout: 5 }
    }
}
