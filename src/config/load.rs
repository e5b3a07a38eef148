//! Flags over YAML over environment, into one [`Config`]. Reads nothing itself but the key file named by the result.

use super::key::{self, KeyError};
use super::{Config, ConfigError};
use serde_norway::{Mapping, Value};
use starling_protocol::keys::{KeyRing, KeyRingError};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a configuration or key file; a larger one is an error.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Every environment variable.
    pub environment: BTreeMap<String, String>,
    /// Text of the YAML file, if any.
    pub yaml: Option<String>,
    /// Dotted path and YAML text of each flag that was given.
    pub flags: Vec<(String, String)>,
    /// `key: secret` lines of `--keys`.
    pub keys: Option<String>,
}

/// A configuration and what the user should hear about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration; not validated yet.
    pub config: Config,
    /// Keys of the file that Starling accepts and does not act on.
    pub unused: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("{path} has {bytes} bytes, at most {FILE_BYTES_MAX} are read")]
    TooLarge {
        /// Its path.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The file is not YAML, or a value has the wrong type.
    #[error("configuration: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// The file is a list or a single value.
    #[error("configuration must be a map of keys")]
    NotMap,
    /// An unknown key.
    #[error("configuration: {0}")]
    Key(#[from] KeyError),
    /// A flag or variable names no setting.
    #[error("{name} names no setting")]
    NoSetting {
        /// The flag's path.
        name: String,
    },
    /// A flag or variable has an unusable value.
    #[error("value of {name}: {source}")]
    Value {
        /// The setting's path.
        name: String,
        /// Why.
        source: serde_norway::Error,
    },
    /// API keys are not usable.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// Others may read the secrets.
    #[error("key file {path} has mode {mode:03o}, others must have no permission (chmod 600)")]
    KeyFileMode {
        /// Its path.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Settings contradict each other.
    #[error("configuration: {0}")]
    Invalid(#[from] ConfigError),
}

/// Puts the sources together.
///
/// # Errors
/// [`LoadError`] naming the file, key, flag or variable.
pub fn load(sources: &Sources) -> Result<Loaded, LoadError> {
    let Value::Mapping(known) = serde_norway::to_value(Config::default())? else { return Err(LoadError::NotMap) };
    let mut merged = Mapping::new();
    overlay_environment(&mut merged, &known, &sources.environment)?;

    let mut file = match sources.yaml.as_deref().map(serde_norway::from_str::<Value>).transpose()? {
        None | Some(Value::Null) => Mapping::new(),
        Some(Value::Mapping(file)) => file,
        Some(_) => return Err(LoadError::NotMap),
    };
    let mut unused = key::take_unused(&mut file, &known)?;
    if CLUSTER_KEYS.iter().any(|name| file.get("cluster").and_then(|section| section.get(name)).is_some()) {
        forget_cluster_key(&mut merged);
    }
    overlay(&mut merged, file);

    if sources.flags.iter().any(|(path, _)| CLUSTER_KEYS.iter().any(|name| path.strip_prefix("cluster.") == Some(name)))
    {
        forget_cluster_key(&mut merged);
    }
    for (path, text) in &sources.flags {
        let value = scalar(path, text)?;
        if !set(&mut merged, &known, path, value) {
            return Err(LoadError::NoSetting { name: path.clone() });
        }
    }
    normalise_numbers(&mut merged, &known);
    // Through text, because only the reader of text says which key has the wrong type.
    let mut config: Config = serde_norway::from_str(&serde_norway::to_string(&merged)?)?;

    if config.room.enabled_codecs.iter().any(|codec| !codec.fmtp_line.is_empty()) {
        unused.push("room.enabled_codecs.fmtp_line".to_owned());
    }
    config.keys = keys(sources, config.keys)?;
    if !config.key_file.is_empty() {
        let more = read_key_file(&config.key_file)?;
        config.keys = joined(&config.keys, &more)?;
    }
    Ok(Loaded { config, unused })
}

/// Reads a configuration file.
///
/// # Errors
/// [`LoadError`] naming the file.
pub fn read_file(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.display().to_string(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.display().to_string(), bytes });
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn keys(sources: &Sources, from_file: KeyRing) -> Result<KeyRing, LoadError> {
    if let Some(text) = &sources.keys {
        return Ok(KeyRing::parse(text)?);
    }
    match sources.environment.get("LIVEKIT_KEYS") {
        Some(text) if from_file.is_empty() => Ok(KeyRing::parse(text)?),
        _ => Ok(from_file),
    }
}

fn joined(one: &KeyRing, other: &KeyRing) -> Result<KeyRing, LoadError> {
    let lines: Vec<String> =
        one.iter().chain(other.iter()).map(|(key, secret)| format!("{key}: {}", secret.reveal())).collect();
    Ok(KeyRing::parse(&lines.join("\n"))?)
}

fn read_key_file(path: &str) -> Result<KeyRing, LoadError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        std::fs::metadata(Path::new(path)).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(LoadError::KeyFileMode { path: path.to_owned(), mode });
    }
    Ok(KeyRing::parse(&read_file(Path::new(path))?)?)
}

/// Two settings for one thing, of which the one in the stronger source counts.
const CLUSTER_KEYS: [&str; 2] = ["key", "key_file"];

fn forget_cluster_key(merged: &mut Mapping) {
    if let Some(section) = merged.get_mut("cluster").and_then(Value::as_mapping_mut) {
        for name in CLUSTER_KEYS {
            section.remove(name);
        }
    }
}

/// Every setting has a variable: `rtc.tcp_port` is `LIVEKIT_RTC_TCP_PORT`. Three have LiveKit's older names too, and
/// those that LiveKit has no counterpart of are also called `STARLING_CLUSTER_KEY` and so on.
fn overlay_environment(
    merged: &mut Mapping,
    known: &Mapping,
    environment: &BTreeMap<String, String>,
) -> Result<(), LoadError> {
    let older = [("rtc.node_ip", "NODE_IP"), ("rtc.udp_port", "UDP_PORT"), ("region", "LIVEKIT_REGION")];
    for (path, default) in key::leaves(&Value::Mapping(known.clone())) {
        if default.is_mapping() {
            continue;
        }
        let name = format!("LIVEKIT_{}", path.to_uppercase().replace('.', "_"));
        let older_name = older.iter().find(|(older_path, _)| *older_path == path).map(|(_, name)| (*name).to_owned());
        let ours = path.starts_with("cluster.")
            || ["node_id", "data_dir", "roles", "capacity", "region"].contains(&path.as_str());
        let our_name = ours.then(|| name.replacen("LIVEKIT_", "STARLING_", 1));
        let names = [our_name, Some(name.clone()), older_name];
        let found = names.iter().flatten().find_map(|name| environment.get(name));
        if let Some(text) = found {
            let value = if default.is_string() { Value::String(text.clone()) } else { scalar(&name, text)? };
            set(merged, known, &path, value);
        }
    }
    Ok(())
}

fn scalar(name: &str, text: &str) -> Result<Value, LoadError> {
    serde_norway::from_str(text).map_err(|source| LoadError::Value { name: name.to_owned(), source })
}

/// Sets a dotted path that `known` has; false for any other.
fn set(merged: &mut Mapping, known: &Mapping, path: &str, value: Value) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    match (known.get(name), rest) {
        (Some(Value::Mapping(known)), Some(rest)) => {
            let section = merged.entry(name.into()).or_insert_with(|| Value::Mapping(Mapping::new()));
            section.as_mapping_mut().is_some_and(|section| set(section, known, rest, value))
        }
        (Some(default), None) => {
            let value = if default.is_string() { as_text(value) } else { value };
            merged.insert(name.into(), value);
            true
        }
        _ => false,
    }
}

/// A region named `12` is a text even though YAML reads a number.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Null => Value::String(String::new()),
        other => other,
    }
}

fn overlay(below: &mut Mapping, above: Mapping) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Mapping(section)), Value::Mapping(above)) => overlay(section, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Go's YAML reads `1_000_000` as a number; so do we where a number is expected.
fn normalise_numbers(tree: &mut Mapping, known: &Mapping) {
    for (key, value) in tree.iter_mut() {
        match (value, known.get(key)) {
            (Value::Mapping(section), Some(Value::Mapping(known))) => normalise_numbers(section, known),
            (value, Some(Value::Number(_))) => {
                let digits = value.as_str().filter(|text| text.contains('_')).map(|text| text.replace('_', ""));
                if let Some(Ok(number @ Value::Number(_))) = digits.map(|text| serde_norway::from_str(&text)) {
                    *value = number;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
