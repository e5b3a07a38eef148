//! What a participant actor hears.

use crate::session::Admission;
use starling_protocol::livekit as lk;

/// What a participant actor hears.
#[derive(Debug)]
pub enum ParticipantMessage {
    /// The client asks for something.
    Request {
        /// Which WebSocket.
        sink: u64,
        /// What it asks.
        request: Box<lk::SignalRequest>,
        /// Its place in front of the mailbox.
        admission: Admission,
    },
    /// A WebSocket is gone.
    SinkClosed {
        /// Which.
        sink: u64,
    },
}

impl ractor::Message for ParticipantMessage {}
