//! One signalling session as the WebSocket side sees it: requests in, responses out, both bounded.

use crate::participant::ParticipantMessage;
use ractor::ActorRef;
use starling_protocol::join::JoinParameters;
use starling_protocol::livekit as lk;
use starling_protocol::token::Claims;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Requests of one session that may wait in its actor's mailbox; beyond it `send` refuses and the WebSocket side
/// should close: no honest client has this many unanswered.
pub const SESSION_REQUESTS_MAX: usize = 512;
/// Responses that may wait for a slow WebSocket; beyond it the session's WebSocket is closed (the SDK resumes).
pub const SESSION_RESPONSES_MAX: usize = 1_024;

/// A client that asks to join or to resume.
#[derive(Clone, Debug)]
pub struct Join {
    /// The verified claims of its token.
    pub claims: Claims,
    /// What it said of itself.
    pub parameters: JoinParameters,
    /// Where it comes from.
    pub remote: SocketAddr,
}

/// An accepted join or resume (or its `leave`, when a resume is impossible).
#[derive(Debug)]
pub struct Session {
    /// The first message: `join`, `reconnect` or `leave`; after a `leave` nothing else comes.
    pub first: Box<lk::SignalResponse>,
    /// Where the client's requests go.
    pub requests: SessionInput,
    /// What is to be sent to the client; ends when the session is over or was taken over by a resume.
    pub responses: mpsc::Receiver<SessionOutput>,
}

/// One thing to do on the WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionOutput {
    /// Send this.
    Signal(Box<lk::SignalResponse>),
    /// Close with code 1000.
    Close,
}

/// A request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The client sends faster than its session can handle.
    #[error("{SESSION_REQUESTS_MAX} signal requests are waiting")]
    Busy,
    /// The session is over.
    #[error("session has ended")]
    Ended,
}

/// The way of a client's requests to its participant, on this node or on another. Dropping it says that the WebSocket
/// is gone.
#[derive(Debug)]
pub struct SessionInput(Way);

#[derive(Debug)]
enum Way {
    /// The participant is on this node.
    Here { actor: ActorRef<ParticipantMessage>, sink: u64, waiting: Arc<AtomicUsize> },
    /// It is on another one; these wait for the link.
    Relayed { requests: mpsc::Sender<lk::SignalRequest> },
    /// There is none.
    Ended,
}

impl SessionInput {
    /// The input of session `sink` of a participant.
    pub(crate) fn new(actor: ActorRef<ParticipantMessage>, sink: u64) -> Self {
        Self(Way::Here { actor, sink, waiting: Arc::default() })
    }

    /// The input of a session at another node.
    pub(crate) fn relayed(requests: mpsc::Sender<lk::SignalRequest>) -> Self {
        Self(Way::Relayed { requests })
    }

    /// The input of a session that was refused.
    pub(crate) fn ended() -> Self {
        Self(Way::Ended)
    }

    /// Whether it was refused.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.0, Way::Ended)
    }

    /// Hands over one request.
    ///
    /// # Errors
    /// [`SessionError`] when too many wait or the session is over.
    pub fn send(&self, request: lk::SignalRequest) -> Result<(), SessionError> {
        match &self.0 {
            Way::Here { actor, sink, waiting } => {
                let admission = Admission::take(waiting, SESSION_REQUESTS_MAX).ok_or(SessionError::Busy)?;
                let message = ParticipantMessage::Request { sink: *sink, request: Box::new(request), admission };
                actor.cast(message).map_err(|_| SessionError::Ended)
            }
            Way::Relayed { requests } => requests.try_send(request).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SessionError::Busy,
                mpsc::error::TrySendError::Closed(_) => SessionError::Ended,
            }),
            Way::Ended => Err(SessionError::Ended),
        }
    }

    /// Says that the WebSocket is gone.
    pub fn closed(self) {
        drop(self);
    }
}

impl Drop for SessionInput {
    fn drop(&mut self) {
        if let Way::Here { actor, sink, .. } = &self.0 {
            let _ = actor.cast(ParticipantMessage::SinkClosed { sink: *sink });
        }
    }
}

/// One occupied place in front of a mailbox; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Admission {
    /// Takes a place, or `None` when `limit` are taken.
    pub(crate) fn take(places: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        if places.fetch_add(1, Ordering::AcqRel) >= limit {
            places.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Self(Arc::clone(places)))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
