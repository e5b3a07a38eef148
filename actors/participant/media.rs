//! What the media plane says of this participant's peers.

use crate::participant::state::{ParticipantEffect, ParticipantState, Transport};
use crate::room::FromParticipant;
use starling_media::command::{MediaEvent, PeerEnd};
use starling_media::id::PeerId;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use std::time::Instant;

impl ParticipantState {
    /// Handles one event; those of other peers are not this participant's.
    pub(crate) fn handle_media(&mut self, event: MediaEvent, now: Instant) {
        if self.ended {
            return;
        }
        match event {
            MediaEvent::PeerConnected { peer } => self.peer_connected(peer, now),
            MediaEvent::PeerEnded { peer, end } => self.peer_ended(peer, end, now),
            MediaEvent::ChannelOpen { peer, channel } => {
                if peer == self.data_peer() {
                    self.effects.push_back(ParticipantEffect::ChannelOpened(channel));
                }
            }
            MediaEvent::LayerStarted { track, codec, layer, ssrc, .. } => {
                self.layer_started(track, codec, layer, ssrc, now);
            }
            MediaEvent::Quality { peer, quality, score } => {
                if let Some(transport) = self.transport_mut(peer) {
                    transport.quality = (quality, score);
                }
                let (quality, score) = self.worst_quality();
                self.room(FromParticipant::Quality { quality, score });
            }
            MediaEvent::StreamPaused { track, paused, .. } => {
                self.room(FromParticipant::StreamPaused { track, paused })
            }
            MediaEvent::PathChanged { .. } | MediaEvent::Data { .. } | MediaEvent::Speakers { .. } => {}
        }
    }

    fn peer_connected(&mut self, peer: PeerId, now: Instant) {
        if let Some(transport) = self.transport_mut(peer) {
            transport.connected = true;
        }
        // A client that is not subscriber-primary may still connect by either peer.
        if !self.was_connected && (peer == self.primary_peer() || !self.primary_is_subscriber) {
            self.was_connected = true;
            self.connected_while_waiting(now);
            self.room(FromParticipant::Connected);
        }
    }

    /// The worker has forgotten the peer, DTLS and SRTP included: no resume can go on with it, only a new join can. One
    /// that its client closed gets a moment, since a leaving client closes its WebSocket next.
    fn peer_ended(&mut self, peer: PeerId, end: PeerEnd, now: Instant) {
        let Some(transport) = self.transport_mut(peer) else { return };
        transport.connected = false;
        match end {
            PeerEnd::Closed => transport.closed_at = Some(now),
            PeerEnd::HandshakeFailed | PeerEnd::Fault => {
                self.end(DisconnectReason::MediaFailure, Some(Action::Reconnect), true);
            }
            PeerEnd::ConsentExpired => {
                self.end(DisconnectReason::ConnectionTimeout, Some(Action::Reconnect), true);
            }
        }
    }

    fn transport_mut(&mut self, peer: PeerId) -> Option<&mut Transport> {
        if self.publisher.peer == peer {
            return Some(&mut self.publisher);
        }
        self.subscriber.as_mut().map(|subscriber| &mut subscriber.transport).filter(|transport| transport.peer == peer)
    }

    fn primary_peer(&self) -> PeerId {
        let subscriber = self.subscriber.as_ref().filter(|_| self.primary_is_subscriber);
        subscriber.map_or(self.publisher.peer, |subscriber| subscriber.transport.peer)
    }

    /// Data to the client goes over its primary peer.
    fn data_peer(&self) -> PeerId {
        self.primary_peer()
    }

    fn worst_quality(&self) -> (starling_media::command::Quality, f32) {
        let publisher = self.publisher.quality;
        let subscriber = self.subscriber.as_ref().map_or(publisher, |subscriber| subscriber.transport.quality);
        if subscriber.0 < publisher.0 { subscriber } else { publisher }
    }
}
