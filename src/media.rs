//! From the configuration to the media plane.

use crate::config::{Config, Filter, PliThrottle, PortRange};
use crate::local_address::LocalAddresses;
use starling_media::command::MediaEvent;
use starling_media::worker::{self, MediaPlane, MediaStartError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::sync::mpsc;

/// Everything of the configuration that media workers need.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Addresses to bind; empty = all.
    pub bind_addresses: Vec<IpAddr>,
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
    /// Packets kept per video layer.
    pub packet_buffer_size_video: usize,
    /// Packets kept per audio track.
    pub packet_buffer_size_audio: usize,
    /// Least time between key-frame requests.
    pub pli_throttle: PliThrottle,
    /// Lower layers before a thin link breaks.
    pub congestion_control: bool,
    /// Pause videos that do not fit.
    pub allow_pause: bool,
    /// Speaker detection.
    pub audio: crate::config::Audio,
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
            bind_addresses: config.bind_addresses.iter().filter_map(|address| address.parse().ok()).collect(),
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
            packet_buffer_size_video: rtc.packet_buffer_size_video.into(),
            packet_buffer_size_audio: rtc.packet_buffer_size_audio.into(),
            pli_throttle: rtc.pli_throttle.clone(),
            congestion_control: rtc.congestion_control.enabled,
            allow_pause: rtc.congestion_control.allow_pause,
            audio: config.audio.clone(),
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

    /// Addresses to bind: those configured, or every usable one of this machine.
    fn bind_addresses(&self) -> Vec<IpAddr> {
        if !self.bind_addresses.is_empty() && self.bind_addresses.iter().all(|address| !address.is_unspecified()) {
            return self.bind_addresses.clone();
        }
        match self.node_ip {
            Some(IpAddr::V4(_)) => return vec![Ipv4Addr::UNSPECIFIED.into()],
            Some(IpAddr::V6(_)) => return vec![Ipv6Addr::UNSPECIFIED.into()],
            None => {}
        }
        LocalAddresses { interfaces: &self.interfaces, ips: &self.ips, loopback: self.loopback_candidate }.list()
    }
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
        bind: config.bind_addresses(),
        udp_ports: config.worker_ports(),
        tcp_port: config.tcp_port,
        advertised: config.node_ip.into_iter().collect(),
        stun_servers,
        allow_pause: config.allow_pause,
        congestion_control: config.congestion_control,
        test_switches: config.test_switches,
        ..worker::MediaConfig::default()
    };
    let (plane, events) = worker::start(settings).await?;
    Ok(Media { plane, events })
}

/// Addresses of `host:port` texts; one that does not resolve is left out with a warning.
async fn resolve(servers: &[String]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for server in servers {
        match tokio::net::lookup_host(server).await {
            Ok(found) => addresses.extend(found),
            Err(error) => tracing::warn!(%server, %error, "STUN server does not resolve"),
        }
    }
    addresses
}
