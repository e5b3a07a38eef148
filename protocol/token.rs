//! LiveKit access tokens: HS256 JWTs with grants (livekit-compat §2).

use crate::limits::{TOKEN_BYTES_MAX, TOKEN_LEEWAY_SECONDS};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

pub use crate::keys::{KeyRing, KeyRingError, Secret};

/// The claims of an access token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// API key.
    pub iss: String,
    /// Participant identity.
    pub sub: String,
    /// Expiry, seconds since the epoch; 0 = missing.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// Not before, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional_numeric_date")]
    pub nbf: Option<i64>,
    /// Issued at, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional_numeric_date")]
    pub iat: Option<i64>,
    /// Older tokens carry the identity here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Display name.
    pub name: String,
    /// `standard`, `ingress`, `egress`, `sip`, `agent`, `connector`, `bridge`; empty = standard.
    pub kind: String,
    /// Details of the kind.
    pub kind_details: Vec<String>,
    /// Participant metadata.
    pub metadata: String,
    /// Participant attributes.
    pub attributes: BTreeMap<String, String>,
    /// Named room preset.
    pub room_preset: String,
    /// Settings for a room that this join creates (protojson `RoomConfiguration`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<serde_json::Value>,
    /// Room grants.
    pub video: VideoGrants,
}

/// The `video` claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrants {
    /// May create rooms by API, or by joining where automatic creation is off.
    pub room_create: bool,
    /// May list rooms.
    pub room_list: bool,
    /// May record.
    pub room_record: bool,
    /// May administer `room`.
    pub room_admin: bool,
    /// May join `room`.
    pub room_join: bool,
    /// The room.
    pub room: String,
    /// Absent = true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Absent = true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// Absent = `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio`; empty = all.
    pub can_publish_sources: Vec<String>,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// May administer ingresses.
    pub ingress_admin: bool,
    /// Not announced to others.
    pub hidden: bool,
    /// A recorder.
    pub recorder: bool,
    /// An agent.
    pub agent: bool,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    /// Where a participant may be moved.
    pub destination_room: String,
}

/// Why a token is refused. None of these texts repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token we would read.
    #[error("invalid authorization token: {length} bytes, at most {TOKEN_BYTES_MAX} are read")]
    TooLong {
        /// Length found, bytes.
        length: usize,
    },
    /// Not three base64url parts of which the first two are JSON objects.
    #[error("invalid authorization token")]
    Malformed,
    /// Signed with something else than HS256, or not at all.
    #[error("invalid authorization token: algorithm {algorithm:?} is not HS256")]
    Algorithm {
        /// What the header names.
        algorithm: String,
    },
    /// No such API key.
    #[error("invalid API key: {key}")]
    UnknownKey {
        /// The `iss` claim.
        key: String,
    },
    /// The signature is not ours.
    #[error("invalid token: error in cryptographic primitive")]
    Signature,
    /// A claim has the wrong type.
    #[error("invalid token: {0}")]
    Claims(String),
    /// No `exp`.
    #[error("invalid token: expiration claim (exp) is missing")]
    NoExpiry,
    /// Too late.
    #[error("invalid token: token is expired (exp)")]
    Expired,
    /// Too early.
    #[error("invalid token: token not valid yet (nbf)")]
    NotYetValid,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token for API key {key:?}")]
pub struct SignError {
    /// The key.
    key: String,
    /// Why.
    #[source]
    source: jsonwebtoken::errors::Error,
}

impl Claims {
    /// The participant's identity: `sub`, in older tokens `jti`.
    #[must_use]
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { self.jti.as_deref().unwrap_or_default() } else { &self.sub }
    }
}

/// Verifies a token at `now_s` (seconds since the epoch) and returns its claims.
///
/// # Errors
/// [`TokenError`] naming the first thing that is wrong.
pub fn verify(token: &str, keys: &KeyRing, now_s: i64) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong { length: token.len() });
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header = json_object(header)?;
    let payload = json_object(payload)?;

    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    if algorithm != "HS256" {
        return Err(TokenError::Algorithm { algorithm: algorithm.chars().take(16).collect() });
    }
    let issuer = payload.get("iss").and_then(Value::as_str).unwrap_or_default();
    let unknown_key = || TokenError::UnknownKey { key: issuer.chars().take(64).collect() };
    let secret = keys.secret(issuer).ok_or_else(unknown_key)?;
    let key = DecodingKey::from_secret(secret.reveal().as_bytes());
    let valid = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::HS256);
    if !valid.unwrap_or(false) {
        return Err(TokenError::Signature);
    }

    let claims: Claims =
        serde_json::from_value(without_nulls(payload)).map_err(|error| TokenError::Claims(error.to_string()))?;
    if claims.exp == 0 {
        return Err(TokenError::NoExpiry);
    }
    if now_s.saturating_sub(TOKEN_LEEWAY_SECONDS) > claims.exp {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| now_s.saturating_add(TOKEN_LEEWAY_SECONDS) < nbf) {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}

/// Signs claims for an API key; the `iss` claim becomes the key.
///
/// # Errors
/// [`SignError`] when the claims cannot be written as JSON.
pub fn sign(claims: &Claims, key: &str, secret: &Secret) -> Result<String, SignError> {
    let claims = Claims { iss: key.to_owned(), ..claims.clone() };
    let encoding_key = EncodingKey::from_secret(secret.reveal().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &encoding_key)
        .map_err(|source| SignError { key: key.to_owned(), source })
}

fn json_object(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)?;
    if value.is_object() { Ok(value) } else { Err(TokenError::Malformed) }
}

/// Go reads a JSON null as "not set"; so do we. serde_json's own depth limit bounds the recursion.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

/// RFC 7519 §2: a NumericDate may have a fraction.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
    let from_fraction = || number.as_f64().map(|seconds| seconds as i64);
    number.as_i64().or_else(from_fraction).ok_or_else(|| serde::de::Error::custom("a date is out of range"))
}

fn optional_numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    numeric_date(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn keys() -> KeyRing {
        KeyRing::parse("one: secret-one\ntwo: secret-two").expect("keys")
    }

    fn token_of(header: &Value, payload: &Value, secret: &str) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(payload));
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signature");
        format!("{message}.{signature}")
    }

    fn claims() -> Claims {
        Claims {
            sub: "alice".into(),
            exp: NOW + 600,
            video: VideoGrants { room_join: true, room: "r".into(), ..VideoGrants::default() },
            ..Claims::default()
        }
    }

    #[test]
    fn a_signed_token_verifies_with_the_key_that_signed_it() {
        for key in ["one", "two"] {
            let secret = keys().secret(key).expect("key").clone();
            let token = sign(&claims(), key, &secret).expect("token");
            assert_eq!(verify(&token, &keys(), NOW), Ok(Claims { iss: key.into(), ..claims() }));
        }
    }

    #[test]
    fn every_wrong_token_is_refused_by_name() {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let good = json!({"iss": "one", "sub": "a", "exp": NOW + 60});
        let signed = |payload: Value| token_of(&header, &payload, "secret-one");
        let algorithm = |name: &str| TokenError::Algorithm { algorithm: name.into() };
        let good_token = signed(good.clone());
        let unsigned = good_token.rsplit_once('.').expect("parts").0.to_owned();
        let cases = [
            (String::new(), TokenError::Malformed),
            ("a.b".into(), TokenError::Malformed),
            ("a.b.c".into(), TokenError::Malformed),
            ("W10.W10.W10".into(), TokenError::Malformed),
            (unsigned.clone() + ".", TokenError::Signature),
            (unsigned + ".%%%", TokenError::Signature),
            ("x".repeat(TOKEN_BYTES_MAX + 1), TokenError::TooLong { length: TOKEN_BYTES_MAX + 1 }),
            (token_of(&json!({"alg": "none"}), &good, "secret-one"), algorithm("none")),
            (token_of(&json!({"alg": "HS512"}), &good, "secret-one"), algorithm("HS512")),
            (token_of(&json!({"alg": "RS256"}), &good, "secret-one"), algorithm("RS256")),
            (token_of(&json!({}), &good, "secret-one"), algorithm("")),
            (token_of(&header, &good, "secret-two"), TokenError::Signature),
            (signed(json!({"iss": "three", "exp": NOW + 60})), TokenError::UnknownKey { key: "three".into() }),
            (signed(json!({"exp": NOW + 60})), TokenError::UnknownKey { key: String::new() }),
            (signed(json!({"iss": "one"})), TokenError::NoExpiry),
            (signed(json!({"iss": "one", "exp": null})), TokenError::NoExpiry),
            (signed(json!({"iss": "one", "exp": NOW - 61})), TokenError::Expired),
            (signed(json!({"iss": "one", "exp": NOW + 60, "nbf": NOW + 61})), TokenError::NotYetValid),
        ];
        for (token, error) in cases {
            let shown: String = token.chars().take(80).collect();
            assert_eq!(verify(&token, &keys(), NOW), Err(error), "{shown}");
        }
        assert!(matches!(
            verify(&signed(json!({"iss": "one", "exp": "soon"})), &keys(), NOW),
            Err(TokenError::Claims(_))
        ));
        assert!(verify(&good_token, &keys(), NOW).is_ok());
    }

    #[test]
    fn a_minute_of_clock_difference_is_forgiven() {
        let header = json!({"alg": "HS256"});
        for payload in [json!({"iss": "one", "exp": NOW - 60}), json!({"iss": "one", "exp": NOW + 60, "nbf": NOW + 60})]
        {
            assert!(verify(&token_of(&header, &payload, "secret-one"), &keys(), NOW).is_ok());
        }
    }

    #[test]
    fn nulls_fractions_unknown_claims_and_old_identities_are_understood() {
        let payload = json!({
            "iss": "one", "jti": "old", "exp": 1_800_000_000.5, "name": null, "later": {"x": 1},
            "video": {"roomJoin": true, "room": "r", "canPublish": null, "canPublishSources": null},
        });
        let claims = verify(&token_of(&json!({"alg": "HS256"}), &payload, "secret-one"), &keys(), NOW).expect("claims");
        assert_eq!(claims.identity(), "old");
        assert_eq!(claims.exp, NOW);
        assert_eq!(claims.video.can_publish, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_makes_verification_panic(token in ".{0,200}") {
            prop_assert!(verify(&token, &keys(), NOW).is_err());
        }

        #[test]
        fn no_changed_character_verifies(position in 0_usize..120, replacement in "[A-Za-z0-9_-]") {
            let secret = keys().secret("one").expect("key").clone();
            let token = sign(&claims(), "one", &secret).expect("token");
            let mut changed = token.clone();
            changed.replace_range(position..=position, &replacement);
            prop_assume!(changed != token);
            prop_assert!(verify(&changed, &keys(), NOW).is_err());
        }
    }
}
