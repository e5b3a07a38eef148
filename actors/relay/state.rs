//! The sessions that cross a link, on either side: which frame comes next, whose they are, and what ends them. Pure.

use crate::limits::{RELAY_GOODBYES_MAX, RELAY_RETRY_INTERVAL};
use crate::relay::wire::Cast;
use starling_cluster::member::MemberId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// What incoming frames mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// They follow what came before.
    InOrder,
    /// Frames before them are missing, or they come again: the session cannot go on and is forgotten.
    Gap {
        /// The number that was due.
        due: u64,
        /// The number that came.
        came: u64,
    },
    /// There is no such session with that node.
    Unknown,
}

/// The receiving ends of one side. An entry names its sessions by number, a host by entry and number.
#[derive(Debug)]
pub(crate) struct Lanes<K> {
    lanes: BTreeMap<K, Lane>,
    max: usize,
}

#[derive(Debug)]
struct Lane {
    peer: MemberId,
    next: u64,
}

/// No further session has a place, or it has one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl<K: Ord + Clone> Lanes<K> {
    /// At most `max` sessions at a time.
    pub(crate) fn new(max: usize) -> Self {
        Self { lanes: BTreeMap::new(), max }
    }

    /// Takes a session with `peer` in.
    pub(crate) fn open(&mut self, key: K, peer: MemberId) -> Result<(), Refused> {
        if self.lanes.len() >= self.max || self.lanes.contains_key(&key) {
            return Err(Refused);
        }
        self.lanes.insert(key, Lane { peer, next: 0 });
        Ok(())
    }

    /// Frames came.
    pub(crate) fn arrived(&mut self, key: &K, from: &MemberId, first: u64, count: u64) -> Arrival {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.peer == *from) else { return Arrival::Unknown };
        if lane.next != first {
            let due = lane.next;
            self.lanes.remove(key);
            return Arrival::Gap { due, came: first };
        }
        lane.next = lane.next.saturating_add(count);
        Arrival::InOrder
    }

    /// The other side ended it.
    pub(crate) fn ended(&mut self, key: &K, from: &MemberId) -> bool {
        let known = self.lanes.get(key).is_some_and(|lane| lane.peer == *from);
        if known {
            self.lanes.remove(key);
        }
        known
    }

    /// This side ended it: who has to hear of it, if it was still there.
    pub(crate) fn close(&mut self, key: &K) -> Option<MemberId> {
        self.lanes.remove(key).map(|lane| lane.peer)
    }

    /// The link to that life is gone, and its sessions are.
    pub(crate) fn lost(&mut self, member: &MemberId) -> Vec<K> {
        let lost: Vec<K> =
            self.lanes.iter().filter(|(_, lane)| lane.peer == *member).map(|(key, _)| key.clone()).collect();
        for key in &lost {
            self.lanes.remove(key);
        }
        lost
    }

    /// Every session, with its other side; none is left.
    pub(crate) fn drain(&mut self) -> Vec<(K, MemberId)> {
        std::mem::take(&mut self.lanes).into_iter().map(|(key, lane)| (key, lane.peer)).collect()
    }

    /// Whether the session is there.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.lanes.contains_key(key)
    }

    /// Sessions at present.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }
}

/// Ends that found a full window and are told again until they are told or the link is gone.
#[derive(Debug, Default)]
pub(crate) struct Goodbyes {
    waiting: VecDeque<(MemberId, Cast)>,
    at: Option<Instant>,
}

impl Goodbyes {
    /// Tells it later. Beyond the limit the oldest is forgotten: the other side hears it when it sends next.
    pub(crate) fn postpone(&mut self, to: MemberId, cast: Cast, now: Instant) {
        if self.waiting.len() >= RELAY_GOODBYES_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((to, cast));
        self.at.get_or_insert(now + RELAY_RETRY_INTERVAL);
    }

    /// When [`Goodbyes::due`] has something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.at
    }

    /// What is to be told; what fails again is postponed again.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(MemberId, Cast)> {
        if self.at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.at = None;
        self.waiting.drain(..).collect()
    }

    /// The link is gone; so is who would hear.
    pub(crate) fn lost(&mut self, member: &MemberId) {
        self.waiting.retain(|(to, _)| to != member);
        if self.waiting.is_empty() {
            self.at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: &str) -> MemberId {
        crate::tests::facts(node).member
    }

    #[test]
    fn a_missing_or_repeated_frame_ends_the_session() {
        for wrong in [3, 1] {
            let mut lanes = Lanes::new(4);
            lanes.open(7, member("ND_a")).unwrap();
            assert_eq!(lanes.arrived(&7, &member("ND_a"), 0, 2), Arrival::InOrder);
            assert_eq!(lanes.arrived(&7, &member("ND_a"), wrong, 1), Arrival::Gap { due: 2, came: wrong });
            assert_eq!(lanes.arrived(&7, &member("ND_a"), 2, 1), Arrival::Unknown, "it is forgotten");
        }
    }

    #[test]
    fn another_node_neither_speaks_for_a_session_nor_ends_it() {
        let mut lanes = Lanes::new(4);
        lanes.open(7, member("ND_a")).unwrap();
        assert_eq!(lanes.arrived(&7, &member("ND_b"), 0, 1), Arrival::Unknown);
        assert!(!lanes.ended(&7, &member("ND_b")));
        assert_eq!(lanes.arrived(&7, &member("ND_a"), 0, 1), Arrival::InOrder);
        assert!(lanes.ended(&7, &member("ND_a")));
    }

    #[test]
    fn sessions_are_limited_and_have_one_place_each() {
        let mut lanes = Lanes::new(2);
        lanes.open(1, member("ND_a")).unwrap();
        assert_eq!(lanes.open(1, member("ND_a")), Err(Refused));
        lanes.open(2, member("ND_a")).unwrap();
        assert_eq!(lanes.open(3, member("ND_a")), Err(Refused));
        assert_eq!(lanes.close(&1), Some(member("ND_a")));
        assert_eq!(lanes.open(3, member("ND_a")), Ok(()));
    }

    #[test]
    fn a_lost_link_takes_its_sessions_and_no_others() {
        let mut lanes = Lanes::new(9);
        lanes.open(1, member("ND_a")).unwrap();
        lanes.open(2, member("ND_b")).unwrap();
        lanes.open(3, member("ND_a")).unwrap();
        assert_eq!(lanes.lost(&member("ND_a")), [1, 3]);
        assert_eq!(lanes.len(), 1);
        assert_eq!(lanes.lost(&member("ND_a")), Vec::<u64>::new());
    }

    #[test]
    fn a_goodbye_is_told_again_later_unless_its_link_is_lost() {
        let (mut goodbyes, now) = (Goodbyes::default(), crate::clock::now());
        let cast = |session| Cast::EntryClosed { session };
        goodbyes.postpone(member("ND_a"), cast(1), now);
        goodbyes.postpone(member("ND_b"), cast(2), now);
        assert!(goodbyes.due(now).is_empty());
        goodbyes.lost(&member("ND_a"));
        assert_eq!(goodbyes.next_deadline(), Some(now + RELAY_RETRY_INTERVAL));
        assert_eq!(goodbyes.due(now + RELAY_RETRY_INTERVAL), [(member("ND_b"), cast(2))]);
        assert_eq!(goodbyes.next_deadline(), None);
    }

    #[test]
    fn goodbyes_are_limited_and_the_oldest_goes_first() {
        let (mut goodbyes, now) = (Goodbyes::default(), crate::clock::now());
        for session in 0..=RELAY_GOODBYES_MAX as u64 {
            goodbyes.postpone(member("ND_a"), Cast::EntryClosed { session }, now);
        }
        let due = goodbyes.due(now + RELAY_RETRY_INTERVAL);
        assert_eq!(due.len(), RELAY_GOODBYES_MAX);
        assert_eq!(due[0].1, Cast::EntryClosed { session: 1 });
    }
}
