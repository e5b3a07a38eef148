//! What a room is expected to cost a node, before it can be measured.

use super::epoch::RoomHints;
use starling_cluster::member::{Capacity, Load};

/// Participants that a room is charged for when nothing is known of it.
const PARTICIPANTS_DEFAULT: u32 = 3;
/// Participants that a hint or a history can charge at most: a limit of 1,000 is seldom an expectation of 1,000.
const PARTICIPANTS_MAX: u32 = 100;
/// Videos that one participant is sent at most, as a page shows them.
const STREAMS_MAX: u32 = 9;
/// Megabits per second of one forwarded stream, over all layers that are shown.
const STREAM_EGRESS_MBPS: f64 = 0.6;
/// Thousandths of a core per forwarded stream: 70 packets/s of 1.7 µs, doubled for feedback and repair.
const STREAM_CPU_MILLICORES: f64 = 0.25;
/// Thousandths of a core per participant: signalling, ICE, SCTP, one uplink.
const PARTICIPANT_CPU_MILLICORES: f64 = 1.0;

/// CPU and egress, as an amount or as a rate of both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) cpu_millicores: f64,
    pub(super) egress_mbps: f64,
}

impl Cost {
    /// What stands for a room that carries nothing: many empty rooms spread by capacity too.
    pub(super) const STANDING: Self = Self { cpu_millicores: 0.5, egress_mbps: 0.25 };

    /// Of a room with these hints whose name had at most `peak` participants before.
    pub(super) fn of_room(hints: &RoomHints, peak: Option<u32>) -> Self {
        let said = Some(hints.max_participants).filter(|said| *said > 0);
        let participants = said.or(peak).unwrap_or(PARTICIPANTS_DEFAULT).clamp(1, PARTICIPANTS_MAX);
        let streams = f64::from(participants * (participants - 1).min(STREAMS_MAX));
        let participants = f64::from(participants);
        Self {
            cpu_millicores: streams * STREAM_CPU_MILLICORES + participants * PARTICIPANT_CPU_MILLICORES,
            egress_mbps: streams * STREAM_EGRESS_MBPS,
        }
    }

    pub(super) fn measured(load: &Load) -> Self {
        Self { cpu_millicores: f64::from(load.cpu_millicores), egress_mbps: f64::from(load.egress_mbps) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            cpu_millicores: self.cpu_millicores + other.cpu_millicores,
            egress_mbps: self.egress_mbps + other.egress_mbps,
        }
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self { cpu_millicores: self.cpu_millicores * factor, egress_mbps: self.egress_mbps * factor }
    }

    /// The share of a capacity that it takes: that of the scarcer resource. A resource that the node does not declare
    /// (0) bounds nothing.
    pub(super) fn utilisation(self, capacity: &Capacity) -> f64 {
        let share = |amount: f64, of: u32| if of == 0 { 0.0 } else { amount / f64::from(of) };
        share(self.cpu_millicores, capacity.cpu_millicores).max(share(self.egress_mbps, capacity.egress_mbps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(max_participants: u32) -> RoomHints {
        RoomHints { max_participants, region: String::new() }
    }

    #[test]
    fn a_said_size_comes_before_history_and_history_before_the_default() {
        let default = Cost::of_room(&hints(0), None);
        assert_eq!(Cost::of_room(&hints(0), Some(PARTICIPANTS_DEFAULT)), default);
        assert!(Cost::of_room(&hints(0), Some(20)).egress_mbps > default.egress_mbps);
        assert_eq!(Cost::of_room(&hints(2), Some(20)), Cost::of_room(&hints(2), None));
        assert_eq!(Cost::of_room(&hints(1_000), None), Cost::of_room(&hints(PARTICIPANTS_MAX), None));
    }

    #[test]
    fn the_scarcer_resource_counts_and_an_undeclared_one_does_not() {
        let cost = Cost { cpu_millicores: 100.0, egress_mbps: 300.0 };
        let both = Capacity { cpu_millicores: 1_000, egress_mbps: 1_000 };
        assert!((cost.utilisation(&both) - 0.3).abs() < 1e-9);
        assert!((cost.utilisation(&Capacity { egress_mbps: 0, ..both }) - 0.1).abs() < 1e-9);
    }
}
