//! What this machine can carry, where the operator has not said it: its cores, and the speed of the link that leads out.

use crate::config::WantedCapacity;
use starling_cluster::member::Capacity;
use std::path::Path;

/// What is believed of a network that does not tell its speed (virtual ones mostly), megabits per second.
const EGRESS_MBPS_UNKNOWN: u32 = 1_000;

/// The configured capacity; what is not named is detected.
pub(crate) fn capacity(wanted: WantedCapacity) -> Capacity {
    Capacity {
        cpu_millicores: wanted.cpu_millicores.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u32::try_from(cores).unwrap_or(1).saturating_mul(1_000)
        }),
        egress_mbps: wanted.egress_mbps.or_else(link_speed).unwrap_or(EGRESS_MBPS_UNKNOWN),
    }
}

/// Speed of the default route's interface, megabits per second.
fn link_speed() -> Option<u32> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    let interface = default_interface(&routes)?;
    let speed = std::fs::read_to_string(Path::new("/sys/class/net").join(interface).join("speed")).ok()?;
    // Interfaces without a speed say -1, or fail to be read.
    speed.trim().parse().ok().filter(|speed| *speed > 0)
}

/// The interface of the default route with the lowest metric, out of the text of `/proc/net/route`.
fn default_interface(routes: &str) -> Option<&str> {
    let defaults = routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (interface, destination, mask) = (*fields.first()?, *fields.get(1)?, *fields.get(7)?);
        let metric: u32 = fields.get(6)?.parse().ok()?;
        (destination == "00000000" && mask == "00000000").then_some((metric, interface))
    });
    defaults.min().map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_leads_out() {
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                      wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\n\
                      eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n\
                      eth1 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(default_interface(routes), Some("eth0"));
        assert_eq!(default_interface("Iface Destination\n"), None);
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn what_the_operator_says_is_not_detected() {
        let wanted = WantedCapacity { cpu_millicores: Some(500), egress_mbps: Some(7) };
        assert_eq!(capacity(wanted), Capacity { cpu_millicores: 500, egress_mbps: 7 });
        let detected = capacity(WantedCapacity::default());
        assert!(detected.cpu_millicores >= 1_000 && detected.egress_mbps > 0, "{detected:?}");
    }
}
