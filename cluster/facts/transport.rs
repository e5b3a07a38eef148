//! chitchat's socket: channels to the task that owns the real one, seals and opens.
//!
//! Messages are compressed on the way: a digest names every node each time, and most of its bytes are alike.

use super::wire::{WireRefusal, check};
use crate::limits::{FACT_DATAGRAMS_QUEUED, FACT_MESSAGE_BYTES_MAX};
use crate::member::MemberId;
use crate::metrics;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// The fastest that still finds what digests repeat.
const COMPRESSION_LEVEL: i32 = 1;

/// A chitchat message as bytes, from or to `peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The other side.
    pub peer: SocketAddr,
    /// The message, compressed, neither sealed nor checked.
    pub payload: Vec<u8>,
}

/// The end of the channels that belongs to the owner of the real socket.
#[derive(Debug)]
pub struct FactsPort {
    inbound: mpsc::Sender<Datagram>,
    outbound: mpsc::Receiver<Datagram>,
}

impl FactsPort {
    /// Gives chitchat an opened datagram; drops and counts it when chitchat lags behind.
    pub fn deliver(&self, datagram: Datagram) {
        if self.inbound.try_send(datagram).is_err() {
            metrics::datagram_dropped("facts_queue_full");
        }
    }

    /// The next datagram to seal and send; `None` when chitchat has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Datagram> {
        self.outbound.recv().await
    }
}

/// Gives out its one socket once.
pub(super) struct ChannelTransport(Mutex<Option<ChannelSocket>>);

struct ChannelSocket {
    me: MemberId,
    inbound: mpsc::Receiver<Datagram>,
    outbound: mpsc::Sender<Datagram>,
}

/// chitchat's end and the owner's end.
pub(super) fn channel(me: MemberId) -> (ChannelTransport, FactsPort) {
    let (to_chitchat, inbound) = mpsc::channel(FACT_DATAGRAMS_QUEUED);
    let (outbound, from_chitchat) = mpsc::channel(FACT_DATAGRAMS_QUEUED);
    let socket = ChannelSocket { me, inbound, outbound };
    let port = FactsPort { inbound: to_chitchat, outbound: from_chitchat };
    (ChannelTransport(Mutex::new(Some(socket))), port)
}

#[async_trait]
impl Transport for ChannelTransport {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(socket.ok_or_else(|| anyhow::anyhow!("the one socket is in use"))?))
    }
}

#[async_trait]
impl Socket for ChannelSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let mut payload = Vec::new();
        message.serialize(&mut payload);
        let payload = zstd::bulk::compress(&payload, COMPRESSION_LEVEL)?;
        if self.outbound.try_send(Datagram { peer: to, payload }).is_err() {
            metrics::datagram_dropped("facts_send_queue_full");
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        while let Some(Datagram { peer, payload }) = self.inbound.recv().await {
            match read(&payload, &self.me) {
                Ok(message) => return Ok((peer, message)),
                Err(refusal) => {
                    tracing::debug!(%peer, %refusal, "chitchat message dropped");
                    metrics::datagram_dropped(refusal.label());
                }
            }
        }
        anyhow::bail!("the owner of the socket has ended")
    }
}

fn read(payload: &[u8], me: &MemberId) -> Result<ChitchatMessage, WireRefusal> {
    let message = zstd::bulk::decompress(payload, FACT_MESSAGE_BYTES_MAX).map_err(|_| WireRefusal::Malformed)?;
    check(&message, me)?;
    ChitchatMessage::deserialize(&mut message.as_slice()).map_err(|_| WireRefusal::Malformed)
}
