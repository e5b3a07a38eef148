//! Who was told by `Leave{RECONNECT}` to join anew: remembered here, where the WebSocket ends, since the client comes
//! back to the same address while its next room may be anywhere.

use starling_protocol::livekit::SignalResponse;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::signal_response::Message;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// People remembered at a time; beyond it the oldest is forgotten, whose tracks then start at once.
const REMEMBERED_MAX: usize = 10_000;
/// A client that comes later than this has started anew by itself.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Room and identity.
pub(super) type Person = (String, String);

/// Those who were told.
#[derive(Debug, Default)]
pub(crate) struct Rejoins {
    told_at: HashMap<Person, Instant>,
    order: VecDeque<(Instant, Person)>,
}

impl Rejoins {
    /// Remembers somebody.
    pub(super) fn told(&mut self, person: Person, now: Instant) {
        while self.order.len() >= REMEMBERED_MAX {
            self.forget_first();
        }
        self.told_at.insert(person.clone(), now);
        self.order.push_back((now, person));
    }

    /// Whether somebody was told lately; asked once, at the join.
    pub(super) fn take(&mut self, person: &Person, now: Instant) -> bool {
        while self.order.front().is_some_and(|(at, _)| now >= *at + REMEMBERED_FOR) {
            self.forget_first();
        }
        self.told_at.remove(person).is_some()
    }

    fn forget_first(&mut self) {
        if let Some((at, person)) = self.order.pop_front()
            && self.told_at.get(&person) == Some(&at)
        {
            self.told_at.remove(&person);
        }
    }
}

/// Whether a response tells its client to join anew.
pub(super) fn tells_to_join_anew(response: &SignalResponse) -> bool {
    matches!(&response.message, Some(Message::Leave(leave)) if leave.action == Action::Reconnect as i32)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
mod tests {
    use super::*;

    fn person(identity: &str) -> Person {
        ("room".to_owned(), identity.to_owned())
    }

    #[test]
    fn a_person_is_remembered_once_and_for_a_minute() {
        let (mut rejoins, now) = (Rejoins::default(), Instant::now());
        rejoins.told(person("ada"), now);
        assert!(!rejoins.take(&person("bob"), now));
        assert!(rejoins.take(&person("ada"), now));
        assert!(!rejoins.take(&person("ada"), now), "asked once");
        rejoins.told(person("ada"), now);
        assert!(!rejoins.take(&person("ada"), now + REMEMBERED_FOR));
    }

    #[test]
    fn a_second_notice_counts_from_its_own_time() {
        let (mut rejoins, now) = (Rejoins::default(), Instant::now());
        rejoins.told(person("ada"), now);
        let later = now + REMEMBERED_FOR / 2;
        rejoins.told(person("ada"), later);
        assert!(rejoins.take(&person("ada"), now + REMEMBERED_FOR));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut rejoins, now) = (Rejoins::default(), Instant::now());
        for number in 0..=REMEMBERED_MAX {
            rejoins.told(person(&number.to_string()), now);
        }
        assert!(!rejoins.take(&person("0"), now));
        assert!(rejoins.take(&person("1"), now));
        assert!(rejoins.order.len() <= REMEMBERED_MAX && rejoins.told_at.len() < REMEMBERED_MAX);
    }
}
