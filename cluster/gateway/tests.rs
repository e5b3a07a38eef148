//! Two ends of a link in memory: what they promise when it is slow, frozen or gone. Virtual time.

use crate::gateway::envelope::{self, AnswerBody, Envelope, What};
use crate::gateway::state::{CloseReason, Dropped, Effect, InboundCall, PeerState};
use crate::limits;
use crate::link::member_for_tests as member;
use crate::peers::{CallError, CastError, Topic, Unreadable, Urgency};
use bytes::Bytes;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const TOPIC: Topic = Topic(1);

/// One side and what is on its way to it.
struct End {
    state: PeerState,
    inbox: VecDeque<Bytes>,
    effects: Vec<Effect>,
}

/// A link: everything arrives at once and in order, unless a side is frozen.
struct Link {
    left: End,
    right: End,
    now: Instant,
    right_is_frozen: bool,
}

impl Link {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a beginning")]
        let now = Instant::now();
        let end =
            |name| End { state: PeerState::new(member(name, 1), 9, now), inbox: VecDeque::new(), effects: Vec::new() };
        Self { left: end("ND_right"), right: end("ND_left"), now, right_is_frozen: false }
    }

    fn cast(&mut self, urgency: Urgency, body: &[u8]) -> Result<(), CastError> {
        let mut effects = Vec::new();
        let body = Bytes::copy_from_slice(body);
        let result = self.left.state.cast(TOPIC, urgency, body, self.now, &mut effects);
        self.left_did(effects);
        result
    }

    fn call(&mut self, body: &[u8], timeout: Duration) -> Result<u64, CastError> {
        let mut effects = Vec::new();
        let body = Bytes::copy_from_slice(body);
        let result = self.left.state.call(TOPIC, body, timeout, self.now, &mut effects);
        self.left_did(effects);
        result
    }

    fn answer(&mut self, call: u64, result: Result<Bytes, Unreadable>) {
        let mut effects = Vec::new();
        self.right.state.answer(call, Some(result), self.now, &mut effects);
        self.right_did(effects);
    }

    /// Delivers until nothing is on its way.
    fn settle(&mut self) {
        loop {
            let mut effects = Vec::new();
            if let Some(bytes) = self.left.inbox.pop_front() {
                self.left.state.receive(envelope::read(&bytes).unwrap(), self.now, &mut effects);
                self.left_did(effects);
            } else if self.right_is_frozen {
                return;
            } else if let Some(bytes) = self.right.inbox.pop_front() {
                self.right.state.receive(envelope::read(&bytes).unwrap(), self.now, &mut effects);
                self.right_did(effects);
            } else {
                return;
            }
        }
    }

    /// Lets time pass, with every deadline in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let left = self.left.state.next_deadline();
            let right = if self.right_is_frozen { end } else { self.right.state.next_deadline() };
            let next = left.min(right);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let mut effects = Vec::new();
            self.left.state.tick(self.now, &mut effects);
            self.left_did(effects);
            if !self.right_is_frozen {
                let mut effects = Vec::new();
                self.right.state.tick(self.now, &mut effects);
                self.right_did(effects);
            } else if next == end {
                break;
            }
        }
        self.now = end;
        self.settle();
    }

    /// Something that `right` receives as if `left` had sent it.
    fn inject(&mut self, envelope: Envelope) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.right.state.receive(envelope, self.now, &mut effects);
        effects
    }

    fn left_did(&mut self, effects: Vec<Effect>) {
        sort(effects, &mut self.right.inbox, &mut self.left.effects);
    }

    fn right_did(&mut self, effects: Vec<Effect>) {
        sort(effects, &mut self.left.inbox, &mut self.right.effects);
    }

    fn left_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.left.effects)
    }

    fn heard(&mut self) -> Vec<(Bytes, Option<InboundCall>)> {
        let effects = std::mem::take(&mut self.right.effects).into_iter();
        effects
            .map(|effect| match effect {
                Effect::Hear { topic: TOPIC, body, call } => (body, call),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

fn sort(effects: Vec<Effect>, sent: &mut VecDeque<Bytes>, others: &mut Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Send(bytes) => sent.push_back(bytes),
            other => others.push(other),
        }
    }
}

fn envelope_of(seq: u64, what: &impl Serialize) -> Envelope {
    let what = envelope::encode(what);
    Envelope { version: envelope::VERSION, link: 9, seq, ack: 0, call: 0, answer: 0, what }
}

fn small(body: &'static [u8]) -> What {
    What::Cast { topic: TOPIC, body: Bytes::from_static(body) }
}

#[test]
fn casts_arrive_once_and_in_order() {
    let mut link = Link::new();
    for number in 0..limits::WINDOW_MESSAGES as u64 {
        assert_eq!(link.cast(Urgency::Needed, &number.to_be_bytes()), Ok(()));
    }
    link.settle();
    let heard = link.heard();
    assert_eq!(heard.len(), limits::WINDOW_MESSAGES);
    assert!(heard.iter().zip(0_u64..).all(|((body, _), number)| body[..] == number.to_be_bytes()));
}

#[test]
fn a_call_is_answered_by_its_number() {
    let mut link = Link::new();
    let second = (link.call(b"a", limits::CALL_TIME_MAX), link.call(b"b", limits::CALL_TIME_MAX));
    assert_eq!(second, (Ok(1), Ok(2)));
    link.settle();
    let calls: Vec<u64> = link.heard().into_iter().filter_map(|(_, call)| Some(call?.call)).collect();
    assert_eq!(calls, [1, 2]);
    link.answer(2, Ok(Bytes::from_static(b"B")));
    link.answer(1, Err(Unreadable { why: "odd".into() }));
    link.settle();
    let unreadable = CallError::Unreadable { to: member("ND_right", 1), why: "odd".into() };
    let expected = [
        Effect::Answered { call: 2, result: Ok(Bytes::from_static(b"B")) },
        Effect::Answered { call: 1, result: Err(unreadable) },
    ];
    assert_eq!(link.left_effects(), expected);
}

#[test]
fn a_call_ends_at_its_timeout_and_its_late_answer_is_dropped() {
    let mut link = Link::new();
    let timeout = Duration::from_secs(1);
    link.call(b"a", timeout).unwrap();
    link.pass(timeout);
    let result = Err(CallError::Timeout { to: member("ND_right", 1), timeout });
    assert_eq!(link.left_effects(), [Effect::Answered { call: 1, result }]);
    link.answer(1, Ok(Bytes::new()));
    link.settle();
    assert_eq!(link.left_effects(), [Effect::Dropped(Dropped::LateAnswer)]);
    link.answer(1, Ok(Bytes::new()));
    link.settle();
    assert_eq!(link.left_effects(), [], "a second answer is not even sent");
}

#[test]
fn the_end_of_a_link_fails_every_call() {
    let mut link = Link::new();
    link.call(b"a", limits::CALL_TIME_MAX).unwrap();
    link.call(b"b", limits::CALL_TIME_MAX).unwrap();
    let mut effects = Vec::new();
    link.left.state.end(&mut effects);
    let lost = |call| Effect::Answered { call, result: Err(CallError::LinkLost(member("ND_right", 1))) };
    assert_eq!(effects, [lost(1), lost(2)]);
}

#[test]
fn calls_without_an_answer_are_bounded_on_both_sides() {
    let mut link = Link::new();
    for _ in 0..limits::CALLS_MAX {
        link.call(b"a", limits::CALL_TIME_MAX).unwrap();
        link.settle();
    }
    let congested = Err(CastError::Congested(member("ND_right", 1)));
    assert_eq!(link.call(b"a", limits::CALL_TIME_MAX), congested);
    // A peer that does not keep to the bound is told, and its call is not carried out.
    link.heard();
    let seq = limits::CALLS_MAX as u64 + 1;
    let what = What::Call { topic: TOPIC, timeout_ms: 1, body: Bytes::new() };
    let effects = link.inject(Envelope { call: 5_000, ..envelope_of(seq, &what) });
    let [Effect::Send(bytes)] = &effects[..] else { panic!("{effects:?}") };
    let answer = envelope::read(bytes).unwrap();
    assert_eq!((answer.answer, envelope::read_what(&answer.what).unwrap()), (5_000, What::Answer(AnswerBody::Busy)));
}

#[test]
fn a_frozen_peer_takes_a_bounded_window_is_silent_and_loses_its_link() {
    let mut link = Link::new();
    link.settle();
    link.right_is_frozen = true;
    link.pass(limits::LINK_SILENCE);
    assert_eq!(link.left_effects(), [Effect::Silent]);
    let taken = |link: &mut Link, urgency| (0..5_000).filter(|_| link.cast(urgency, b"x").is_ok()).count();
    assert_eq!(taken(&mut link, Urgency::Droppable), limits::WINDOW_MESSAGES / 2);
    assert_eq!(taken(&mut link, Urgency::Needed), limits::WINDOW_MESSAGES / 2);
    link.left_effects();
    link.pass(limits::WINDOW_STALL - Duration::from_millis(1));
    assert_eq!(link.left_effects(), []);
    link.pass(Duration::from_millis(1));
    assert_eq!(link.left_effects(), [Effect::Close(CloseReason::Stalled)]);
}

#[test]
fn a_peer_that_thaws_in_time_is_heard_and_gives_all_credit_back() {
    let mut link = Link::new();
    link.right_is_frozen = true;
    while link.cast(Urgency::Needed, b"x").is_ok() {}
    link.pass(limits::WINDOW_STALL / 2);
    link.right_is_frozen = false;
    link.left_effects();
    link.pass(limits::WINDOW_STALL * 2);
    assert_eq!(link.left_effects(), [Effect::Heard]);
    let heard = std::mem::take(&mut link.right.effects);
    assert_eq!(heard.iter().filter(|effect| matches!(effect, Effect::Hear { .. })).count(), limits::WINDOW_MESSAGES);
    assert_eq!(link.cast(Urgency::Droppable, b"x"), Ok(()));
}

#[test]
fn an_idle_link_is_never_silent() {
    let mut link = Link::new();
    link.pass(Duration::from_secs(60));
    assert_eq!((link.left_effects(), link.heard().len()), (vec![], 0));
}

#[test]
fn what_was_handled_is_acknowledged_soon_even_when_nothing_flows_back() {
    let mut link = Link::new();
    link.pass(limits::PING_INTERVAL / 2);
    link.cast(Urgency::Needed, b"x").unwrap();
    link.settle();
    assert!(link.right.state.next_deadline() <= link.now + limits::ACK_DELAY);
}

#[test]
fn a_large_body_arrives_whole_and_small_calls_pass_it() {
    let mut link = Link::new();
    let large: Vec<u8> = (0..limits::BODY_BYTES_MAX).map(|number| number.to_le_bytes()[0]).collect();
    link.cast(Urgency::Needed, &large).unwrap();
    let mut effects = Vec::new();
    let small = Bytes::from_static(b"small");
    link.left.state.cast(Topic(2), Urgency::Needed, small.clone(), link.now, &mut effects).unwrap();
    link.left_did(effects);
    link.settle();
    let heard: Vec<(Topic, usize)> = std::mem::take(&mut link.right.effects)
        .into_iter()
        .map(|effect| match effect {
            Effect::Hear { topic, body, .. } if topic == TOPIC => {
                assert!(body == large);
                (topic, body.len())
            }
            Effect::Hear { topic, body, .. } => (topic, body.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heard, [(Topic(2), small.len()), (TOPIC, large.len())]);
    let too_large = vec![0; limits::BODY_BYTES_MAX + 1];
    let (bytes, limit) = (too_large.len(), limits::BODY_BYTES_MAX);
    assert_eq!(link.cast(Urgency::Needed, &too_large), Err(CastError::TooLarge { bytes, limit }));
}

#[test]
fn a_message_that_came_before_is_dropped() {
    let mut link = Link::new();
    let envelope = envelope_of(1, &small(b"a"));
    assert!(matches!(link.inject(envelope.clone())[..], [Effect::Hear { .. }]));
    assert_eq!(link.inject(envelope), [Effect::Dropped(Dropped::Duplicate)]);
}

#[test]
fn a_missing_message_or_an_acknowledgement_of_nothing_breaks_the_link() {
    let mut link = Link::new();
    assert_eq!(link.inject(envelope_of(2, &small(b"a"))), [Effect::Close(CloseReason::Broken)]);
    let mut link = Link::new();
    let envelope = Envelope { ack: 1, ..envelope_of(1, &small(b"a")) };
    assert_eq!(link.inject(envelope), [Effect::Close(CloseReason::Broken)]);
}

#[test]
fn a_message_of_another_version_is_counted_and_its_call_answered_and_the_link_goes_on() {
    #[derive(Serialize)]
    enum Later {
        Teleport { place: u8 },
    }
    let later = Later::Teleport { place: 3 };
    let mut link = Link::new();
    assert_eq!(link.inject(envelope_of(1, &later)), [Effect::Dropped(Dropped::Unreadable)]);
    let effects = link.inject(Envelope { version: 2, call: 7, ..envelope_of(2, &later) });
    let [Effect::Dropped(Dropped::Unreadable), Effect::Send(bytes)] = &effects[..] else { panic!("{effects:?}") };
    let answer = envelope::read(bytes).unwrap();
    assert_eq!(answer.answer, 7);
    let Ok(What::Answer(AnswerBody::Unreadable { why })) = envelope::read_what(&answer.what) else {
        panic!("{answer:?}")
    };
    assert!(why.starts_with("version 2 where 1 is spoken"), "{why}");
    assert!(matches!(link.inject(envelope_of(3, &small(b"a")))[..], [Effect::Hear { .. }]));
}

#[test]
fn an_answer_of_another_version_ends_its_call() {
    let mut link = Link::new();
    link.call(b"a", limits::CALL_TIME_MAX).unwrap();
    let mut effects = Vec::new();
    let answer = Envelope { version: 2, answer: 1, ..envelope_of(1, &"?") };
    link.left.state.receive(answer, link.now, &mut effects);
    let [Effect::Dropped(Dropped::Unreadable), Effect::Answered { call: 1, result }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(matches!(result, Err(CallError::Unreadable { .. })));
}

#[test]
fn a_part_that_fits_nowhere_is_dropped_and_the_link_goes_on() {
    let mut link = Link::new();
    let part = What::Part { offset: 5, total: 9, bytes: Bytes::from_static(b"a") };
    assert_eq!(link.inject(envelope_of(1, &part)), [Effect::Dropped(Dropped::Unreadable)]);
    let within = envelope::encode(&What::Part { offset: 0, total: 1, bytes: Bytes::from_static(b"a") });
    let nested = What::Part { offset: 0, total: u32::try_from(within.len()).unwrap(), bytes: within };
    assert_eq!(link.inject(envelope_of(2, &nested)), [Effect::Dropped(Dropped::Unreadable)]);
    assert!(matches!(link.inject(envelope_of(3, &small(b"a")))[..], [Effect::Hear { .. }]));
}
