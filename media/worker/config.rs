//! What the media workers need to know before they start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Sockets of one worker at the most: one per local address.
pub(crate) const SOCKETS_PER_WORKER_MAX: usize = 8;

/// Settings of the media plane.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Local addresses to bind, eight at the most; each becomes a candidate unless `advertised` says otherwise.
    pub bind: Vec<IpAddr>,
    /// UDP ports, one worker each (`rtc.udp_port`); port 0 takes any.
    pub udp_ports: Vec<u16>,
    /// Port of ICE-TCP (`rtc.tcp_port`); `None` turns it off, port 0 takes any.
    pub tcp_port: Option<u16>,
    /// Addresses told to clients in place of the bound ones (`rtc.node_ip`, or what STUN found).
    pub advertised: Vec<IpAddr>,
    /// STUN servers asked for the external address before the start (`rtc.use_external_ip`); empty = not asked.
    pub stun_servers: Vec<SocketAddr>,
    /// Longest time that a packet waits for the rest of its frame before it is forwarded.
    pub hold: Duration,
    /// Whether the estimate may pause a subscription (`rtc.congestion_control.allow_pause`).
    pub allow_pause: bool,
    /// Whether layers follow the bandwidth estimate (`rtc.congestion_control.enabled`).
    pub congestion_control: bool,
    /// Prefer AEAD_AES_128_GCM; `false` leaves AES_CM_128_HMAC_SHA1_80.
    pub gcm: bool,
    /// Takes [`crate::command::MediaCommand::Impair`] (tests and chaos only).
    pub test_switches: bool,
}

impl MediaConfig {
    /// The local addresses that get a socket in each worker.
    pub(crate) fn bound(&self) -> &[IpAddr] {
        &self.bind[..self.bind.len().min(SOCKETS_PER_WORKER_MAX)]
    }

    /// Those beyond [`SOCKETS_PER_WORKER_MAX`], which get none.
    pub(crate) fn left_out(&self) -> &[IpAddr] {
        &self.bind[self.bound().len()..]
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            bind: vec![IpAddr::from([127, 0, 0, 1])],
            udp_ports: vec![0],
            tcp_port: Some(0),
            advertised: Vec::new(),
            stun_servers: Vec::new(),
            hold: Duration::from_micros(1500),
            allow_pause: false,
            congestion_control: true,
            gcm: true,
            test_switches: false,
        }
    }
}

/// The media plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum MediaStartError {
    /// Nothing to bind.
    #[error("no local address to bind media sockets to")]
    NoAddress,
    /// No UDP port configured.
    #[error("no UDP port for media")]
    NoPort,
    /// A socket could not be bound.
    #[error("cannot bind {protocol} {address} for media")]
    Bind {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused something that a worker needs.
    #[error("cannot start a media worker")]
    Worker(#[source] std::io::Error),
    /// The DTLS certificate could not be made.
    #[error("cannot make the DTLS certificate: {reason}")]
    Certificate {
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_the_limit_are_left_out_by_name() {
        let bind: Vec<IpAddr> = (1..=10).map(|host| IpAddr::from([10, 0, 0, host])).collect();
        let config = MediaConfig { bind: bind.clone(), ..MediaConfig::default() };
        assert_eq!((config.bound(), config.left_out()), (&bind[..8], &bind[8..]));
        assert_eq!(MediaConfig::default().left_out(), [] as [IpAddr; 0]);
    }
}
