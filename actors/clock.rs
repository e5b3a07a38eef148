//! The only clock of this crate; actors ask it and tell their states.
#![expect(clippy::disallowed_methods, reason = "the shell's clock")]

use crate::ids::Calendar;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic time, virtual in tests that pause tokio's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The calendar at this moment.
pub(crate) fn calendar() -> Calendar {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Calendar { at: now(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
}
