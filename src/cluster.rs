//! From the configuration to this node's place in its cluster: who it is, what it proves itself with, where others
//! reach it. Decides nothing about other nodes.

use crate::config::Config;
use crate::local_address::machine_addresses;
use starling_cluster::config::ClusterConfig;
use starling_cluster::key::{ClusterKeys, KeyError, KeySource};
use starling_cluster::member::MemberFacts;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long the start waits for the address of a name.
const RESOLVE_TIME: Duration = Duration::from_secs(3);
/// An address of nobody (RFC 5737): the system's route to it is the default route. Nothing is sent there.
const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The name of `cluster.advertise` leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("cluster.advertise {name:?} has no address")]
pub struct AdvertiseError {
    name: String,
    #[source]
    source: Option<std::io::Error>,
}

/// The keys that the configuration names, if any.
///
/// # Errors
/// [`KeyError`] naming the file or variable.
pub(crate) fn keys(config: &Config) -> Result<Option<ClusterKeys>, KeyError> {
    let cluster = &config.cluster;
    if !cluster.key_file.is_empty() {
        return ClusterKeys::read_file(Path::new(&cluster.key_file)).map(Some);
    }
    if cluster.key.is_empty() {
        return Ok(None);
    }
    ClusterKeys::parse(cluster.key.reveal(), &KeySource::Variable("STARLING_CLUSTER_KEY")).map(Some)
}

/// Where this node keeps what outlives it.
pub(crate) fn data_dir(config: &Config) -> Option<PathBuf> {
    (!config.data_dir.is_empty()).then(|| PathBuf::from(&config.data_dir))
}

/// Where the cluster port opens and what others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Where it opens.
    pub(crate) listen: SocketAddr,
    /// What others are told; its port 0 = the one that opens.
    pub(crate) advertise: SocketAddr,
}

impl Ports {
    /// Chooses both.
    ///
    /// # Errors
    /// [`AdvertiseError`] when the configured name has no address.
    pub(crate) async fn choose(config: &Config) -> Result<Self, AdvertiseError> {
        let port = config.cluster.port;
        let told = match config.cluster.advertise.as_str() {
            "" => None,
            name => Some(resolve(name, port).await?),
        };
        let bind = bind_address(config);
        let advertise = match (told, bind) {
            (Some(told), _) => told,
            (None, Some(bind)) => SocketAddr::new(bind, port),
            (None, None) => SocketAddr::new(towards(&config.cluster.seeds).await, port),
        };
        let every =
            if advertise.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        Ok(Self { listen: SocketAddr::new(bind.unwrap_or(every), port), advertise })
    }
}

/// The one address that the port opens on, if not all.
fn bind_address(config: &Config) -> Option<IpAddr> {
    let named = [config.cluster.bind.as_str()].into_iter().find_map(|address| address.parse().ok());
    let in_development = || {
        let first = config.bind_addresses.first().and_then(|address| address.parse::<IpAddr>().ok());
        match (config.development, first) {
            (true, Some(address)) => (!address.is_unspecified()).then_some(address),
            (true, None) => Some(Ipv4Addr::LOCALHOST.into()),
            (false, _) => None,
        }
    };
    named.filter(|address: &IpAddr| !address.is_unspecified()).or_else(in_development)
}

async fn resolve(name: &str, port: u16) -> Result<SocketAddr, AdvertiseError> {
    let failed = |source| AdvertiseError { name: name.to_owned(), source };
    if let Ok(address) = name.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let full = if name.contains(':') { name.to_owned() } else { format!("{name}:{port}") };
    match timeout(RESOLVE_TIME, lookup_host(full)).await {
        Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| failed(None)),
        Ok(Err(error)) => Err(failed(Some(error))),
        Err(_) => Err(failed(Some(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// The address of this machine from which the first seed with an address is reached; without seeds the one of the
/// default route; without a route any that is not loopback.
async fn towards(seeds: &[String]) -> IpAddr {
    let mut targets: Vec<SocketAddr> = Vec::new();
    for seed in seeds {
        if let Ok(Ok(found)) = timeout(RESOLVE_TIME, lookup_host(seed)).await {
            targets.extend(found);
            break;
        }
    }
    targets.push(ANYWHERE.into());
    let outside = machine_addresses().into_iter().map(|(_, address)| address);
    targets
        .into_iter()
        .find_map(source_address)
        .or_else(|| outside.into_iter().find(|address| address.is_ipv4() && !address.is_loopback()))
        .unwrap_or_else(|| Ipv4Addr::LOCALHOST.into())
}

/// The address that the system would send from; connecting a UDP socket sends nothing.
fn source_address(target: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr =
        if target.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The URL of HTTP as other nodes reach it: on the address of the cluster port, or on the one that HTTP is bound to.
pub(crate) fn http_url(http: &[SocketAddr], cluster: Option<IpAddr>) -> String {
    let Some(first) = http.first() else { return String::new() };
    let ip = match (first.ip().is_unspecified(), cluster) {
        (true, Some(cluster)) => cluster,
        (true, None) => return String::new(),
        (false, _) => http.iter().map(SocketAddr::ip).find(|ip| Some(*ip) == cluster).unwrap_or(first.ip()),
    };
    format!("http://{}", SocketAddr::new(ip, first.port()))
}

/// What the cluster crate needs.
pub(crate) fn cluster_config(
    config: &Config,
    keys: Option<ClusterKeys>,
    ports: Ports,
    facts: MemberFacts,
) -> ClusterConfig {
    // A port that the system chooses is not known before it opens; then the address alone is the same.
    let advertise = (ports.advertise != ports.listen).then_some(ports.advertise);
    ClusterConfig {
        name: config.cluster.name.clone(),
        keys,
        listen: ports.listen,
        advertise,
        seeds: config.cluster.seeds.clone(),
        data_dir: data_dir(config),
        facts,
        join_wait: config.cluster.join_wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn chosen(change: impl FnOnce(&mut Config)) -> (String, String) {
        let mut config = Config::default();
        change(&mut config);
        let ports = Ports::choose(&config).await.expect("ports");
        (ports.listen.to_string(), ports.advertise.to_string())
    }

    #[tokio::test]
    async fn development_mode_keeps_the_cluster_port_on_loopback_or_where_bind_says() {
        let both = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(chosen(|config| config.development = true).await, both("127.0.0.1:7946"));
        let bound =
            chosen(|config| (config.development, config.bind_addresses) = (true, vec!["10.1.2.3".into()])).await;
        assert_eq!(bound, both("10.1.2.3:7946"));
        assert_eq!(chosen(|config| config.cluster.bind = "10.1.2.3".into()).await, both("10.1.2.3:7946"));
    }

    #[tokio::test]
    async fn others_are_told_what_advertise_says_or_the_address_towards_the_seed() {
        let (listen, told) = chosen(|config| config.cluster.advertise = "192.0.2.7".into()).await;
        assert_eq!((listen.as_str(), told.as_str()), ("0.0.0.0:7946", "192.0.2.7:7946"));
        let (listen, told) = chosen(|config| config.cluster.advertise = "[2001:db8::1]:9".into()).await;
        assert_eq!((listen.as_str(), told.as_str()), ("[::]:7946", "[2001:db8::1]:9"));
        let (listen, told) = chosen(|config| config.cluster.seeds = vec!["127.0.0.1:1".into()]).await;
        assert_eq!((listen.as_str(), told.as_str()), ("0.0.0.0:7946", "127.0.0.1:7946"));
    }

    #[test]
    fn the_url_of_http_is_on_the_address_that_others_reach() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("address");
        let cluster = Some("10.1.2.3".parse().expect("address"));
        assert_eq!(http_url(&[address("[::]:7880")], cluster), "http://10.1.2.3:7880");
        assert_eq!(http_url(&[address("127.0.0.1:1"), address("10.1.2.3:1")], cluster), "http://10.1.2.3:1");
        assert_eq!(http_url(&[address("127.0.0.1:1")], cluster), "http://127.0.0.1:1");
        assert_eq!(http_url(&[address("0.0.0.0:1")], None), "");
    }
}
