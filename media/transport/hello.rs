//! Puts the first ClientHello together (Chromium splits it over two records) and reads which SRTP profiles it offers, for
//! rtc-dtls fixes its profile before it reads a byte. Authenticates nothing.

use super::limits;
use super::record::{self, records};

/// Type of a ClientHello message (RFC 5246 §7.4).
const CLIENT_HELLO: u8 = 1;
/// Header of a handshake fragment (RFC 6347 §4.2.2).
const FRAGMENT_HEADER: usize = 12;
/// The `use_srtp` extension (RFC 5764 §4.1.1).
const USE_SRTP: usize = 14;
/// Profiles that are read of an offer.
const MAX_PROFILES: usize = 16;

/// Datagrams held back until the ClientHello in them is whole.
#[derive(Debug, Default)]
pub(super) struct HelloPeek {
    message: Vec<u8>,
    received: Vec<(usize, usize)>,
    held: Vec<Vec<u8>>,
}

/// A whole ClientHello.
#[derive(Debug)]
pub(super) struct Hello {
    /// SRTP profiles offered, in the client's order.
    pub(super) profiles: Vec<u16>,
    /// The datagrams it came in, in order of arrival, for rtc-dtls.
    pub(super) datagrams: Vec<Vec<u8>>,
}

impl HelloPeek {
    /// Takes a datagram; returns the ClientHello once all of it is here.
    pub(super) fn feed(&mut self, datagram: &[u8]) -> Option<Hello> {
        if self.held.len() >= limits::MAX_HELLO_FRAGMENTS || self.received.len() >= limits::MAX_HELLO_FRAGMENTS {
            *self = Self::default();
        }
        let before = self.received.len();
        for record in records(datagram) {
            if record.content_type == record::HANDSHAKE && record.epoch == 0 {
                self.take(record.fragment);
            }
        }
        if self.received.len() == before {
            return None;
        }
        self.held.push(datagram.to_vec());
        if !self.is_whole() {
            return None;
        }
        let done = std::mem::take(self);
        Some(Hello { profiles: offered_profiles(&done.message).unwrap_or_default(), datagrams: done.held })
    }

    fn take(&mut self, fragment: &[u8]) -> Option<()> {
        let (header, body) = fragment.split_at_checked(FRAGMENT_HEADER)?;
        let number =
            |at: usize| usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2]);
        let (total, offset, length) = (number(1), number(6), number(9));
        let sane = header[0] == CLIENT_HELLO && total <= limits::MAX_CLIENT_HELLO && body.len() == length;
        if !sane || offset + length > total || self.received.len() >= limits::MAX_HELLO_FRAGMENTS {
            return None;
        }
        if self.message.len() != total {
            // Another ClientHello than the one begun: only the newest counts.
            *self = Self { message: vec![0; total], ..Self::default() };
        }
        self.message[offset..offset + length].copy_from_slice(body);
        self.received.push((offset, offset + length));
        Some(())
    }

    fn is_whole(&mut self) -> bool {
        self.received.sort_unstable();
        let end = self.received.iter().fold(0, |end, (from, to)| if *from <= end { end.max(*to) } else { end });
        !self.message.is_empty() && end == self.message.len()
    }
}

/// Reads `use_srtp` of a ClientHello body; `None` if it is absent or the message is malformed.
fn offered_profiles(message: &[u8]) -> Option<Vec<u16>> {
    let short = |at: usize| Some(usize::from(u16::from_be_bytes(*message.get(at..)?.first_chunk()?)));
    let byte = |at: usize| message.get(at).map(|value| usize::from(*value));
    let mut at = 34;
    at += 1 + byte(at)?; // session id
    at += 1 + byte(at)?; // cookie
    at += 2 + short(at)?; // cipher suites
    at += 1 + byte(at)?; // compression methods
    let end = at + 2 + short(at)?;
    at += 2;
    while at + 4 <= end {
        let (kind, length) = (short(at)?, short(at + 2)?);
        if kind == USE_SRTP {
            let count = (short(at + 4)? / 2).min(MAX_PROFILES);
            return (0..count).map(|index| short(at + 6 + 2 * index).map(|profile| profile as u16)).collect();
        }
        at += 4 + length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fragment(total: usize, offset: usize, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![record::HANDSHAKE, 254, 253, 0, 0, 0, 0, 0, 0, 0, offset as u8];
        bytes.extend_from_slice(&((FRAGMENT_HEADER + body.len()) as u16).to_be_bytes());
        bytes.push(CLIENT_HELLO);
        bytes.extend_from_slice(&(total as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&(offset as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn client_hello() -> Vec<u8> {
        let mut body = vec![0; 34];
        body.extend_from_slice(&[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        let extensions = [0, 23, 0, 0, 0, 14, 0, 9, 0, 6, 0, 1, 0, 8, 0, 7, 0];
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(&extensions);
        body
    }

    #[test]
    fn a_hello_in_two_fragments_is_read_in_any_order_and_with_repeats() {
        let body = client_hello();
        let (first, second) = (fragment(body.len(), 0, &body[..30]), fragment(body.len(), 30, &body[30..]));
        for order in [[&first, &second], [&second, &first]] {
            let mut peek = HelloPeek::default();
            assert!(peek.feed(order[0]).is_none());
            assert!(peek.feed(order[0]).is_none());
            let hello = peek.feed(order[1]).unwrap();
            assert_eq!(hello.profiles, [1, 8, 7]);
            assert_eq!(hello.datagrams.len(), 3);
        }
    }

    #[test]
    fn endless_fragments_are_not_kept_and_a_good_hello_still_passes() {
        let mut peek = HelloPeek::default();
        for offset in 0..200 {
            assert!(peek.feed(&fragment(8_000, offset * 2, &[7])).is_none());
            assert!(peek.held.len() <= limits::MAX_HELLO_FRAGMENTS);
        }
        let body = client_hello();
        assert!(peek.feed(&fragment(body.len(), 0, &body)).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn mutated_hellos_never_panic(at in 0usize..80, value in any::<u8>(), cut in 0usize..90) {
            let body = client_hello();
            let mut bytes = fragment(body.len(), 0, &body);
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(length - cut % length);
            if let Some(hello) = HelloPeek::default().feed(&bytes) {
                prop_assert!(hello.profiles.len() <= MAX_PROFILES);
            }
        }
    }
}
