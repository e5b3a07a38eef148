//! Local ICE candidates as text, and their priorities over the generations of a session.
//!
//! libwebrtc keeps an old pair selected for seconds unless the new one has a higher priority. So every generation of
//! candidates (a resume, another node) has a local preference above all of the one before.

use crate::codec::Candidate;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Candidates of one description; further ones are left out.
pub const MAX_LOCAL_CANDIDATES: u16 = 64;
/// Local preference of the first generation: the last of its candidates still has one above 0.
pub const FIRST_LOCAL_PREFERENCE: u16 = 1024;
/// By how much the local preference of a generation exceeds that of the previous one. The candidates of a generation
/// count down from its preference, fewer than this many, so each is above all of the generation before.
/// From 1024 it lasts for 1008 generations.
pub const GENERATION_STRIDE: u16 = MAX_LOCAL_CANDIDATES;

/// Type preferences (RFC 8445 §5.1.2.1): a host's and a server-reflexive one's as recommended; those of TCP below both,
/// so that no TCP candidate is ever preferred over a UDP one of its generation (RFC 6544 §4.2).
const HOST: u32 = 126;
const REFLEXIVE: u32 = 100;
const TCP_HOST: u32 = 90;
const TCP_REFLEXIVE: u32 = 80;

/// The local preference for the generation after `previous` (`None`: the first).
#[must_use]
pub fn next_local_preference(previous: Option<u16>) -> u16 {
    previous.map_or(FIRST_LOCAL_PREFERENCE, |previous| {
        previous.saturating_add(GENERATION_STRIDE).max(FIRST_LOCAL_PREFERENCE)
    })
}

/// Recovers the local preference of a generation from one of our own older descriptions (LiveKit's SyncState has it).
#[must_use]
pub fn candidate_generation(sdp: &str) -> Option<u16> {
    sdp.lines()
        .filter_map(|line| line.trim_end().strip_prefix("a=candidate:"))
        .filter_map(|value| value.split_ascii_whitespace().nth(3)?.parse::<u32>().ok())
        .map(|priority| u16::try_from((priority >> 8) & 0xffff).unwrap_or(u16::MAX))
        .max()
}

fn priority(candidate: &Candidate, index: u16, local_preference: u16) -> u32 {
    let kind = match (candidate.tcp, candidate.reflexive) {
        (false, false) => HOST,
        (false, true) => REFLEXIVE,
        (true, false) => TCP_HOST,
        (true, true) => TCP_REFLEXIVE,
    };
    // 256 - component 1 (RFC 8445 §5.1.2.1).
    (kind << 24) | (u32::from(local_preference.saturating_sub(index)) << 8) | 255
}

/// The value of one candidate: what follows `a=`, and LiveKit's trickled `candidate` field alike.
#[must_use]
pub fn candidate_line(candidate: &Candidate, index: u16, local_preference: u16) -> String {
    let (ip, port) = (candidate.address.ip(), candidate.address.port());
    let transport = if candidate.tcp { "tcp" } else { "udp" };
    let priority = priority(candidate, index, local_preference);
    let mut line = format!("candidate:{} 1 {transport} {priority} {ip} {port} typ ", index + 1);
    match (candidate.reflexive, ip) {
        (false, _) => line.push_str("host"),
        // The address behind the NAT is nobody's business (RFC 8839 §5.1 allows the unspecified one).
        (true, IpAddr::V4(_)) => line.push_str("srflx raddr 0.0.0.0 rport 0"),
        (true, IpAddr::V6(_)) => line.push_str("srflx raddr :: rport 0"),
    }
    if candidate.tcp {
        line.push_str(" tcptype passive");
    }
    line
}

/// Writes all candidates and the end of them.
pub(super) fn write(out: &mut String, candidates: &[Candidate], local_preference: u16) {
    for (index, candidate) in (0..MAX_LOCAL_CANDIDATES).zip(candidates) {
        let _ = write!(out, "a={}\r\n", candidate_line(candidate, index, local_preference));
    }
    out.push_str("a=end-of-candidates\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(tcp: bool, address: &str, reflexive: bool) -> Candidate {
        Candidate { tcp, address: address.parse().unwrap(), reflexive }
    }

    fn parts(line: &str) -> Vec<&str> {
        line.split(' ').collect()
    }

    #[test]
    fn candidates_are_written_as_rfc_8839_wants_them() {
        let host = candidate_line(&candidate(false, "192.0.2.1:7882", false), 0, 1024);
        assert_eq!(host, format!("candidate:1 1 udp {} 192.0.2.1 7882 typ host", (126u32 << 24) | (1024 << 8) | 255));
        let mapped = candidate_line(&candidate(false, "[2001:db8::1]:7882", true), 1, 1024);
        assert!(mapped.ends_with("2001:db8::1 7882 typ srflx raddr :: rport 0"), "{mapped}");
        let tcp = candidate_line(&candidate(true, "192.0.2.1:7881", false), 2, 1024);
        assert!(
            tcp.starts_with("candidate:3 1 tcp ") && tcp.ends_with("192.0.2.1 7881 typ host tcptype passive"),
            "{tcp}"
        );
    }

    #[test]
    fn every_candidate_of_a_generation_is_above_the_same_kind_of_the_one_before() {
        for tcp in [false, true] {
            for reflexive in [false, true] {
                let one = candidate(tcp, "192.0.2.1:1", reflexive);
                let (old, new) =
                    (next_local_preference(None), next_local_preference(Some(next_local_preference(None))));
                let lowest_new = priority(&one, MAX_LOCAL_CANDIDATES - 1, new);
                assert!(lowest_new > priority(&one, 0, old));
            }
        }
    }

    #[test]
    fn tcp_is_below_all_udp_of_its_generation() {
        let udp = priority(&candidate(false, "192.0.2.1:1", true), MAX_LOCAL_CANDIDATES - 1, 1024);
        assert!(udp > priority(&candidate(true, "192.0.2.1:1", false), 0, 1024));
    }

    #[test]
    fn the_generation_is_read_back_from_our_own_text() {
        let mut text = String::new();
        let list = [candidate(true, "192.0.2.1:7881", false), candidate(false, "192.0.2.1:7882", false)];
        write(&mut text, &list, 2000);
        assert_eq!(candidate_generation(&text), Some(2000));
        assert_eq!(candidate_generation("v=0\r\n"), None);
        assert_eq!(next_local_preference(candidate_generation(&text)), 2064);
        let numbers: Vec<_> = text.lines().filter(|l| l.contains("typ")).map(|l| parts(l)[3].to_owned()).collect();
        assert_eq!(numbers.len(), 2);
        assert!(text.ends_with("a=end-of-candidates\r\n"));
    }
}
