//! The addresses behind `HOST:PORT`s, looked up again and again: names move, and a name may have many addresses.

use crate::limits::{ASKED_ADDRESSES_MAX, SEED_LOOKUP_ALONE, SEED_LOOKUP_JOINED, SEED_LOOKUP_TIME};
use crate::metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

/// The seeds of this node.
#[derive(Debug)]
pub struct Seeds {
    hosts: BTreeMap<String, Host>,
    own: BTreeSet<SocketAddr>,
    looked_up: Option<Instant>,
}

/// One `HOST:PORT` at its last look-up.
#[derive(Debug, Default)]
struct Host {
    addresses: Vec<SocketAddr>,
    error: Option<String>,
}

impl Seeds {
    /// Seeds as the operator named them; `own` addresses are left out of what they lead to.
    #[must_use]
    pub fn new(hosts: &[String], own: impl IntoIterator<Item = SocketAddr>) -> Self {
        let hosts = hosts.iter().map(|host| (host.clone(), Host::default()));
        Self { hosts: hosts.collect(), own: own.into_iter().collect(), looked_up: None }
    }

    /// Whether there are none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// An address that has turned out to be this node's.
    pub fn leave_out(&mut self, own: SocketAddr) {
        if self.own.len() < ASKED_ADDRESSES_MAX {
            self.own.insert(own);
        }
    }

    /// Looks names up when that is due and returns the addresses of all, in the order of names.
    pub async fn addresses(&mut self, alone: bool, now: Instant) -> Vec<SocketAddr> {
        let pause = if alone { SEED_LOOKUP_ALONE } else { SEED_LOOKUP_JOINED };
        if self.looked_up.is_none_or(|at| now.saturating_duration_since(at) >= pause) {
            self.looked_up = Some(now);
            for (name, host) in &mut self.hosts {
                host.take(name, look_up(name).await);
            }
        }
        let all: BTreeSet<SocketAddr> = self.hosts.values().flat_map(|host| host.addresses.clone()).collect();
        all.difference(&self.own).copied().take(ASKED_ADDRESSES_MAX).collect()
    }
}

impl Host {
    /// Keeps the last addresses when the look-up failed, and logs what differs from the time before.
    fn take(&mut self, name: &str, found: Result<Vec<SocketAddr>, String>) {
        match found {
            Ok(addresses) => {
                if self.addresses != addresses {
                    tracing::info!(seed = name, ?addresses, "seed resolved");
                }
                self.addresses = addresses;
                self.error = None;
            }
            Err(error) => {
                metrics::seed_lookup_failed();
                if self.error.as_ref() != Some(&error) {
                    tracing::warn!(seed = name, %error, "seed cannot be resolved");
                }
                self.error = Some(error);
            }
        }
    }
}

async fn look_up(name: &str) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(SEED_LOOKUP_TIME, tokio::net::lookup_host(name)).await;
    let addresses = found.map_err(|_| format!("no answer within {SEED_LOOKUP_TIME:?}"))?;
    let mut addresses: Vec<SocketAddr> = addresses.map_err(|error| error.to_string())?.collect();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time needs some beginning")]
    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test]
    async fn all_addresses_count_but_our_own() {
        let hosts = ["127.0.0.1:1", "127.0.0.2:2", "127.0.0.1:1", "127.0.0.3:3"].map(str::to_owned);
        let mut seeds = Seeds::new(&hosts, [address("127.0.0.2:2")]);
        assert_eq!(seeds.addresses(true, now()).await, [address("127.0.0.1:1"), address("127.0.0.3:3")]);
        seeds.leave_out(address("127.0.0.1:1"));
        assert_eq!(seeds.addresses(true, now()).await, [address("127.0.0.3:3")]);
    }

    #[tokio::test]
    async fn a_seed_without_a_port_is_an_error_and_the_others_still_count() {
        let mut seeds = Seeds::new(&["nonsense".to_owned(), "127.0.0.1:1".to_owned()], []);
        assert_eq!(seeds.addresses(true, now()).await, [address("127.0.0.1:1")]);
        assert!(seeds.hosts["nonsense"].error.is_some());
    }

    #[test]
    fn a_failed_look_up_leaves_the_last_addresses_standing() {
        let mut host = Host::default();
        host.take("seed:1", Ok(vec![address("10.0.0.1:1")]));
        host.take("seed:1", Err("no such name".to_owned()));
        assert_eq!(host.addresses, [address("10.0.0.1:1")]);
    }

    #[tokio::test]
    async fn names_are_looked_up_less_often_once_joined() {
        let mut seeds = Seeds::new(&["127.0.0.1:1".to_owned()], []);
        let start = now();
        seeds.addresses(true, start).await;
        seeds.addresses(false, start + SEED_LOOKUP_ALONE).await;
        assert_eq!(seeds.looked_up, Some(start));
        seeds.addresses(true, start + SEED_LOOKUP_ALONE).await;
        assert_eq!(seeds.looked_up, Some(start + SEED_LOOKUP_ALONE));
        seeds.addresses(false, start + SEED_LOOKUP_ALONE + SEED_LOOKUP_JOINED).await;
        assert_eq!(seeds.looked_up, Some(start + SEED_LOOKUP_ALONE + SEED_LOOKUP_JOINED));
    }
}
