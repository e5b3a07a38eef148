//! Work that may wait while media flows: messages to many peers, and handshakes. Each turn does a bounded share of it.

use super::WorkerCore;
use crate::codec::Channel;
use crate::id::{Path, PeerId};
use crate::worker::arena::SendArena;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;

/// Share of messages that one turn sends, in packets: sealing that many takes a few milliseconds.
const PACKETS_PER_TURN: usize = 512;
/// Bytes of a message that fill one packet.
const PACKET_BYTES: usize = 1_200;
/// Messages that wait to be sent, as many as commands may; later ones are dropped and counted.
const MESSAGES_MAX: usize = 16_384;
/// Bytes of waiting messages and their lists of receivers: 256 of the largest. Later ones are dropped and counted.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Handshake datagrams that one turn takes: a key exchange and a signature cost up to a millisecond.
const HANDSHAKES_PER_TURN: usize = 8;
/// Handshake datagrams that wait; later ones are dropped and counted, clients repeat them.
const HANDSHAKES_MAX: usize = 4_096;
/// Those of one peer: several flights and their repeats. A flood of one does not take the places of all.
const HANDSHAKES_PER_PEER_MAX: usize = 32;
/// Longest handshake datagram that is kept, in bytes: more than any path carries.
const HANDSHAKE_BYTES_MAX: usize = 2_048;

/// A message and who has yet to get it.
#[derive(Debug)]
struct Message {
    /// In order, the last one first.
    peers: Vec<PeerId>,
    channel: Channel,
    payload: Bytes,
}

impl Message {
    fn cost(&self) -> usize {
        self.payload.len() + self.peers.capacity() * size_of::<PeerId>()
    }
}

/// Everything that waits for its turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    messages: VecDeque<Message>,
    message_bytes: usize,
    handshakes: VecDeque<(PeerId, Path, Box<[u8]>)>,
}

impl Backlog {
    /// Files a message; `false` if there is no room.
    fn push_message(&mut self, mut peers: Vec<PeerId>, channel: Channel, payload: Bytes) -> bool {
        peers.reverse();
        let message = Message { peers, channel, payload };
        let bytes = self.message_bytes + message.cost();
        if self.messages.len() >= MESSAGES_MAX || bytes > MESSAGE_BYTES_MAX {
            return false;
        }
        self.message_bytes = bytes;
        self.messages.push_back(message);
        true
    }

    /// The next message for one peer.
    fn next_delivery(&mut self) -> Option<(PeerId, Channel, Bytes)> {
        loop {
            let message = self.messages.front_mut()?;
            if let Some(peer) = message.peers.pop() {
                return Some((peer, message.channel, message.payload.clone()));
            }
            self.message_bytes -= message.cost();
            self.messages.pop_front();
        }
    }

    /// Takes out what waits for one peer.
    fn take_of(&mut self, peer: PeerId) -> Vec<(Channel, Bytes)> {
        let mut taken = Vec::new();
        for message in &mut self.messages {
            let before = message.peers.len();
            message.peers.retain(|one| *one != peer);
            let count = before - message.peers.len();
            taken.extend(std::iter::repeat_n((message.channel, message.payload.clone()), count));
        }
        taken
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.handshakes.is_empty()
    }
}

impl WorkerCore {
    /// Does one turn's share of what waits; returns whether more is left.
    pub(crate) fn work(&mut self, now: Instant, arena: &mut SendArena) -> bool {
        let mut packets = 0;
        while packets < PACKETS_PER_TURN {
            let Some((peer, channel, payload)) = self.backlog.next_delivery() else { break };
            packets += payload.len().div_ceil(PACKET_BYTES).max(1);
            self.send_data(now, peer, channel, &payload, arena);
            arena.flush_if_full();
        }
        let mut handshakes = 0;
        while handshakes < HANDSHAKES_PER_TURN {
            let Some((peer, path, datagram)) = self.backlog.handshakes.pop_front() else { break };
            // Its peer may have ended since; that costs nothing.
            let Some(&index) = self.by_id.get(&peer) else { continue };
            handshakes += 1;
            let peer = &mut self.peers[index];
            peer.handshakes_waiting = peer.handshakes_waiting.saturating_sub(1);
            peer.transport.handle_dtls(now, path, &datagram);
            self.pump(now, index, arena);
        }
        !self.backlog.is_empty()
    }

    /// Takes a message that goes to each of `peers` in its turn.
    pub(super) fn queue_data(&mut self, peers: Vec<PeerId>, channel: Channel, payload: Bytes) {
        let count = peers.len() as u64;
        if !self.backlog.push_message(peers, channel, payload) {
            self.counters.data_dropped += count;
        }
    }

    /// Sends what waits for a peer that is about to leave.
    pub(super) fn send_queued_data(&mut self, now: Instant, peer: PeerId, arena: &mut SendArena) {
        for (channel, payload) in self.backlog.take_of(peer) {
            self.send_data(now, peer, channel, &payload, arena);
        }
    }

    /// Takes a DTLS datagram of a peer that is not connected.
    pub(super) fn queue_handshake(&mut self, index: usize, path: Path, datagram: &[u8]) {
        let peer = &mut self.peers[index];
        if self.backlog.handshakes.len() >= HANDSHAKES_MAX
            || peer.handshakes_waiting >= HANDSHAKES_PER_PEER_MAX
            || datagram.len() > HANDSHAKE_BYTES_MAX
        {
            self.counters.handshakes_dropped += 1;
            return;
        }
        peer.handshakes_waiting += 1;
        self.backlog.handshakes.push_back((peer.id, path, datagram.into()));
    }

    /// Handshake datagrams that wait.
    #[cfg(test)]
    pub(super) fn handshakes_waiting(&self) -> usize {
        self.backlog.handshakes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(backlog: &mut Backlog, peers: &[u64], payload: &Bytes) -> bool {
        backlog.push_message(peers.iter().copied().map(PeerId).collect(), Channel::Reliable, payload.clone())
    }

    #[test]
    fn messages_keep_their_order_and_their_bound() {
        let (mut backlog, one, other) = (Backlog::default(), Bytes::from_static(b"1"), Bytes::from_static(b"2"));
        assert!(push(&mut backlog, &[1, 2, 3], &one) && push(&mut backlog, &[2, 3, 2], &other));
        assert_eq!(backlog.take_of(PeerId(2)).iter().map(|(_, payload)| payload[0]).collect::<Vec<_>>(), b"122");
        let rest: Vec<_> = std::iter::from_fn(|| backlog.next_delivery()).map(|it| (it.0.0, it.2[0])).collect();
        assert_eq!(rest, [(1, b'1'), (3, b'1'), (3, b'2')]);
        assert!(backlog.is_empty() && backlog.message_bytes == 0);
        assert_eq!((0..MESSAGES_MAX + 9).filter(|_| push(&mut backlog, &[1], &one)).count(), MESSAGES_MAX);
        while backlog.next_delivery().is_some() {}
        let large = Bytes::from(vec![0; 1 << 20]);
        assert_eq!((0..99).filter(|_| push(&mut backlog, &[1], &large)).count(), 63, "and the lists count");
        while backlog.next_delivery().is_some() {}
        assert_eq!(backlog.message_bytes, 0);
    }
}
