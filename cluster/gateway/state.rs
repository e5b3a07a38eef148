//! One link as this side sees it: order, credit, calls and their deadlines, pings and silence. Pure.
//!
//! Every call may leave effects; the shell performs them in order, and calls [`PeerState::tick`] at
//! [`PeerState::next_deadline`].

use crate::gateway::envelope::{self, AnswerBody, Envelope, VERSION, What};
use crate::gateway::parts::Assembly;
use crate::gateway::window::{Frame, Outgoing, Window};
use crate::limits;
use crate::member::MemberId;
use crate::peers::{CallError, CastError, Topic, Unreadable, Urgency};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What the shell has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Put an envelope on the link.
    Send(Bytes),
    /// A message for this node.
    Hear { topic: Topic, body: Bytes, call: Option<InboundCall> },
    /// A call of ours is over.
    Answered { call: u64, result: Result<Bytes, CallError> },
    /// Nothing was heard for [`limits::LINK_SILENCE`].
    Silent,
    /// Something was heard again.
    Heard,
    /// The link is of no use any more.
    Close(CloseReason),
    /// Something was dropped.
    Dropped(Dropped),
}

/// A call of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InboundCall {
    /// Its number.
    pub(crate) call: u64,
    /// How long the peer waits.
    pub(crate) timeout: Duration,
}

/// Why a link is closed by this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Its window stayed full for [`limits::WINDOW_STALL`].
    Stalled,
    /// A message is missing, or something was acknowledged that was never sent.
    Broken,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// A message that came before.
    Duplicate,
    /// An answer to a call that is over.
    LateAnswer,
    /// A message of another version, or a part that fits nowhere.
    Unreadable,
    /// An answer for which there was no credit.
    Answer,
    /// A message for a full window.
    Congested,
}

/// The state of one link.
#[derive(Debug)]
pub(crate) struct PeerState {
    to: MemberId,
    link: u64,
    window: Window,
    /// A needed message was refused, and nothing has been acknowledged since.
    full_since: Option<Instant>,
    ping_at: Instant,
    calls: BTreeMap<u64, Waiting>,
    /// When which of them is over.
    deadlines: BTreeSet<(Instant, u64)>,
    last_call: u64,
    /// Calls of the peer that wait for our answer.
    answering: BTreeSet<u64>,
    heard_at: Instant,
    silent: bool,
    /// The last message that was handled.
    handled: u64,
    /// What was handled since the peer was told.
    untold_messages: u64,
    untold_bytes: usize,
    ack_at: Option<Instant>,
    assembly: Assembly,
}

/// A call of ours that has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    deadline: Instant,
    timeout: Duration,
}

impl PeerState {
    pub(crate) fn new(to: MemberId, link: u64, now: Instant) -> Self {
        Self {
            to,
            link,
            window: Window::default(),
            full_since: None,
            ping_at: now,
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last_call: 0,
            answering: BTreeSet::new(),
            heard_at: now,
            silent: false,
            handled: 0,
            untold_messages: 0,
            untold_bytes: 0,
            ack_at: None,
            assembly: Assembly::default(),
        }
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`CastError`]; the message is not sent.
    pub(crate) fn cast(
        &mut self,
        topic: Topic,
        urgency: Urgency,
        body: Bytes,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), CastError> {
        check_size(&body)?;
        let what = envelope::encode(&What::Cast { topic, body });
        self.send(Outgoing { topic: Some(topic), call: 0, answer: 0, what }, urgency, now, effects)
    }

    /// Sends a call; its number comes back in [`Effect::Answered`], always.
    ///
    /// # Errors
    /// [`CastError`]; the call is not sent.
    pub(crate) fn call(
        &mut self,
        topic: Topic,
        body: Bytes,
        timeout: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<u64, CastError> {
        check_size(&body)?;
        if self.calls.len() >= limits::CALLS_MAX {
            effects.push(Effect::Dropped(Dropped::Congested));
            return Err(CastError::Congested(self.to.clone()));
        }
        let call = self.last_call + 1;
        let timeout = timeout.min(limits::CALL_TIME_MAX);
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let what = envelope::encode(&What::Call { topic, timeout_ms, body });
        self.send(Outgoing { topic: Some(topic), call, answer: 0, what }, Urgency::Needed, now, effects)?;
        self.last_call = call;
        self.calls.insert(call, Waiting { deadline: now + timeout, timeout });
        self.deadlines.insert((now + timeout, call));
        Ok(call)
    }

    /// The answer to a call of the peer; `None` = there will be none.
    pub(crate) fn answer(
        &mut self,
        call: u64,
        result: Option<Result<Bytes, Unreadable>>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.answering.remove(&call) {
            return;
        }
        match result {
            Some(Ok(body)) if body.len() > limits::BODY_BYTES_MAX => {
                let why = format!("answer of {} bytes exceeds the limit of {}", body.len(), limits::BODY_BYTES_MAX);
                self.send_answer(call, AnswerBody::Unreadable { why }, now, effects);
            }
            Some(Ok(body)) => self.send_answer(call, AnswerBody::Done(body), now, effects),
            Some(Err(Unreadable { why })) => self.send_answer(call, AnswerBody::Unreadable { why }, now, effects),
            None => {}
        }
    }

    /// An envelope of this link came in.
    pub(crate) fn receive(&mut self, envelope: Envelope, now: Instant, effects: &mut Vec<Effect>) {
        self.heard_at = now;
        if std::mem::take(&mut self.silent) {
            effects.push(Effect::Heard);
        }
        match self.window.acknowledge(envelope.ack) {
            None => return effects.push(Effect::Close(CloseReason::Broken)),
            Some(true) => self.full_since = None,
            Some(false) => {}
        }
        if envelope.seq != 0 {
            if envelope.seq <= self.handled {
                return effects.push(Effect::Dropped(Dropped::Duplicate));
            }
            if envelope.seq != self.handled + 1 {
                return effects.push(Effect::Close(CloseReason::Broken));
            }
            self.handled = envelope.seq;
            self.untold_messages += 1;
            self.untold_bytes += envelope.what.len();
            self.ack_at.get_or_insert(now + limits::ACK_DELAY);
        }
        self.read(&envelope, &envelope.what, true, now, effects);
        self.pump(now, effects);
        self.acknowledge_if_due(now, effects);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some((_, call)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            if let Some(Waiting { timeout, .. }) = self.finish(call) {
                let result = Err(CallError::Timeout { to: self.to.clone(), timeout });
                effects.push(Effect::Answered { call, result });
            }
        }
        if !self.silent && self.heard_at + limits::LINK_SILENCE <= now {
            self.silent = true;
            effects.push(Effect::Silent);
        }
        if self.full_since.is_some_and(|since| since + limits::WINDOW_STALL <= now) {
            self.full_since = None;
            effects.push(Effect::Close(CloseReason::Stalled));
        }
        self.acknowledge_if_due(now, effects);
        if self.ping_at <= now {
            self.ping(now, effects);
        }
    }

    /// When [`PeerState::tick`] wants to be called.
    pub(crate) fn next_deadline(&self) -> Instant {
        let calls = self.deadlines.first().map(|(deadline, _)| *deadline);
        let silence = (!self.silent).then_some(self.heard_at + limits::LINK_SILENCE);
        let stall = self.full_since.map(|since| since + limits::WINDOW_STALL);
        [calls, silence, stall, self.ack_at].into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    /// The link ended: every call that waits has failed.
    pub(crate) fn end(&mut self, effects: &mut Vec<Effect>) {
        for call in std::mem::take(&mut self.calls).into_keys() {
            effects.push(Effect::Answered { call, result: Err(CallError::LinkLost(self.to.clone())) });
        }
        self.deadlines.clear();
        self.answering.clear();
    }

    fn finish(&mut self, call: u64) -> Option<Waiting> {
        let waiting = self.calls.remove(&call)?;
        self.deadlines.remove(&(waiting.deadline, call));
        debug_assert_eq!(self.calls.len(), self.deadlines.len(), "every call has its deadline");
        Some(waiting)
    }

    fn read(&mut self, envelope: &Envelope, what: &[u8], may_be_part: bool, now: Instant, effects: &mut Vec<Effect>) {
        match envelope::read_what(what) {
            Ok(What::Ping) => {}
            Ok(What::Cast { topic, body }) => effects.push(Effect::Hear { topic, body, call: None }),
            Ok(What::Call { topic, timeout_ms, body }) => {
                self.called(envelope.call, topic, timeout_ms, body, now, effects);
            }
            Ok(What::Answer(body)) => self.answered(envelope.answer, body, effects),
            Ok(What::Part { offset, total, bytes }) if may_be_part => {
                match self.assembly.push(offset as usize, total as usize, &bytes) {
                    Ok(None) => {}
                    Ok(Some(whole)) => self.read(envelope, &whole, false, now, effects),
                    Err(error) => self.unreadable(envelope, error.to_string(), now, effects),
                }
            }
            Ok(What::Part { .. }) => self.unreadable(envelope, "a part within a part".into(), now, effects),
            Err(error) => {
                let why = format!("version {} where {VERSION} is spoken: {error}", envelope.version);
                self.unreadable(envelope, why, now, effects);
            }
        }
    }

    fn called(
        &mut self,
        call: u64,
        topic: Topic,
        timeout_ms: u32,
        body: Bytes,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if self.answering.len() >= limits::CALLS_MAX {
            return self.send_answer(call, AnswerBody::Busy, now, effects);
        }
        if !self.answering.insert(call) {
            return effects.push(Effect::Dropped(Dropped::Duplicate));
        }
        let timeout = Duration::from_millis(timeout_ms.into()).min(limits::CALL_TIME_MAX);
        effects.push(Effect::Hear { topic, body, call: Some(InboundCall { call, timeout }) });
    }

    fn answered(&mut self, call: u64, body: AnswerBody, effects: &mut Vec<Effect>) {
        if self.finish(call).is_none() {
            return effects.push(Effect::Dropped(Dropped::LateAnswer));
        }
        let result = match body {
            AnswerBody::Done(body) => Ok(body),
            AnswerBody::Unreadable { why } => Err(CallError::Unreadable { to: self.to.clone(), why }),
            AnswerBody::Busy => Err(CallError::Cast(CastError::Congested(self.to.clone()))),
        };
        effects.push(Effect::Answered { call, result });
    }

    /// The sender of a call is told; the sender of an answer is us, and our call fails; a cast is only counted.
    fn unreadable(&mut self, envelope: &Envelope, why: String, now: Instant, effects: &mut Vec<Effect>) {
        effects.push(Effect::Dropped(Dropped::Unreadable));
        if envelope.answer != 0 && self.finish(envelope.answer).is_some() {
            let result = Err(CallError::Unreadable { to: self.to.clone(), why });
            effects.push(Effect::Answered { call: envelope.answer, result });
        } else if envelope.call != 0 {
            self.send_answer(envelope.call, AnswerBody::Unreadable { why }, now, effects);
        }
    }

    fn send_answer(&mut self, call: u64, body: AnswerBody, now: Instant, effects: &mut Vec<Effect>) {
        let what = envelope::encode(&What::Answer(body));
        let outgoing = Outgoing { topic: None, call: 0, answer: call, what };
        if self.send(outgoing, Urgency::Needed, now, effects).is_err() {
            effects.push(Effect::Dropped(Dropped::Answer));
        }
    }

    fn send(
        &mut self,
        outgoing: Outgoing,
        urgency: Urgency,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), CastError> {
        if !self.window.has_room(outgoing.what.len(), urgency) {
            if urgency == Urgency::Needed {
                self.full_since.get_or_insert(now);
            }
            effects.push(Effect::Dropped(Dropped::Congested));
            return Err(CastError::Congested(self.to.clone()));
        }
        self.window.push(outgoing);
        self.pump(now, effects);
        Ok(())
    }

    fn pump(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(frame) = self.window.next_frame() {
            self.put(frame, now, effects);
        }
    }

    fn acknowledge_if_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let much = self.untold_messages >= limits::ACK_MESSAGES || self.untold_bytes >= limits::ACK_BYTES;
        if much || self.ack_at.is_some_and(|at| at <= now) {
            self.ping(now, effects);
        }
    }

    fn ping(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.put(Frame { seq: 0, call: 0, answer: 0, what: envelope::encode(&What::Ping) }, now, effects);
    }

    /// Every envelope acknowledges and shows that we are here.
    fn put(&mut self, frame: Frame, now: Instant, effects: &mut Vec<Effect>) {
        let Frame { seq, call, answer, what } = frame;
        let envelope = Envelope { version: VERSION, link: self.link, seq, ack: self.handled, call, answer, what };
        effects.push(Effect::Send(envelope::encode(&envelope)));
        self.ping_at = now + limits::PING_INTERVAL;
        self.ack_at = None;
        self.untold_messages = 0;
        self.untold_bytes = 0;
    }
}

fn check_size(body: &Bytes) -> Result<(), CastError> {
    let (bytes, limit) = (body.len(), limits::BODY_BYTES_MAX);
    if bytes > limit { Err(CastError::TooLarge { bytes, limit }) } else { Ok(()) }
}
