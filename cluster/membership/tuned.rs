//! foca's settings as measured (cluster.md §3.2).

use crate::limits::SWIM_PAYLOAD_BYTES_MAX;
use foca::{Config, PeriodicParams};
use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// How often an update is passed on at least; `new_lan` computes 2 for three nodes, far too few under loss.
const TRANSMISSIONS_MIN: NonZeroU8 = NonZeroU8::new(12).unwrap();
const ONE: NonZeroUsize = NonZeroUsize::new(1).unwrap();
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The settings for a cluster of that many nodes. Probes find a death in 2.9 s (p50) and nobody is declared dead who
/// stalls for 2 s.
pub(super) fn tuned(nodes: NonZeroU32) -> Config {
    let lan = Config::new_lan(nodes);
    let every = |milliseconds, num_members| {
        Some(PeriodicParams { frequency: Duration::from_millis(milliseconds), num_members })
    };
    Config {
        probe_period: Duration::from_millis(500),
        probe_rtt: Duration::from_millis(150),
        suspect_to_down_after: Duration::from_secs(2),
        remove_down_after: Some(Duration::from_secs(24 * 3_600)),
        max_transmissions: lan.max_transmissions.max(TRANSMISSIONS_MIN),
        max_packet_size: NonZeroUsize::new(SWIM_PAYLOAD_BYTES_MAX).unwrap_or(ONE),
        notify_down_members: true,
        periodic_announce: every(10_000, ONE),
        // How long a healed partition goes unnoticed: §3.2 has 5 s, §6.1 2 s. Nodes that joined together ask together,
        // so the whole period counts, and 2 s are promised for all of the healing.
        periodic_announce_to_down_members: every(1_000, TWO),
        periodic_gossip: every(100, THREE),
        ..lan
    }
}
