//! One worker thread: wait, read batches, run the core, send. Nothing is decided here.
#![expect(clippy::disallowed_methods, reason = "the shell reads the clock and tells the core")]

use crate::command::{MediaCommand, MediaEvent};
use crate::id::Path;
use crate::worker::arena::SendArena;
use crate::worker::core::{Relayed, WorkerCore};
use crate::worker::neighbours::Neighbours;
use crate::worker::socket::{RECEIVE_BATCH, ReceiveBuffers, readable, wait_readable};
use crate::worker::tcp::{ConnectionInput, ConnectionSink};
use crate::worker::wake::Waker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Batches read from one socket before the others get their turn.
const BATCHES_PER_TURN: usize = 16;
/// Commands and TCP datagrams handled in one turn, so that signalling cannot starve forwarding.
const INPUTS_PER_TURN: usize = 256;
/// Longest sleep; bounds how late a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Pause before events that found the control plane's queue full are offered again.
const EVENTS_RETRY: Duration = Duration::from_millis(5);

/// Everything that one worker thread owns.
pub(crate) struct EventLoop {
    pub(crate) core: WorkerCore,
    pub(crate) arena: SendArena,
    pub(crate) commands: mpsc::Receiver<MediaCommand>,
    pub(crate) connections: mpsc::Receiver<ConnectionInput>,
    /// Every worker by index, to hand datagrams of moved peers on.
    pub(crate) workers: Arc<Vec<ConnectionSink>>,
    pub(crate) events: mpsc::Sender<MediaEvent>,
    pub(crate) waker: Waker,
    pub(crate) neighbours: Neighbours,
}

impl EventLoop {
    /// Runs until every sender of commands is gone. A panic ends this worker's peers, never the worker: their clients
    /// come again, and the other workers' rooms hear nothing of it.
    pub(crate) fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.turn_until_stopped())).is_err() {
            tracing::error!("a media worker panicked and begins anew; its peers end");
            metrics::counter!("starling_media_worker_panics_total").increment(1);
            self.arena.discard();
            self.core.begin_anew();
        }
    }

    fn turn_until_stopped(&mut self) {
        let mut buffers = ReceiveBuffers::new();
        let mut descriptors = vec![readable(self.waker.descriptor())];
        descriptors.extend(self.arena.sockets().iter().map(|socket| readable(socket.descriptor())));
        let mut stopped = false;
        while !stopped {
            let now = Instant::now();
            let sleep_max = if self.core.has_events() || self.core.has_controls() { EVENTS_RETRY } else { SLEEP_MAX };
            let due = self.core.poll_timeout();
            let wait = due.map_or(sleep_max, |due| due.saturating_duration_since(now).min(sleep_max));
            wait_readable(&mut descriptors, wait);
            if descriptors[0].revents != 0 {
                self.waker.reset();
                self.neighbours.listen();
            }
            self.take_handed();
            for index in 0..self.arena.sockets().len() {
                if descriptors[index + 1].revents != 0 {
                    self.read(index, &mut buffers);
                }
            }
            self.take_connections();
            stopped = self.take_commands();
            if self.core.work(Instant::now(), &mut self.arena) {
                self.waker.wake();
            }
            self.core.handle_timeout(Instant::now(), ntp_now(), &mut self.arena);
            self.arena.flush();
            self.relay();
            self.neighbours.ring(&mut self.core);
            self.neighbours.send_controls(&mut self.core);
            self.publish_events();
        }
    }

    /// Takes what other workers say and hand over.
    fn take_handed(&mut self) {
        let now = Instant::now();
        let mut more = self.neighbours.take_controls(now, &mut self.core);
        more |= self.core.take_handed(now, &mut self.arena);
        if more {
            self.waker.wake();
        }
    }

    /// Hands datagrams of moved peers on; a full queue drops them as a network would.
    fn relay(&mut self) {
        while let Some(Relayed { worker, path, datagram }) = self.core.poll_relayed() {
            let Path::Udp { socket, remote } = path else { continue };
            if let (Some(sink), Some(local)) = (self.workers.get(worker), self.arena.local_of(socket)) {
                sink.try_put(ConnectionInput::Relayed { local, remote, datagram });
            }
        }
    }

    fn read(&mut self, index: usize, buffers: &mut ReceiveBuffers) {
        for _ in 0..BATCHES_PER_TURN {
            let count = self.arena.sockets()[index].receive(buffers);
            let now = Instant::now();
            for position in 0..count {
                if let Some((remote, datagram)) = buffers.datagram(position) {
                    let path = Path::Udp { socket: index as u8, remote };
                    self.core.handle_datagram(now, path, datagram, &mut self.arena);
                }
            }
            self.core.forward_due(now, &mut self.arena);
            self.arena.flush();
            self.neighbours.ring(&mut self.core);
            if count < RECEIVE_BATCH {
                break;
            }
        }
    }

    fn take_connections(&mut self) {
        for _ in 0..INPUTS_PER_TURN {
            match self.connections.try_recv() {
                Ok(ConnectionInput::Opened { connection, writer }) => self.arena.open_connection(connection, writer),
                Ok(ConnectionInput::Closed { connection }) => {
                    self.arena.close_connection(connection);
                    self.core.close_connection(Instant::now(), connection, &mut self.arena);
                }
                Ok(ConnectionInput::Datagram { connection, remote, mut datagram }) => {
                    let path = Path::Tcp { connection, remote };
                    self.core.handle_datagram(Instant::now(), path, &mut datagram, &mut self.arena);
                }
                Ok(ConnectionInput::Relayed { local, remote, mut datagram }) => {
                    if let Some(socket) = self.arena.socket_at(local) {
                        let path = Path::Udp { socket, remote };
                        self.core.handle_datagram(Instant::now(), path, &mut datagram, &mut self.arena);
                    }
                }
                Err(_) => return,
            }
        }
        self.waker.wake();
    }

    /// Returns whether the control plane is gone.
    fn take_commands(&mut self) -> bool {
        for _ in 0..INPUTS_PER_TURN {
            match self.commands.try_recv() {
                Ok(command) => {
                    if matches!(command, MediaCommand::ExportPeer { .. } | MediaCommand::Batch(_)) {
                        // What the peer said here is told before what it says at its next worker.
                        self.publish_events();
                    }
                    self.core.handle_command(Instant::now(), command, &mut self.arena);
                }
                Err(mpsc::error::TryRecvError::Empty) => return false,
                Err(mpsc::error::TryRecvError::Disconnected) => return true,
            }
        }
        self.waker.wake();
        false
    }

    /// Events wait in the core while the control plane is behind; the core bounds them.
    fn publish_events(&mut self) {
        while let Ok(place) = self.events.try_reserve() {
            let Some(event) = self.core.poll_event() else { return };
            place.send(event);
        }
    }
}

/// Wall clock as a 64-bit NTP timestamp (RFC 5905 §6).
fn ntp_now() -> u64 {
    /// Seconds from 1900 to 1970.
    const EPOCH_OFFSET_S: u64 = 2_208_988_800;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ((since.as_secs() + EPOCH_OFFSET_S) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}
