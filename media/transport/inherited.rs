//! What a restarted SCTP association must know of the one before: a moved peer goes on sending under the old numbering
//! until it hears of the restart, and forgets what was not acknowledged by then. Takes such messages; sends nothing.

use bytes::Bytes;

use super::limits;

const COMMON_HEADER: usize = 12;
const DATA: u8 = 0;
/// Header of a DATA chunk (RFC 9260 §3.3.1).
const DATA_HEADER: usize = 16;
/// Flags B and E: the chunk is a whole message.
const WHOLE: u8 = 0b11;

/// Our verification tag of the association before, and the highest TSN that was taken of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Inherited {
    pub(super) tag: u32,
    pub(super) highest: u32,
}

/// One whole message of the association before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) stream: u16,
    pub(super) protocol: u32,
    pub(super) payload: Bytes,
}

/// The verification tag of a packet.
pub(super) fn verification_tag(packet: &[u8]) -> Option<u32> {
    word(packet, 4)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

impl Inherited {
    /// Whether a packet belongs to the association before.
    pub(super) fn owns(&self, packet: &[u8]) -> bool {
        verification_tag(packet) == Some(self.tag)
    }

    /// The whole messages of a packet that are new. Their number is bounded by the chunks of one packet.
    pub(super) fn take(&mut self, packet: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
        for _ in 0..limits::MAX_CHUNKS {
            let Some((kind, flags, length)) = header(rest) else { break };
            if kind == DATA {
                messages.extend(self.message(&rest[..length], flags));
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        messages
    }

    fn message(&mut self, chunk: &[u8], flags: u8) -> Option<Message> {
        let tsn = word(chunk, 4)?;
        let ahead = tsn.wrapping_sub(self.highest);
        if ahead == 0 || ahead > limits::MAX_TSN_AHEAD || chunk.len() <= DATA_HEADER {
            return None;
        }
        self.highest = tsn;
        (flags & WHOLE == WHOLE).then_some(Message {
            stream: (word(chunk, 8)? >> 16) as u16,
            protocol: word(chunk, 12)?,
            payload: Bytes::copy_from_slice(&chunk[DATA_HEADER..]),
        })
    }
}

/// Type, flags and length of the first chunk, if it is there as a whole.
fn header(rest: &[u8]) -> Option<(u8, u8, usize)> {
    let [kind, flags, high, low] = *rest.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    (length >= 4 && length <= rest.len()).then_some((kind, flags, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(tag: u32, chunks: &[(u32, u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; COMMON_HEADER];
        bytes[4..8].copy_from_slice(&tag.to_be_bytes());
        for (tsn, flags, payload) in chunks {
            bytes.extend_from_slice(&[DATA, *flags]);
            bytes.extend_from_slice(&((payload.len() + DATA_HEADER) as u16).to_be_bytes());
            bytes.extend_from_slice(&tsn.to_be_bytes());
            bytes.extend_from_slice(&[0, 2, 0, 0, 0, 0, 0, 53]);
            bytes.extend_from_slice(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn whole_new_messages_are_taken_once_and_fragments_never() {
        let mut before = Inherited { tag: 7, highest: u32::MAX };
        let bytes = packet(7, &[(u32::MAX, WHOLE, b"old"), (0, WHOLE, b"new"), (1, 2, b"begin"), (2, WHOLE, b"more")]);
        assert!(before.owns(&bytes) && !before.owns(&packet(8, &[])));
        let payloads: Vec<Bytes> = before.take(&bytes).into_iter().map(|message| message.payload).collect();
        assert_eq!(payloads, [&b"new"[..], b"more"]);
        assert!(before.take(&bytes).is_empty());
        let far = packet(7, &[(limits::MAX_TSN_AHEAD + 3, WHOLE, b"far")]);
        assert!(before.take(&far).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn random_packets_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut before = Inherited { tag: 0, highest: 0 };
            prop_assert!(before.take(&bytes).len() <= limits::MAX_CHUNKS);
        }
    }
}
