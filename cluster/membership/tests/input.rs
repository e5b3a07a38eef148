//! What a holder of the key could send by mistake or malice.

use super::net::{Net, SECOND, address, member};
use crate::limits::{SWIM_MEMBERS_MAX, SWIM_PAYLOAD_BYTES_MAX, SWIM_SENDS_WAITING_MAX};
use crate::membership::{DatagramError, Membership, Output};
use proptest::prelude::*;

/// A node, and a datagram that another one sent to it.
fn node_and_datagram() -> (Net, Vec<u8>) {
    let mut net = Net::joined(3, 0.0, 1);
    let now = net.now + SECOND;
    let sender = &mut net.nodes[1].membership;
    sender.tick(now);
    let to_first = std::iter::from_fn(|| sender.poll_output()).find_map(|output| match output {
        Output::Send { to, payload } if to == address(0) => Some(payload.to_vec()),
        Output::Send { .. } | Output::Changed(_) => None,
    });
    let announcement = || {
        let mut other = Membership::new(member(9, 0), address(9), 1, now);
        other.announce(address(0), now);
        match other.poll_output() {
            Some(Output::Send { payload, .. }) => payload.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let datagram = to_first.unwrap_or_else(announcement);
    (net, datagram)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let net = Net::new(1, 0.0, 1);
        let mut membership = Membership::new(member(0, 0), address(0), 1, net.now);
        for datagram in datagrams {
            let _ = membership.datagram(&datagram, net.now);
            while membership.poll_output().is_some() {}
        }
    }

    #[test]
    fn no_damage_of_a_datagram_panics(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let (mut net, mut datagram) = node_and_datagram();
        for (place, byte) in changes {
            let place = place % datagram.len();
            datagram[place] = byte;
        }
        let _ = net.at(0, |membership, now| membership.datagram(&datagram, now));
        net.run(5 * SECOND);
        prop_assert!(net.nodes[0].membership.members().count() >= 1);
    }
}

#[test]
fn what_is_wrong_with_a_datagram_is_named() {
    let (mut net, datagram) = node_and_datagram();
    let mut refused = |bytes: &[u8]| net.at(0, |membership, now| membership.datagram(bytes, now)).unwrap_err();
    let large = SWIM_PAYLOAD_BYTES_MAX + 1;
    assert_eq!(refused(&vec![0; large]), DatagramError::TooLarge { bytes: large, limit: SWIM_PAYLOAD_BYTES_MAX });
    assert_eq!(refused(&[]).label(), "unreadable");
    assert_eq!(refused(&datagram[..datagram.len() / 2]).label(), "unreadable");
    let longer = [datagram.as_slice(), b"more"].concat();
    assert_eq!(refused(&longer).label(), "unreadable");

    let now = net.now;
    let mut twin = Membership::new(member(8, 0), address(0), 1, now);
    twin.announce(address(1), now);
    let Some(Output::Send { payload, .. }) = twin.poll_output() else { panic!("no announcement") };
    let error = net.at(0, |membership, now| membership.datagram(&payload, now)).unwrap_err();
    assert_eq!(error, DatagramError::OurAddress(member(8, 0).to_string()));

    for nowhere in ["0.0.0.0:7946", "10.0.0.9:0", "224.0.0.1:7946", "[::]:7946"] {
        let mut lost = Membership::new(member(8, 0), nowhere.parse().unwrap(), 1, now);
        lost.announce(address(0), now);
        let Some(Output::Send { payload, .. }) = lost.poll_output() else { panic!("no announcement") };
        let error = net.at(0, |membership, now| membership.datagram(&payload, now)).unwrap_err();
        assert_eq!(error, DatagramError::NoAddress(nowhere.parse().unwrap()));
    }
}

#[test]
fn the_table_of_members_and_the_waiting_datagrams_are_bounded() {
    let net = Net::new(1, 0.0, 1);
    let now = net.now;
    let mut membership = Membership::new(member(0, 0), address(0), 1, now);
    let mut refused = 0;
    for number in 0..SWIM_MEMBERS_MAX + 100 {
        let place = std::net::SocketAddr::from(([10, 9, (number / 250) as u8, (number % 250) as u8], 7946));
        let mut other = Membership::new(member(number + 1, 0), place, 1, now);
        other.announce(address(0), now);
        let Some(Output::Send { payload, .. }) = other.poll_output() else { panic!("no announcement") };
        match membership.datagram(&payload, now) {
            Ok(()) => {}
            Err(DatagramError::TooManyMembers) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 100);
    assert_eq!(membership.members().count(), SWIM_MEMBERS_MAX);
    let mut sends = 0;
    for _ in 0..SWIM_SENDS_WAITING_MAX {
        membership.announce(address(5), now);
    }
    while let Some(output) = membership.poll_output() {
        sends += usize::from(matches!(output, Output::Send { .. }));
    }
    assert_eq!(sends, SWIM_SENDS_WAITING_MAX);
    assert!(membership.counts().sends_dropped > 0);
}
