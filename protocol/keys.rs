//! API keys and their secrets.

use crate::limits::API_KEYS_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A text that never prints itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Hands out the secret, for signing and verifying only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Why a list of API keys is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A line is not `key: secret`.
    #[error("line {line} of the API keys is not \"key: secret\"")]
    Line {
        /// Line number, from 1.
        line: usize,
    },
    /// A key or secret is empty.
    #[error("API key {key:?} is empty or has an empty secret")]
    Empty {
        /// The key.
        key: String,
    },
    /// A key is named twice.
    #[error("API key {key:?} is named twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// Too many keys.
    #[error("{count} API keys, at most {API_KEYS_MAX} are allowed")]
    TooMany {
        /// Number found.
        count: usize,
    },
}

/// The API keys that this node accepts, each with its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyRing {
    keys: BTreeMap<String, Secret>,
}

impl KeyRing {
    /// A ring of one key.
    #[must_use]
    pub fn single(key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { keys: BTreeMap::from([(key.into(), Secret::new(secret))]) }
    }

    /// Reads `key: secret` lines; empty lines and lines starting with `#` are skipped (LiveKit's `--keys` and key files).
    ///
    /// # Errors
    /// [`KeyRingError`] naming the line or key.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, secret) = line.split_once(':').ok_or(KeyRingError::Line { line: index + 1 })?;
            let key = unquote(key).to_owned();
            if keys.insert(key.clone(), Secret::new(unquote(secret))).is_some() {
                return Err(KeyRingError::Twice { key });
            }
        }
        let ring = Self { keys };
        ring.validate()?;
        Ok(ring)
    }

    /// Checks what a map out of a configuration file may hold.
    ///
    /// # Errors
    /// [`KeyRingError`] for empty entries or too many.
    pub fn validate(&self) -> Result<(), KeyRingError> {
        if self.keys.len() > API_KEYS_MAX {
            return Err(KeyRingError::TooMany { count: self.keys.len() });
        }
        match self.keys.iter().find(|(key, secret)| key.is_empty() || secret.is_empty()) {
            Some((key, _)) => Err(KeyRingError::Empty { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// The secret of a key.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        self.keys.get(key)
    }

    /// The first key in order, which signs what the node itself issues.
    #[must_use]
    pub fn first(&self) -> Option<(&str, &Secret)> {
        self.keys.iter().next().map(|(key, secret)| (key.as_str(), secret))
    }

    /// Every key in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.keys.iter().map(|(key, secret)| (key.as_str(), secret))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn unquote(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_key_lines_are_read_and_comments_skipped() {
        let ring = KeyRing::parse("# ours\nalpha: one\n\n\"beta\": 'two:with colon'\n").expect("lines");
        assert_eq!(ring.len(), 2);
        assert_eq!(ring.secret("alpha").map(Secret::reveal), Some("one"));
        assert_eq!(ring.secret("beta").map(Secret::reveal), Some("two:with colon"));
        assert_eq!(ring.first().map(|(key, _)| key), Some("alpha"));
    }

    #[test]
    fn bad_lines_are_named_without_their_content() {
        let cases = [
            ("alpha: one\nnonsense", "line 2 of the API keys is not \"key: secret\""),
            ("alpha:", "API key \"alpha\" is empty or has an empty secret"),
            (": one", "API key \"\" is empty or has an empty secret"),
            ("a: one\na: two", "API key \"a\" is named twice"),
        ];
        for (text, message) in cases {
            assert_eq!(KeyRing::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_secret_never_prints() {
        let ring = KeyRing::single("key", "hush");
        assert!(!format!("{ring:?}").contains("hush"));
        assert!(!serde_json::to_string(&ring).expect("json").contains("hush"));
    }
}
