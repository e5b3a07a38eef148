//! Which output numbers were sent again, when and how often.

use std::time::{Duration, Instant};

/// Numbers remembered at once, by their low bits; a collision forgets the older one, the link's budget still holds.
const PLACES: usize = 64;
/// Times one number is sent again at most (Chromium asks 10 times).
const RESENDS_MAX: u8 = 8;
/// Shortest time between two answers for one number.
const INTERVAL_MIN: Duration = Duration::from_millis(15);

/// Limits answers per number. Costs nothing until the first NACK.
#[derive(Debug, Default)]
pub(super) struct ResendLimiter {
    places: Option<Box<[Resend; PLACES]>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Resend {
    /// Low half of the output index.
    number: u32,
    count: u8,
    at: Option<Instant>,
}

impl ResendLimiter {
    /// Whether `output` may be sent again now.
    pub(super) fn allows(&self, output: u64, rtt: Duration, now: Instant) -> bool {
        let Some(places) = &self.places else { return true };
        let place = places[output as usize % PLACES];
        let Some(at) = place.at.filter(|_| place.number == output as u32) else { return true };
        place.count < RESENDS_MAX && now.saturating_duration_since(at) >= (rtt.mul_f64(0.9)).max(INTERVAL_MIN)
    }

    /// Notes that `output` was sent again.
    pub(super) fn sent(&mut self, output: u64, now: Instant) {
        let places = self.places.get_or_insert_with(|| Box::new([Resend::default(); PLACES]));
        let place = &mut places[output as usize % PLACES];
        let count = if place.at.is_some() && place.number == output as u32 { place.count } else { 0 };
        *place = Resend { number: output as u32, count: count.saturating_add(1), at: Some(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_answered_once_per_round_trip_and_eight_times_in_all() {
        let start = crate::egress::testing::start();
        let rtt = Duration::from_millis(100);
        let mut limiter = ResendLimiter::default();
        let mut answers = 0;
        for tick in 0..2000 {
            let now = start + Duration::from_millis(tick);
            if limiter.allows(500, rtt, now) {
                limiter.sent(500, now);
                answers += 1;
                assert_eq!((tick - 90 * (answers - 1)) % 90, 0);
            }
        }
        assert_eq!(answers, 8);
        assert!(limiter.allows(501, rtt, start));
    }
}
