//! From the configuration to the media plane.

use crate::config::{Config, Filter, PortRange};
use crate::local_address::{LocalAddresses, machine_addresses};
use futures_util::future::join_all;
use starling_media::command::MediaEvent;
use starling_media::worker::{self, MediaPlane, MediaStartError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long the start waits for the addresses of STUN servers.
const RESOLVE_TIME: Duration = Duration::from_secs(3);

/// Everything of the configuration that media workers need.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// In development mode the addresses that media keeps to, those of HTTP; empty = loopback.
    pub development_addresses: Option<Vec<IpAddr>>,
    /// UDP ports: one shared by all workers, or a range of which each takes one; 0 = chosen by the system.
    pub udp_ports: PortRange,
    /// ICE-TCP port; `None` = off.
    pub tcp_port: Option<u16>,
    /// The address that clients are told, where set.
    pub node_ip: Option<IpAddr>,
    /// Ask a STUN server for the address that clients are told.
    pub use_external_ip: bool,
    /// STUN servers, `host:port`.
    pub stun_servers: Vec<String>,
    /// Interfaces by name.
    pub interfaces: Filter,
    /// Addresses by CIDR.
    pub ips: Filter,
    /// Tell clients the loopback address too.
    pub loopback_candidate: bool,
    /// Worker threads.
    pub workers: usize,
    /// Lower layers before a thin link breaks.
    pub congestion_control: bool,
    /// Pause videos that do not fit.
    pub allow_pause: bool,
    /// Take commands that break things on purpose.
    pub test_switches: bool,
}

impl MediaConfig {
    /// Takes from a validated configuration what media workers need.
    #[must_use]
    pub fn new(config: &Config, cores: usize) -> Self {
        let rtc = &config.rtc;
        let workers = if rtc.workers == 0 { cores } else { usize::from(rtc.workers) };
        Self {
            development_addresses: config
                .development
                .then(|| config.bind_addresses.iter().filter_map(|address| address.parse().ok()).collect()),
            udp_ports: rtc.udp_ports(),
            tcp_port: match (rtc.allow_tcp_fallback, config.any_tcp_port, rtc.tcp_port) {
                (false, ..) | (true, false, 0) => None,
                (true, true, _) => Some(0),
                (true, false, port) => Some(port),
            },
            node_ip: rtc.node_ip.parse().ok(),
            use_external_ip: rtc.use_external_ip,
            stun_servers: rtc.stun_servers.clone(),
            interfaces: rtc.interfaces.clone(),
            ips: rtc.ips.clone(),
            loopback_candidate: rtc.enable_loopback_candidate || config.development,
            workers: workers.clamp(1, 62),
            congestion_control: rtc.congestion_control.enabled,
            allow_pause: rtc.congestion_control.allow_pause,
            test_switches: config.test_switches,
        }
    }

    /// One UDP port for each worker.
    fn worker_ports(&self) -> Vec<u16> {
        if self.udp_ports.first == 0 {
            return vec![0];
        }
        (self.udp_ports.first..=self.udp_ports.last).take(self.workers).collect()
    }

    /// Addresses to bind among the named ones of this machine: LiveKit's `bind_addresses` are HTTP's alone, so media
    /// goes by `rtc.node_ip`, `rtc.interfaces` and `rtc.ips`, but for development mode.
    fn bind_addresses(&self, machine: &[(String, IpAddr)]) -> Vec<IpAddr> {
        match &self.development_addresses {
            Some(named) if named.is_empty() => return loopback(machine),
            Some(named) if !named.iter().any(IpAddr::is_unspecified) => return named.clone(),
            _ => {}
        }
        match self.node_ip {
            Some(IpAddr::V4(_)) => return vec![Ipv4Addr::UNSPECIFIED.into()],
            Some(IpAddr::V6(_)) => return vec![Ipv6Addr::UNSPECIFIED.into()],
            None => {}
        }
        let choice = LocalAddresses { interfaces: &self.interfaces, ips: &self.ips, loopback: self.loopback_candidate };
        choice.choose(machine)
    }

    /// Addresses told to clients in place of the bound ones; sockets that keep to loopback are reached nowhere else.
    fn advertised(&self) -> Vec<IpAddr> {
        match &self.development_addresses {
            Some(named) if named.is_empty() => Vec::new(),
            _ => self.node_ip.into_iter().collect(),
        }
    }
}

/// The loopback addresses that this machine has; IPv6 may be switched off.
fn loopback(machine: &[(String, IpAddr)]) -> Vec<IpAddr> {
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let has_v6 = machine.iter().any(|(_, address)| *address == v6);
    [Ipv4Addr::LOCALHOST.into()].into_iter().chain(has_v6.then_some(v6)).collect()
}

/// The running media plane and what it tells. Its workers end when every clone of the plane is dropped.
#[derive(Debug)]
pub struct Media {
    /// Its control end.
    pub plane: MediaPlane,
    /// Its events.
    pub events: mpsc::Receiver<MediaEvent>,
}

/// Starts the media plane.
///
/// # Errors
/// [`MediaStartError`] names the address or resource that could not be had.
pub async fn start(config: &MediaConfig) -> Result<Media, MediaStartError> {
    let stun_servers = if config.use_external_ip { resolve(&config.stun_servers).await } else { Vec::new() };
    let settings = worker::MediaConfig {
        bind: config.bind_addresses(&machine_addresses()),
        udp_ports: config.worker_ports(),
        tcp_port: config.tcp_port,
        advertised: config.advertised(),
        stun_servers,
        allow_pause: config.allow_pause,
        congestion_control: config.congestion_control,
        test_switches: config.test_switches,
        ..worker::MediaConfig::default()
    };
    let (plane, events) = worker::start(settings).await?;
    Ok(Media { plane, events })
}

/// Addresses of `host:port` texts; one that does not resolve in time is left out with a warning.
async fn resolve(servers: &[String]) -> Vec<SocketAddr> {
    let look_ups = servers.iter().map(|server| timeout(RESOLVE_TIME, tokio::net::lookup_host(server)));
    let mut addresses = Vec::new();
    for (server, found) in servers.iter().zip(join_all(look_ups).await) {
        match found {
            Ok(Ok(found)) => addresses.extend(found),
            Ok(Err(error)) => tracing::warn!(%server, %error, "STUN server does not resolve"),
            Err(_) => tracing::warn!(%server, limit = ?RESOLVE_TIME, "STUN server does not resolve in time"),
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(change: impl FnOnce(&mut Config)) -> (Vec<String>, Vec<IpAddr>) {
        let machine = [("lo", "127.0.0.1"), ("lo", "::1"), ("eth0", "10.1.2.3"), ("docker0", "172.17.0.1")]
            .map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        let mut config = Config::default();
        change(&mut config);
        let media = MediaConfig::new(&config, 1);
        (media.bind_addresses(&machine).iter().map(ToString::to_string).collect(), media.advertised())
    }

    #[test]
    fn addresses_of_http_are_none_of_medias_business() {
        let (addresses, _) = bound(|config| config.bind_addresses = vec!["127.0.0.1".into()]);
        assert_eq!(addresses, ["10.1.2.3", "172.17.0.1"]);
        let (addresses, _) = bound(|config| {
            config.bind_addresses = vec!["172.17.0.1".into()];
            config.rtc.interfaces.includes = vec!["eth0".into()];
        });
        assert_eq!(addresses, ["10.1.2.3"]);
    }

    #[test]
    fn a_node_ip_is_told_and_every_address_of_its_family_bound() {
        let (addresses, told) = bound(|config| config.rtc.node_ip = "192.0.2.7".into());
        assert_eq!((addresses, told), (vec!["0.0.0.0".to_owned()], vec![IpAddr::from([192, 0, 2, 7])]));
    }

    #[test]
    fn development_mode_keeps_media_on_loopback() {
        let (addresses, told) = bound(|config| {
            config.development = true;
            config.rtc.node_ip = "192.0.2.7".into();
        });
        assert_eq!((addresses, told), (vec!["127.0.0.1".to_owned(), "::1".to_owned()], Vec::new()));
        assert_eq!(loopback(&[]), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn development_mode_goes_where_bind_says() {
        let bind = |address: &str| {
            bound(|config| {
                config.development = true;
                config.bind_addresses = vec![address.into()];
            })
            .0
        };
        assert_eq!(bind("10.1.2.3"), ["10.1.2.3"]);
        assert_eq!(bind("0.0.0.0"), ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1"]);
    }
}
