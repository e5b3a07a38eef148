//! Entry points for fuzzers: each takes any bytes and must return.

use crate::frame::{Encoding, decode_binary, decode_text, encode};
use crate::join::JoinParameters;
use crate::keys::KeyRing;
use crate::livekit::SignalResponse;
use crate::token;
use std::collections::BTreeMap;

/// Signalling frames, both encodings, both directions.
pub fn frames(data: &[u8]) {
    if let Ok(request) = decode_binary(data) {
        let bytes = prost::Message::encode_to_vec(&request);
        assert_eq!(decode_binary(&bytes).ok().map(|again| again.message.is_some()), Some(request.message.is_some()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        drop(decode_text(text));
    }
    if let Ok(response) = <SignalResponse as prost::Message>::decode(data) {
        drop(encode(&response, Encoding::Text));
    }
}

/// `join_request` and the query of `/rtc`.
pub fn join_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    drop(JoinParameters::from_join_request(&text));
    drop(JoinParameters::from_wrapped(data));
    let query: BTreeMap<String, String> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    drop(JoinParameters::from_query(&query));
}

/// Access tokens.
pub fn tokens(data: &[u8]) {
    let keys = KeyRing::single("devkey", "secret");
    drop(token::verify(&String::from_utf8_lossy(data), &keys, 1_800_000_000));
}
