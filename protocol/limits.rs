//! How large and how frequent anything from outside may be: fixed limits as constants, configurable ones in [`Limits`].

use serde::{Deserialize, Serialize};

/// Bytes of one signalling frame either way (LiveKit's WebSocket read limit); a larger one ends the session.
pub const SIGNAL_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a `join_request` after decompression (LiveKit's limit); a larger one is refused with 400.
pub const JOIN_REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an access token. Its attributes and metadata may fill their own limits, base64 adds a third; a larger one is refused with 401.
pub const TOKEN_BYTES_MAX: usize = 1024 * 1024;
/// Seconds that the clocks of token issuer and node may differ (LiveKit's leeway).
pub const TOKEN_LEEWAY_SECONDS: i64 = 60;
/// AddTrack requests inside one join; more are refused with 400 (LiveKit queues 20 per session).
pub const JOIN_ADD_TRACKS_MAX: usize = 20;
/// API keys of one node; more are a configuration error.
pub const API_KEYS_MAX: usize = 1_000;

const _: () = assert!(JOIN_REQUEST_BYTES_MAX <= SIGNAL_FRAME_BYTES_MAX);

/// Configurable limits: the `limit` section of the configuration, in LiveKit's names where LiveKit has them.
/// 0 = off; so is -1 where LiveKit uses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Published and subscribed tracks on this node; beyond it nobody new may join.
    pub num_tracks: i32,
    /// Video subscriptions of one participant.
    pub subscription_limit_video: i32,
    /// Audio subscriptions of one participant.
    pub subscription_limit_audio: i32,
    /// Bytes of participant and room metadata.
    pub max_metadata_size: u32,
    /// Bytes of a participant's attributes, keys and values together.
    pub max_attributes_size: u32,
    /// Bytes of a room name.
    pub max_room_name_length: u32,
    /// Bytes of a participant identity.
    pub max_participant_identity_length: u32,
    /// Bytes of a participant's display name.
    pub max_participant_name_length: u32,
    /// Tracks that one participant may publish at a time (no LiveKit counterpart).
    pub max_tracks_per_participant: u32,
    /// Signalling messages per second of one session, averaged; ten seconds' worth may come at once (no LiveKit counterpart).
    pub max_messages_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            num_tracks: 0,
            subscription_limit_video: 0,
            subscription_limit_audio: 0,
            max_metadata_size: 512 * 1024,
            max_attributes_size: 64 * 1024,
            max_room_name_length: 256,
            max_participant_identity_length: 256,
            max_participant_name_length: 256,
            max_tracks_per_participant: 64,
            max_messages_per_second: 100,
        }
    }
}

/// Something from outside is longer than its configured limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} exceeds limits (max {limit} bytes, got {length})")]
pub struct LimitError {
    /// What is too long.
    pub what: &'static str,
    /// Limit in force, bytes.
    pub limit: u32,
    /// Length found, bytes.
    pub length: usize,
}

impl Limits {
    /// Checks a room name.
    ///
    /// # Errors
    /// [`LimitError`] when it is too long.
    pub fn check_room_name(&self, name: &str) -> Result<(), LimitError> {
        check("room name length", name.len(), self.max_room_name_length)
    }

    /// Checks a participant identity.
    ///
    /// # Errors
    /// [`LimitError`] when it is too long.
    pub fn check_identity(&self, identity: &str) -> Result<(), LimitError> {
        check("participant identity length", identity.len(), self.max_participant_identity_length)
    }

    /// Checks a participant's display name.
    ///
    /// # Errors
    /// [`LimitError`] when it is too long.
    pub fn check_name(&self, name: &str) -> Result<(), LimitError> {
        check("participant name length", name.len(), self.max_participant_name_length)
    }

    /// Checks the metadata of a room or participant.
    ///
    /// # Errors
    /// [`LimitError`] when it is too long.
    pub fn check_metadata(&self, metadata: &str) -> Result<(), LimitError> {
        check("metadata size", metadata.len(), self.max_metadata_size)
    }

    /// Checks attributes, keys and values together.
    ///
    /// # Errors
    /// [`LimitError`] when they are too long.
    pub fn check_attributes<'a>(
        &self,
        attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<(), LimitError> {
        let length = attributes.into_iter().map(|(key, value)| key.len() + value.len()).sum();
        check("attributes size", length, self.max_attributes_size)
    }
}

fn check(what: &'static str, length: usize, limit: u32) -> Result<(), LimitError> {
    let within = limit == 0 || u32::try_from(length).is_ok_and(|length| length <= limit);
    if within { Ok(()) } else { Err(LimitError { what, limit, length }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_at_the_limit_passes_and_one_more_is_refused_by_name() {
        let limits = Limits::default();
        assert_eq!(limits.check_room_name(&"r".repeat(256)), Ok(()));
        let error = limits.check_room_name(&"r".repeat(257)).unwrap_err();
        assert_eq!(error.to_string(), "room name length exceeds limits (max 256 bytes, got 257)");
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits { max_metadata_size: 0, ..Limits::default() };
        assert_eq!(limits.check_metadata(&"m".repeat(1 << 20)), Ok(()));
    }

    #[test]
    fn attributes_count_keys_and_values_together() {
        let limits = Limits { max_attributes_size: 5, ..Limits::default() };
        let pair = |key: &str, value: &str| std::collections::BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(limits.check_attributes(&pair("ab", "cde")), Ok(()));
        assert!(limits.check_attributes(&pair("abc", "def")).is_err());
    }
}
