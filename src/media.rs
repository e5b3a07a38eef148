//! From the configuration to the media plane.

use crate::config::{Config, Filter, PliThrottle, PortRange};
use starling_media::command::MediaEvent;
use starling_media::worker::{MediaPlane, WORKER_TO_CONTROL_CAPACITY};
use std::net::IpAddr;
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
            tcp_port: (rtc.tcp_port != 0 && rtc.allow_tcp_fallback).then_some(rtc.tcp_port),
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
        }
    }
}

/// The running media plane and what it tells.
#[derive(Debug)]
pub struct Media {
    /// Its control end.
    pub plane: MediaPlane,
    /// Its events.
    pub events: mpsc::Receiver<MediaEvent>,
    /// Keeps the media plane alive.
    pub keep: MediaKeep,
}

/// What must live as long as the media plane.
#[derive(Debug)]
pub struct MediaKeep {
    _events: mpsc::Sender<MediaEvent>,
    drain: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for MediaKeep {
    fn drop(&mut self) {
        for task in &self.drain {
            task.abort();
        }
    }
}

/// Why there is no media plane.
#[derive(Debug, thiserror::Error)]
#[error("media plane cannot start")]
pub struct MediaStartError;

/// Starts the media plane: signalling without media workers, whose commands go nowhere.
///
/// # Errors
/// [`MediaStartError`] when no worker can run.
pub fn start(config: &MediaConfig) -> Result<Media, MediaStartError> {
    if config.workers == 0 {
        return Err(MediaStartError);
    }
    let (plane, commands) = MediaPlane::without_workers(1);
    let (keep, events) = mpsc::channel(WORKER_TO_CONTROL_CAPACITY);
    let drain =
        commands.into_iter().map(|mut commands| tokio::spawn(async move { while commands.recv().await.is_some() {} }));
    Ok(Media { plane, events, keep: MediaKeep { _events: keep, drain: drain.collect() } })
}
