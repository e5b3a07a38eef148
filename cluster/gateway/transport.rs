//! What carries envelopes: one remote gateway. A trait, so that everything above it runs in memory too.

use crate::gateway::message::GatewayMessage;
use bytes::Bytes;
use ractor::ActorRef;

/// The way to one peer's gateway: in order, each at most once, never blocking. Says nothing of its end.
pub(crate) trait Transport: Send + std::fmt::Debug {
    /// Puts an envelope on the link. What is sent on an ended link is lost.
    fn send(&self, envelope: Bytes);
}

/// A gateway at the other end of a ractor session.
#[derive(Debug)]
pub(crate) struct RemoteGateway(pub(crate) ActorRef<GatewayMessage>);

impl Transport for RemoteGateway {
    fn send(&self, envelope: Bytes) {
        // It fails when the session has ended, which is told elsewhere.
        let _ = self.0.cast(GatewayMessage::Deliver(envelope.into()));
    }
}
