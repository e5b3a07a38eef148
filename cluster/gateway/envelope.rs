//! The envelope of every message between two gateways. Its own fields never change; what it carries may differ between
//! versions, and a message that cannot be read costs neither the link nor its order.

use crate::peers::Topic;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The version of [`What`] that this software writes.
pub(crate) const VERSION: u16 = 1;

/// Around every message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// Version of `what`.
    pub(crate) version: u16,
    /// The link it was written for; both ends derive it from their TLS session, so that no message outlives its link.
    pub(crate) link: u64,
    /// Number of the message on its link, from 1; 0 = takes no credit and no place in the order.
    pub(crate) seq: u64,
    /// Every message of the other direction up to this number has been handled.
    pub(crate) ack: u64,
    /// It asks: the number that its answer shall carry; 0 = none.
    pub(crate) call: u64,
    /// It answers the call with this number; 0 = none.
    pub(crate) answer: u64,
    /// [`What`] in the form of that version.
    pub(crate) what: Bytes,
}

/// What an envelope carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// A message without answer.
    Cast { topic: Topic, body: Bytes },
    /// A message whose sender waits this long for the answer.
    Call { topic: Topic, timeout_ms: u32, body: Bytes },
    /// The answer.
    Answer(AnswerBody),
    /// Still here; and the acknowledgement in the envelope.
    Ping,
    /// A piece of another `What` in wire form.
    Part { offset: u32, total: u32, bytes: Bytes },
}

/// An answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AnswerBody {
    /// It was carried out.
    Done(Bytes),
    /// It could not be read.
    Unreadable { why: String },
    /// It was not carried out: too many calls wait already.
    Busy,
}

/// The wire form.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    rmp_serde::to_vec(value).expect("plain data always has a MessagePack form").into()
}

/// Reads an envelope, whatever it carries.
pub(crate) fn read(bytes: &[u8]) -> Result<Envelope, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

/// Reads what an envelope carries.
pub(crate) fn read_what(bytes: &[u8]) -> Result<What, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_envelope_of_a_later_version_is_read_and_its_content_is_not() {
        #[derive(Serialize)]
        enum Later {
            Teleport { place: u8 },
        }
        let what = encode(&Later::Teleport { place: 3 });
        let envelope = Envelope { version: 2, link: 9, seq: 1, ack: 0, call: 5, answer: 0, what };
        let read = read(&encode(&envelope)).expect("the envelope never changes");
        assert_eq!(read, envelope);
        assert!(read_what(&read.what).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = read(&bytes);
            let _ = read_what(&bytes);
        }
    }
}
