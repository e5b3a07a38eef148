//! Bodies: read what was written, refuse the rest with a reason.

use super::member;
use crate::placement::core::limits::{MESSAGE_BYTES_MAX, ROOM_NAME_BYTES_MAX};
use crate::placement::core::{BODY_VERSION, Epoch, Message, MessageError};
use proptest::prelude::*;

fn assign(room: &str) -> Message {
    Message::Assign { room: room.to_owned(), epoch: Epoch { counter: 7, decider: member("ND_a", 1) } }
}

#[test]
fn what_was_written_is_read() {
    let bytes = assign("standup").encode().unwrap();
    assert_eq!(Message::decode(&bytes).unwrap(), assign("standup"));
}

#[test]
fn another_version_is_named_even_when_its_body_is_unknown() {
    let mut bytes = vec![0x92, 0xcd, 0x00, 0x2a];
    bytes.extend([0x81, 0xa3, b'N', b'e', b'w', 0xc0]);
    let refusal = Message::decode(&bytes);
    assert!(matches!(refusal, Err(MessageError::Version { theirs: 42, ours: BODY_VERSION })), "{refusal:?}");
}

#[test]
fn long_names_large_bodies_and_garbage_are_refused() {
    let long = assign(&"x".repeat(ROOM_NAME_BYTES_MAX + 1)).encode().unwrap();
    assert!(matches!(Message::decode(&long), Err(MessageError::RoomName { .. })));
    assert!(matches!(Message::decode(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(MessageError::TooLarge { .. })));
    assert!(matches!(Message::decode(&[]), Err(MessageError::Malformed(_))));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }
}
