//! One node: HTTP, media, its part in the cluster and rooms, started in this order and stopped in reverse.
#![expect(clippy::disallowed_methods, reason = "the shell reads the clock once, for the boot id")]

use crate::capacity::capacity;
use crate::cluster::{self, AdvertiseError, Ports};
use crate::config::{Config, ConfigError};
use crate::http::{HttpState, listen, metrics_router, router};
use crate::media::{self, MediaConfig};
use crate::rooms::rooms_config;
use crate::{VERSION, load, telemetry};
use axum::Router;
use starling_actors::{ClusterDoor, Rooms};
use starling_cluster::identity::{Identity, IdentityError};
use starling_cluster::key::KeyError;
use starling_cluster::member::{Load, MemberFacts};
use starling_cluster::peers::Peers;
use starling_cluster::{Cluster, JoinError};
use starling_media::worker::MediaStartError;
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
    /// The cluster key cannot be had.
    #[error(transparent)]
    ClusterKey(#[from] KeyError),
    /// This node cannot know who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nobody could reach this node.
    #[error(transparent)]
    Advertise(#[from] AdvertiseError),
    /// This node cannot be part of its cluster.
    #[error(transparent)]
    Join(#[from] JoinError),
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
    web: Web,
    state: Arc<HttpState>,
    cluster: Cluster,
    rooms: Rooms,
    sessions_gone: mpsc::Receiver<()>,
    load: JoinHandle<()>,
    /// Keeps the data directory from other processes.
    _identity: Identity,
}

/// Everything that listens for HTTP. Dropping it stops it at once.
#[derive(Debug)]
struct Web {
    http_addresses: Vec<SocketAddr>,
    metrics_addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node and returns once it takes sessions. From the moment that its ports are open, `/live` answers and
    /// `/ready` says that it is not.
    ///
    /// # Errors
    /// [`StartError`] naming what failed; whatever had started is stopped.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.validate()?;
        let cluster_keys = cluster::keys(&config)?;
        let identity = identity(&config)?;
        let mut facts = facts(&config, &identity);
        let rooms_config = rooms_config(&config, Arc::new(config.keys.clone()), &facts)?;
        let http_listeners = bind(&config, config.port).await?;
        let metrics_listeners = match config.metrics_port() {
            Some(port) => bind(&config, port).await?,
            None => Vec::new(),
        };

        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let media = media::start(&MediaConfig::new(&config, cores)).await?;
        let metrics = telemetry::metrics_handle();
        metrics::gauge!("starling_node_info", "version" => VERSION).set(1.0);
        let (state, sessions_gone) = HttpState::new(&config, media.plane.clone(), metrics);
        let web = Web::start(&state, http_listeners, metrics_listeners);

        let ports = Ports::choose(&config).await?;
        facts.http = cluster::http_url(&web.http_addresses, cluster_keys.is_some().then(|| ports.advertise.ip()));
        if cluster_keys.is_none() {
            tracing::info!("no cluster key: this node is alone and opens no cluster port");
        }
        let (hear, inbound) = starling_actors::inbox();
        let cluster =
            Cluster::start(cluster::cluster_config(&config, cluster_keys, ports, facts.clone()), hear).await?;
        let door = ClusterDoor { peers: Arc::new(cluster.clone()), inbound };
        let rooms = Rooms::start(rooms_config, media.plane.clone(), media.events, door).await?;
        let load = tokio::spawn(load::report(cluster.clone(), rooms.clone(), media.plane, facts.capacity));
        state.open(Arc::new(rooms.clone()), cluster.view());
        tracing::info!(node = %facts.member, http = ?web.http_addresses, cluster = ?cluster.address(), "node started");
        Ok(Self { facts, web, state, cluster, rooms, sessions_gone, load, _identity: identity })
    }

    /// Addresses of HTTP and WebSocket with the real ports, in order of the configuration.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.web.http_addresses
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
        &self.web.metrics_addresses
    }

    /// Who this node is.
    #[must_use]
    pub fn facts(&self) -> &MemberFacts {
        &self.facts
    }

    /// The address under which other nodes reach this one, UDP and TCP; `None` without a cluster key.
    #[must_use]
    pub fn cluster_address(&self) -> Option<SocketAddr> {
        self.cluster.address()
    }

    /// Says goodbye to the cluster's owners, to every session, to the cluster, and stops, in bounded time.
    pub async fn shutdown(mut self) {
        self.state.stop();
        self.cluster.set_draining(true);
        if timeout(ROOMS_STOP_TIMEOUT, self.rooms.shutdown()).await.is_err() {
            tracing::warn!(limit = ?ROOMS_STOP_TIMEOUT, "rooms did not stop in time");
        }
        if timeout(SESSIONS_STOP_TIMEOUT, self.sessions_gone.recv()).await.is_err() {
            tracing::warn!(limit = ?SESSIONS_STOP_TIMEOUT, "websockets did not close in time");
        }
        self.load.abort();
        self.cluster.leave().await;
        self.web.stop().await;
        tracing::info!(node = %self.facts.member, "node stopped");
    }
}

impl Web {
    fn start(state: &Arc<HttpState>, http: Vec<TcpListener>, metrics: Vec<TcpListener>) -> Self {
        let (stop, _) = watch::channel(false);
        let mut web = Self { http_addresses: Vec::new(), metrics_addresses: Vec::new(), stop, servers: Vec::new() };
        let routes = router(Arc::clone(state));
        web.http_addresses = http.into_iter().map(|listener| web.serve(listener, routes.clone())).collect();
        let routes = metrics_router(Arc::clone(state));
        web.metrics_addresses = metrics.into_iter().map(|listener| web.serve(listener, routes.clone())).collect();
        web
    }

    fn serve(&mut self, listener: TcpListener, routes: Router) -> SocketAddr {
        let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let server = listen::serve(listener, routes, listen::Bounds::default(), self.stop.subscribe());
        self.servers.push(tokio::spawn(server));
        address
    }

    async fn stop(&mut self) {
        self.stop.send_replace(true);
        for mut server in std::mem::take(&mut self.servers) {
            if timeout(HTTP_STOP_TIMEOUT, &mut server).await.is_err() {
                server.abort();
            }
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

fn identity(config: &Config) -> Result<Identity, IdentityError> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let wanted = (!config.node_id.is_empty()).then_some(config.node_id.as_str());
    Identity::load(cluster::data_dir(config).as_deref(), wanted, u64::try_from(now_ms).unwrap_or(u64::MAX))
}

fn facts(config: &Config, identity: &Identity) -> MemberFacts {
    MemberFacts {
        member: identity.member(),
        region: config.region.clone(),
        version: VERSION.to_owned(),
        roles: config.roles.iter().copied().collect(),
        capacity: capacity(config.capacity),
        load: Load::default(),
        http: String::new(),
        ready: false,
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
