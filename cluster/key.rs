//! The cluster's secret: 32 bytes that every node shares, and the one before it while they are exchanged. Reads and
//! writes its text form and derives from it; never prints it.

use crate::limits::{KEY_DERIVED_INFO_BYTES_MAX, KEY_TEXT_BYTES_MAX};
use aws_lc_rs::{hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a cluster key.
pub const KEY_BYTES: usize = 32;

/// The keys in force. To exchange a key without a gap: first every node gets the next one as its second, then as its
/// first, then alone.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    /// Seals.
    pub primary: ClusterKey,
    /// Also opens, while keys are exchanged.
    pub secondary: Option<ClusterKey>,
}

/// 32 secret bytes; never printed.
#[derive(Clone)]
pub struct ClusterKey([u8; KEY_BYTES]);

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClusterKey(…)")
    }
}

/// Where keys were read from; part of every error, which never names the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(&'static str),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "cluster key file {}", path.display()),
            Self::Variable(name) => write!(formatter, "cluster key variable {name}"),
        }
    }
}

/// Keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("{from} cannot be read: {error}")]
    Unreadable {
        /// Where.
        from: KeySource,
        /// Why.
        error: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error("{from} can be read by others (mode {mode:03o}): chmod 600 it")]
    Exposed {
        /// Where.
        from: KeySource,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds more than keys.
    #[error("{from} has more than {KEY_TEXT_BYTES_MAX} bytes")]
    TooLong {
        /// Where.
        from: KeySource,
    },
    /// No line with a key.
    #[error("{from} holds no key: make one with `starling cluster-key`")]
    Empty {
        /// Where.
        from: KeySource,
    },
    /// A line is no key.
    #[error("{from} line {line}: a key is {KEY_BYTES} bytes in base64")]
    Malformed {
        /// Where.
        from: KeySource,
        /// Which, from 1.
        line: usize,
    },
    /// A line is a key that anyone guesses.
    #[error("{from} line {line}: all bytes of the key are equal")]
    Guessable {
        /// Where.
        from: KeySource,
        /// Which, from 1.
        line: usize,
    },
    /// More keys than a primary and a secondary.
    #[error("{from} line {line}: more than two keys")]
    TooMany {
        /// Where.
        from: KeySource,
        /// Which, from 1.
        line: usize,
    },
    /// The operating system has no randomness.
    #[error("no random bytes for a key")]
    NoRandomness,
}

impl ClusterKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving keys.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The line that stands for the key in a file. Secret.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// 32 bytes that depend on the key, the cluster's name and `info`: HKDF-SHA256 with the name as salt. Nodes of
    /// clusters with the same key and different names share nothing that is derived.
    ///
    /// # Panics
    /// When `info` is longer than [`KEY_DERIVED_INFO_BYTES_MAX`] in sum: a bug of the caller.
    #[must_use]
    pub fn derive(&self, cluster_name: &str, info: &[&[u8]]) -> [u8; KEY_BYTES] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, cluster_name.as_bytes());
        expand(&salt.extract(&self.0), info)
    }
}

/// One HKDF expansion to 32 bytes.
pub(crate) fn expand(secret: &hkdf::Prk, info: &[&[u8]]) -> [u8; KEY_BYTES] {
    let length: usize = info.iter().map(|part| part.len()).sum();
    assert!(length <= KEY_DERIVED_INFO_BYTES_MAX, "info of {length} bytes");
    let mut bytes = [0; KEY_BYTES];
    secret
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut bytes))
        .expect("32 bytes are one block of HKDF-SHA256, and the info is bounded");
    bytes
}

impl ClusterKeys {
    /// One key.
    #[must_use]
    pub fn only(primary: ClusterKey) -> Self {
        Self { primary, secondary: None }
    }

    /// Both, the primary first.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterKey> {
        std::iter::once(&self.primary).chain(&self.secondary)
    }

    /// Reads one key per line, the primary first; `#` begins a comment.
    ///
    /// # Errors
    /// Names `source` and the line, never what stands there.
    pub fn parse(text: &str, source: &KeySource) -> Result<Self, KeyError> {
        if text.len() > KEY_TEXT_BYTES_MAX {
            return Err(KeyError::TooLong { from: source.clone() });
        }
        let mut keys = Vec::with_capacity(2);
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            if keys.len() == 2 {
                return Err(KeyError::TooMany { from: source.clone(), line });
            }
            keys.push(parse_key(text, source, line)?);
        }
        let mut keys = keys.into_iter();
        let primary = keys.next().ok_or_else(|| KeyError::Empty { from: source.clone() })?;
        Ok(Self { primary, secondary: keys.next() })
    }

    /// The text that [`Self::parse`] reads. Secret.
    #[must_use]
    pub fn format(&self) -> String {
        let mut text =
            String::from("# Starling cluster key: the same file on every node, readable by its owner only.\n");
        for key in self.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", key.to_base64());
        }
        text
    }

    /// Reads a key file. A file that others may read is refused, as ssh does with its keys.
    ///
    /// # Errors
    /// Names the file.
    pub fn read_file(path: &Path) -> Result<Self, KeyError> {
        let source = KeySource::File(path.to_owned());
        let unreadable = |error| KeyError::Unreadable { from: source.clone(), error };
        let file = File::open(path).map_err(unreadable)?;
        check_mode(permission_bits(&file.metadata().map_err(unreadable)?), &source)?;
        let mut text = String::new();
        let limit = KEY_TEXT_BYTES_MAX as u64 + 1;
        file.take(limit).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text, &source)
    }
}

fn parse_key(text: &str, source: &KeySource, line: usize) -> Result<ClusterKey, KeyError> {
    let malformed = || KeyError::Malformed { from: source.clone(), line };
    let bytes: [u8; KEY_BYTES] = STANDARD.decode(text).map_err(|_| malformed())?.try_into().map_err(|_| malformed())?;
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err(KeyError::Guessable { from: source.clone(), line });
    }
    Ok(ClusterKey(bytes))
}

#[cfg(unix)]
fn permission_bits(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn permission_bits(_metadata: &std::fs::Metadata) -> u32 {
    0o600
}

/// Refuses permission bits that let group or others read or write a key.
fn check_mode(mode: u32, source: &KeySource) -> Result<(), KeyError> {
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::Exposed { from: source.clone(), mode }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: KeySource = KeySource::Variable("STARLING_CLUSTER_KEY");

    fn key(first: u8) -> ClusterKey {
        ClusterKey(std::array::from_fn(|index| first.wrapping_add(index as u8)))
    }

    #[test]
    fn what_is_formatted_is_read_back_with_both_keys() {
        let keys = ClusterKeys { primary: key(1), secondary: Some(key(2)) };
        let read = ClusterKeys::parse(&keys.format(), &SOURCE).unwrap();
        assert_eq!(read.primary.bytes(), keys.primary.bytes());
        assert_eq!(read.secondary.unwrap().bytes(), key(2).bytes());
    }

    #[test]
    fn comments_and_empty_lines_are_no_keys() {
        let text = format!("# old one\n\n  {}  # since May\n", key(7).to_base64());
        let read = ClusterKeys::parse(&text, &SOURCE).unwrap();
        assert_eq!(read.primary.bytes(), key(7).bytes());
        assert!(read.secondary.is_none());
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(ClusterKey::generate().unwrap().bytes(), ClusterKey::generate().unwrap().bytes());
    }

    #[test]
    fn errors_name_the_source_and_the_line_and_never_the_secret() {
        let good = key(3).to_base64();
        let cases = [
            (String::new(), "STARLING_CLUSTER_KEY holds no key"),
            ("hunter2".to_owned(), "STARLING_CLUSTER_KEY line 1: a key is 32 bytes in base64"),
            (format!("{good}\n{}", STANDARD.encode([1; 31])), "line 2: a key is 32 bytes"),
            (STANDARD.encode([9; 32]), "line 1: all bytes of the key are equal"),
            (format!("{good}\n{good}\n{good}"), "line 3: more than two keys"),
            ("#".repeat(KEY_TEXT_BYTES_MAX + 1), "more than 4096 bytes"),
        ];
        for (text, expected) in cases {
            let error = ClusterKeys::parse(&text, &SOURCE).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(text.is_empty() || !format!("{error} {error:?}").contains(&text), "{error} tells the secret");
        }
        assert_eq!(format!("{:?}", key(1)), "ClusterKey(…)");
    }

    #[test]
    fn derived_bytes_depend_on_key_name_and_info() {
        let base = key(1).derive("blue", &[b"gossip", &[1]]);
        assert_eq!(base, key(1).derive("blue", &[b"gossip", &[1]]));
        assert_ne!(base, key(2).derive("blue", &[b"gossip", &[1]]));
        assert_ne!(base, key(1).derive("green", &[b"gossip", &[1]]));
        assert_ne!(base, key(1).derive("blue", &[b"gossip", &[2]]));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = crate::identity::scratch_folder("key-mode");
        let path = folder.join("cluster.key");
        std::fs::write(&path, ClusterKeys::only(key(5)).format()).unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match ClusterKeys::read_file(&path) {
                Ok(keys) => assert!(fine && keys.primary.bytes() == key(5).bytes(), "{mode:o} was taken"),
                Err(error) => assert!(
                    !fine && error.to_string().contains("cluster.key can be read by others"),
                    "{mode:o}: {error}"
                ),
            }
        }
        let missing = ClusterKeys::read_file(&folder.join("absent")).unwrap_err();
        assert!(missing.to_string().contains("absent cannot be read"), "{missing}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
