//! What a client says when it opens `/rtc` (query parameters) or `/rtc/v1` (`join_request`).

use crate::limits::{JOIN_ADD_TRACKS_MAX, JOIN_REQUEST_BYTES_MAX};
use crate::livekit as lk;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;

/// Base64url, with or without padding.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Which of LiveKit's two signalling dialects a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/rtc`: a publisher and a subscriber peer connection.
    DualPeer,
    /// `/rtc/v1`: one peer connection, always offered by the client.
    SinglePeer,
}

/// The parameters of one join, the same for both dialects.
#[derive(Clone, Debug)]
pub struct JoinParameters {
    /// The dialect.
    pub dialect: Dialect,
    /// SDK, version, protocol number, device, capabilities.
    pub client: lk::ClientInfo,
    /// Subscribe to every track without being asked.
    pub auto_subscribe: bool,
    /// The client tells the size of its video elements.
    pub adaptive_stream: bool,
    /// The client allows congestion control to pause its subscriptions, where it said.
    pub subscriber_allow_pause: Option<bool>,
    /// Do not say `a=ice-lite`.
    pub disable_ice_lite: bool,
    /// Attributes set at join (honoured with canUpdateOwnMetadata).
    pub attributes: HashMap<String, String>,
    /// Metadata set at join (v1; honoured with canUpdateOwnMetadata).
    pub metadata: String,
    /// This is a resume.
    pub reconnect: bool,
    /// Why the client resumes.
    pub reconnect_reason: i32,
    /// `PA_…` of the session to resume, where told.
    pub participant_sid: String,
    /// Tracks announced within the join (v1).
    pub add_tracks: Vec<lk::AddTrackRequest>,
    /// Offer bundled with the join (v1).
    pub publisher_offer: Option<lk::SessionDescription>,
    /// State told by a resuming client within the join (v1).
    pub sync_state: Option<lk::SyncState>,
}

/// Why the parameters of a join are refused; all are HTTP status 400.
#[derive(Debug, thiserror::Error)]
pub enum JoinParseError {
    /// `/rtc/v1` without it.
    #[error("join_request is required")]
    Missing,
    /// Not base64url.
    #[error("cannot base64 decode join_request")]
    Base64(#[source] base64::DecodeError),
    /// The outer message is not protobuf.
    #[error("cannot unmarshal wrapped join_request")]
    Wrapper(#[source] prost::DecodeError),
    /// A compression that we do not know.
    #[error("unknown compression {compression} of join_request")]
    Compression {
        /// Its number.
        compression: i32,
    },
    /// Not gzip.
    #[error("cannot decompress join_request")]
    Gzip(#[source] std::io::Error),
    /// Too large, compressed or not.
    #[error("join_request is too large, at most {JOIN_REQUEST_BYTES_MAX} bytes are allowed")]
    TooLarge,
    /// The inner message is not protobuf.
    #[error("cannot unmarshal join_request")]
    Request(#[source] prost::DecodeError),
    /// Too many tracks within the join.
    #[error("join_request adds {count} tracks, at most {JOIN_ADD_TRACKS_MAX} are allowed")]
    TooManyTracks {
        /// Number found.
        count: usize,
    },
    /// `attributes` is not base64url of a JSON map of strings.
    #[error("cannot decode attributes")]
    Attributes,
}

impl JoinParameters {
    /// Reads the query of `/rtc`. Unknown parameters are ignored; with `join_request` the session is as on `/rtc/v1`.
    ///
    /// # Errors
    /// [`JoinParseError`] naming the parameter.
    pub fn from_query(query: &BTreeMap<String, String>) -> Result<Self, JoinParseError> {
        if query.get("join_request").is_some_and(|text| !text.is_empty()) {
            return Self::from_single_peer_query(query);
        }
        let text = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let flag = |name: &str| text(name).map(is_true);
        Ok(Self {
            dialect: Dialect::DualPeer,
            client: client_info(query),
            auto_subscribe: flag("auto_subscribe").unwrap_or(true),
            adaptive_stream: flag("adaptive_stream").unwrap_or(false),
            subscriber_allow_pause: flag("subscriber_allow_pause"),
            disable_ice_lite: flag("disable_ice_lite").unwrap_or(false),
            attributes: text("attributes").map(attributes).transpose()?.unwrap_or_default(),
            metadata: String::new(),
            reconnect: flag("reconnect").unwrap_or(false),
            reconnect_reason: text("reconnect_reason").and_then(|reason| reason.parse().ok()).unwrap_or(0),
            participant_sid: text("sid").unwrap_or_default().to_owned(),
            add_tracks: Vec::new(),
            publisher_offer: None,
            sync_state: None,
        })
    }

    /// Reads the query of `/rtc/v1`.
    ///
    /// # Errors
    /// [`JoinParseError`], [`JoinParseError::Missing`] without `join_request`.
    pub fn from_single_peer_query(query: &BTreeMap<String, String>) -> Result<Self, JoinParseError> {
        let text = query.get("join_request").filter(|text| !text.is_empty()).ok_or(JoinParseError::Missing)?;
        Self::from_join_request(text)
    }

    /// Reads a `join_request`: base64url, with or without padding, of a `WrappedJoinRequest`.
    ///
    /// # Errors
    /// [`JoinParseError`] naming what is wrong.
    pub fn from_join_request(text: &str) -> Result<Self, JoinParseError> {
        if text.len() / 4 > JOIN_REQUEST_BYTES_MAX / 3 {
            return Err(JoinParseError::TooLarge);
        }
        Self::from_wrapped(&BASE64URL.decode(text).map_err(JoinParseError::Base64)?)
    }

    /// Reads a `WrappedJoinRequest`.
    ///
    /// # Errors
    /// [`JoinParseError`] naming what is wrong.
    pub fn from_wrapped(bytes: &[u8]) -> Result<Self, JoinParseError> {
        let wrapped = lk::WrappedJoinRequest::decode(bytes).map_err(JoinParseError::Wrapper)?;
        let compression = lk::wrapped_join_request::Compression::try_from(wrapped.compression);
        let inner = match compression {
            Ok(lk::wrapped_join_request::Compression::None) => wrapped.join_request,
            Ok(lk::wrapped_join_request::Compression::Gzip) => gunzip(&wrapped.join_request)?,
            Err(_) => return Err(JoinParseError::Compression { compression: wrapped.compression }),
        };
        if inner.len() > JOIN_REQUEST_BYTES_MAX {
            return Err(JoinParseError::TooLarge);
        }
        let request = lk::JoinRequest::decode(inner.as_slice()).map_err(JoinParseError::Request)?;
        if request.add_track_requests.len() > JOIN_ADD_TRACKS_MAX {
            return Err(JoinParseError::TooManyTracks { count: request.add_track_requests.len() });
        }
        Ok(Self::from_request(Dialect::SinglePeer, request))
    }

    /// Reads LiveKit's JoinRequest; without connection settings everything is subscribed to.
    #[must_use]
    pub fn from_request(dialect: Dialect, request: lk::JoinRequest) -> Self {
        let settings = request
            .connection_settings
            .unwrap_or_else(|| lk::ConnectionSettings { auto_subscribe: true, ..lk::ConnectionSettings::default() });
        Self {
            dialect,
            client: request.client_info.unwrap_or_default(),
            auto_subscribe: settings.auto_subscribe,
            adaptive_stream: settings.adaptive_stream,
            subscriber_allow_pause: settings.subscriber_allow_pause,
            disable_ice_lite: settings.disable_ice_lite,
            attributes: request.participant_attributes,
            metadata: request.metadata,
            reconnect: request.reconnect,
            reconnect_reason: request.reconnect_reason,
            participant_sid: request.participant_sid,
            add_tracks: request.add_track_requests,
            publisher_offer: request.publisher_offer,
            sync_state: request.sync_state,
        }
    }
}

/// LiveKit's reading of a boolean parameter.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true")
}

/// Unpacks at most the limit, so that a small bomb stays small.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, JoinParseError> {
    let mut unpacked = Vec::new();
    let limit = JOIN_REQUEST_BYTES_MAX as u64 + 1;
    flate2::read::GzDecoder::new(bytes).take(limit).read_to_end(&mut unpacked).map_err(JoinParseError::Gzip)?;
    if unpacked.len() > JOIN_REQUEST_BYTES_MAX { Err(JoinParseError::TooLarge) } else { Ok(unpacked) }
}

fn attributes(text: &str) -> Result<HashMap<String, String>, JoinParseError> {
    let bytes = BASE64URL.decode(text).map_err(|_| JoinParseError::Attributes)?;
    serde_json::from_slice(&bytes).map_err(|_| JoinParseError::Attributes)
}

fn client_info(query: &BTreeMap<String, String>) -> lk::ClientInfo {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let number = |name: &str| query.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let capability = |name: &str| lk::client_info::Capability::from_str_name(name.trim()).map(i32::from);
    lk::ClientInfo {
        sdk: sdk(&text("sdk")).into(),
        version: text("version"),
        protocol: number("protocol"),
        os: text("os"),
        os_version: text("os_version"),
        device_model: text("device_model"),
        browser: text("browser"),
        browser_version: text("browser_version"),
        address: String::new(),
        network: text("network"),
        other_sdks: String::new(),
        client_protocol: number("client_protocol"),
        capabilities: text("capabilities").split(',').filter_map(capability).collect(),
    }
}

/// The `sdk` parameter of v0.
fn sdk(name: &str) -> lk::client_info::Sdk {
    use lk::client_info::Sdk;
    match name {
        "js" => Sdk::Js,
        "ios" | "swift" => Sdk::Swift,
        "android" => Sdk::Android,
        "flutter" => Sdk::Flutter,
        "go" => Sdk::Go,
        "unity" => Sdk::Unity,
        "reactnative" => Sdk::ReactNative,
        "rust" => Sdk::Rust,
        "python" => Sdk::Python,
        "cpp" => Sdk::Cpp,
        "unityweb" => Sdk::UnityWeb,
        "node" => Sdk::Node,
        "unreal" => Sdk::Unreal,
        "esp32" => Sdk::Esp32,
        "dotnet" => Sdk::Dotnet,
        _ => Sdk::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD as UNPADDED};
    use proptest::prelude::*;
    use std::io::Write;

    fn query(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn request() -> lk::JoinRequest {
        lk::JoinRequest {
            client_info: Some(lk::ClientInfo { protocol: 17, ..lk::ClientInfo::default() }),
            connection_settings: Some(lk::ConnectionSettings { adaptive_stream: true, ..Default::default() }),
            metadata: "m".into(),
            participant_sid: "PA_x".into(),
            reconnect: true,
            ..lk::JoinRequest::default()
        }
    }

    fn wrap(bytes: &[u8], compression: i32) -> Vec<u8> {
        let join_request = if compression == 1 { gzip(bytes) } else { bytes.to_vec() };
        lk::WrappedJoinRequest { compression, join_request }.encode_to_vec()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_v0_query_is_read_with_livekits_defaults() {
        let parameters = JoinParameters::from_query(&query(&[])).expect("query");
        assert_eq!(parameters.dialect, Dialect::DualPeer);
        assert!(parameters.auto_subscribe && !parameters.adaptive_stream && !parameters.reconnect);
        assert_eq!(parameters.subscriber_allow_pause, None);
    }

    #[test]
    fn every_v0_parameter_is_read_and_unknown_ones_are_ignored() {
        let attributes = UNPADDED.encode(r#"{"a":"1"}"#);
        let parameters = JoinParameters::from_query(&query(&[
            ("auto_subscribe", "0"),
            ("adaptive_stream", "1"),
            ("subscriber_allow_pause", "false"),
            ("disable_ice_lite", "true"),
            ("reconnect", "1"),
            ("reconnect_reason", "2"),
            ("sid", "PA_abc"),
            ("sdk", "reactnative"),
            ("version", "2.1"),
            ("protocol", "15"),
            ("client_protocol", "2"),
            ("device_model", "d"),
            ("os", "o"),
            ("os_version", "ov"),
            ("browser", "b"),
            ("browser_version", "bv"),
            ("network", "wifi"),
            ("capabilities", "CAP_PACKET_TRAILER,CAP_LATER,CAP_COMPRESSION_DEFLATE_RAW"),
            ("attributes", &attributes),
            ("from_the_future", "x"),
        ]))
        .expect("query");
        assert!(!parameters.auto_subscribe && parameters.adaptive_stream && parameters.disable_ice_lite);
        assert_eq!(parameters.subscriber_allow_pause, Some(false));
        assert!(parameters.reconnect);
        assert_eq!((parameters.reconnect_reason, parameters.participant_sid.as_str()), (2, "PA_abc"));
        assert_eq!(parameters.attributes.get("a").map(String::as_str), Some("1"));
        let client = parameters.client;
        assert_eq!(client.sdk(), lk::client_info::Sdk::ReactNative);
        assert_eq!((client.protocol, client.client_protocol), (15, 2));
        assert_eq!((client.version.as_str(), client.network.as_str()), ("2.1", "wifi"));
        assert_eq!((client.os.as_str(), client.browser_version.as_str()), ("o", "bv"));
        assert_eq!(client.capabilities, vec![1, 2]);
    }

    #[test]
    fn a_join_request_is_read_packed_or_not_padded_or_not_on_either_path() {
        for compression in [0, 1] {
            let wrapped = wrap(&request().encode_to_vec(), compression);
            for text in [PADDED.encode(&wrapped), UNPADDED.encode(&wrapped)] {
                let query = query(&[("join_request", &text)]);
                for parameters in [JoinParameters::from_query(&query), JoinParameters::from_single_peer_query(&query)] {
                    let parameters = parameters.expect("join request");
                    assert_eq!(parameters.dialect, Dialect::SinglePeer);
                    assert_eq!(parameters.client.protocol, 17);
                    assert!(parameters.adaptive_stream && parameters.reconnect && !parameters.auto_subscribe);
                    assert_eq!((parameters.metadata.as_str(), parameters.participant_sid.as_str()), ("m", "PA_x"));
                }
            }
        }
    }

    #[test]
    fn every_bad_join_request_is_named() {
        let too_many = lk::JoinRequest { add_track_requests: vec![Default::default(); 21], ..Default::default() };
        let cases: [(String, &str); 8] = [
            ("%%%".into(), "cannot base64 decode join_request"),
            (UNPADDED.encode([0xff; 8]), "cannot unmarshal wrapped join_request"),
            (UNPADDED.encode(wrap(&[0xff; 8], 0)), "cannot unmarshal join_request"),
            (UNPADDED.encode(wrap(&[], 7)), "unknown compression 7 of join_request"),
            (
                UNPADDED.encode(lk::WrappedJoinRequest { compression: 1, join_request: vec![1, 2, 3] }.encode_to_vec()),
                "cannot decompress join_request",
            ),
            (
                UNPADDED.encode(wrap(&vec![0; 64 * JOIN_REQUEST_BYTES_MAX], 1)),
                "join_request is too large, at most 1048576 bytes are allowed",
            ),
            ("A".repeat(2 * JOIN_REQUEST_BYTES_MAX), "join_request is too large, at most 1048576 bytes are allowed"),
            (
                UNPADDED.encode(wrap(&too_many.encode_to_vec(), 0)),
                "join_request adds 21 tracks, at most 20 are allowed",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(JoinParameters::from_join_request(&text).unwrap_err().to_string(), message);
        }
        let missing = JoinParameters::from_single_peer_query(&query(&[("join_request", "")])).unwrap_err();
        assert_eq!(missing.to_string(), "join_request is required");
        for attributes in ["%%", "AAAA", &UNPADDED.encode(r#"{"a":1}"#)] {
            let error = JoinParameters::from_query(&query(&[("attributes", attributes)])).unwrap_err();
            assert_eq!(error.to_string(), "cannot decode attributes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzz::join_request(&bytes);
            crate::fuzz::tokens(&bytes);
        }
    }
}
