//! Looks through SCTP packets before rtc-sctp does and keeps away what would make it panic, loop or leak (RFC 9260
//! chunks, RFC 3758 FORWARD-TSN). Repairs nothing.

use std::collections::BTreeSet;

use super::inherited::{Inherited, verification_tag};
use super::limits;

const COMMON_HEADER: usize = 12;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const ERROR: u8 = 9;
const FORWARD_TSN: u8 = 192;
/// Offset of the initial TSN in INIT and INIT ACK chunks.
const INITIAL_TSN: usize = 16;
/// Header of a DATA chunk; user data must follow.
const DATA_HEADER: usize = 16;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Hand it on.
    Pass,
    /// It opens an association.
    PassInit,
    /// Forget it.
    Drop,
    /// The peer ended the association.
    Aborted,
}

/// The highest TSN seen and the streams touched.
#[derive(Debug, Default)]
pub(super) struct Guard {
    highest: Option<u32>,
    /// We sent INIT: the peer's numbering is unknown until its INIT ACK.
    awaits_init_ack: bool,
    /// Our verification tag, as the peer's newest passed packet bears it.
    tag: u32,
    streams: BTreeSet<u16>,
}

impl Guard {
    /// For an association that we open.
    pub(super) fn initiating() -> Self {
        Self { awaits_init_ack: true, ..Self::default() }
    }

    /// Where the peer's numbering stands.
    pub(super) fn inherited(&self) -> Option<Inherited> {
        self.highest.map(|highest| Inherited { tag: self.tag, highest })
    }

    /// Judges one packet.
    pub(super) fn check(&mut self, packet: &[u8]) -> Verdict {
        let verdict = self.judge(packet);
        if verdict == Verdict::Pass
            && let Some(tag) = verification_tag(packet)
        {
            self.tag = tag;
        }
        verdict
    }

    fn judge(&mut self, packet: &[u8]) -> Verdict {
        let Some(mut rest) = packet.get(COMMON_HEADER..) else { return Verdict::Drop };
        let mut chunks = 0;
        let mut verdict = Verdict::Drop;
        while rest.len() >= 4 {
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            chunks += 1;
            if length < 4 || length > rest.len() || chunks > limits::MAX_CHUNKS {
                return Verdict::Drop;
            }
            verdict = match self.chunk(rest[0], &rest[..length]) {
                // INIT stands alone in its packet.
                Some(Verdict::PassInit) if chunks == 1 && length.next_multiple_of(4) >= rest.len() => Verdict::PassInit,
                Some(Verdict::Pass) => Verdict::Pass,
                Some(Verdict::Aborted) => return Verdict::Aborted,
                _ => return Verdict::Drop,
            };
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        verdict
    }

    fn chunk(&mut self, kind: u8, chunk: &[u8]) -> Option<Verdict> {
        let word = |at: usize| chunk.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match kind {
            // rtc-sctp panics on a wrong length inside their error causes.
            ABORT => Some(Verdict::Aborted),
            ERROR => None,
            DATA => {
                if self.awaits_init_ack || chunk.len() <= DATA_HEADER {
                    return None;
                }
                let tsn = word(4)?;
                let stream = (word(8)? >> 16) as u16;
                if !self.streams.contains(&stream) && self.streams.len() >= limits::MAX_STREAMS {
                    return None;
                }
                let highest = self.highest.unwrap_or(tsn.wrapping_sub(1));
                let ahead = tsn.wrapping_sub(highest);
                if ahead < 1 << 31 {
                    if ahead > limits::MAX_TSN_AHEAD {
                        return None;
                    }
                    self.highest = Some(tsn);
                }
                self.streams.insert(stream);
                Some(Verdict::Pass)
            }
            INIT => {
                let tsn = word(INITIAL_TSN)?;
                self.highest.get_or_insert(tsn.wrapping_sub(1));
                Some(Verdict::PassInit)
            }
            INIT_ACK => {
                if !self.awaits_init_ack {
                    return None;
                }
                self.highest = Some(word(INITIAL_TSN)?.wrapping_sub(1));
                self.awaits_init_ack = false;
                Some(Verdict::Pass)
            }
            FORWARD_TSN => {
                // rtc-sctp loops once per skipped number.
                let ahead = word(4)?.wrapping_sub(self.highest?);
                (ahead >= 1 << 31 || ahead <= limits::MAX_FORWARD_TSN).then_some(Verdict::Pass)
            }
            _ => Some(Verdict::Pass),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(chunks: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; COMMON_HEADER];
        for (kind, body) in chunks {
            bytes.extend_from_slice(&[*kind, 3]);
            bytes.extend_from_slice(&((body.len() + 4) as u16).to_be_bytes());
            bytes.extend_from_slice(body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn data(tsn: u32, stream: u16) -> Vec<u8> {
        let mut body = tsn.to_be_bytes().to_vec();
        body.extend_from_slice(&stream.to_be_bytes());
        body.extend_from_slice(&[0, 0, 0, 0, 0, 53, 7]);
        body
    }

    fn init(tsn: u32) -> Vec<u8> {
        let mut body = vec![0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1];
        body.extend_from_slice(&tsn.to_be_bytes());
        body
    }

    #[test]
    fn an_abort_with_a_broken_cause_ends_the_association_here() {
        let verdict = Guard::default().check(&packet(&[(ABORT, &[0, 12, 0, 1])]));
        assert_eq!(verdict, Verdict::Aborted);
        assert_eq!(Guard::default().check(&packet(&[(ERROR, &[0, 12, 0, 1])])), Verdict::Drop);
    }

    #[test]
    fn a_forward_tsn_may_jump_a_little_but_not_far() {
        let mut guard = Guard::default();
        assert_eq!(guard.check(&packet(&[(INIT, &init(u32::MAX))])), Verdict::PassInit);
        assert_eq!(guard.check(&packet(&[(DATA, &data(u32::MAX, 1))])), Verdict::Pass);
        assert_eq!(guard.check(&packet(&[(FORWARD_TSN, &4_000u32.to_be_bytes())])), Verdict::Pass);
        assert_eq!(guard.check(&packet(&[(FORWARD_TSN, &5_000u32.to_be_bytes())])), Verdict::Drop);
        assert_eq!(guard.check(&packet(&[(FORWARD_TSN, &[0, 0])])), Verdict::Drop);
        assert_eq!(guard.check(&packet(&[(DATA, &data(30_000, 1))])), Verdict::Drop);
    }

    #[test]
    fn a_forward_tsn_before_any_numbering_is_dropped() {
        assert_eq!(Guard::default().check(&packet(&[(FORWARD_TSN, &[0; 4])])), Verdict::Drop);
    }

    #[test]
    fn the_peers_numbering_is_adopted_from_its_init_ack() {
        let mut guard = Guard::initiating();
        assert_eq!(guard.check(&packet(&[(DATA, &data(9, 1))])), Verdict::Drop);
        assert_eq!(guard.check(&packet(&[(INIT_ACK, &init(1_000_000))])), Verdict::Pass);
        assert_eq!(guard.check(&packet(&[(DATA, &data(1_000_000, 1))])), Verdict::Pass);
        assert_eq!(guard.check(&packet(&[(INIT_ACK, &init(5))])), Verdict::Drop);
    }

    #[test]
    fn an_init_among_other_chunks_too_many_chunks_and_too_many_streams_are_dropped() {
        let init = init(1);
        assert_eq!(Guard::default().check(&packet(&[(INIT, &init), (10, &[])])), Verdict::Drop);
        assert_eq!(Guard::default().check(&packet(&[(10, &[]), (INIT, &init)])), Verdict::Drop);
        let many: Vec<(u8, &[u8])> = vec![(10, &[]); limits::MAX_CHUNKS + 1];
        assert_eq!(Guard::default().check(&packet(&many)), Verdict::Drop);
        let mut guard = Guard::default();
        for stream in 0..limits::MAX_STREAMS as u16 {
            assert_eq!(guard.check(&packet(&[(DATA, &data(u32::from(stream), stream))])), Verdict::Pass);
        }
        assert_eq!(guard.check(&packet(&[(DATA, &data(64, 999))])), Verdict::Drop);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn random_packets_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut guard = Guard::default();
            let short = bytes.len() < COMMON_HEADER + 4;
            let verdict = guard.check(&bytes);
            prop_assert!(!short || verdict == Verdict::Drop);
        }
    }
}
