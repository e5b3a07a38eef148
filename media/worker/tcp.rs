//! ICE-TCP (RFC 6544), passive side: accepts connections, undoes RFC 4571 framing and hands datagrams to the worker
//! whose ufrag the first STUN message names. Nothing is decided here but limits.

use crate::id::ConnectionId;
use crate::transport::local_ufrag;
use crate::worker::handle::worker_of_ufrag;
use crate::worker::socket::DATAGRAM_BYTES_MAX;
use crate::worker::wake::Waker;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Connections at once; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 4096;
/// Connections at once from one address (an IPv6 host counts by its /64); further ones are closed. An office behind one
/// address has room for two transports of each of 32 people without UDP.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Time in which the worker has to send something: every authentic check is answered, so nothing sent says that the
/// connection belongs to no peer.
const FIRST_ANSWER_TIME: Duration = Duration::from_secs(10);
/// Time in which the first frame, a STUN request, has to arrive.
const FIRST_FRAME_TIME: Duration = Duration::from_secs(5);
/// Time without any frame after which a connection is closed; consent checks come every few seconds.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Time that one frame may take to be written before the connection counts as dead.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Datagrams waiting for one connection; beyond it the worker drops, as a full UDP queue would.
const WORKER_TO_CONNECTION_CAPACITY: usize = 512;
/// Datagrams waiting for one worker from all connections; beyond it a reader waits, so TCP pushes back.
pub(crate) const CONNECTIONS_TO_WORKER_CAPACITY: usize = 4096;

/// What connections tell a worker.
#[derive(Debug)]
pub(crate) enum ConnectionInput {
    /// A connection whose first frame named this worker.
    Opened { connection: ConnectionId, writer: mpsc::Sender<Bytes> },
    /// One datagram.
    Datagram { connection: ConnectionId, remote: SocketAddr, datagram: BytesMut },
    /// The connection is gone.
    Closed { connection: ConnectionId },
    /// A datagram of a peer that has moved here, from the worker whose socket still got it.
    Relayed { local: SocketAddr, remote: SocketAddr, datagram: BytesMut },
}

/// A worker as connections see it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSink {
    pub(crate) inputs: mpsc::Sender<ConnectionInput>,
    pub(crate) waker: Waker,
}

impl ConnectionSink {
    /// Hands over without waiting; beyond the queue's capacity it is dropped.
    pub(crate) fn try_put(&self, input: ConnectionInput) {
        if self.inputs.try_send(input).is_ok() {
            self.waker.wake();
        }
    }

    async fn put(&self, input: ConnectionInput) -> Option<()> {
        self.inputs.send(input).await.ok()?;
        self.waker.wake();
        Some(())
    }
}

/// Open connections of one listener by remote address.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place among those of its address; given back when dropped.
#[derive(Debug)]
struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// A place for a connection, unless its address has [`CONNECTIONS_PER_ADDRESS_MAX`] already.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = host(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { addresses: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What counts as one host: an IPv4 address, or the /64 that one IPv6 host can choose its addresses from.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Accepts until the workers are gone.
pub(crate) async fn accept(listener: TcpListener, workers: Arc<Vec<ConnectionSink>>) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let addresses = Arc::new(Addresses::default());
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let closed = async {
            if let Some(worker) = workers.first() {
                worker.inputs.closed().await;
            }
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed => return,
        };
        let Ok((stream, remote)) = accepted else {
            // Out of descriptors: accepting again at once would spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(place_of_address) = addresses.take(remote.ip()) else {
            tracing::debug!(%remote, limit = CONNECTIONS_PER_ADDRESS_MAX, "too many ICE-TCP connections of one address");
            continue;
        };
        let connection = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let workers = workers.clone();
        tokio::spawn(async move {
            serve(stream, remote, connection, &workers, FIRST_ANSWER_TIME).await;
            drop((place, place_of_address));
        });
    }
}

/// Carries one connection until either side ends it, or the worker says nothing within `first_answer`.
async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    connection: ConnectionId,
    workers: &[ConnectionSink],
    first_answer: Duration,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, writer) = stream.into_split();
    let first = tokio::time::timeout(FIRST_FRAME_TIME, read_frame(&mut reader)).await.ok()??;
    let worker = workers.get(worker_of_ufrag(local_ufrag(&first)?, workers.len())?)?;
    let (outgoing, frames) = mpsc::channel(WORKER_TO_CONNECTION_CAPACITY);
    worker.put(ConnectionInput::Opened { connection, writer: outgoing }).await?;
    let reading = async {
        let mut next = Some(first);
        while let Some(datagram) = next {
            worker.put(ConnectionInput::Datagram { connection, remote, datagram }).await?;
            next = tokio::time::timeout(IDLE_TIME, read_frame(&mut reader)).await.ok().flatten();
        }
        Some(())
    };
    tokio::select! {
        _ = reading => {}
        _ = write_frames(writer, frames, first_answer) => {}
    }
    worker.put(ConnectionInput::Closed { connection }).await
}

/// Reads one frame: 16-bit length, then as many bytes (RFC 4571 §2). `None` when the stream ends or a frame is larger
/// than any datagram that we take.
async fn read_frame(reader: &mut (impl AsyncReadExt + Unpin)) -> Option<BytesMut> {
    let length = usize::from(reader.read_u16().await.ok()?);
    if length == 0 || length > DATAGRAM_BYTES_MAX {
        return None;
    }
    let mut frame = BytesMut::zeroed(length);
    reader.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

/// Writes what the worker sends; ends when it sends nothing within `first_answer`, when it is done, or on a dead stream.
async fn write_frames(
    mut writer: OwnedWriteHalf,
    mut frames: mpsc::Receiver<Bytes>,
    first_answer: Duration,
) -> Option<()> {
    let mut batch = Vec::new();
    let mut next = tokio::time::timeout(first_answer, frames.recv()).await.ok()?;
    while let Some(frame) = next {
        batch.clear();
        append_frame(&mut batch, &frame);
        while let Ok(frame) = frames.try_recv() {
            append_frame(&mut batch, &frame);
        }
        tokio::time::timeout(WRITE_TIME, writer.write_all(&batch)).await.ok()?.ok()?;
        next = frames.recv().await;
    }
    Some(())
}

fn append_frame(batch: &mut Vec<u8>, frame: &[u8]) {
    if let Ok(length) = u16::try_from(frame.len()) {
        batch.extend_from_slice(&length.to_be_bytes());
        batch.extend_from_slice(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_back_as_they_were_appended() {
        let mut batch = Vec::new();
        append_frame(&mut batch, &[1; 20]);
        append_frame(&mut batch, &[2; DATAGRAM_BYTES_MAX]);
        let mut reader = &batch[..];
        assert_eq!(read_frame(&mut reader).await.unwrap(), [1; 20][..]);
        assert_eq!(read_frame(&mut reader).await.unwrap().len(), DATAGRAM_BYTES_MAX);
        assert!(read_frame(&mut reader).await.is_none());
    }

    #[tokio::test]
    async fn an_oversized_or_empty_frame_ends_the_connection() {
        for length in [0_u16, DATAGRAM_BYTES_MAX as u16 + 1, u16::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.resize(70_000, 0);
            assert!(read_frame(&mut &bytes[..]).await.is_none());
        }
    }

    /// A connected pair on loopback.
    async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, remote) = listener.accept().await.unwrap();
        (client, server, remote)
    }

    fn worker() -> (ConnectionSink, mpsc::Receiver<ConnectionInput>) {
        let (inputs, received) = mpsc::channel(16);
        (ConnectionSink { inputs, waker: Waker::new().unwrap() }, received)
    }

    /// A framed STUN request whose user name is of worker 0.
    fn check() -> Vec<u8> {
        let mut request = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
        request.resize(20, 7);
        request.extend([0, 6, 0, 8]);
        let worker = crate::worker::handle::worker_prefix(0).to_string();
        request.extend(format!("{worker}xyz:abc").bytes());
        let mut framed = Vec::new();
        append_frame(&mut framed, &request);
        framed
    }

    #[tokio::test]
    async fn a_connection_that_no_peer_answers_is_closed() {
        let (mut client, server, remote) = pair().await;
        let (sink, mut received) = worker();
        client.write_all(&check()).await.unwrap();
        serve(server, remote, ConnectionId(1), &[sink], Duration::from_millis(10)).await.unwrap();
        let ConnectionInput::Opened { .. } = received.recv().await.unwrap() else { panic!("not opened") };
        let ConnectionInput::Datagram { .. } = received.recv().await.unwrap() else { panic!("no datagram") };
        let ConnectionInput::Closed { .. } = received.recv().await.unwrap() else { panic!("not closed") };
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_answered_connection_lasts_until_its_end() {
        let (mut client, server, remote) = pair().await;
        let (sink, mut received) = worker();
        client.write_all(&check()).await.unwrap();
        let first_answer = Duration::from_millis(50);
        let serving = tokio::spawn(async move { serve(server, remote, ConnectionId(1), &[sink], first_answer).await });
        let ConnectionInput::Opened { writer, .. } = received.recv().await.unwrap() else { panic!("not opened") };
        writer.try_send(Bytes::from_static(b"answer")).unwrap();
        assert_eq!(read_frame(&mut client).await.unwrap(), b"answer"[..]);
        let wait = tokio::time::timeout(first_answer * 4, client.read_u8()).await;
        assert!(wait.is_err(), "closed in spite of the answer");
        drop(client);
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_address_has_a_bounded_number_of_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sink, _received) = worker();
        tokio::spawn(accept(listener, Arc::new(vec![sink])));
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut further = TcpStream::connect(address).await.unwrap();
        assert_eq!(further.read(&mut [0; 10]).await.unwrap(), 0, "the first beyond the limit is closed");
        let open = tokio::time::timeout(Duration::from_millis(20), clients[0].read(&mut [0; 10])).await;
        assert!(open.is_err(), "those within the limit stay");
    }

    #[test]
    fn a_place_given_back_is_free_again() {
        let addresses = Arc::new(Addresses::default());
        let take = |address: &str| addresses.take(address.parse().unwrap());
        let mut places: Vec<Place> = (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| take("2001:db8::1").unwrap()).collect();
        assert!(take("2001:db8::2").is_none(), "the same /64");
        assert!(take("2001:db8:0:1::1").is_some() && take("192.0.2.1").is_some());
        places.pop();
        assert!(take("2001:db8::2").is_some());
        places.clear();
        assert!(addresses.0.lock().unwrap().is_empty());
    }
}
