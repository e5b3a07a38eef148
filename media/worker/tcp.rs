//! ICE-TCP (RFC 6544), passive side: accepts connections, undoes RFC 4571 framing and hands datagrams to the worker
//! whose ufrag the first STUN message names. Nothing is decided here but limits.

use crate::id::ConnectionId;
use crate::transport::local_ufrag;
use crate::worker::handle::worker_of_ufrag;
use crate::worker::socket::DATAGRAM_BYTES_MAX;
use crate::worker::wake::Waker;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Connections at once; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 4096;
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

/// Accepts until the workers are gone.
pub(crate) async fn accept(listener: TcpListener, workers: Arc<Vec<ConnectionSink>>) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
        let connection = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let workers = workers.clone();
        tokio::spawn(async move {
            serve(stream, remote, connection, &workers).await;
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    connection: ConnectionId,
    workers: &[ConnectionSink],
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, writer) = stream.into_split();
    let first = tokio::time::timeout(FIRST_FRAME_TIME, read_frame(&mut reader)).await.ok()??;
    let worker = workers.get(worker_of_ufrag(local_ufrag(&first)?, workers.len())?)?;
    let (outgoing, frames) = mpsc::channel(WORKER_TO_CONNECTION_CAPACITY);
    worker.put(ConnectionInput::Opened { connection, writer: outgoing }).await?;
    let writing = tokio::spawn(write_frames(writer, frames));
    let mut next = Some(first);
    while let Some(datagram) = next {
        worker.put(ConnectionInput::Datagram { connection, remote, datagram }).await?;
        next = tokio::time::timeout(IDLE_TIME, read_frame(&mut reader)).await.ok().flatten();
    }
    worker.put(ConnectionInput::Closed { connection }).await?;
    // The worker drops the queue's sender, which ends the writer.
    writing.await.ok().flatten()
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

async fn write_frames(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) -> Option<()> {
    let mut batch = Vec::new();
    while let Some(frame) = frames.recv().await {
        batch.clear();
        append_frame(&mut batch, &frame);
        while let Ok(frame) = frames.try_recv() {
            append_frame(&mut batch, &frame);
        }
        tokio::time::timeout(WRITE_TIME, writer.write_all(&batch)).await.ok()?.ok()?;
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
}
