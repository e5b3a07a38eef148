//! Which keys a configuration file may hold: ours, and LiveKit's that Starling has no use for.

use serde_norway::{Mapping, Value};

/// Keys of LiveKit that Starling accepts and does not act on, with everything below them.
const UNUSED: &[&str] = &[
    "agents",
    "api",
    "audio",
    "environment",
    "ingress",
    "limit.bytes_per_sec",
    "logging.component_levels",
    "logging.item_sample_initial",
    "logging.item_sample_interval",
    "logging.item_sample_seconds",
    "logging.pion_level",
    "logging.sample",
    "logging.sample_initial",
    "logging.sample_interval",
    "metric",
    "enable_data_tracks",
    "node_selector",
    "node_stats",
    "psrpc",
    "redis",
    "room.create_room_attempts",
    "room.create_room_enabled",
    "room.create_room_timeout",
    "room.max_metadata_size",
    "room.participant_disconnect_timeout",
    "room.playout_delay",
    "room.room_configurations",
    "room.sync_streams",
    "room.update_batch_target_size",
    "room.update_room_metadata_timeout",
    "room.user_data_processing",
    "rtc.allow_timestamp_adjustment",
    "rtc.allow_udp_unstable_fallback",
    "rtc.batch_io",
    "rtc.congestion_control.channel_observer_non_probe_config",
    "rtc.congestion_control.channel_observer_probe_config",
    "rtc.congestion_control.disable_etimation_unmanaged_tracks",
    "rtc.congestion_control.expected_usage_threshold",
    "rtc.congestion_control.min_channel_capacity",
    "rtc.congestion_control.nack_ratio_attenuator",
    "rtc.congestion_control.probe_config",
    "rtc.congestion_control.probe_mode",
    "rtc.congestion_control.remote_bwe",
    "rtc.congestion_control.send_side_bandwidth_estimation",
    "rtc.congestion_control.send_side_bwe",
    "rtc.congestion_control.send_side_bwe_interceptor",
    "rtc.congestion_control.send_side_bwe_pacer",
    "rtc.congestion_control.use_send_side_bwe",
    "rtc.congestion_control.use_send_side_bwe_interceptor",
    "rtc.congestion_control.use_send_side_bandwidth_estimator",
    "rtc.data_channel_max_buffered_amount",
    "rtc.datachannel_lossy_target_latency",
    "rtc.datachannel_max_buffered_amount",
    "rtc.datachannel_slow_threshold",
    "rtc.datachannel_slow_tracker_window",
    "rtc.enable_rtp_stream_restart_detection",
    "rtc.external_ip_only",
    "rtc.force_tcp",
    "rtc.forward_stats",
    "rtc.ice_port_range_end",
    "rtc.ice_port_range_start",
    "rtc.limit_dc_subscription",
    "rtc.node_ip_auto_generated",
    "rtc.packet_buffer_size",
    "rtc.packet_buffer_size_audio",
    "rtc.packet_buffer_size_video",
    "rtc.pli_throttle",
    "rtc.reconnect_on_data_channel_error",
    "rtc.reconnect_on_publication_error",
    "rtc.reconnect_on_subscription_error",
    "rtc.skip_external_ip_validation",
    "rtc.strict_acks",
    "rtc.turn_servers",
    "rtc.use_mdns",
    "signal_relay",
    "sip",
    "trace",
    "turn",
    "video.codec_regression_threshold",
    "video.stream_tracker",
    "video.stream_tracker_manager",
    "webhook",
];

/// Maps whose keys the operator chooses.
const FREE: &[&str] = &["keys"];

/// A key that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// With a similar one.
    #[error("unknown key {path:?}, did you mean {nearest:?}?")]
    Unknown {
        /// Its full path.
        path: String,
        /// The nearest known one.
        nearest: String,
    },
    /// A key is not a text.
    #[error("a key below {path:?} is not a text")]
    NotText {
        /// Where.
        path: String,
    },
    /// A section holds a single value.
    #[error("{path:?} must be a section with keys of its own")]
    NotSection {
        /// Where.
        path: String,
    },
}

/// Every leaf of a tree with its dotted path; maps with free keys and lists are leaves.
pub(super) fn leaves(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Mapping(map) if !FREE.contains(&path) => {
            for (key, value) in map {
                collect(value, &join(path, key.as_str().unwrap_or_default()), found);
            }
        }
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

/// Checks every key of `file` against `known` (the default configuration), takes out those that are not acted on, and
/// returns their paths.
///
/// # Errors
/// [`KeyError`] with the first unknown key and its nearest neighbour.
pub(super) fn take_unused(file: &mut Mapping, known: &Mapping) -> Result<Vec<String>, KeyError> {
    let mut unused = Vec::new();
    visit(file, known, "", &mut unused)?;
    Ok(unused)
}

fn visit(file: &mut Mapping, known: &Mapping, path: &str, unused: &mut Vec<String>) -> Result<(), KeyError> {
    let keys: Vec<Value> = file.keys().cloned().collect();
    for key in keys {
        let Some(name) = key.as_str() else { return Err(KeyError::NotText { path: path.to_owned() }) };
        let full = join(path, name);
        if UNUSED.contains(&full.as_str()) {
            file.remove(&key);
            unused.push(full);
            continue;
        }
        let Some(expected) = known.get(&key) else {
            let nearest = nearest(&full, path, known);
            return Err(KeyError::Unknown { path: full, nearest });
        };
        let (Value::Mapping(expected), false) = (expected, FREE.contains(&full.as_str())) else { continue };
        match file.get_mut(&key) {
            Some(Value::Mapping(section)) => visit(section, expected, &full, unused)?,
            // `section:` with nothing below it.
            Some(Value::Null) => {
                file.remove(&key);
            }
            _ => return Err(KeyError::NotSection { path: full }),
        }
    }
    Ok(())
}

/// The most similar key of the same section, or of anywhere when that is clearly closer.
fn nearest(full: &str, section: &str, known: &Mapping) -> String {
    let beside = known.keys().filter_map(Value::as_str).map(|name| join(section, name));
    let unused = UNUSED.iter().map(|path| (*path).to_owned());
    beside.chain(unused).min_by_key(|candidate| strsim::damerau_levenshtein(full, candidate)).unwrap_or_default()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
