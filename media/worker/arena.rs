//! The send arena: datagrams are written where they will be sent from; neighbours to one destination become one
//! segmented message.

use crate::command::Impairment;
use crate::id::{ConnectionId, Path};
use crate::transport::{DatagramClass, classify};
use crate::worker::socket::{BatchSocket, Message, RawAddress};
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Bytes gathered before a flush; about one core's second-level cache.
const FLUSH_BYTES: usize = 256 << 10;
/// Room beyond [`FLUSH_BYTES`], so that a flush is due only between subscribers.
const SLACK_BYTES: usize = 128 << 10;
/// Datagrams of one segmented message (the kernel's UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 64;
/// Bytes of one segmented message, below the largest UDP payload.
const SEGMENTED_BYTES_MAX: usize = 65_000;

impl crate::egress::PacketSink for SendArena {
    type Destination = Destination;

    #[inline]
    fn slot(&mut self, length: usize) -> &mut [u8] {
        self.reserve(length)
    }

    #[inline]
    fn commit(&mut self, destination: &Destination, length: usize) {
        self.take(destination, length);
    }
}

/// Where a datagram goes, ready for the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Destination {
    Udp { socket: u8, to: RawAddress },
    Tcp(ConnectionId),
}

impl From<Path> for Destination {
    fn from(path: Path) -> Self {
        match path {
            Path::Udp { socket, remote } => Self::Udp { socket, to: RawAddress::new(remote) },
            Path::Tcp { connection, .. } => Self::Tcp(connection),
        }
    }
}

/// Counters of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArenaCounters {
    /// Datagrams handed to the kernel or to a TCP connection.
    pub(crate) datagrams: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Datagrams that the kernel or a full TCP connection refused.
    pub(crate) refused: u64,
}

/// Datagrams waiting to be sent by one worker.
#[derive(Debug)]
pub(crate) struct SendArena {
    /// The worker's own sockets, then handles of other workers' through which moved peers are still reached.
    sockets: Vec<BatchSocket>,
    own: usize,
    connections: HashMap<ConnectionId, mpsc::Sender<Bytes>>,
    buffer: Vec<u8>,
    position: usize,
    /// Messages in the order written, each with its socket.
    messages: Vec<Message>,
    message_sockets: Vec<u8>,
    impairment: Option<(Impairment, SmallRng)>,
    counters: ArenaCounters,
    /// Datagrams that a test takes in place of the kernel.
    #[cfg(test)]
    captured: Option<Vec<(Destination, Vec<u8>)>>,
}

impl SendArena {
    pub(crate) fn new(sockets: Vec<BatchSocket>) -> Self {
        Self {
            own: sockets.len(),
            sockets,
            connections: HashMap::new(),
            buffer: vec![0; FLUSH_BYTES + SLACK_BYTES],
            position: 0,
            messages: Vec::with_capacity(1024),
            message_sockets: Vec::with_capacity(1024),
            impairment: None,
            counters: ArenaCounters::default(),
            #[cfg(test)]
            captured: None,
        }
    }

    /// An arena without sockets that keeps what is sent.
    #[cfg(test)]
    pub(crate) fn capturing() -> Self {
        Self { captured: Some(Vec::new()), ..Self::new(Vec::new()) }
    }

    /// Takes what was sent since the last call, in order.
    #[cfg(test)]
    pub(crate) fn take_captured(&mut self) -> Vec<(Destination, Vec<u8>)> {
        self.captured.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The worker's own sockets.
    pub(crate) fn sockets(&self) -> &[BatchSocket] {
        &self.sockets[..self.own]
    }

    /// Lets the worker send through another worker's sockets as well. Beyond what a path can name they are left out:
    /// peers moved from there are silent until they have switched.
    pub(crate) fn borrow(&mut self, others: impl IntoIterator<Item = BatchSocket>) {
        let free = usize::from(u8::MAX).saturating_sub(self.sockets.len());
        self.sockets.extend(others.into_iter().take(free));
    }

    /// The local address of a socket, own or borrowed.
    pub(crate) fn local_of(&self, socket: u8) -> Option<SocketAddr> {
        self.sockets.get(usize::from(socket)).map(BatchSocket::local)
    }

    /// Whether a path goes through another worker's socket.
    pub(crate) fn is_borrowed(&self, path: Path) -> bool {
        #[cfg(test)]
        if self.captured.is_some() {
            return false;
        }
        matches!(path, Path::Udp { socket, .. } if usize::from(socket) >= self.own)
    }

    /// The socket, own or borrowed, with this local address.
    pub(crate) fn socket_at(&self, local: SocketAddr) -> Option<u8> {
        self.sockets.iter().position(|socket| socket.local() == local).map(|socket| socket as u8)
    }

    /// Own sockets from which a remote address may be reached: those bound to the same address as `beside`, where there
    /// are any, or else all of the remote's family.
    pub(crate) fn sockets_towards(&self, remote: SocketAddr, beside: Option<SocketAddr>) -> Vec<u8> {
        #[cfg(test)]
        if self.captured.is_some() {
            return vec![0];
        }
        let those = |fits: &dyn Fn(SocketAddr) -> bool| -> Vec<u8> {
            let own = self.sockets().iter().enumerate();
            own.filter(|(_, socket)| fits(socket.local())).map(|(index, _)| index as u8).collect()
        };
        let same_family = |local: SocketAddr| local.is_ipv4() == remote.is_ipv4();
        let same = those(&|local| same_family(local) && beside.is_some_and(|beside| beside.ip() == local.ip()));
        if same.is_empty() { those(&same_family) } else { same }
    }

    pub(crate) fn counters(&self) -> ArenaCounters {
        self.counters
    }

    pub(crate) fn open_connection(&mut self, connection: ConnectionId, writer: mpsc::Sender<Bytes>) {
        self.connections.insert(connection, writer);
    }

    pub(crate) fn close_connection(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    /// Drops datagrams at random from now on (test switch); `seed` makes a run repeatable.
    pub(crate) fn impair(&mut self, impairment: Impairment, seed: u64) {
        self.impairment = (impairment != Impairment::default()).then(|| (impairment, SmallRng::seed_from_u64(seed)));
    }

    /// A place of `length` bytes to write the next datagram into.
    #[inline]
    pub(crate) fn reserve(&mut self, length: usize) -> &mut [u8] {
        if self.position + length > self.buffer.len() {
            self.flush();
        }
        &mut self.buffer[self.position..self.position + length]
    }

    /// Takes the first `length` bytes of the reserved place as a datagram to `destination`.
    #[inline]
    pub(crate) fn take(&mut self, destination: &Destination, length: usize) {
        if self.impairment.is_some() && self.drops(length) {
            return;
        }
        #[cfg(test)]
        if let Some(captured) = &mut self.captured {
            captured.push((*destination, self.buffer[self.position..self.position + length].to_vec()));
            self.counters.datagrams += 1;
            self.counters.bytes += length as u64;
            return;
        }
        let (socket, to) = match destination {
            Destination::Udp { socket, to } => (*socket, to),
            Destination::Tcp(connection) => return self.write_connection(*connection, length),
        };
        let offset = self.position;
        self.position += length;
        self.counters.datagrams += 1;
        self.counters.bytes += length as u64;
        if let (Some(message), Some(last)) = (self.messages.last_mut(), self.message_sockets.last())
            && *last == socket
            && message.length == message.count * message.segment
            && length <= message.segment
            && message.count < SEGMENTS_MAX
            && message.length + length < SEGMENTED_BYTES_MAX
            && message.to == *to
            && self.sockets[usize::from(socket)].segments()
        {
            message.length += length;
            message.count += 1;
            return;
        }
        self.messages.push(Message { to: *to, offset, length, segment: length, count: 1 });
        self.message_sockets.push(socket);
    }

    /// Copies a ready datagram.
    pub(crate) fn send(&mut self, path: Path, datagram: &[u8]) {
        self.reserve(datagram.len()).copy_from_slice(datagram);
        self.take(&path.into(), datagram.len());
    }

    /// Sends when enough has gathered.
    #[inline]
    pub(crate) fn flush_if_full(&mut self) {
        if self.position > FLUSH_BYTES {
            self.flush();
        }
    }

    /// Sends everything.
    pub(crate) fn flush(&mut self) {
        let mut start = 0;
        while start < self.messages.len() {
            let socket = self.message_sockets[start];
            let end =
                start + self.message_sockets[start..].iter().take_while(|candidate| **candidate == socket).count();
            self.flush_run(usize::from(socket), start, end);
            start = end;
        }
        self.messages.clear();
        self.message_sockets.clear();
        self.position = 0;
    }

    fn flush_run(&mut self, socket: usize, mut start: usize, end: usize) {
        while start < end {
            let outcome = self.sockets[socket].send(&mut self.buffer, &mut self.messages[start..end]);
            start += outcome.sent;
            if outcome.segmentation_refused {
                self.sockets[socket].disable_segmentation();
                self.send_split(socket, start);
                start += 1;
            } else if outcome.sent == 0 {
                self.counters.refused += self.messages[start].count as u64;
                start += 1;
            }
        }
    }

    fn send_split(&mut self, socket: usize, index: usize) {
        let whole = self.messages[index];
        let mut offset = 0;
        while offset < whole.length {
            let length = whole.segment.min(whole.length - offset);
            let single = Message { offset: whole.offset + offset, length, segment: length, count: 1, ..whole };
            if self.sockets[socket].send(&mut self.buffer, &mut [single]).sent == 0 {
                self.counters.refused += 1;
            }
            offset += length;
        }
    }

    fn write_connection(&mut self, connection: ConnectionId, length: usize) {
        let datagram = Bytes::copy_from_slice(&self.buffer[self.position..self.position + length]);
        match self.connections.get(&connection).map(|writer| writer.try_send(datagram)) {
            Some(Ok(())) => {
                self.counters.datagrams += 1;
                self.counters.bytes += length as u64;
            }
            _ => self.counters.refused += 1,
        }
    }

    /// Whether the test switch drops this incoming datagram.
    pub(crate) fn drops_incoming(&mut self, datagram: &[u8]) -> bool {
        let Some((impairment, random)) = &mut self.impairment else { return false };
        let share = share_of(impairment, datagram, Direction::In);
        share > 0.0 && random.random::<f64>() < share
    }

    fn drops(&mut self, length: usize) -> bool {
        let Some((impairment, random)) = &mut self.impairment else { return false };
        let share = share_of(impairment, &self.buffer[self.position..self.position + length], Direction::Out);
        share > 0.0 && random.random::<f64>() < share
    }
}

/// Which way a datagram goes, seen from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// The share of datagrams like this one that the test switch drops.
fn share_of(impairment: &Impairment, datagram: &[u8], direction: Direction) -> f64 {
    /// TLS content type of application data (RFC 5246 §6.2.1).
    const APPLICATION_DATA: u8 = 23;
    match classify(datagram) {
        DatagramClass::Rtp | DatagramClass::Rtcp => match direction {
            Direction::In => impairment.media_in,
            Direction::Out => impairment.media_out,
        },
        DatagramClass::Dtls if datagram.first() == Some(&APPLICATION_DATA) => impairment.data,
        DatagramClass::Dtls => impairment.handshake,
        DatagramClass::Stun | DatagramClass::Unknown => 0.0,
    }
}
