//! How a session ends, and what happens when nothing does.

use crate::limits;
use crate::participant::state::{ParticipantEffect, ParticipantState, Sink};
use crate::room::FromParticipant;
use crate::signal;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use std::time::{Duration, Instant};

impl ParticipantState {
    /// Ends the session: the client hears `action` (nothing when it left itself), the room hears `reason`.
    pub(crate) fn end(&mut self, reason: DisconnectReason, action: Option<Action>, tell_room: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(action) = action {
            self.send(signal::leave(reason, action));
        }
        self.effects.push_back(ParticipantEffect::CloseSink);
        if tell_room {
            self.room(FromParticipant::Left { reason });
        }
        self.effects.push_back(ParticipantEffect::End);
    }

    /// When [`ParticipantState::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let deadlines = [
            self.sink_deadline(),
            self.join_deadline(),
            self.answer_deadline(),
            self.closed_deadline(),
            self.negotiate_at,
            self.waiting_deadline(),
            matches!(self.sink, Sink::Open(_)).then_some(self.refresh_at),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if is_due(self.sink_deadline()) {
            let reason =
                if self.was_connected { DisconnectReason::ConnectionTimeout } else { DisconnectReason::SignalClose };
            self.end(reason, None, true);
        } else if is_due(self.join_deadline()) {
            self.end(DisconnectReason::JoinFailure, Some(Action::Disconnect), true);
        } else if is_due(self.answer_deadline()) {
            self.end(DisconnectReason::StateMismatch, Some(Action::Reconnect), true);
        } else if is_due(self.closed_deadline()) {
            self.end(DisconnectReason::ConnectionTimeout, Some(Action::Reconnect), true);
        }
        if self.ended {
            return;
        }
        if matches!(self.sink, Sink::Open(_)) && self.refresh_at <= now {
            self.send_token(now);
        }
        if is_due(self.waiting_deadline()) {
            self.end_waiting(now);
        }
        if is_due(self.negotiate_at) {
            self.negotiate(now);
        }
    }

    fn sink_deadline(&self) -> Option<Instant> {
        match self.sink {
            Sink::Open(_) => None,
            Sink::Lost { at } => Some(at + Duration::from_secs(self.config.reconnect_grace_s.into())),
        }
    }

    /// A v0 client that may not subscribe connects when it publishes, which may be never.
    fn join_deadline(&self) -> Option<Instant> {
        let must_connect = self.subscriber.is_none() || self.primary_is_subscriber;
        (must_connect && !self.was_connected).then(|| self.started_at + limits::JOIN_TIMEOUT)
    }

    fn answer_deadline(&self) -> Option<Instant> {
        let offered_at = self.subscriber.as_ref()?.offered_at?;
        matches!(self.sink, Sink::Open(_)).then(|| offered_at + limits::ANSWER_TIMEOUT)
    }

    fn closed_deadline(&self) -> Option<Instant> {
        let subscriber = self.subscriber.as_ref().and_then(|subscriber| subscriber.transport.closed_at);
        let closed_at = [self.publisher.closed_at, subscriber].into_iter().flatten().min()?;
        Some(closed_at + limits::PEER_CLOSED_GRACE)
    }
}
