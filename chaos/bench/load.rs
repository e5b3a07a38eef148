//! The load: one publisher and its subscribers, in a process and on a core of their own.
#![expect(clippy::disallowed_methods, reason = "the load is a shell: it paces packets by the clock")]

use crate::batch::{ReceiveBatch, Waiter};
use crate::client::Client;
use crate::process::{Usage, usage};
use crate::signal::Role;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes received of packets whose header alone is counted; STUN and DTLS keep-alives fit.
const HEADER_BYTES: usize = 512;
/// Bytes received of every other datagram.
const WHOLE_BYTES: usize = 2048;
/// Before and after a measured window nothing is sent until nothing has arrived for so long: what a busy machine delays
/// is late, not lost.
const QUIET: Duration = Duration::from_millis(150);
/// Longest wait for quiet.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Longest wait for all connections.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often every client is looked at for its timers.
const TIMER_INTERVAL: Duration = Duration::from_millis(5);

/// What the load does.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArguments {
    /// Signalling address of the forwarder.
    #[arg(long)]
    pub(crate) signal: SocketAddr,
    /// Process whose CPU time and memory are read.
    #[arg(long)]
    pub(crate) sfu_pid: u32,
    /// Subscribers.
    #[arg(long, default_value_t = 100)]
    pub(crate) subscribers: usize,
    /// Subscribers that decrypt and send feedback.
    #[arg(long, default_value_t = 100)]
    pub(crate) whole: usize,
    /// Packets per second that the publisher sends, one measured window each.
    #[arg(long, value_delimiter = ',', default_value = "150")]
    pub(crate) rates: Vec<u64>,
    /// Packets per burst.
    #[arg(long, default_value_t = 5)]
    pub(crate) burst: u64,
    /// Seconds of each window.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Seconds of sending before each window.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm: f64,
    /// Stops after two windows in a row that lost more than a thousandth.
    #[arg(long)]
    pub(crate) stop_at_loss: bool,
    /// Core to run on.
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// One measured window, one JSON line on standard output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Packets per second that were to be sent.
    pub(crate) rate: u64,
    /// Forwarded packets per second that arrived.
    pub(crate) forwarded_per_second: f64,
    /// Share of expected packets that did not arrive; negative for duplicates.
    pub(crate) loss: f64,
    /// Retransmissions and padding that arrived at header counters.
    pub(crate) other: u64,
    /// CPU time of the forwarder per arrived packet, microseconds.
    pub(crate) cpu_us_per_packet: f64,
    /// Share of one core that the forwarder used.
    pub(crate) sfu_core_share: f64,
    /// Share of one core that this load used: near 1.0 the load is the limit.
    pub(crate) load_core_share: f64,
    /// Growth of resident memory since before the first join, kB per subscriber.
    pub(crate) rss_kb_per_subscriber: f64,
    /// CPU time of the forwarder for one connection, milliseconds.
    pub(crate) connect_ms_per_peer: f64,
    /// Median delay from the publisher's write to decryption at a subscriber, microseconds.
    pub(crate) delay_p50_us: f64,
    /// 99th percentile of it.
    pub(crate) delay_p99_us: f64,
}

/// Connects everybody, then runs the windows.
pub(crate) fn run(arguments: &LoadArguments, mut report: impl FnMut(&Window)) -> io::Result<()> {
    let before = usage(arguments.sfu_pid);
    let mut load = Load::connect(arguments)?;
    load.drive_for(Duration::from_secs(1));
    let connected = usage(arguments.sfu_pid);
    let peers = arguments.subscribers as f64 + 1.0;
    let connect_ms_per_peer = (connected.cpu_ns - before.cpu_ns) as f64 / 1e6 / peers;
    let mut losing = 0;
    for rate in &arguments.rates {
        let window = load.measure(arguments, *rate, before, connect_ms_per_peer);
        report(&window);
        losing = if window.loss > 0.001 { losing + 1 } else { 0 };
        if arguments.stop_at_loss && losing == 2 {
            break;
        }
    }
    Ok(())
}

/// Bursts at a steady pace.
struct Pace {
    next: Instant,
    interval: Duration,
    burst: u64,
    sent: u64,
}

struct Load {
    epoch: Instant,
    /// The publisher is the first one.
    clients: Vec<Client>,
    waiter: Waiter,
    batch: ReceiveBatch,
    next_timers: Instant,
}

impl Load {
    fn connect(arguments: &LoadArguments) -> io::Result<Self> {
        let epoch = Instant::now();
        let mut load = Self {
            epoch,
            clients: Vec::new(),
            waiter: Waiter::default(),
            batch: ReceiveBatch::new(),
            next_timers: epoch,
        };
        // The publisher joins first, so that the forwarder knows what to send to the others.
        load.add(Client::join(arguments.signal, Role::Publisher, true, epoch)?);
        load.drive_until_connected()?;
        for index in 0..arguments.subscribers {
            let whole = index < arguments.whole;
            load.add(Client::join(arguments.signal, Role::Subscriber, whole, Instant::now())?);
            load.turn(Instant::now(), None);
        }
        load.drive_until_connected()?;
        Ok(load)
    }

    fn add(&mut self, client: Client) {
        self.waiter.add(&client.socket);
        self.clients.push(client);
    }

    fn drive_until_connected(&mut self) -> io::Result<()> {
        let start = Instant::now();
        while !self.clients.iter().all(|client| client.connected) {
            let now = Instant::now();
            if now - start > CONNECT_TIMEOUT {
                let count = self.clients.iter().filter(|client| !client.connected).count();
                return Err(io::Error::other(format!("{count} of {} never connected", self.clients.len())));
            }
            self.turn(now + TIMER_INTERVAL, None);
        }
        Ok(())
    }

    fn drive_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end, None);
        }
    }

    fn drain(&mut self) {
        let end = Instant::now() + DRAIN_MAX;
        let mut arrived = self.arrived();
        loop {
            self.drive_for(QUIET);
            let before = std::mem::replace(&mut arrived, self.arrived());
            if arrived == before || Instant::now() > end {
                return;
            }
        }
    }

    /// Media packets of all subscribers since the start of the window.
    fn arrived(&self) -> u64 {
        self.clients.iter().map(|client| client.received.media).sum()
    }

    fn send_for(&mut self, time: Duration, pace: &mut Pace) {
        let end = Instant::now() + time;
        pace.next = Instant::now();
        while Instant::now() < end {
            self.turn(end, Some(pace));
        }
    }

    fn measure(&mut self, arguments: &LoadArguments, rate: u64, before: Usage, connect_ms_per_peer: f64) -> Window {
        let interval = Duration::from_nanos(1_000_000_000 * arguments.burst / rate);
        let mut pace = Pace { next: Instant::now(), interval, burst: arguments.burst, sent: 0 };
        self.send_for(Duration::from_secs_f64(arguments.warm), &mut pace);
        self.drain();
        for client in &mut self.clients {
            client.received = crate::client::Received::default();
        }
        pace.sent = 0;
        let (sfu_start, load_start) = (usage(arguments.sfu_pid), usage(std::process::id()));
        let start = Instant::now();
        self.send_for(Duration::from_secs_f64(arguments.seconds), &mut pace);
        let seconds = start.elapsed().as_secs_f64();
        let sfu_end = usage(arguments.sfu_pid);
        let load_end = usage(std::process::id());
        self.drain();
        // What was still in flight at the end is paid for as well.
        let sfu_drained = usage(arguments.sfu_pid);

        let received = self.arrived();
        let expected = pace.sent * arguments.subscribers as u64;
        let mut delays: Vec<u64> = Vec::new();
        for client in &mut self.clients {
            delays.append(&mut client.received.delays_ns);
        }
        delays.sort_unstable();
        let percentile = |share: f64| {
            let rank = (delays.len() as f64 * share).ceil() as usize;
            delays.get(rank.saturating_sub(1)).map_or(0.0, |delay| *delay as f64 / 1e3)
        };
        let cpu_ns = |from: Usage, to: Usage| (to.cpu_ns.saturating_sub(from.cpu_ns)) as f64;
        Window {
            rate,
            forwarded_per_second: received as f64 / seconds,
            loss: 1.0 - received as f64 / expected.max(1) as f64,
            other: self.clients.iter().map(|client| client.received.other).sum(),
            cpu_us_per_packet: cpu_ns(sfu_start, sfu_drained) / 1e3 / received.max(1) as f64,
            sfu_core_share: cpu_ns(sfu_start, sfu_end) / 1e9 / seconds,
            load_core_share: cpu_ns(load_start, load_end) / 1e9 / seconds,
            rss_kb_per_subscriber: (sfu_drained.rss_kb.saturating_sub(before.rss_kb)) as f64
                / arguments.subscribers as f64,
            connect_ms_per_peer,
            delay_p50_us: percentile(0.5),
            delay_p99_us: percentile(0.99),
        }
    }

    /// Waits for datagrams, timers or the next burst, until `end` at the latest, and serves them.
    fn turn(&mut self, end: Instant, mut pace: Option<&mut Pace>) {
        let now = Instant::now();
        let wake = pace.as_ref().map_or(end, |pace| end.min(pace.next)).min(self.next_timers);
        self.waiter.wait(wake.saturating_duration_since(now));
        self.send_due(pace.as_deref_mut());
        for index in 0..self.clients.len() {
            if self.waiter.is_readable(index) {
                self.receive(index);
                self.send_due(pace.as_deref_mut());
            }
        }
        let now = Instant::now();
        if now >= self.next_timers {
            self.next_timers = now + TIMER_INTERVAL;
            for client in self.clients.iter_mut().filter(|client| client.due <= now) {
                client.elapse(self.epoch, now);
            }
        }
    }

    fn send_due(&mut self, pace: Option<&mut Pace>) {
        let Some(pace) = pace else { return };
        let now = Instant::now();
        if now < pace.next {
            return;
        }
        // A late burst is sent at once and does not move the ones behind it.
        pace.next += pace.interval;
        pace.sent += pace.burst;
        self.clients[0].publish(pace.burst, self.epoch, now);
    }

    fn receive(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let bytes_max = if client.counts_headers_only() { HEADER_BYTES } else { WHOLE_BYTES };
        let count = self.batch.receive(&client.socket, bytes_max);
        for datagram in 0..count {
            let (bytes, source) = self.batch.get(datagram);
            // Read for each datagram: decryption of those before it is part of its delay.
            let now = Instant::now();
            client.receive(bytes, source, self.epoch, now);
        }
    }
}
