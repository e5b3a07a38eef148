//! How many strangers may stand at the cluster port: a bound for all and one per IP address. Pure.

use crate::limits;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Counts connections that have not proved the key.
#[derive(Debug, Default)]
pub(crate) struct Doorkeeper {
    all: usize,
    by_ip: BTreeMap<IpAddr, usize>,
    complained_at: Option<Instant>,
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// [`limits::HANDSHAKES_MAX`].
    All,
    /// [`limits::HANDSHAKES_PER_IP_MAX`].
    ThisIp,
}

impl Doorkeeper {
    /// A connection from there has been accepted; whoever gets `Ok` calls [`Doorkeeper::leave`] once.
    pub(crate) fn enter(&mut self, ip: IpAddr) -> Result<(), Full> {
        let ip = ip.to_canonical();
        if self.all >= limits::HANDSHAKES_MAX {
            return Err(Full::All);
        }
        let here = self.by_ip.get(&ip).copied().unwrap_or(0);
        if here >= limits::HANDSHAKES_PER_IP_MAX {
            return Err(Full::ThisIp);
        }
        self.by_ip.insert(ip, here + 1);
        self.all += 1;
        Ok(())
    }

    /// It has proved the key, or is closed.
    pub(crate) fn leave(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        let here = self.by_ip.get(&ip).copied().unwrap_or(0);
        debug_assert!(here > 0, "whoever leaves has entered");
        if here > 1 {
            self.by_ip.insert(ip, here - 1);
        } else {
            self.by_ip.remove(&ip);
        }
        self.all = self.all.saturating_sub(1);
    }

    /// Whether a stranger is worth a line in the log, [`limits::COMPLAINT_INTERVAL`] after the last one.
    pub(crate) fn may_complain(&mut self, now: Instant) -> bool {
        let may = self.complained_at.is_none_or(|at| now.duration_since(at) >= limits::COMPLAINT_INTERVAL);
        if may {
            self.complained_at = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_host_cannot_take_every_place() {
        let mut doorkeeper = Doorkeeper::default();
        for _ in 0..limits::HANDSHAKES_PER_IP_MAX {
            assert_eq!(doorkeeper.enter(ip(1)), Ok(()));
        }
        assert_eq!(doorkeeper.enter(ip(1)), Err(Full::ThisIp));
        assert_eq!(doorkeeper.enter("::ffff:10.0.0.1".parse().unwrap()), Err(Full::ThisIp), "the same host");
        assert_eq!(doorkeeper.enter(ip(2)), Ok(()));
        doorkeeper.leave(ip(1));
        assert_eq!(doorkeeper.enter(ip(1)), Ok(()));
    }

    #[test]
    fn many_strangers_are_one_line_in_the_log() {
        let mut doorkeeper = Doorkeeper::default();
        let now = crate::clock::now();
        assert!(doorkeeper.may_complain(now));
        assert!(!doorkeeper.may_complain(now + limits::COMPLAINT_INTERVAL / 2));
        assert!(doorkeeper.may_complain(now + limits::COMPLAINT_INTERVAL));
    }

    #[test]
    fn beyond_the_bound_for_all_nobody_enters_until_somebody_leaves() {
        let mut doorkeeper = Doorkeeper::default();
        for number in 0..limits::HANDSHAKES_MAX {
            assert_eq!(doorkeeper.enter(ip(u8::try_from(number % 8).unwrap())), Ok(()));
        }
        assert_eq!(doorkeeper.enter(ip(200)), Err(Full::All));
        for number in 0..limits::HANDSHAKES_MAX {
            doorkeeper.leave(ip(u8::try_from(number % 8).unwrap()));
        }
        assert!(doorkeeper.by_ip.is_empty() && doorkeeper.all == 0, "nothing is kept of those who left");
    }
}
