//! A model of a meeting: a client that follows the rules of JSEP sections, and any order of events.

use super::fixtures::*;
use super::offers::answer_to;
use crate::codec::Kind;
use crate::id::TrackKey;
use crate::sdp::model::Direction;
use crate::sdp::parse::parse;
use crate::sdp::{Answerer, Negotiated, Offerer, validate_local};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug)]
enum Step {
    Subscribe(u8),
    Unsubscribe(u8),
    Publish(u8),
    Unpublish(u8),
    Offer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..12).prop_map(Step::Subscribe),
        3 => (0u8..12).prop_map(Step::Unsubscribe),
        1 => (0u8..4).prop_map(Step::Publish),
        1 => (0u8..4).prop_map(Step::Unpublish),
        2 => Just(Step::Offer),
    ];
    proptest::collection::vec(step, 1..40)
}

fn kind(number: u8) -> Kind {
    if number.is_multiple_of(2) { Kind::Video } else { Kind::Audio }
}

fn media(kind: Kind) -> &'static str {
    if kind == Kind::Audio { "audio" } else { "video" }
}

/// What a browser knows of its receiving sections: mid → the track id whose `track` event was raised.
#[derive(Default)]
struct Browser {
    parts: Vec<Part>,
    tracks: BTreeMap<String, String>,
}

impl Browser {
    fn apply(&mut self, text: &str, n: &Negotiated) {
        validate_local(text).unwrap();
        for section in parse(text).unwrap().sections {
            if section.direction == Direction::SendOnly && section.media.kind().is_some() && !section.rejected {
                // The event is raised only where nothing came before; the map must never change under it.
                let sid = n.mid_to_track_id.get(&section.mid).expect("a sending section is in the map");
                let event = self.tracks.entry(section.mid.clone()).or_insert_with(|| sid.clone());
                assert_eq!(event, sid, "section {} went from track to track", section.mid);
                assert_eq!(section.msid_track(), sid);
            } else {
                assert!(section.msids.is_empty());
                self.tracks.remove(&section.mid);
            }
        }
    }

    fn settled(&self, wanted: &BTreeSet<u8>) {
        let have: Vec<&String> = self.tracks.values().collect();
        let unique: BTreeSet<&String> = have.iter().copied().collect();
        let want: BTreeSet<String> = wanted.iter().map(|n| format!("TR_{}", n + 1)).collect();
        assert_eq!(have.len(), unique.len(), "a track has two sections");
        assert_eq!(unique, want.iter().collect());
    }
}

fn track_number(number: u8) -> u64 {
    u64::from(number) + 1
}

struct Single {
    server: Answerer,
    browser: Browser,
    wanted: BTreeSet<u8>,
    published: BTreeSet<u8>,
}

impl Single {
    fn exchange(&mut self) -> Negotiated {
        let text = offer(&self.browser.parts);
        let (answer, n) = self.server.apply_offer(&local(), &text).unwrap();
        assert_eq!(answer.matches("\r\nm=").count(), self.browser.parts.len());
        self.browser.apply(&answer, &n);
        n
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Subscribe(n) => {
                self.server.subscribe(subscribed(track_number(n), kind(n)));
                self.wanted.insert(n);
            }
            Step::Unsubscribe(n) => {
                self.server.unsubscribe(TrackKey(track_number(n)));
                self.wanted.remove(&n);
            }
            Step::Publish(n) if self.published.insert(n) => {
                self.server.publish(published(100 + u64::from(n), kind(n), &format!("cid{n}")));
                let mid = self.browser.parts.len();
                self.browser.parts.push(part(media(kind(n)), mid, "sendonly").with(&format!("a=msid:- cid{n}")));
                self.exchange();
            }
            Step::Unpublish(n) if self.published.remove(&n) => {
                let cid = format!("a=msid:- cid{n}\r\n");
                for part in self.browser.parts.iter_mut().filter(|part| part.extra == cid) {
                    (part.direction, part.extra) = ("inactive", String::new());
                }
                self.exchange();
                self.server.unpublish(TrackKey(100 + u64::from(n)));
            }
            Step::Publish(_) | Step::Unpublish(_) => {}
            Step::Offer => {
                self.exchange();
            }
        }
    }

    /// The client obeys MediaSectionsRequirement until it comes no more.
    fn settle(&mut self) {
        let mut rounds = 0;
        while let Some((audios, videos)) = self.server.sections_requirement() {
            rounds += 1;
            assert!(rounds < 6, "the server never stops asking");
            for kind in
                std::iter::repeat_n("audio", audios as usize).chain(std::iter::repeat_n("video", videos as usize))
            {
                let mid = self.browser.parts.len();
                self.browser.parts.push(part(kind, mid, "recvonly"));
            }
            self.exchange();
        }
        let n = self.exchange();
        assert_eq!(n.unplaced, (0, 0));
        assert_eq!(n.senders.len(), self.wanted.len());
        self.browser.settled(&self.wanted);
        let published: BTreeSet<u64> = n.published.iter().map(|p| p.track.0).collect();
        assert_eq!(published, self.published.iter().map(|n| 100 + u64::from(*n)).collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn over_one_connection_every_subscription_gets_exactly_one_section(list in steps(), pause in 1usize..6) {
        let mut meeting = Single {
            server: Answerer::new(policy(), true),
            browser: Browser { parts: first_v1(), ..Browser::default() },
            wanted: BTreeSet::new(),
            published: BTreeSet::new(),
        };
        meeting.exchange();
        for (index, step) in list.into_iter().enumerate() {
            meeting.step(step);
            if index % pause == 0 {
                meeting.settle();
            }
        }
        meeting.settle();
        // Three rounds of twelve tracks never need more than the most that were there at once, twice over.
        prop_assert!(meeting.browser.parts.len() < 7 + 24 + 40);
    }

    #[test]
    fn over_two_connections_every_subscription_gets_exactly_one_section(list in steps()) {
        let (mut server, mut browser) = (Offerer::new(policy()), Browser::default());
        let mut wanted = BTreeSet::new();
        let mut open: Option<String> = None;
        server.force();
        let answer = |server: &mut Offerer, browser: &mut Browser, text: String| {
            let before: BTreeMap<String, String> = browser.tracks.clone();
            let mut n = server.apply_answer(&answer_to(&text)).unwrap();
            // The offer's own map: what ended while it was under way is still in its text.
            for section in parse(&text).unwrap().sections.iter().filter(|s| !s.msids.is_empty()) {
                n.mid_to_track_id.insert(section.mid.clone(), section.msid_track().to_owned());
            }
            browser.apply(&text, &n);
            before.len()
        };
        for step in list {
            match step {
                Step::Subscribe(n) => { server.subscribe(subscribed(track_number(n), kind(n))); wanted.insert(n); }
                Step::Unsubscribe(n) => { server.unsubscribe(TrackKey(track_number(n))); wanted.remove(&n); }
                Step::Offer => match open.take() {
                    Some(text) => { answer(&mut server, &mut browser, text); }
                    None => open = server.create_offer(&local()),
                },
                Step::Publish(_) | Step::Unpublish(_) => {}
            }
        }
        if let Some(text) = open {
            answer(&mut server, &mut browser, text);
        }
        let mut rounds = 0;
        while let Some(text) = server.create_offer(&local()) {
            rounds += 1;
            prop_assert!(rounds < 5);
            answer(&mut server, &mut browser, text);
        }
        browser.settled(&wanted);
    }
}
