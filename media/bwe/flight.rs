//! What was sent lately under transport-wide numbers, and which of it feedback says has not arrived.

use std::time::Duration;

/// Packets in flight that are remembered, 16 bytes each: over 1 s at 10 Mbit/s. Allocated at the first packet.
const FLIGHT: usize = 1024;
/// Packets received after one that is missing from which it is lost and not late (RFC 5681's three duplicates).
const LATER_ARRIVALS: u16 = 3;
/// The same for one sent so much later, or where feedback comes so long after a round trip, in microseconds: paths put
/// packets in another order by less.
const LATER_SENT_US: u32 = 15_000;
/// Missing packets that wait for the next feedback to decide; those beyond it are left to the receiver's own requests.
const SUSPECTS_MAX: usize = 128;
/// Lost packets that one feedback may offer for repair; those beyond it are left to the receiver's own requests.
const LOST_MAX: usize = 64;
/// Age from which a lost packet is not repaired unasked: the receiver has asked for a key frame or gone on by then.
const REPAIR_AGE_MAX: Duration = Duration::from_millis(500);
/// Copies of one packet after which it is not repaired unasked any more.
const COPIES_MAX: u8 = 6;
/// How far before a lost copy an earlier one of the same packet is looked for; both leave within a round trip.
const EARLIER_COPIES: u16 = 256;

/// Which media packet a transport-wide number carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cargo {
    /// SSRC of the media, also for a retransmission.
    pub ssrc: u32,
    /// Its sequence number there.
    pub sequence: u16,
    /// 0 for the packet itself, then counted up with each copy of it.
    pub copy: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// Nothing was sent under the number.
    #[default]
    Unused,
    /// Feedback has not named it.
    UnderWay,
    /// Feedback had later ones, but not it.
    Suspected,
    Lost,
    Arrived,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Microseconds since the peer was opened, modulo 2³².
    at: u32,
    /// 0 where there is nothing to repair.
    ssrc: u32,
    original: u16,
    sequence: u16,
    size: u16,
    copy: u8,
    fate: Fate,
}

/// A packet that feedback has skipped.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    sequence: u16,
    /// Packets of the present feedback that arrived before it; `None` once that feedback is over.
    arrived_before: Option<u16>,
}

/// A packet that feedback has just acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Microseconds since it was sent.
    pub(super) age: u32,
    pub(super) size: u16,
}

/// What feedback says of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Arrived(Arrived),
    /// A later feedback may still report it.
    Missing,
}

/// The ring of packets in flight.
#[derive(Debug, Default)]
pub(super) struct Flight {
    ring: Vec<Sent>,
    newest: u16,
    /// What the present feedback has acknowledged: how many packets, and when the last of them was sent.
    arrivals: u16,
    last_arrived: Option<u32>,
    suspects: Vec<Suspect>,
    /// Numbers to repair, the first one last.
    lost: Vec<u16>,
}

impl Flight {
    /// Notes a packet; `at` in microseconds of the caller's clock, modulo 2³².
    #[inline]
    pub(super) fn sent(&mut self, sequence: u16, size: usize, cargo: Option<Cargo>, at: u32) {
        if self.ring.is_empty() {
            self.ring = vec![Sent::default(); FLIGHT];
        }
        self.newest = sequence;
        let Cargo { ssrc, sequence: original, copy } = cargo.unwrap_or_default();
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.ring[usize::from(sequence) % FLIGHT] =
            Sent { at, ssrc, original, sequence, size, copy, fate: Fate::UnderWay };
    }

    fn get(&self, sequence: u16) -> Option<&Sent> {
        self.ring.get(usize::from(sequence) % FLIGHT).filter(|sent| sent.sequence == sequence)
    }

    /// Takes the next status of a feedback; `None` if it says nothing of what is remembered, or nothing else than before.
    pub(super) fn told(&mut self, sequence: u16, arrived: bool, now: u32) -> Option<Told> {
        let sent = self.ring.get_mut(usize::from(sequence) % FLIGHT).filter(|sent| sent.sequence == sequence)?;
        if matches!(sent.fate, Fate::Unused | Fate::Arrived) {
            return None;
        }
        if arrived {
            sent.fate = Fate::Arrived;
            self.arrivals = self.arrivals.saturating_add(1);
            self.last_arrived = Some(sent.at);
            return Some(Told::Arrived(Arrived { age: now.wrapping_sub(sent.at), size: sent.size }));
        }
        let repairable = sent.ssrc != 0 && sent.copy < COPIES_MAX;
        if sent.fate == Fate::UnderWay && repairable && self.suspects.len() < SUSPECTS_MAX {
            sent.fate = Fate::Suspected;
            self.suspects.push(Suspect { sequence, arrived_before: Some(self.arrivals) });
        }
        Some(Told::Missing)
    }

    /// Ends a feedback: what enough later packets have overtaken, what had time enough to arrive, or what a second
    /// feedback has skipped, is lost. `round_trip` in microseconds.
    pub(super) fn conclude(&mut self, now: u32, round_trip: Option<u32>) {
        let (arrivals, last_arrived) = (std::mem::take(&mut self.arrivals), self.last_arrived.take());
        let (ring, lost) = (&mut self.ring, &mut self.lost);
        lost.clear();
        self.suspects.retain_mut(|suspect| {
            let sent = ring.get_mut(usize::from(suspect.sequence) % FLIGHT);
            let Some(sent) = sent.filter(|sent| sent.sequence == suspect.sequence && sent.fate == Fate::Suspected)
            else {
                return false;
            };
            let before = suspect.arrived_before.take();
            let later = last_arrived.map_or(0, |last| last.wrapping_sub(sent.at).cast_signed());
            let after = before.map_or(arrivals, |before| arrivals - before);
            let age = now.wrapping_sub(sent.at);
            let had_time = round_trip.is_some_and(|time| age >= time.saturating_add(LATER_SENT_US));
            let is_lost = after >= LATER_ARRIVALS
                || after > 0 && (before.is_none() || had_time)
                || later >= LATER_SENT_US.cast_signed();
            if is_lost {
                sent.fate = Fate::Lost;
                if lost.len() < LOST_MAX {
                    lost.push(suspect.sequence);
                }
            }
            !is_lost
        });
        lost.reverse();
    }

    /// The next packet that the last feedback has shown as lost, unless another copy of it has arrived or may still.
    pub(super) fn next_lost(&mut self, now: u32) -> Option<Cargo> {
        while let Some(sequence) = self.lost.pop() {
            let Some(sent) = self.get(sequence) else { continue };
            let age = Duration::from_micros(u64::from(now.wrapping_sub(sent.at)));
            let cargo = Cargo { ssrc: sent.ssrc, sequence: sent.original, copy: sent.copy };
            if age <= REPAIR_AGE_MAX && !self.has_other_copy(sequence, cargo) {
                return Some(cargo);
            }
        }
        None
    }

    fn has_other_copy(&self, sequence: u16, cargo: Cargo) -> bool {
        let after = self.newest.wrapping_sub(sequence).min(FLIGHT as u16);
        (1..=EARLIER_COPIES).any(|back| self.is_copy(sequence.wrapping_sub(back), cargo, &[Fate::Arrived]))
            || (1..=after).any(|ahead| {
                let hopeful = [Fate::UnderWay, Fate::Suspected, Fate::Arrived];
                self.is_copy(sequence.wrapping_add(ahead), cargo, &hopeful)
            })
    }

    fn is_copy(&self, sequence: u16, cargo: Cargo, fates: &[Fate]) -> bool {
        self.get(sequence).is_some_and(|sent| {
            sent.original == cargo.sequence && sent.ssrc == cargo.ssrc && fates.contains(&sent.fate)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 7;

    fn cargo(sequence: u16, copy: u8) -> Option<Cargo> {
        Some(Cargo { ssrc: SSRC, sequence, copy })
    }

    /// Numbers `from..to` sent, each with the media packet of the same number.
    fn flight(from: u16, to: u16) -> Flight {
        let mut flight = Flight::default();
        for sequence in from..to {
            flight.sent(sequence, 1_000, cargo(sequence, 0), 0);
        }
        flight
    }

    /// One feedback over `range` without `missing`; returns what is to be repaired.
    fn feedback(flight: &mut Flight, range: std::ops::Range<u16>, missing: &[u16], now: u32) -> Vec<u16> {
        for sequence in range {
            flight.told(sequence, !missing.contains(&sequence), now);
        }
        flight.conclude(now, None);
        std::iter::from_fn(|| flight.next_lost(now)).map(|cargo| cargo.sequence).collect()
    }

    #[test]
    fn three_later_arrivals_make_a_packet_lost_and_fewer_wait_for_the_next_feedback() {
        let mut flight = flight(10, 40);
        assert_eq!(feedback(&mut flight, 10..20, &[11, 12, 17], 0), [11, 12], "17 has two after it");
        assert_eq!(feedback(&mut flight, 20..21, &[], 0), [17]);
        assert_eq!(feedback(&mut flight, 10..30, &[11, 12, 17], 0), [0_u16; 0], "once");
    }

    #[test]
    fn one_arrival_of_a_packet_sent_much_later_is_enough() {
        let mut flight = flight(10, 12);
        flight.sent(12, 1_000, cargo(12, 0), LATER_SENT_US - 1);
        assert_eq!(feedback(&mut flight, 10..13, &[11], 0), [0_u16; 0]);
        flight.sent(13, 1_000, cargo(13, 0), 1_000);
        flight.sent(14, 1_000, cargo(14, 0), 1_000 + LATER_SENT_US);
        assert_eq!(feedback(&mut flight, 13..15, &[13], 20_000), [11, 13]);
    }

    #[test]
    fn a_packet_that_was_late_is_not_lost() {
        let mut flight = flight(10, 40);
        assert_eq!(feedback(&mut flight, 10..14, &[12], 0), [0_u16; 0]);
        assert_eq!(feedback(&mut flight, 12..20, &[], 0), [0_u16; 0]);
        assert_eq!(feedback(&mut flight, 20..30, &[], 0), [0_u16; 0]);
    }

    #[test]
    fn a_packet_that_was_repaired_meanwhile_is_left_alone() {
        let mut flight = flight(10, 20);
        flight.sent(20, 1_000, cargo(12, 1), 0);
        flight.sent(21, 1_000, cargo(13, 1), 0);
        assert_eq!(feedback(&mut flight, 10..21, &[12, 13, 14], 0), [14], "12 came by its copy, 13 may");
        for sequence in 22..30 {
            flight.sent(sequence, 1_000, cargo(sequence, 0), 0);
        }
        assert_eq!(feedback(&mut flight, 21..30, &[21], 0), [13], "the copy is lost as well");
    }

    #[test]
    fn the_loss_of_one_of_two_copies_is_no_loss() {
        let mut flight = flight(10, 20);
        flight.sent(20, 1_000, cargo(12, 1), 0);
        flight.sent(21, 1_000, cargo(12, 1), 0);
        for sequence in 22..30 {
            flight.sent(sequence, 1_000, cargo(sequence, 0), 0);
        }
        assert_eq!(feedback(&mut flight, 10..30, &[12, 21], 0), [0_u16; 0]);
    }

    #[test]
    fn old_packets_and_those_copied_often_are_given_up() {
        let mut flight = flight(10, 20);
        let old = REPAIR_AGE_MAX.as_micros() as u32 + 1;
        assert_eq!(feedback(&mut flight, 10..20, &[12], old), [0_u16; 0]);
        for sequence in 20..30 {
            flight.sent(sequence, 1_000, cargo(sequence, COPIES_MAX), 0);
        }
        assert_eq!(feedback(&mut flight, 20..30, &[22], 0), [0_u16; 0]);
    }

    #[test]
    fn a_feedback_that_names_everything_as_lost_offers_a_bounded_number() {
        let mut flight = flight(0, 1_000);
        let missing: Vec<u16> = (0..990).collect();
        assert_eq!(feedback(&mut flight, 0..1_000, &missing, 0).len(), LOST_MAX);
        assert!(flight.suspects.len() <= SUSPECTS_MAX);
    }

    #[test]
    fn the_flight_stays_small() {
        assert!(FLIGHT * size_of::<Sent>() <= 16 * 1024);
    }
}
