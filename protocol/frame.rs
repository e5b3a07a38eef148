//! One WebSocket frame ⇄ one signalling message: protobuf in binary frames, protojson (camelCase) in text frames.

use crate::limits::SIGNAL_FRAME_BYTES_MAX;
use crate::livekit::{SignalRequest, SignalResponse};
use prost::Message;

/// How a session writes its frames: as the client does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf in binary frames.
    #[default]
    Binary,
    /// Protojson in text frames.
    Text,
}

/// One frame ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A binary frame.
    Binary(Vec<u8>),
    /// A text frame.
    Text(String),
}

/// Why a frame is not a signalling message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than the limit.
    #[error("signalling frame has {length} bytes, at most {SIGNAL_FRAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Length found, bytes.
        length: usize,
    },
    /// Not protobuf of the type.
    #[error("signalling frame is not a valid protobuf message")]
    Protobuf(#[from] prost::DecodeError),
    /// Not protojson of the type.
    #[error("signalling frame is not a valid JSON message")]
    Json(#[from] serde_json::Error),
}

/// Reads what a client sent in a binary frame. A message newer than we know comes out empty.
///
/// # Errors
/// [`FrameError`] for frames too long or not protobuf.
pub fn decode_binary(bytes: &[u8]) -> Result<SignalRequest, FrameError> {
    check_length(bytes.len())?;
    Ok(SignalRequest::decode(bytes)?)
}

/// Reads what a client sent in a text frame.
///
/// # Errors
/// [`FrameError`] for frames too long or not protojson.
pub fn decode_text(text: &str) -> Result<SignalRequest, FrameError> {
    check_length(text.len())?;
    Ok(serde_json::from_str(text)?)
}

/// Writes what a client is to get.
///
/// # Errors
/// [`FrameError::TooLong`] when it would exceed the limit of clients, [`FrameError::Json`] when it has no JSON form.
pub fn encode(response: &SignalResponse, encoding: Encoding) -> Result<Frame, FrameError> {
    let frame = match encoding {
        Encoding::Binary => Frame::Binary(response.encode_to_vec()),
        Encoding::Text => Frame::Text(serde_json::to_string(response)?),
    };
    check_length(match &frame {
        Frame::Binary(bytes) => bytes.len(),
        Frame::Text(text) => text.len(),
    })?;
    Ok(frame)
}

fn check_length(length: usize) -> Result<(), FrameError> {
    if length > SIGNAL_FRAME_BYTES_MAX { Err(FrameError::TooLong { length }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit::{AddTrackRequest, Ping, Pong, signal_request, signal_response};
    use proptest::prelude::*;

    fn request() -> SignalRequest {
        let track = AddTrackRequest { cid: "c".into(), name: "n".into(), ..AddTrackRequest::default() };
        SignalRequest { message: Some(signal_request::Message::AddTrack(track)) }
    }

    #[test]
    fn a_binary_request_is_read_back() {
        assert_eq!(decode_binary(&request().encode_to_vec()).expect("frame"), request());
    }

    #[test]
    fn a_text_request_is_read_in_both_cases_and_with_unknown_fields() {
        let ping = |timestamp, rtt| Some(signal_request::Message::PingReq(Ping { timestamp, rtt }));
        for text in [
            r#"{"pingReq":{"timestamp":"7","rtt":"3"}}"#,
            r#"{"ping_req":{"timestamp":7,"rtt":3}}"#,
            r#"{"pingReq":{"timestamp":7,"rtt":3,"later":true}}"#,
        ] {
            assert_eq!(decode_text(text).expect(text).message, ping(7, 3));
        }
    }

    #[test]
    fn responses_are_written_as_the_client_speaks() {
        let pong = Pong { last_ping_timestamp: 7, timestamp: 9 };
        let response = SignalResponse { message: Some(signal_response::Message::PongResp(pong)) };
        assert_eq!(encode(&response, Encoding::Binary).expect("frame"), Frame::Binary(response.encode_to_vec()));
        let text = r#"{"pongResp":{"lastPingTimestamp":"7","timestamp":"9"}}"#;
        assert_eq!(encode(&response, Encoding::Text).expect("frame"), Frame::Text(text.into()));
    }

    #[test]
    fn garbage_and_oversize_are_typed_errors() {
        assert!(matches!(decode_binary(&[0xff; 32]), Err(FrameError::Protobuf(_))));
        assert!(matches!(decode_text("{"), Err(FrameError::Json(_))));
        assert!(matches!(decode_text("[]"), Err(FrameError::Json(_))));
        let length = SIGNAL_FRAME_BYTES_MAX + 1;
        assert!(
            matches!(decode_binary(&vec![0; length]), Err(FrameError::TooLong { length: found }) if found == length)
        );
        assert!(matches!(decode_text(&" ".repeat(length)), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_message_of_a_later_protocol_is_empty_not_an_error() {
        // Field 100, length-delimited, empty.
        assert_eq!(decode_binary(&[0xa2, 0x06, 0x00]).expect("frame").message, None);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        assert!(decode_text(&"{\"offer\":".repeat(100_000)).is_err());
        assert!(decode_text(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzz::frames(&bytes);
        }
    }
}
