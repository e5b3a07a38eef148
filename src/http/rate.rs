//! How often one session may speak: a token bucket, told the time.

use std::time::Instant;

/// Seconds' worth of messages that may come at once: a join of a large room, a change of layout.
const BURST_SECONDS: f64 = 10.0;

/// The bucket of one session.
#[derive(Debug)]
pub(super) struct MessageRate {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

/// A session speaks too often.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("more than {per_second} signalling messages per second")]
pub(super) struct RateError {
    per_second: f64,
}

impl MessageRate {
    /// A full bucket; 0 messages per second = no limit.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: per_second * BURST_SECONDS, filled_at: now }
    }

    /// Takes one message's token.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), RateError> {
        if self.per_second <= 0.0 {
            return Ok(());
        }
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second * BURST_SECONDS);
        if self.tokens < 1.0 {
            return Err(RateError { per_second: self.per_second });
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "any instant is a start")]

    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate = MessageRate::new(10, start);
        assert_eq!((0..200).filter(|_| rate.take(start).is_ok()).count(), 100);
        assert_eq!(rate.take(start).unwrap_err().to_string(), "more than 10 signalling messages per second");
        let later = start + Duration::from_secs(1);
        assert_eq!((0..200).filter(|_| rate.take(later).is_ok()).count(), 10);
    }

    #[test]
    fn zero_means_no_limit() {
        let start = Instant::now();
        let mut rate = MessageRate::new(0, start);
        assert!((0..10_000).all(|_| rate.take(start).is_ok()));
    }
}
