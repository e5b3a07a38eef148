//! What sealing promises.

use super::*;
use crate::key::ClusterKeys;
use crate::limits::{DATAGRAM_BYTES_MAX, REPLAY_WINDOW, SENDER_FORGOTTEN_AFTER, SENDERS_MAX, STRANGERS_PER_SECOND_MAX};
use crate::member::{BootId, MemberId, NodeId};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const NAME: &str = "blue";

fn key(number: u8) -> ClusterKey {
    ClusterKey::from_bytes(std::array::from_fn(|index| number ^ index as u8))
}

fn keys() -> ClusterKeys {
    ClusterKeys::only(key(1))
}

fn member(node: usize, boot: u64) -> MemberId {
    MemberId { node_id: NodeId::try_from(format!("ND_{node}")).unwrap(), boot_id: BootId::after(None, boot) }
}

fn sealer(node: usize, boot: u64) -> Sealer {
    Sealer::starting_at(&keys(), NAME, &member(node, boot), 0)
}

fn sealed(sealer: &mut Sealer, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    sealer.seal(Kind::Foca, payload, &mut datagram).unwrap();
    datagram
}

fn some_instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source; tests only add to it")]
    Instant::now()
}

fn open(opener: &mut Opener, datagram: &[u8]) -> Result<Vec<u8>, OpenError> {
    opener.open(datagram, some_instant()).map(|opened| opened.payload.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sealed_opens_to_the_same(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_500), 1..6),
        facts in any::<bool>(),
        first in 0u64..u64::MAX - 10,
        boot in any::<u64>(),
    ) {
        let kind = if facts { Kind::Chitchat } else { Kind::Foca };
        let mut sealer = Sealer::starting_at(&keys(), NAME, &member(1, boot), first);
        let mut opener = Opener::new(&keys(), NAME);
        let mut datagram = vec![7; 9];
        for payload in payloads {
            sealer.seal(kind, &payload, &mut datagram).unwrap();
            prop_assert_eq!(datagram.len(), payload.len() + OVERHEAD_BYTES);
            let opened = opener.open(&datagram, some_instant()).unwrap();
            prop_assert_eq!(opened, Opened { kind, sender: sealer.sender(), payload: &payload });
        }
    }

    #[test]
    fn a_datagram_with_any_flipped_bit_does_not_open(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        place in any::<prop::sample::Index>(),
        known in any::<bool>(),
    ) {
        let mut sealer = sealer(1, 1);
        let mut opener = Opener::new(&keys(), NAME);
        if known {
            open(&mut opener, &sealed(&mut sealer, b"before")).unwrap();
        }
        let mut datagram = sealed(&mut sealer, &payload);
        let bit = place.index(datagram.len() * 8);
        datagram[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open(&mut opener, &datagram).is_err());
        datagram[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(&mut opener, &datagram), Ok(payload));
    }

    #[test]
    fn no_bytes_panic_or_open(bytes in prop::collection::vec(any::<u8>(), 0..200), like_ours in any::<bool>()) {
        let mut opener = Opener::new(&keys(), NAME);
        let mut bytes = bytes;
        if like_ours && bytes.len() > 3 {
            let ours = sealed(&mut sealer(1, 1), b"");
            bytes[..3].copy_from_slice(&ours[..3]);
        }
        prop_assert!(open(&mut opener, &bytes).is_err());
        prop_assert_eq!(opener.senders(), 0);
    }

    #[test]
    fn in_any_order_within_the_window_each_opens_once(order in Just((0..200usize).collect::<Vec<_>>()).prop_shuffle()) {
        let mut sealer = sealer(1, 1);
        let datagrams: Vec<_> = (0..200u8).map(|number| sealed(&mut sealer, &[number])).collect();
        let mut opener = Opener::new(&keys(), NAME);
        for number in order {
            prop_assert_eq!(open(&mut opener, &datagrams[number]), Ok(vec![number as u8]));
            prop_assert_eq!(open(&mut opener, &datagrams[number]), Err(OpenError::Replayed(sealer.sender())));
        }
    }
}

#[test]
fn a_datagram_behind_the_window_is_too_old() {
    let mut sealer = sealer(1, 1);
    let first = sealed(&mut sealer, b"first");
    let second = sealed(&mut sealer, b"second");
    let mut opener = Opener::new(&keys(), NAME);
    for _ in 2..REPLAY_WINDOW {
        sealed(&mut sealer, b"lost");
    }
    let newest = sealed(&mut sealer, b"newest");
    assert_eq!(open(&mut opener, &newest), Ok(b"newest".to_vec()));
    assert_eq!(open(&mut opener, &first), Err(OpenError::TooOld(sealer.sender())));
    assert_eq!(open(&mut opener, &second), Ok(b"second".to_vec()));
}

#[test]
fn a_later_life_opens_and_ends_the_earlier_one() {
    let (mut old, mut new) = (sealer(1, 10), sealer(1, 11));
    let mut opener = Opener::new(&keys(), NAME);
    assert!(open(&mut opener, &sealed(&mut old, b"a")).is_ok());
    let forged_life = {
        let mut datagram = sealed(&mut old, b"b");
        datagram[18] = 99;
        datagram
    };
    assert_eq!(open(&mut opener, &forged_life), Err(OpenError::Forged));
    assert!(open(&mut opener, &sealed(&mut old, b"c")).is_ok(), "a forged later life must not end this one");
    assert_eq!(open(&mut opener, &sealed(&mut new, b"d")), Ok(b"d".to_vec()));
    let refused = OpenError::OldLife { sender: old.sender(), newest: 11 };
    assert_eq!(open(&mut opener, &sealed(&mut old, b"e")), Err(refused));
    assert_eq!(opener.senders(), 1);
}

#[test]
fn a_silent_node_is_forgotten_so_that_one_whose_clock_went_back_can_return() {
    let now = some_instant();
    let mut opener = Opener::new(&keys(), NAME);
    assert!(opener.open(&sealed(&mut sealer(1, 10), b"a"), now).is_ok());
    let earlier = sealed(&mut sealer(1, 9), b"b");
    let almost = now + SENDER_FORGOTTEN_AFTER - Duration::from_secs(1);
    assert_eq!(opener.open(&earlier, almost).unwrap_err().label(), "old_life");
    assert!(opener.open(&earlier, now + SENDER_FORGOTTEN_AFTER).is_ok());
}

#[test]
fn another_key_another_name_and_our_own_words_do_not_open() {
    let datagram = sealed(&mut sealer(1, 1), b"secret words");
    let other_key = ClusterKeys::only(key(2));
    let refused = open(&mut Opener::new(&other_key, NAME), &datagram).unwrap_err();
    assert!(matches!(refused, OpenError::Key(_) | OpenError::Forged), "{refused}");
    let refused = open(&mut Opener::new(&keys(), "green"), &datagram).unwrap_err();
    assert!(matches!(refused, OpenError::Key(_) | OpenError::Forged), "{refused}");
    let mut own = Opener::new(&keys(), NAME).refusing(&member(1, 1));
    assert_eq!(open(&mut own, &datagram), Err(OpenError::Own));
    assert!(!datagram.windows(6).any(|window| window == b"secret"), "the payload is readable");
}

#[test]
fn what_is_wrong_is_named_and_counted() {
    let good = sealed(&mut sealer(1, 1), b"");
    let changed = |place: usize, byte: u8| {
        let mut datagram = good.clone();
        datagram[place] = byte;
        datagram
    };
    let mut opener = Opener::new(&keys(), NAME);
    assert_eq!(open(&mut opener, &good[..OVERHEAD_BYTES - 1]), Err(OpenError::TooShort(OVERHEAD_BYTES - 1)));
    let long = vec![1; DATAGRAM_BYTES_MAX + 1];
    assert_eq!(open(&mut opener, &long), Err(OpenError::TooLong(DATAGRAM_BYTES_MAX + 1)));
    assert_eq!(open(&mut opener, &changed(0, 2)), Err(OpenError::Version(2)));
    assert_eq!(open(&mut opener, &changed(1, 0)), Err(OpenError::Kind(0)));
    assert_eq!(open(&mut opener, &changed(2, !good[2])), Err(OpenError::Key(!good[2])));
    assert_eq!(open(&mut opener, &changed(26, 9)), Err(OpenError::Forged));
    assert_eq!(open(&mut opener, &good), Ok(Vec::new()));
    assert_eq!(open(&mut opener, &good).unwrap_err().label(), "replayed");
    let counts = opener.counts();
    assert_eq!(counts.opened, 1);
    let labels: Vec<_> = counts.refused.iter().map(|(label, count)| (*label, *count)).collect();
    let expected = ["forged", "key", "kind", "replayed", "too_long", "too_short", "version"].map(|label| (label, 1));
    assert_eq!(labels, expected);
}

#[test]
fn keys_are_exchanged_without_a_gap() {
    let (old, new) = (key(1), key(2));
    let steps = [
        ClusterKeys::only(old.clone()),
        ClusterKeys { primary: old.clone(), secondary: Some(new.clone()) },
        ClusterKeys { primary: new.clone(), secondary: Some(old) },
        ClusterKeys::only(new),
    ];
    for (behind, ahead) in steps.iter().zip(&steps[1..]) {
        for (sends, hears) in [(behind, ahead), (ahead, behind), (ahead, ahead)] {
            let mut sealer = Sealer::starting_at(sends, NAME, &member(1, 1), 0);
            assert_eq!(open(&mut Opener::new(hears, NAME), &sealed(&mut sealer, b"x")), Ok(b"x".to_vec()));
        }
    }
    let first = sealed(&mut Sealer::starting_at(&steps[0], NAME, &member(1, 1), 0), b"x");
    assert!(open(&mut Opener::new(&steps[3], NAME), &first).is_err());
}

#[test]
fn two_keys_with_one_id_are_both_tried() {
    let id = |key: &ClusterKey| GossipKey::new(key, NAME).id;
    let first = key(1);
    let twin = (2..=u8::MAX)
        .flat_map(|number| (0..=u8::MAX).map(move |other| (number, other)))
        .map(|(number, other)| ClusterKey::from_bytes(std::array::from_fn(|index| [number, other][index % 2])))
        .find(|key| id(key) == id(&first))
        .expect("one in 256 has the same id");
    let both = ClusterKeys { primary: first.clone(), secondary: Some(twin.clone()) };
    let mut opener = Opener::new(&both, NAME);
    for (node, key) in [(1, first), (2, twin)] {
        let mut sealer = Sealer::starting_at(&ClusterKeys::only(key), NAME, &member(node, 1), 0);
        assert!(open(&mut opener, &sealed(&mut sealer, b"a")).is_ok());
        assert!(open(&mut opener, &sealed(&mut sealer, b"b")).is_ok());
    }
}

#[test]
fn only_those_who_opened_are_remembered_and_never_too_many() {
    let now = some_instant();
    let mut opener = Opener::new(&keys(), NAME);
    for node in 0..SENDERS_MAX + 5 {
        let at = now + Duration::from_millis(node as u64);
        assert!(opener.open(&sealed(&mut sealer(node, 1), b""), at).is_ok());
    }
    assert_eq!(opener.senders(), SENDERS_MAX);
    // The five that were silent for longest are forgotten: a replay of theirs opens again, one of the others does not.
    assert!(open(&mut opener, &sealed(&mut sealer(SENDERS_MAX + 4, 1), b"")).is_err());
    assert!(open(&mut opener, &sealed(&mut sealer(0, 1), b"")).is_ok());
}

#[test]
fn a_flood_of_unknown_senders_is_bounded_and_does_not_touch_known_ones() {
    let now = some_instant();
    let mut known = sealer(1, 1);
    let mut opener = Opener::new(&keys(), NAME);
    assert!(opener.open(&sealed(&mut known, b""), now).is_ok());
    let mut forged = sealed(&mut sealer(2, 1), b"");
    let mut forge = |number: u64| {
        forged[3..11].copy_from_slice(&number.to_be_bytes());
        forged.clone()
    };
    for number in 1..u64::from(STRANGERS_PER_SECOND_MAX) {
        assert_eq!(opener.open(&forge(number), now), Err(OpenError::Forged));
    }
    assert_eq!(opener.open(&forge(0), now), Err(OpenError::Busy));
    assert!(opener.open(&sealed(&mut known, b""), now).is_ok());
    assert_eq!(opener.senders(), 1);
    let later = now + Duration::from_secs(1);
    assert!(opener.open(&sealed(&mut sealer(3, 1), b""), later).is_ok());
}

#[test]
fn a_payload_beyond_udp_and_a_spent_counter_are_refused() {
    let limit = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES;
    let mut datagram = Vec::new();
    let too_large = sealer(1, 1).seal(Kind::Chitchat, &vec![0; limit + 1], &mut datagram);
    assert_eq!(too_large, Err(SealError::TooLarge { bytes: limit + 1, limit }));
    assert!(datagram.is_empty());
    assert_eq!(sealer(1, 1).seal(Kind::Chitchat, &vec![0; limit], &mut datagram), Ok(()));
    let mut last = Sealer::starting_at(&keys(), NAME, &member(1, 1), u64::MAX);
    assert_eq!(last.seal(Kind::Foca, b"", &mut datagram), Err(SealError::Exhausted));
    assert!(datagram.is_empty());
}

#[test]
fn two_sealers_of_one_life_begin_with_different_counters() {
    let counter = || {
        let mut sealer = Sealer::new(&keys(), NAME, &member(1, 1)).unwrap();
        u64::from_be_bytes(sealed(&mut sealer, b"")[19..27].try_into().unwrap())
    };
    let counters: std::collections::BTreeSet<u64> = (0..4).map(|_| counter()).collect();
    assert_eq!(counters.len(), 4);
    assert!(counters.iter().all(|counter| *counter < 1 << 63));
}
