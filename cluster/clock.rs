//! The only clock of links; shells ask it and tell their states.
#![expect(clippy::disallowed_methods, reason = "the shell's clock")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic time, virtual in tests that pause tokio's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock, milliseconds since the epoch.
pub(crate) fn unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}
