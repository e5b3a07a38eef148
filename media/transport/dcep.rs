//! The Data Channel Establishment Protocol (RFC 8832): two messages, read and written.

use rtc_sctp::ReliabilityType;

const ACK: u8 = 2;
const OPEN: u8 = 3;
/// The bit of the channel type that says unordered.
const UNORDERED: u8 = 0x80;
/// Fixed part of an OPEN.
const OPEN_HEADER: usize = 12;

/// How a channel delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Reliability {
    pub(super) unordered: bool,
    pub(super) limit: RetryLimit,
}

/// When a message is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum RetryLimit {
    Never,
    /// After this many retransmissions.
    Retransmissions(u32),
    /// After this many milliseconds.
    Lifetime(u32),
}

impl Reliability {
    pub(super) const RELIABLE: Self = Self { unordered: false, limit: RetryLimit::Never };
    pub(super) const LOSSY: Self = Self { unordered: true, limit: RetryLimit::Retransmissions(0) };

    /// As rtc-sctp wants it.
    pub(super) fn parameters(self) -> (bool, ReliabilityType, u32) {
        let (kind, value) = match self.limit {
            RetryLimit::Never => (ReliabilityType::Reliable, 0),
            RetryLimit::Retransmissions(count) => (ReliabilityType::Rexmit, count),
            RetryLimit::Lifetime(milliseconds) => (ReliabilityType::Timed, milliseconds),
        };
        (self.unordered, kind, value)
    }
}

/// One DCEP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Ack,
    Open { reliability: Reliability, label: &'a [u8] },
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if it is malformed or of an unknown type.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if *bytes.first()? == ACK {
            return Some(Self::Ack);
        }
        let (header, names) = bytes.split_at_checked(OPEN_HEADER)?;
        if header[0] != OPEN {
            return None;
        }
        let value = u32::from_be_bytes(*header[4..].first_chunk()?);
        let limit = match header[1] & !UNORDERED {
            0 => RetryLimit::Never,
            1 => RetryLimit::Retransmissions(value),
            2 => RetryLimit::Lifetime(value),
            _ => return None,
        };
        let label = names.get(..usize::from(u16::from_be_bytes([header[8], header[9]])))?;
        let reliability = Reliability { unordered: header[1] & UNORDERED != 0, limit };
        Some(Self::Open { reliability, label })
    }

    pub(super) fn write(self) -> Vec<u8> {
        let Self::Open { reliability, label } = self else { return vec![ACK] };
        let (kind, value) = match reliability.limit {
            RetryLimit::Never => (0, 0),
            RetryLimit::Retransmissions(count) => (1, count),
            RetryLimit::Lifetime(milliseconds) => (2, milliseconds),
        };
        let mut bytes = vec![OPEN, kind | if reliability.unordered { UNORDERED } else { 0 }, 0, 0];
        bytes.extend_from_slice(&value.to_be_bytes());
        bytes.extend_from_slice(&(label.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(label);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_survive_writing_and_reading() {
        let lifetime = Reliability { unordered: false, limit: RetryLimit::Lifetime(300) };
        for reliability in [Reliability::RELIABLE, Reliability::LOSSY, lifetime] {
            let message = Message::Open { reliability, label: b"_lossy" };
            assert_eq!(Message::parse(&message.write()), Some(message));
        }
        assert_eq!(Message::parse(&Message::Ack.write()), Some(Message::Ack));
    }

    #[test]
    fn a_label_longer_than_the_message_and_the_private_type_0_are_refused() {
        assert_eq!(Message::parse(&[3, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 65]), None);
        for length in 0..14 {
            assert_eq!(Message::parse(&vec![0; length]), None);
        }
    }

    proptest! {
        #[test]
        fn random_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(Message::Open { label, .. }) = Message::parse(&bytes) {
                prop_assert!(label.len() <= bytes.len());
            }
        }
    }
}
