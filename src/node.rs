//! One node: media, rooms and HTTP, started in this order and stopped in reverse.
#![expect(clippy::disallowed_methods, reason = "the shell reads the clock once, for the boot id")]

use crate::config::{Config, ConfigError};
use crate::http::{HttpState, listen, metrics_router, router};
use crate::media::{self, MediaConfig};
use crate::rooms::rooms_config;
use crate::{VERSION, telemetry};
use axum::Router;
use starling_actors::Rooms;
use starling_cluster::member::{BootId, Capacity, Load, MemberFacts, MemberId, NodeId, Role};
use starling_media::worker::MediaStartError;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long rooms may take to say goodbye.
const ROOMS_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long WebSockets may take to deliver it.
const SESSIONS_STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long HTTP requests under way may take.
const HTTP_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// No media plane.
    #[error(transparent)]
    Media(#[from] MediaStartError),
    /// No rooms.
    #[error("rooms cannot start")]
    Rooms(#[from] starling_actors::StartError),
    /// A port is taken or an address is not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// None of the addresses of development mode exists.
    #[error("no loopback address to listen on")]
    NoAddress,
}

/// A running node. Dropping it without [`Node::shutdown`] stops it without goodbye.
#[derive(Debug)]
pub struct Node {
    facts: MemberFacts,
    http_addresses: Vec<SocketAddr>,
    metrics_addresses: Vec<SocketAddr>,
    state: Arc<HttpState>,
    rooms: Rooms,
    sessions_gone: mpsc::Receiver<()>,
    stop_http: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node and returns once it listens.
    ///
    /// # Errors
    /// [`StartError`] naming what failed; whatever had started is stopped.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.validate()?;
        let facts = facts(&config);
        let keys = Arc::new(config.keys.clone());
        let rooms_config = rooms_config(&config, keys, &facts)?;
        let http_listeners = bind(&config, config.port).await?;
        let metrics_listeners = match config.metrics_port() {
            Some(port) => bind(&config, port).await?,
            None => Vec::new(),
        };

        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let media = media::start(&MediaConfig::new(&config, cores)).await?;
        let rooms = Rooms::start(rooms_config, media.plane.clone(), media.events).await?;
        let metrics = telemetry::metrics_handle();
        let (state, sessions_gone) = HttpState::new(&config, Arc::new(rooms.clone()), media.plane, metrics);

        let (stop_http, _) = watch::channel(false);
        let mut node = Self {
            facts,
            http_addresses: Vec::new(),
            metrics_addresses: Vec::new(),
            state: Arc::clone(&state),
            rooms,
            sessions_gone,
            stop_http,
            servers: Vec::new(),
        };
        let http = router(Arc::clone(&state));
        node.http_addresses = http_listeners.into_iter().map(|listener| node.serve(listener, http.clone())).collect();
        let metrics = metrics_router(state);
        node.metrics_addresses =
            metrics_listeners.into_iter().map(|listener| node.serve(listener, metrics.clone())).collect();
        tracing::info!(node = %node.facts.member, http = ?node.http_addresses, "node started");
        Ok(node)
    }

    /// Addresses of HTTP and WebSocket with the real ports, in order of the configuration.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http_addresses
    }

    /// Addresses of media over UDP or ICE-TCP with the real ports, as clients are told, of all workers.
    #[must_use]
    pub fn media_addresses(&self, tcp: bool) -> Vec<SocketAddr> {
        let media = &self.state.media;
        let candidates = (0..media.worker_count()).flat_map(|worker| media.candidates(worker));
        let mut addresses = Vec::new();
        for candidate in candidates.filter(|candidate| candidate.tcp == tcp) {
            // Every worker names the same ICE-TCP addresses.
            if !addresses.contains(&candidate.address) {
                addresses.push(candidate.address);
            }
        }
        addresses
    }

    /// Addresses of `/metrics`, empty when it has no port of its own.
    #[must_use]
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        &self.metrics_addresses
    }

    /// Who this node is.
    #[must_use]
    pub fn facts(&self) -> &MemberFacts {
        &self.facts
    }

    /// Says goodbye to every session and stops, in bounded time.
    pub async fn shutdown(mut self) {
        self.state.stop();
        if timeout(ROOMS_STOP_TIMEOUT, self.rooms.shutdown()).await.is_err() {
            tracing::warn!(limit = ?ROOMS_STOP_TIMEOUT, "rooms did not stop in time");
        }
        if timeout(SESSIONS_STOP_TIMEOUT, self.sessions_gone.recv()).await.is_err() {
            tracing::warn!(limit = ?SESSIONS_STOP_TIMEOUT, "websockets did not close in time");
        }
        self.stop_http.send_replace(true);
        for mut server in std::mem::take(&mut self.servers) {
            if timeout(HTTP_STOP_TIMEOUT, &mut server).await.is_err() {
                server.abort();
            }
        }
        tracing::info!(node = %self.facts.member, "node stopped");
    }

    fn serve(&mut self, listener: TcpListener, routes: Router) -> SocketAddr {
        let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let server = listen::serve(listener, routes, listen::Bounds::default(), self.stop_http.subscribe());
        self.servers.push(tokio::spawn(server));
        address
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

fn facts(config: &Config) -> MemberFacts {
    let started_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    MemberFacts {
        member: MemberId {
            node_id: NodeId::random(&mut rand::rng()),
            boot_id: BootId::after(None, u64::try_from(started_ms).unwrap_or(u64::MAX)),
        },
        region: config.region.clone(),
        version: VERSION.to_owned(),
        roles: BTreeSet::from([Role::Room]),
        capacity: Capacity::default(),
        load: Load::default(),
        http: String::new(),
        ready: true,
        draining: false,
    }
}

/// Listens on every configured address. Port 0 becomes the same port on all of them.
async fn bind(config: &Config, port: u16) -> Result<Vec<TcpListener>, StartError> {
    let named: Vec<IpAddr> = config.bind_addresses.iter().filter_map(|address| address.parse().ok()).collect();
    // Where nothing is named, an address family that the machine lacks is left out.
    let (addresses, all_needed) = match (named.is_empty(), config.development) {
        (false, _) => (named, true),
        (true, true) => (vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], false),
        (true, false) => (vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()], false),
    };
    let mut port = port;
    let mut listeners: Vec<TcpListener> = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(ip, port);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |address| address.port());
                listeners.push(listener);
                // A wildcard IPv6 socket hears IPv4 too.
                if ip == Ipv6Addr::UNSPECIFIED {
                    break;
                }
            }
            Err(source) if all_needed || source.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(StartError::Listen { address, source });
            }
            Err(error) => tracing::debug!(%address, %error, "address left out"),
        }
    }
    if listeners.is_empty() { Err(StartError::NoAddress) } else { Ok(listeners) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_protocol::keys::KeyRing;

    fn config() -> Config {
        Config {
            port: 0,
            bind_addresses: vec!["127.0.0.1".into()],
            keys: KeyRing::single("key", "secret"),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn a_node_listens_on_a_chosen_port_and_leaves_it_when_it_stops() {
        let mut config = config();
        config.rtc.ips.includes = vec!["127.0.0.0/8".into()];
        config.rtc.tcp_port = 0;
        config.rtc.udp_port = crate::config::PortRange { first: 0, last: 0 };
        let node = Node::start(config).await.expect("node");
        let address = node.http_addresses()[0];
        assert_ne!(address.port(), 0);
        assert!(tokio::net::TcpStream::connect(address).await.is_ok());
        node.shutdown().await;
        TcpListener::bind(address).await.expect("the port is free");
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = taken.local_addr().expect("address");
        let error = Node::start(Config { port: address.port(), ..config() }).await.expect_err("a taken port");
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }

    #[tokio::test]
    async fn an_unknown_codec_is_a_configuration_error() {
        let mut config = config();
        config.room.enabled_codecs[0].mime = "video/theora".into();
        let error = Node::start(config).await.expect_err("an unknown codec").to_string();
        assert!(error.contains("room.enabled_codecs is \"video/theora\""), "{error}");
    }
}
