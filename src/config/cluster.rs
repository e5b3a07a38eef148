//! The settings of a cluster, which LiveKit has no counterpart of: where a node finds the others, what it proves itself
//! with, and what it does and carries.

use super::{ConfigError, duration};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use starling_cluster::member::{NodeId, Role};
use starling_protocol::keys::Secret;
use std::net::IpAddr;
use std::time::Duration;

/// Seeds that one node may have; a few nodes lead to all of them, and every one is asked each second while alone.
const SEEDS_MAX: usize = 64;
/// Longest name of a cluster, bytes: it is part of every sealed datagram's associated data.
const NAME_BYTES_MAX: usize = 64;
/// A joining node that waits longer than this holds up whoever started it, and a restart of the whole cluster.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Cores of the largest machine that is believed, thousandths.
const CPU_MILLICORES_MAX: u32 = 1_024_000;
/// The fastest network that is believed, megabits per second.
const EGRESS_MBPS_MAX: u32 = 1_000_000;

/// How a node finds the others and proves itself to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Name of the cluster; nodes of another one are refused.
    pub name: String,
    /// UDP and TCP port of the cluster; 0 = chosen by the system.
    pub port: u16,
    /// Address that the port opens on; empty = all, in development mode loopback.
    pub bind: String,
    /// `HOST:PORT` of nodes to join.
    #[serde(deserialize_with = "list")]
    pub seeds: Vec<String>,
    /// The cluster key itself, for environments that hold secrets in variables.
    pub key: Secret,
    /// File of the cluster key that others cannot read.
    pub key_file: String,
    /// `HOST` or `HOST:PORT` under which other nodes reach this one; empty = the address towards the seeds.
    pub advertise: String,
    /// How long a node with seeds waits for them before it serves alone, and goes on asking.
    #[serde(with = "duration")]
    pub join_wait: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "starling".to_owned(),
            port: 7946,
            bind: String::new(),
            seeds: Vec::new(),
            key: Secret::default(),
            key_file: String::new(),
            advertise: String::new(),
            join_wait: Duration::from_secs(5),
        }
    }
}

impl Cluster {
    /// Whether there is a key, without which the node stays alone and opens no cluster port.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty() || !self.key_file.is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let bounds = |name, value: &str, bounds| ConfigError::Bounds { name, value: format!("{value:?}"), bounds };
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(plain) {
            let rule = "1 to 64 letters, digits, '-', '_' and '.'";
            return Err(bounds("cluster.name", &self.name, rule));
        }
        if !self.seeds.is_empty() && !self.has_key() {
            return Err(ConfigError::SeedsWithoutKey);
        }
        if !self.key.is_empty() && !self.key_file.is_empty() {
            return Err(ConfigError::TwoClusterKeys);
        }
        if self.seeds.len() > SEEDS_MAX {
            let count = self.seeds.len();
            return Err(ConfigError::Bounds {
                name: "cluster.seeds",
                value: format!("a list of {count}"),
                bounds: "at most 64",
            });
        }
        if let Some(seed) = self.seeds.iter().find(|seed| !is_host_and_port(seed)) {
            return Err(bounds("cluster.seeds", seed, "HOST:PORT with a port from 1 to 65535"));
        }
        if !self.bind.is_empty() && self.bind.parse::<IpAddr>().is_err() {
            return Err(bounds("cluster.bind", &self.bind, "an IP address"));
        }
        let told = &self.advertise;
        if !told.is_empty() && !is_host_and_port(told) && !is_host(told) {
            return Err(bounds("cluster.advertise", told, "HOST or HOST:PORT"));
        }
        if self.join_wait.is_zero() || self.join_wait > JOIN_WAIT_MAX {
            let value = format!("{:?}", self.join_wait);
            return Err(ConfigError::Bounds {
                name: "cluster.join_wait",
                value,
                bounds: "more than 0 and at most 10m",
            });
        }
        Ok(())
    }
}

/// Whether a text is `HOST:PORT`, with an IPv6 address in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map_or(is_host(host) && !host.contains(':'), is_v6);
    host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_v6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Whether a text is an address or could be a DNS name.
fn is_host(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    is_v6(text) || (!text.is_empty() && text.len() <= 253 && text.chars().all(plain))
}

/// Reads a list, or its entries in one text separated by commas, as flags and variables give them.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<serde_norway::Value>),
        Text(String),
        Nothing(()),
    }
    let entries = match ListOrText::deserialize(deserializer)? {
        ListOrText::List(entries) => entries,
        ListOrText::Nothing(()) => Vec::new(),
        ListOrText::Text(text) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(serde_norway::Value::from).collect()
        }
    };
    entries.into_iter().map(|entry| serde_norway::from_value(entry)).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Every role: what a node does unless told otherwise.
pub(super) fn every_role() -> Vec<Role> {
    vec![Role::Room, Role::Record, Role::Transcode]
}

pub(super) fn validate_node_id(node_id: &str) -> Result<(), ConfigError> {
    if node_id.is_empty() || NodeId::try_from(node_id.to_owned()).is_ok() {
        return Ok(());
    }
    let value = format!("{node_id:?}");
    Err(ConfigError::Bounds { name: "node_id", value, bounds: "1 to 64 letters, digits, '-', '_' and '.'" })
}

/// What a machine may carry, as far as the operator said: `4000m,1000Mbps`, or `{cpu: 4, egress: 1Gbps}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedCapacity {
    /// Thousandths of a core; `None` = detected.
    pub cpu_millicores: Option<u32>,
    /// Megabits per second; `None` = detected.
    pub egress_mbps: Option<u32>,
}

impl std::str::FromStr for WantedCapacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let is_rate = part.to_ascii_lowercase().ends_with("bps");
            let place = if is_rate { &mut wanted.egress_mbps } else { &mut wanted.cpu_millicores };
            if place.is_some() {
                return Err(format!("capacity {text:?} names {} twice", if is_rate { "egress" } else { "cpu" }));
            }
            *place = Some(if is_rate { egress(part)? } else { cpu(part)? });
        }
        Ok(wanted)
    }
}

/// Reads `4000m`, `4` or `0.5`: thousandths of a core.
fn cpu(text: &str) -> Result<u32, String> {
    let rule = || {
        format!(
            "capacity: cpu is {text:?}, which must be cores such as \"4\" or thousandths such as \"4000m\", from 1m to 1024 cores"
        )
    };
    let millicores = match text.strip_suffix('m') {
        Some(number) => number.trim().parse::<f64>(),
        None => text.parse::<f64>().map(|cores| cores * 1_000.0),
    };
    bounded(millicores.map_err(|_| rule())?, CPU_MILLICORES_MAX).ok_or_else(rule)
}

/// Reads `1000Mbps`, `1Gbps` or `1000`: megabits per second.
fn egress(text: &str) -> Result<u32, String> {
    let rule = || {
        format!("capacity: egress is {text:?}, which must be such as \"1000Mbps\" or \"1Gbps\", from 1Mbps to 1000Gbps")
    };
    let lower = text.to_ascii_lowercase();
    let (number, factor) = match (lower.strip_suffix("gbps"), lower.strip_suffix("mbps")) {
        (Some(number), _) => (number, 1_000.0),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (lower.as_str(), 1.0),
    };
    let mbps = number.trim().parse::<f64>().map_err(|_| rule())? * factor;
    bounded(mbps, EGRESS_MBPS_MAX).ok_or_else(rule)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie between 1 and a u32")]
fn bounded(number: f64, most: u32) -> Option<u32> {
    (number >= 1.0 && number <= f64::from(most)).then_some(number.round() as u32)
}

impl Serialize for WantedCapacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cpu = self.cpu_millicores.map(|cpu| format!("{cpu}m"));
        let egress = self.egress_mbps.map(|egress| format!("{egress}Mbps"));
        serializer.serialize_str(&[cpu, egress].into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl<'de> Deserialize<'de> for WantedCapacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(f64),
            Text(String),
        }
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Parts {
            cpu: Option<NumberOrText>,
            egress: Option<NumberOrText>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum TextOrParts {
            Cores(f64),
            Text(String),
            Parts(Parts),
        }
        let text = |part: NumberOrText| match part {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        let rule = "capacity must be a text such as \"4000m,1000Mbps\" or a map of cpu and egress";
        match TextOrParts::deserialize(deserializer).map_err(|_| D::Error::custom(rule))? {
            TextOrParts::Cores(cores) => cores.to_string().parse().map_err(D::Error::custom),
            TextOrParts::Text(text) => text.parse().map_err(D::Error::custom),
            TextOrParts::Parts(parts) => Ok(Self {
                cpu_millicores: parts.cpu.map(|part| cpu(&text(part))).transpose().map_err(D::Error::custom)?,
                egress_mbps: parts.egress.map(|part| egress(&text(part))).transpose().map_err(D::Error::custom)?,
            }),
        }
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
