//! Every number of this crate that bounds something: unit, reason, what happens beyond it.

use std::time::Duration;

/// A link on which nothing was heard for this long makes its member suspect: no new rooms there (cluster.md §4.1).
pub const LINK_SILENCE: Duration = Duration::from_millis(1_500);
/// Largest body of a message to another node, bytes; a larger one is refused to its sender.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bodies above this are sent in parts, so that small messages pass between them, bytes (cluster.md §1.5).
pub const PART_BYTES: usize = 256 * 1024;
/// Messages to one peer that it has not acknowledged; beyond it casts are refused.
pub const WINDOW_MESSAGES: usize = 1_024;
/// Bytes to one peer that it has not acknowledged; beyond it casts are refused. Holds one largest body and then some.
pub const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Clocks that differ by more than this refuse each other, milliseconds: tokens and boot ids compare wall clocks.
pub const CLOCK_SKEW_MS_MAX: u64 = 30_000;

const _: () = assert!(PART_BYTES < BODY_BYTES_MAX && BODY_BYTES_MAX < WINDOW_BYTES);
