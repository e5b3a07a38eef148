//! What a bot has sent and seen: numbered, time-stamped audio packets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Numbers remembered of one track: 50 packets per second over an hour. Further ones only count.
pub const NUMBERS_MAX: usize = 180_000;
/// Tracks remembered; packets of further ones are dropped.
pub const TRACKS_MAX: usize = 1_000;
/// First bytes of a payload: an Opus TOC for 20 ms, and the mark that tells a bot's packet from silence.
const MARK: [u8; 4] = [0x78, b'b', b'o', b't'];
/// Mark, number, time.
const PAYLOAD_BYTES: usize = MARK.len() + 16;

/// What was seen of one track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Numbers that arrived.
    pub numbers: BTreeSet<u64>,
    /// Packets whose number had arrived before.
    pub duplicates: u64,
    /// Packets that were not a bot's.
    pub foreign: u64,
    /// Longest time from sending to arrival, for sender and receiver on one machine.
    pub delay_max: Duration,
}

impl Seen {
    /// Numbers between the first and the last that never arrived.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let (Some(first), Some(last)) = (self.numbers.first(), self.numbers.last()) else { return 0 };
        (last - first + 1).saturating_sub(self.numbers.len() as u64)
    }
}

/// Everything that one bot has sent and seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// Audio packets sent.
    pub sent: u64,
    /// What arrived, by the track's id (`TR_…`).
    pub seen: BTreeMap<String, Seen>,
}

impl Journal {
    /// Makes the payload of the next packet and counts it as sent.
    pub fn next_payload(&mut self, since_epoch: Duration) -> Vec<u8> {
        let payload = payload(self.sent, since_epoch);
        self.sent += 1;
        payload
    }

    /// Notes a packet of a track.
    pub fn note(&mut self, track: &str, payload: &[u8], since_epoch: Duration) {
        if self.seen.len() >= TRACKS_MAX && !self.seen.contains_key(track) {
            return;
        }
        let seen = self.seen.entry(track.to_owned()).or_default();
        let Some((number, sent_at)) = read(payload) else {
            seen.foreign += 1;
            return;
        };
        if seen.numbers.contains(&number) {
            seen.duplicates += 1;
        } else if seen.numbers.len() < NUMBERS_MAX {
            seen.numbers.insert(number);
        }
        seen.delay_max = seen.delay_max.max(since_epoch.saturating_sub(sent_at));
    }
}

fn payload(number: u64, since_epoch: Duration) -> Vec<u8> {
    let nanoseconds = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
    payload.extend_from_slice(&MARK);
    payload.extend_from_slice(&number.to_be_bytes());
    payload.extend_from_slice(&nanoseconds.to_be_bytes());
    payload
}

fn read(payload: &[u8]) -> Option<(u64, Duration)> {
    let rest = payload.strip_prefix(&MARK)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (time, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), Duration::from_nanos(u64::from_be_bytes(*time))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_journal_tells_lost_from_repeated_packets() {
        let (mut sender, mut receiver) = (Journal::default(), Journal::default());
        let packets: Vec<_> = (0..5).map(|_| sender.next_payload(SECOND)).collect();
        for index in [0, 1, 1, 4] {
            receiver.note("TR_a", &packets[index], SECOND * 2);
        }
        let seen = &receiver.seen["TR_a"];
        assert_eq!((sender.sent, seen.missing(), seen.duplicates, seen.delay_max), (5, 2, 1, SECOND));
    }

    #[test]
    fn a_strange_payload_counts_as_foreign() {
        let mut journal = Journal::default();
        for payload in [&b""[..], b"\x78bot", b"\xf8\xff\xfe"] {
            journal.note("TR_a", payload, SECOND);
        }
        assert_eq!(journal.seen["TR_a"].foreign, 3);
    }
}
