//! Everything that can be configured: flags win over the YAML file, the file wins over the environment.

pub mod cluster;
pub mod duration;
mod key;
mod load;
mod section;

pub use cluster::{Cluster, WantedCapacity};
pub use key::KeyError;
pub use load::{LoadError, Loaded, Sources, load, read_file};
pub use section::{CodecSpec, CongestionControl, Filter, Logging, PortRange, Prometheus, Room, Rtc, Signal, Video};

use serde::{Deserialize, Serialize};
use starling_cluster::member::Role;
use starling_protocol::keys::{KeyRing, KeyRingError};
use starling_protocol::limits::Limits;
use std::net::IpAddr;

/// The configuration of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// HTTP and WebSocket port; 0 = chosen by the system.
    pub port: u16,
    /// Addresses that HTTP listens on; empty = all.
    pub bind_addresses: Vec<String>,
    /// Port of `/metrics`, LiveKit's older name of `prometheus.port`; 0 = off.
    pub prometheus_port: u16,
    /// Metrics.
    pub prometheus: Prometheus,
    /// LiveKit's older name of `logging.level`; wins when set.
    pub log_level: String,
    /// Log output.
    pub logging: Logging,
    /// Media transport.
    pub rtc: Rtc,
    /// API keys and their secrets.
    pub keys: KeyRing,
    /// File of `key: secret` lines that others cannot read; adds to `keys`.
    pub key_file: String,
    /// Defaults of rooms.
    pub room: Room,
    /// Limits.
    pub limit: Limits,
    /// Where this node stands; told to clients.
    pub region: String,
    /// Name of this node; empty = the one kept in `data_dir`, or a random one.
    pub node_id: String,
    /// Where this node keeps its name, its lives and the last known members; empty = nowhere.
    pub data_dir: String,
    /// What this node does for the cluster.
    #[serde(deserialize_with = "cluster::list")]
    pub roles: Vec<Role>,
    /// What this node can carry; what is not named is detected.
    pub capacity: WantedCapacity,
    /// Other nodes.
    pub cluster: Cluster,
    /// Video layers.
    pub video: Video,
    /// Signalling.
    pub signal: Signal,
    /// Development mode: HTTP and media on loopback unless `bind_addresses` says otherwise, `devkey`/`secret`, tokens
    /// for the asking.
    pub development: bool,
    /// Whether `/debug/impair` exists; only by flag.
    #[serde(skip)]
    pub test_switches: bool,
    /// Whether the system chooses the ICE-TCP port; only by flag.
    #[serde(skip)]
    pub any_tcp_port: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 7880,
            bind_addresses: Vec::new(),
            prometheus_port: 0,
            prometheus: Prometheus::default(),
            log_level: String::new(),
            logging: Logging::default(),
            rtc: Rtc::default(),
            keys: KeyRing::default(),
            key_file: String::new(),
            room: Room::default(),
            limit: Limits::default(),
            region: String::new(),
            node_id: String::new(),
            data_dir: String::new(),
            roles: cluster::every_role(),
            capacity: WantedCapacity::default(),
            cluster: Cluster::default(),
            video: Video::default(),
            signal: Signal::default(),
            development: false,
            test_switches: false,
            any_tcp_port: false,
        }
    }
}

/// Two settings contradict each other, or one is outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No key can sign or verify a token.
    #[error("no API keys: set keys in the configuration file, --keys, --key-file or LIVEKIT_KEYS, or start with --dev")]
    NoKeys,
    /// A key is not usable.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// A range ends before it starts.
    #[error("{name} starts at {first} but ends at {last}")]
    Range {
        /// Its name.
        name: &'static str,
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// Two services want one port.
    #[error("{first} and {second} are both {port}")]
    SamePort {
        /// One setting.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// The port.
        port: u16,
    },
    /// A value is outside its range.
    #[error("{name} is {value}, which must be {bounds}")]
    Bounds {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        bounds: &'static str,
    },
    /// Seeds are of no use to a node that cannot prove itself.
    #[error(
        "cluster.seeds is set but there is no cluster key: make one with `starling cluster-key > cluster.key` and give \
         it to every node by --cluster-key-file, cluster.key_file or STARLING_CLUSTER_KEY"
    )]
    SeedsWithoutKey,
    /// One of them would be ignored.
    #[error("cluster.key and cluster.key_file are both set; give one of them")]
    TwoClusterKeys,
    /// A client would resume before its first ping is late.
    #[error("signal.ping_timeout is {timeout} s, which must be more than signal.ping_interval of {interval} s")]
    Ping {
        /// Interval, seconds.
        interval: u32,
        /// Timeout, seconds.
        timeout: u32,
    },
}

impl Config {
    /// The port of `/metrics`, if any.
    #[must_use]
    pub fn metrics_port(&self) -> Option<u16> {
        [self.prometheus.port, self.prometheus_port].into_iter().find(|port| *port != 0)
    }

    /// The log filter in force.
    #[must_use]
    pub fn log_filter(&self) -> &str {
        if self.log_level.is_empty() { &self.logging.level } else { &self.log_level }
    }

    /// Checks the relations between settings.
    ///
    /// # Errors
    /// [`ConfigError`] naming both values.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.keys.is_empty() {
            return Err(ConfigError::NoKeys);
        }
        self.keys.validate()?;
        self.validate_ports()?;
        cluster::validate_node_id(&self.node_id)?;
        self.cluster.validate()?;
        let bounds =
            |name, value: &dyn ToString, bounds| ConfigError::Bounds { name, value: value.to_string(), bounds };
        if self.signal.ping_interval == 0 {
            return Err(bounds("signal.ping_interval", &0, "at least 1 s: a client panics on 0"));
        }
        if self.signal.ping_timeout <= self.signal.ping_interval {
            let Signal { ping_interval: interval, ping_timeout: timeout } = self.signal;
            return Err(ConfigError::Ping { interval, timeout });
        }
        if self.rtc.workers > 62 {
            return Err(bounds("rtc.workers", &self.rtc.workers, "at most 62"));
        }
        if let Some(address) = self.bind_addresses.iter().find(|address| address.parse::<IpAddr>().is_err()) {
            return Err(bounds("bind_addresses", &format!("{address:?}"), "an IP address"));
        }
        let node_ip = &self.rtc.node_ip;
        if !node_ip.is_empty() && node_ip.parse::<IpAddr>().is_err() {
            return Err(bounds("rtc.node_ip", &format!("{node_ip:?}"), "an IP address"));
        }
        Ok(())
    }

    fn validate_ports(&self) -> Result<(), ConfigError> {
        let rtc = &self.rtc;
        let ranges = [
            ("rtc.udp_port", rtc.udp_port.first, rtc.udp_port.last),
            ("rtc.port_range_start", rtc.port_range_start, rtc.port_range_end),
        ];
        for (name, first, last) in ranges {
            if last < first || (first == 0 && last != 0) {
                return Err(ConfigError::Range { name, first, last });
            }
        }
        let metrics = self.metrics_port().unwrap_or(0);
        // Without a key its port is not opened.
        let cluster = if self.cluster.has_key() { self.cluster.port } else { 0 };
        let media = rtc.udp_ports();
        if cluster != 0 && (media.first..=media.last).contains(&cluster) {
            return Err(ConfigError::SamePort { first: "rtc.udp_port", second: "cluster.port", port: cluster });
        }
        let pairs = [
            ("port", self.port, "cluster.port", cluster),
            ("rtc.tcp_port", rtc.tcp_port, "cluster.port", cluster),
            ("prometheus_port", metrics, "cluster.port", cluster),
            ("port", self.port, "rtc.tcp_port", rtc.tcp_port),
            ("port", self.port, "prometheus_port", metrics),
            ("rtc.tcp_port", rtc.tcp_port, "prometheus_port", metrics),
        ];
        match pairs.into_iter().find(|(_, port, _, other)| *port != 0 && port == other) {
            Some((first, port, second, _)) => Err(ConfigError::SamePort { first, second, port }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_protocol::keys::Secret;

    fn valid() -> Config {
        Config { keys: KeyRing::single("key", "secret"), ..Config::default() }
    }

    #[test]
    fn the_default_with_keys_is_valid() {
        assert_eq!(valid().validate(), Ok(()));
        assert_eq!(Config::default().validate(), Err(ConfigError::NoKeys));
    }

    #[test]
    fn every_broken_relation_names_both_values() {
        let broken = |change: &dyn Fn(&mut Config)| {
            let mut config = valid();
            change(&mut config);
            config.validate().expect_err("a broken relation").to_string()
        };
        let cases = [
            (broken(&|config| config.rtc.tcp_port = 7880), "port and rtc.tcp_port are both 7880"),
            (broken(&|config| config.prometheus_port = 7881), "rtc.tcp_port and prometheus_port are both 7881"),
            (
                broken(&|config| (config.rtc.port_range_start, config.rtc.port_range_end) = (60_000, 50_000)),
                "rtc.port_range_start starts at 60000 but ends at 50000",
            ),
            (
                broken(&|config| config.signal = Signal { ping_interval: 5, ping_timeout: 5 }),
                "signal.ping_timeout is 5 s, which must be more than signal.ping_interval of 5 s",
            ),
            (broken(&|config| config.rtc.workers = 63), "rtc.workers is 63, which must be at most 62"),
            (
                broken(&|config| config.bind_addresses = vec!["here".into()]),
                "bind_addresses is \"here\", which must be an IP address",
            ),
            (broken(&|config| config.rtc.node_ip = "x".into()), "rtc.node_ip is \"x\", which must be an IP address"),
            (
                broken(&|config| (config.cluster.port, config.cluster.key) = (7880, Secret::new("k"))),
                "port and cluster.port are both 7880",
            ),
            (
                broken(&|config| (config.cluster.port, config.cluster.key) = (7882, Secret::new("k"))),
                "rtc.udp_port and cluster.port are both 7882",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_port_range_replaces_the_single_port() {
        let mut rtc = Rtc::default();
        assert_eq!(rtc.udp_ports(), PortRange { first: 7882, last: 7882 });
        (rtc.port_range_start, rtc.port_range_end) = (50_000, 60_000);
        assert_eq!(rtc.udp_ports(), PortRange { first: 50_000, last: 60_000 });
    }

    #[test]
    fn the_example_documents_every_key_with_its_default() {
        let text = include_str!("../../node.example.yaml");
        let example: Config = serde_norway::from_str(text).expect("node.example.yaml");
        assert_eq!(example, Config::default());
        let keys =
            |value: &serde_norway::Value| key::leaves(value).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let mut documented = keys(&serde_norway::from_str(text).expect("yaml"));
        let mut known = keys(&serde_norway::to_value(Config::default()).expect("yaml"));
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }
}
