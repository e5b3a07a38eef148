//! Which of this machine's addresses media sockets bind to.

use crate::config::Filter;
use std::net::IpAddr;

/// The choice among the addresses of this machine.
pub(crate) struct LocalAddresses<'a> {
    /// Interfaces by name.
    pub(crate) interfaces: &'a Filter,
    /// Addresses by CIDR.
    pub(crate) ips: &'a Filter,
    /// Whether loopback addresses count.
    pub(crate) loopback: bool,
}

impl LocalAddresses<'_> {
    /// Usable addresses among `all`, by interface; loopback ones where nothing else is left.
    pub(crate) fn choose(&self, all: &[(String, IpAddr)]) -> Vec<IpAddr> {
        let wanted: Vec<IpAddr> = all
            .iter()
            .filter(|(name, address)| {
                passes(self.interfaces, |entry| entry == name) && passes(self.ips, |entry| contains(entry, *address))
            })
            .map(|(_, address)| *address)
            .filter(|address| !is_link_local(*address))
            .collect();
        let outside: Vec<IpAddr> = wanted.iter().copied().filter(|address| !address.is_loopback()).collect();
        if self.loopback || outside.is_empty() { wanted } else { outside }
    }
}

/// Every address of this machine with the name of its interface.
pub(crate) fn machine_addresses() -> Vec<(String, IpAddr)> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect()
}

fn passes(filter: &Filter, matches: impl Fn(&str) -> bool) -> bool {
    let included = filter.includes.is_empty() || filter.includes.iter().any(|entry| matches(entry));
    included && !filter.excludes.iter().any(|entry| matches(entry))
}

/// A link-local IPv6 address needs a zone, which a candidate cannot carry.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

/// Whether a CIDR block (or a bare address) contains an address.
fn contains(block: &str, address: IpAddr) -> bool {
    let (network, length) = block.split_once('/').unwrap_or((block, ""));
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((network_bits, full), (address_bits, _)) = (bits(network), bits(address));
    let length: u32 = if length.is_empty() { full } else { length.parse().unwrap_or(full).min(full) };
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    network.is_ipv4() == address.is_ipv4() && network_bits & mask == address_bits & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vec<(String, IpAddr)> {
        [("lo", "127.0.0.1"), ("lo", "::1"), ("eth0", "10.1.2.3"), ("eth0", "fe80::1"), ("docker0", "172.17.0.1")]
            .map(|(name, address)| (name.to_owned(), address.parse().unwrap()))
            .to_vec()
    }

    fn chosen(interfaces: &Filter, ips: &Filter, loopback: bool) -> Vec<String> {
        let addresses = LocalAddresses { interfaces, ips, loopback }.choose(&machine());
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_and_link_local_are_left_out() {
        let any = Filter::default();
        assert_eq!(chosen(&any, &any, false), ["10.1.2.3", "172.17.0.1"]);
        assert_eq!(chosen(&any, &any, true), ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1"]);
    }

    #[test]
    fn filters_name_interfaces_and_blocks() {
        let any = Filter::default();
        let no_docker = Filter { includes: vec![], excludes: vec!["docker0".into()] };
        let private = Filter { includes: vec!["10.0.0.0/8".into()], excludes: vec![] };
        assert_eq!(chosen(&no_docker, &any, false), ["10.1.2.3"]);
        assert_eq!(chosen(&any, &private, false), ["10.1.2.3"]);
    }

    #[test]
    fn a_machine_with_loopback_only_uses_it() {
        let only_lo = Filter { includes: vec!["lo".into()], excludes: vec![] };
        assert_eq!(chosen(&only_lo, &Filter::default(), false), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn blocks_of_one_family_never_contain_the_other() {
        assert!(contains("0.0.0.0/0", "1.2.3.4".parse().unwrap()));
        assert!(!contains("0.0.0.0/0", "::1".parse().unwrap()));
        assert!(contains("2001:db8::/32", "2001:db8:7::1".parse().unwrap()));
        assert!(!contains("garbage", "1.2.3.4".parse().unwrap()));
    }
}
