//! Data channels over one SCTP association: rtc-sctp behind the guard and `catch_unwind`, DCEP, and bounded buffers.
//! Knows LiveKit's channels by label and nothing of what their messages mean.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Protocol, ServerConfig, StreamEvent, TransportConfig,
};
use rtc_shared::TransportProtocol;

use super::dcep::{Message, Reliability};
use super::error::SendDataError;
use super::guard::{Guard, Verdict};
use super::inherited::Inherited;
use super::handshake::VIRTUAL_PEER;
use super::limits;
use crate::codec::Channel;

/// What the association brought about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SctpEvent {
    Open(Channel),
    Closed(Channel),
    Data(Channel, Bytes),
    /// rtc-sctp panicked.
    Fault,
}

/// One data channel, by stream id.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct ChannelState {
    /// `None` for a label that LiveKit does not use: accepted, its data dropped.
    pub(super) channel: Option<Channel>,
    pub(super) reliability: Reliability,
    pub(super) open: bool,
}

/// The SCTP part of a transport.
pub(super) struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    guard: Guard,
    up: bool,
    /// We restart a moved association: no INIT of the peer counts until it is up.
    restarting: bool,
    /// Open LiveKit's channels ourselves once the association is up.
    opens_channels: bool,
    channels: BTreeMap<u16, ChannelState>,
    /// Streams that may have messages to read: readability is told once only.
    readable: BTreeSet<u16>,
    /// Where the peer's numbering stood in the association before a restart.
    before: Option<Inherited>,
    /// Messages sent while the association restarts, and their bytes.
    held: VecDeque<(u16, Bytes)>,
    held_bytes: usize,
    events: VecDeque<SctpEvent>,
    /// Packets and messages that were ignored.
    pub(super) dropped: u64,
}

impl std::fmt::Debug for Sctp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sctp").field("up", &self.up).field("channels", &self.channels).finish_non_exhaustive()
    }
}

fn transport_config() -> TransportConfig {
    TransportConfig::default().with_max_message_size(limits::MAX_MESSAGE as u32)
}

fn endpoint() -> Endpoint {
    let server = ServerConfig::new(transport_config());
    let config = Arc::new(EndpointConfig::default());
    Endpoint::new(VIRTUAL_PEER, TransportProtocol::UDP, config, Some(Arc::new(server)))
}

impl Sctp {
    pub(super) fn new(opens_channels: bool) -> Self {
        Self {
            endpoint: endpoint(),
            association: None,
            guard: Guard::default(),
            up: false,
            restarting: false,
            before: None,
            opens_channels,
            channels: BTreeMap::new(),
            readable: BTreeSet::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            events: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Goes on with channels of an association that was elsewhere: a fresh INIT restarts it at the peer, whose channels
    /// stay as they are (RFC 9260 §5.2.4.1).
    pub(super) fn restarted(
        channels: BTreeMap<u16, ChannelState>,
        before: Option<Inherited>,
        now: Instant,
    ) -> Self {
        let mut sctp = Self { channels, before, restarting: true, guard: Guard::initiating(), ..Self::new(false) };
        sctp.association = sctp.endpoint.connect(now, ClientConfig::new(transport_config()), VIRTUAL_PEER).ok();
        sctp
    }

    /// The channels to hand over; `None` if the association is not up.
    pub(super) fn export(&self) -> Option<BTreeMap<u16, ChannelState>> {
        (self.up || self.restarting).then(|| self.channels.clone())
    }

    /// How far the peer's messages were taken, for whoever goes on.
    pub(super) fn inherited(&self) -> Option<Inherited> {
        if self.restarting { self.before } else { self.guard.inherited() }
    }

    /// Takes the messages of a packet that the peer sent before it heard of the restart; true if it is such a packet.
    /// Nobody acknowledges them, and the peer forgets them with its old association. Only whole messages that come in
    /// order are taken: the rest has to be repeated by LiveKit's reliable channel.
    fn take_before(&mut self, packet: &[u8]) -> bool {
        let Some(before) = self.before.as_mut().filter(|before| before.owns(packet)) else { return false };
        for message in before.take(packet) {
            if self.channels.contains_key(&message.stream) {
                self.take_data(message.stream, message.payload, Protocol::from(message.protocol));
            }
        }
        true
    }

    /// Takes one SCTP packet out of DTLS.
    pub(super) fn handle(&mut self, now: Instant, packet: Vec<u8>) {
        if self.take_before(&packet) {
            return;
        }
        let verdict = self.guard.check(&packet);
        match verdict {
            Verdict::Drop => {
                self.dropped += 1;
                return;
            }
            Verdict::Aborted => return self.reset(self.opens_channels),
            // rtc-sctp makes an association of every INIT; only the newest can complete. Once up, none counts.
            Verdict::PassInit if self.up || self.restarting => {
                self.dropped += 1;
                return;
            }
            Verdict::PassInit => {
                self.endpoint = endpoint();
                self.association = None;
                self.readable.clear();
            }
            Verdict::Pass => {}
        }
        self.guarded(|sctp| {
            match sctp.endpoint.handle(now, VIRTUAL_PEER, None, Bytes::from(packet)) {
                Some((handle, DatagramEvent::NewAssociation(association))) => {
                    sctp.association = Some((handle, association));
                }
                Some((handle, DatagramEvent::AssociationEvent(event))) => {
                    if let Some((own, association)) = &mut sctp.association
                        && *own == handle
                    {
                        association.handle_event(event);
                    }
                }
                _ => sctp.dropped += 1,
            }
            sctp.take_events(now);
        });
    }

    /// Runs rtc-sctp code; a panic in it ends the association and is told as [`SctpEvent::Fault`].
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        if result.is_err() {
            self.reset(false);
            self.events.push_back(SctpEvent::Fault);
        } else if self.association.as_ref().is_some_and(|(_, association)| association.is_closed()) && self.up {
            self.reset(self.opens_channels);
        }
    }

    /// Forgets the association and closes its channels; a new INIT of the peer may follow.
    fn reset(&mut self, opens_channels: bool) {
        let channels = std::mem::take(&mut self.channels);
        let events = std::mem::take(&mut self.events);
        *self = Self { events, dropped: self.dropped, ..Self::new(opens_channels) };
        for state in channels.into_values().filter(|state| state.open) {
            self.events.extend(state.channel.map(SctpEvent::Closed));
        }
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.association.as_mut().and_then(|(_, association)| association.poll()) {
            match event {
                Event::Connected => self.connected(now),
                Event::Stream(StreamEvent::Readable { id } | StreamEvent::Opened { id }) => {
                    self.readable.insert(id);
                }
                Event::AssociationLost { id, .. } => self.close_stream(id),
                Event::HandshakeFailed { .. } => self.dropped += 1,
                _ => {}
            }
        }
        while let Some((handle, event)) = self
            .association
            .as_mut()
            .and_then(|(handle, association)| association.poll_endpoint_event().map(|event| (*handle, event)))
        {
            self.endpoint.handle_event(handle, event);
        }
        if self.up {
            self.read_streams(now);
        }
    }

    fn close_stream(&mut self, id: u16) {
        self.readable.remove(&id);
        if let Some(state) = self.channels.remove(&id)
            && state.open
        {
            self.events.extend(state.channel.map(SctpEvent::Closed));
        }
    }

    fn connected(&mut self, now: Instant) {
        self.up = true;
        let restarted = std::mem::take(&mut self.restarting);
        if restarted {
            for (id, state) in self.channels.clone() {
                self.open_stream(id, state.reliability);
            }
            for (id, message) in std::mem::take(&mut self.held) {
                self.write_message(now, id, &message);
            }
            self.held_bytes = 0;
        } else if self.opens_channels {
            // RFC 8832 §6: the DTLS server takes odd stream ids.
            for (channel, id) in Channel::ALL.into_iter().zip([1, 3, 5]) {
                let reliability = if channel == Channel::Reliable { Reliability::RELIABLE } else { Reliability::LOSSY };
                self.open_stream(id, reliability);
                let open = Message::Open { reliability, label: channel.label().as_bytes() };
                self.write(now, id, &Bytes::from(open.write()), Protocol::Dcep);
                self.channels.insert(id, ChannelState { channel: Some(channel), reliability, open: false });
            }
        }
    }

    fn open_stream(&mut self, id: u16, reliability: Reliability) {
        let Some((_, association)) = &mut self.association else { return };
        if association.stream(id).is_err() && association.open_stream(id, Protocol::Binary).is_err() {
            self.dropped += 1;
        }
        if let Ok(mut stream) = association.stream(id) {
            let (unordered, kind, value) = reliability.parameters();
            // Fails only for a closed stream, whose channel is about to be told closed.
            let _ = stream.set_reliability_params(unordered, kind, value);
        }
    }

    fn write(&mut self, now: Instant, id: u16, message: &Bytes, protocol: Protocol) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        association.stream(id).is_ok_and(|mut stream| stream.write_chunk_with_ppi(now, message, protocol).is_ok())
    }

    /// SCTP has no empty messages: RFC 8831 §6.6 sends one byte under another protocol identifier.
    fn write_message(&mut self, now: Instant, id: u16, message: &Bytes) -> bool {
        if message.is_empty() {
            return self.write(now, id, &Bytes::from_static(&[0]), Protocol::BinaryEmpty);
        }
        self.write(now, id, message, Protocol::Binary)
    }

    fn read_streams(&mut self, now: Instant) {
        for _ in 0..limits::MAX_MESSAGES_PER_TURN {
            let Some(id) = self.readable.first().copied() else { return };
            let Some((_, association)) = &mut self.association else { return };
            let message = association.stream(id).and_then(|mut stream| stream.read_sctp());
            let Ok(Some(message)) = message else {
                self.readable.remove(&id);
                continue;
            };
            let protocol = message.ppi;
            match message.to_payload(limits::MAX_MESSAGE) {
                Ok(payload) if protocol == Protocol::Dcep => self.take_dcep(now, id, &payload),
                Ok(payload) => self.take_data(id, payload.freeze(), protocol),
                Err(_) => self.dropped += 1,
            }
        }
    }

    fn take_dcep(&mut self, now: Instant, id: u16, payload: &[u8]) {
        match Message::parse(payload) {
            Some(Message::Ack) => self.opened(id),
            Some(Message::Open { reliability, label }) if self.channels.len() < limits::MAX_CHANNELS => {
                if self.channels.contains_key(&id) {
                    self.dropped += 1;
                    return;
                }
                let channel = std::str::from_utf8(label).ok().and_then(Channel::from_label);
                // A second channel of the same label gets no name: the first one keeps its messages.
                let channel = channel.filter(|channel| self.stream_of(*channel).is_none());
                self.open_stream(id, reliability);
                self.write(now, id, &Bytes::from(Message::Ack.write()), Protocol::Dcep);
                self.channels.insert(id, ChannelState { channel, reliability, open: false });
                self.opened(id);
            }
            _ => self.dropped += 1,
        }
    }

    fn opened(&mut self, id: u16) {
        if let Some(state) = self.channels.get_mut(&id)
            && !std::mem::replace(&mut state.open, true)
        {
            self.events.extend(state.channel.map(SctpEvent::Open));
        }
    }

    fn take_data(&mut self, id: u16, payload: Bytes, protocol: Protocol) {
        let Some(channel) = self.channels.get(&id).and_then(|state| state.channel) else {
            self.dropped += 1;
            return;
        };
        // Data says as much as an ACK that was overtaken by it.
        self.opened(id);
        let empty = matches!(protocol, Protocol::StringEmpty | Protocol::BinaryEmpty);
        self.events.push_back(SctpEvent::Data(channel, if empty { Bytes::new() } else { payload }));
    }

    fn stream_of(&self, channel: Channel) -> Option<(u16, &ChannelState)> {
        self.channels.iter().find(|(_, state)| state.channel == Some(channel)).map(|(id, state)| (*id, state))
    }

    /// Sends one binary message.
    pub(super) fn send(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<(), SendDataError> {
        if payload.len() > limits::MAX_MESSAGE {
            return Err(SendDataError::TooLarge { size: payload.len() });
        }
        let (id, state) =
            self.stream_of(channel).filter(|(_, state)| state.open).ok_or(SendDataError::NotOpen(channel))?;
        let reliable = state.reliability == Reliability::RELIABLE;
        let limit = if reliable { limits::RELIABLE_BUFFER } else { limits::LOSSY_BUFFER };
        let waiting = match &mut self.association {
            Some((_, association)) if self.up => association.stream(id).and_then(|stream| stream.buffered_amount()),
            _ => Ok(self.held_bytes),
        };
        let waiting = waiting.map_err(|_| SendDataError::NotOpen(channel))?;
        if waiting + payload.len() > limit {
            return Err(SendDataError::Full { channel, limit });
        }
        if !self.up {
            // A restart takes a round trip or two: messages wait for it.
            self.held_bytes += payload.len();
            self.held.push_back((id, Bytes::copy_from_slice(payload)));
            return Ok(());
        }
        let message = Bytes::copy_from_slice(payload);
        let mut sent = false;
        self.guarded(|sctp| sent = sctp.write_message(now, id, &message));
        if sent { Ok(()) } else { Err(SendDataError::Refused) }
    }

    pub(super) fn poll_event(&mut self) -> Option<SctpEvent> {
        self.events.pop_front()
    }

    /// Takes the packets that wait for DTLS.
    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut Vec<Bytes>) {
        self.guarded(|sctp| {
            let Some((_, association)) = &mut sctp.association else { return };
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(packets) = transmit.message {
                    out.extend(packets);
                }
            }
        });
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref().and_then(|(_, association)| association.poll_timeout())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.guarded(|sctp| {
                if let Some((_, association)) = &mut sctp.association {
                    association.handle_timeout(now);
                }
                sctp.take_events(now);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_below_is_told_as_a_fault_and_leaves_a_usable_value() {
        let mut sctp = Sctp::new(false);
        let reliable =
            ChannelState { channel: Some(Channel::Reliable), reliability: Reliability::RELIABLE, open: true };
        sctp.channels.insert(0, reliable);
        sctp.guarded(|_| panic!("as rtc-sctp might"));
        assert_eq!(sctp.poll_event(), Some(SctpEvent::Closed(Channel::Reliable)));
        assert_eq!(sctp.poll_event(), Some(SctpEvent::Fault));
        assert!(sctp.export().is_none() && sctp.poll_timeout().is_none());
    }
}
