//! What this node carries, measured each second: CPU time of the process, bytes that media sent, rooms, participants.
//! [`LoadMeter`] is told the counters; [`report`] reads and tells them.
#![expect(clippy::disallowed_methods, reason = "the shell tells the meter the time")]

use starling_actors::Rooms;
use starling_cluster::Cluster;
use starling_cluster::member::{Capacity, Load};
use starling_media::command::MediaCommand;
use starling_media::worker::MediaPlane;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often load is measured.
const INTERVAL: Duration = Duration::from_secs(1);
/// A media worker that does not answer within this time counts with what it said last.
const WORKER_PATIENCE: Duration = Duration::from_millis(500);
/// Linux counts CPU time for processes in hundredths of a second on every architecture (USER_HZ).
const MILLISECONDS_PER_TICK: u64 = 10;
/// CPU is told in steps of this, so that an idle node has nothing to tell.
const CPU_STEP_MILLICORES: u32 = 20;
/// Egress is told in steps of this.
const EGRESS_STEP_MBPS: u32 = 5;

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    cpu_ms: u64,
    bytes_out: u64,
}

/// Makes rates out of counters.
#[derive(Debug)]
struct LoadMeter {
    at: Instant,
    counters: Counters,
    cpu_millicores: u32,
    egress_mbps: u32,
}

impl LoadMeter {
    fn new(counters: Counters, now: Instant) -> Self {
        Self { at: now, counters, cpu_millicores: 0, egress_mbps: 0 }
    }

    /// Thousandths of a core and megabits per second since the last measurement, in steps.
    fn measure(&mut self, counters: Counters, now: Instant) -> (u32, u32) {
        let elapsed_ms = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let cpu = counters.cpu_ms.saturating_sub(self.counters.cpu_ms).saturating_mul(1_000) / elapsed_ms;
        let bits = counters.bytes_out.saturating_sub(self.counters.bytes_out).saturating_mul(8);
        let mbps = bits / elapsed_ms / 1_000;
        *self = Self {
            at: now,
            counters,
            cpu_millicores: stepped(self.cpu_millicores, cpu, CPU_STEP_MILLICORES),
            egress_mbps: stepped(self.egress_mbps, mbps, EGRESS_STEP_MBPS),
        };
        (self.cpu_millicores, self.egress_mbps)
    }
}

/// The nearest multiple of a step; the one told before while the number is within three quarters of a step of it, so
/// that a load between two steps does not change what is told every second.
fn stepped(told: u32, number: u64, step: u32) -> u32 {
    let step = u64::from(step);
    if number.abs_diff(u64::from(told)) * 4 < step * 3 {
        return told;
    }
    u32::try_from((number + step / 2) / step * step).unwrap_or(u32::MAX)
}

/// Measures and tells the load until the task is aborted.
pub(crate) async fn report(cluster: Cluster, rooms: Rooms, media: MediaPlane, capacity: Capacity) {
    metrics::gauge!("starling_node_capacity_cpu_millicores").set(f64::from(capacity.cpu_millicores));
    metrics::gauge!("starling_node_capacity_egress_mbps").set(f64::from(capacity.egress_mbps));
    let mut sent = vec![0; media.worker_count()];
    let mut meter = LoadMeter::new(read(&media, &mut sent).await, Instant::now());
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        ticks.tick().await;
        let (cpu_millicores, egress_mbps) = meter.measure(read(&media, &mut sent).await, Instant::now());
        let (rooms, participants) = rooms.counts();
        let load = Load { cpu_millicores, egress_mbps, rooms, participants };
        metrics::gauge!("starling_node_cpu_millicores").set(f64::from(load.cpu_millicores));
        metrics::gauge!("starling_node_egress_mbps").set(f64::from(load.egress_mbps));
        metrics::gauge!("starling_node_rooms").set(f64::from(load.rooms));
        metrics::gauge!("starling_node_participants").set(f64::from(load.participants));
        cluster.set_load(load);
    }
}

/// Reads the counters; `sent` holds what each worker said last.
async fn read(media: &MediaPlane, sent: &mut [u64]) -> Counters {
    for (worker, bytes) in sent.iter_mut().enumerate() {
        let (reply, answer) = oneshot::channel();
        if media.send(worker, MediaCommand::CountSent { reply }).is_ok()
            && let Ok(Ok(counted)) = timeout(WORKER_PATIENCE, answer).await
        {
            *bytes = counted;
        }
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    Counters { cpu_ms: cpu_ms(&stat).unwrap_or(0), bytes_out: sent.iter().sum() }
}

/// User and system time, milliseconds, out of the text of `/proc/self/stat` (proc(5): fields 14 and 15).
fn cpu_ms(stat: &str) -> Option<u64> {
    // The program's name, field 2, may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(ticks * MILLISECONDS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_counters_in_steps() {
        let start = Instant::now();
        let mut meter = LoadMeter::new(Counters { cpu_ms: 1_000, bytes_out: 5_000_000 }, start);
        let second = Duration::from_secs(1);
        let busy = Counters { cpu_ms: 1_750, bytes_out: 17_700_000 };
        assert_eq!(meter.measure(busy, start + second), (760, 100));
        assert_eq!(meter.measure(Counters { cpu_ms: 1_755, ..busy }, start + second * 2), (0, 0));
        // A worker that was started anew begins at nothing.
        assert_eq!(meter.measure(Counters { cpu_ms: 1_755, bytes_out: 0 }, start + second * 3), (0, 0));
    }

    #[test]
    fn a_load_between_two_steps_is_told_once() {
        assert_eq!(stepped(0, 30, 50), 0);
        assert_eq!(stepped(0, 38, 50), 50);
        assert_eq!(stepped(50, 20, 50), 50);
        assert_eq!(stepped(50, 12, 50), 0);
        assert_eq!(stepped(50, 1_020, 50), 1_000);
    }

    #[test]
    fn the_time_of_a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 0 0";
        assert_eq!(cpu_ms(stat), Some(3_000));
        assert_eq!(cpu_ms(""), None);
        assert_eq!(cpu_ms("7 (a) S 1"), None);
    }
}
