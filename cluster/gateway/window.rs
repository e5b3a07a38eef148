//! What is on its way to one peer: credit, and the queue in which large messages go out part by part.
//!
//! Messages of one topic keep their order; small ones of other topics pass between the parts of large ones.

use crate::gateway::envelope::{self, What};
use crate::limits;
use crate::peers::{Topic, Urgency};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};

/// A message in wire form that has not gone out whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// `None` = bound to no order (answers).
    pub(crate) topic: Option<Topic>,
    /// As in the envelope.
    pub(crate) call: u64,
    /// As in the envelope.
    pub(crate) answer: u64,
    /// [`What`] in wire form.
    pub(crate) what: Bytes,
}

/// What goes into the next envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) call: u64,
    pub(crate) answer: u64,
    pub(crate) what: Bytes,
}

/// A frame that has not been acknowledged.
#[derive(Clone, Copy, Debug)]
struct Unacked {
    seq: u64,
    bytes: usize,
    /// The last or only frame of its message.
    ends: bool,
    part: bool,
}

/// The sending side of a link.
#[derive(Debug, Default)]
pub(crate) struct Window {
    sent_seq: u64,
    unacked: VecDeque<Unacked>,
    waiting: VecDeque<Outgoing>,
    /// Bytes of the first large message in `waiting` that have gone out.
    offset: usize,
    parts_in_flight: usize,
    /// Messages taken and not acknowledged.
    messages: usize,
    /// Their bytes.
    bytes: usize,
}

impl Window {
    /// Whether a message of that size is taken at present.
    pub(crate) fn has_room(&self, bytes: usize, urgency: Urgency) -> bool {
        let share = match urgency {
            Urgency::Droppable => 2,
            Urgency::Needed => 1,
        };
        self.messages < limits::WINDOW_MESSAGES / share && self.bytes + bytes <= limits::WINDOW_BYTES / share
    }

    /// Takes a message; [`Window::next_frame`] says what goes out.
    pub(crate) fn push(&mut self, outgoing: Outgoing) {
        self.messages += 1;
        self.bytes += outgoing.what.len();
        self.waiting.push_back(outgoing);
    }

    /// The next frame that may go out.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        let mut blocked = BTreeSet::new();
        let mut large_seen = false;
        for index in 0..self.waiting.len() {
            let outgoing = &self.waiting[index];
            let is_blocked = outgoing.topic.is_some_and(|topic| blocked.contains(&topic));
            let is_large = outgoing.what.len() > limits::PART_BYTES;
            if !is_blocked && !is_large {
                return self.whole(index);
            }
            if !is_blocked && is_large && !large_seen && self.parts_in_flight < limits::PARTS_IN_FLIGHT {
                return self.part(index);
            }
            large_seen |= is_large;
            blocked.extend(outgoing.topic);
        }
        None
    }

    fn whole(&mut self, index: usize) -> Option<Frame> {
        let Outgoing { call, answer, what, .. } = self.waiting.remove(index)?;
        let seq = self.note(what.len(), true, false);
        Some(Frame { seq, call, answer, what })
    }

    fn part(&mut self, index: usize) -> Option<Frame> {
        let outgoing = self.waiting.get(index)?;
        let (call, answer, total) = (outgoing.call, outgoing.answer, outgoing.what.len());
        let end = (self.offset + limits::PART_BYTES).min(total);
        let bytes = outgoing.what.slice(self.offset..end);
        let length = bytes.len();
        let small = |number: usize| u32::try_from(number).expect("bodies are below 4 GiB");
        let what = envelope::encode(&What::Part { offset: small(self.offset), total: small(total), bytes });
        let ends = end == total;
        self.offset = if ends { 0 } else { end };
        if ends {
            self.waiting.remove(index);
        }
        self.parts_in_flight += 1;
        let seq = self.note(length, ends, true);
        Some(Frame { seq, call, answer, what })
    }

    fn note(&mut self, bytes: usize, ends: bool, part: bool) -> u64 {
        self.sent_seq += 1;
        self.unacked.push_back(Unacked { seq: self.sent_seq, bytes, ends, part });
        self.sent_seq
    }

    /// The peer has handled everything up to `ack`. Whether that was news; `None` = it was never sent.
    pub(crate) fn acknowledge(&mut self, ack: u64) -> Option<bool> {
        if ack > self.sent_seq {
            return None;
        }
        let mut news = false;
        while let Some(first) = self.unacked.front().copied().filter(|first| first.seq <= ack) {
            self.unacked.pop_front();
            self.bytes -= first.bytes;
            self.messages -= usize::from(first.ends);
            self.parts_in_flight -= usize::from(first.part);
            news = true;
        }
        self.check();
        Some(news)
    }

    fn check(&self) {
        debug_assert!(self.bytes <= limits::WINDOW_BYTES, "credit is never exceeded");
        debug_assert!(self.messages <= limits::WINDOW_MESSAGES, "credit is never exceeded");
        let idle = self.unacked.is_empty() && self.waiting.is_empty();
        debug_assert!(!idle || (self.messages == 0 && self.bytes == 0), "everything acknowledged = all credit back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::parts::Assembly;
    use proptest::prelude::*;

    fn outgoing(topic: u16, bytes: usize) -> Outgoing {
        Outgoing { topic: Some(Topic(topic)), call: 0, answer: 0, what: Bytes::from(vec![7; bytes]) }
    }

    fn frames(window: &mut Window) -> Vec<Frame> {
        std::iter::from_fn(|| window.next_frame()).collect()
    }

    #[test]
    fn a_droppable_message_is_refused_at_half_the_window_and_a_needed_one_at_the_whole() {
        let mut window = Window::default();
        for taken in 0..limits::WINDOW_MESSAGES {
            assert_eq!(window.has_room(1, Urgency::Droppable), taken < limits::WINDOW_MESSAGES / 2);
            assert!(window.has_room(1, Urgency::Needed));
            window.push(outgoing(1, 1));
        }
        assert!(!window.has_room(1, Urgency::Needed));
        assert_eq!(frames(&mut window).len(), limits::WINDOW_MESSAGES);
        assert_eq!(window.acknowledge(1), Some(true));
        assert_eq!(window.acknowledge(1), Some(false), "an old acknowledgement is no progress");
        assert!(window.has_room(1, Urgency::Needed));
    }

    #[test]
    fn bytes_count_as_messages_do() {
        let mut window = Window::default();
        let half = limits::WINDOW_BYTES / 2;
        window.push(outgoing(1, half - 10));
        assert!(window.has_room(10, Urgency::Droppable) && !window.has_room(11, Urgency::Droppable));
        window.push(outgoing(1, half));
        assert!(window.has_room(10, Urgency::Needed) && !window.has_room(11, Urgency::Needed));
    }

    #[test]
    fn small_messages_of_other_topics_pass_a_large_one_and_those_of_its_topic_wait() {
        let mut window = Window::default();
        let large = limits::PART_BYTES * (limits::PARTS_IN_FLIGHT + 1);
        window.push(outgoing(1, large));
        assert_eq!(frames(&mut window).len(), limits::PARTS_IN_FLIGHT);
        window.push(outgoing(1, 5));
        window.push(outgoing(2, 6));
        let passing = frames(&mut window);
        assert_eq!(passing.iter().map(|frame| frame.what.len()).collect::<Vec<_>>(), [6]);
        assert_eq!(window.acknowledge(1), Some(true));
        let rest = frames(&mut window);
        assert_eq!(rest.len(), 2, "the last part, then what waited behind it");
        assert_eq!(rest[1].what.len(), 5);
        assert_eq!(window.acknowledge(rest[1].seq), Some(true));
        assert_eq!((window.messages, window.bytes, window.parts_in_flight), (0, 0, 0));
    }

    #[test]
    fn large_messages_go_out_one_after_the_other() {
        let mut window = Window::default();
        window.push(outgoing(1, limits::PART_BYTES + 1));
        window.push(outgoing(2, limits::PART_BYTES + 2));
        let offsets: Vec<_> = frames(&mut window)
            .iter()
            .map(|frame| match envelope::read_what(&frame.what) {
                Ok(What::Part { offset, total, .. }) => (offset as usize, total as usize - limits::PART_BYTES),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(offsets, [(0, 1), (limits::PART_BYTES, 1), (0, 2), (limits::PART_BYTES, 2)]);
    }

    /// What the other side has after these frames: topics with the bytes that mark their messages.
    fn received(frames: &[Frame], assembly: &mut Assembly) -> Vec<Bytes> {
        let whole = |frame: &Frame| match envelope::read_what(&frame.what) {
            Ok(What::Part { offset, total, bytes }) => {
                assembly.push(offset as usize, total as usize, &bytes).expect("parts of one message, in order")
            }
            _ => Some(frame.what.clone()),
        };
        frames.iter().filter_map(whole).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn messages_of_a_topic_keep_their_order_and_none_is_lost(
            steps in proptest::collection::vec((0_u8..3, 0_usize..5, 0_u64..8), 1..24),
        ) {
            let (mut window, mut assembly) = (Window::default(), Assembly::default());
            let (mut pushed, mut arrived, mut acknowledged) = (Vec::new(), Vec::new(), 0);
            for (number, (topic, size, progress)) in (0_u8..).zip(steps) {
                let bytes = if size < 3 { 2 } else { limits::PART_BYTES * (size - 2) + 1 };
                // 0xc1 begins no MessagePack: a whole message is never taken for a part.
                let mut what = vec![0xc1; bytes.max(4)];
                (what[1], what[2]) = (topic, number);
                let mut outgoing = outgoing(topic.into(), 0);
                outgoing.what = what.into();
                pushed.push(outgoing.what.clone());
                window.push(outgoing);
                arrived.extend(received(&frames(&mut window), &mut assembly));
                acknowledged = (acknowledged + progress).min(window.sent_seq);
                prop_assert!(window.acknowledge(acknowledged).is_some());
            }
            while !window.waiting.is_empty() || !window.unacked.is_empty() {
                arrived.extend(received(&frames(&mut window), &mut assembly));
                window.acknowledge(window.sent_seq);
            }
            for topic in 0..3 {
                let of = |all: &[Bytes]| -> Vec<u8> {
                    all.iter().filter(|what| what[1] == topic).map(|what| what[2]).collect()
                };
                prop_assert_eq!(of(&pushed), of(&arrived));
            }
            prop_assert_eq!((window.messages, window.bytes, window.parts_in_flight), (0, 0, 0));
        }
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_noticed() {
        let mut window = Window::default();
        window.push(outgoing(1, 1));
        assert_eq!(window.acknowledge(1), None);
    }
}
