//! Bit rate that arrived at the receiver, by its own clock.

/// Length of one bucket.
const BUCKET_MICROS: i64 = 50_000;
/// Buckets of the window: 500 ms, as long as Chromium's estimator averages at least.
const BUCKETS: usize = 10;

/// A sliding window over arrival times.
#[derive(Debug, Default)]
pub(super) struct AcknowledgedRate {
    buckets: [u32; BUCKETS],
    newest: Option<i64>,
    first: i64,
}

impl AcknowledgedRate {
    pub(super) fn add(&mut self, arrival_micros: i64, bytes: u16) {
        let bucket = arrival_micros.div_euclid(BUCKET_MICROS);
        let Some(newest) = self.newest else {
            self.newest = Some(bucket);
            self.first = bucket;
            self.buckets[place(bucket)] = u32::from(bytes);
            return;
        };
        let ahead = bucket.saturating_sub(newest);
        if ahead >= BUCKETS as i64 || ahead <= -(BUCKETS as i64) {
            // A pause, or another clock: what was measured before says nothing.
            *self = Self { newest: Some(bucket), first: bucket, ..Self::default() };
        } else {
            for fresh in newest + 1..=bucket {
                self.buckets[place(fresh)] = 0;
            }
            self.newest = Some(newest.max(bucket));
        }
        let sum = &mut self.buckets[place(bucket)];
        *sum = sum.saturating_add(u32::from(bytes));
    }

    /// Bits per second over the full buckets; `None` until there are three.
    pub(super) fn bps(&self) -> Option<u64> {
        let newest = self.newest?;
        let full = (newest - self.first).min(BUCKETS as i64 - 1);
        if full < 3 {
            return None;
        }
        let bytes: u64 = (newest - full..newest).map(|bucket| u64::from(self.buckets[place(bucket)])).sum();
        // `full` is 3 to 9.
        Some(bytes * 8 * 1_000_000 / (full * BUCKET_MICROS).unsigned_abs())
    }
}

fn place(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured() {
        let mut rate = AcknowledgedRate::default();
        for packet in 0..100 {
            rate.add(packet * 10_000, 1000);
        }
        let bps = rate.bps().unwrap();
        assert!((780_000..=820_000).contains(&bps), "{bps}");
        rate.add(10_000_000, 1000);
        assert_eq!(rate.bps(), None, "after a pause it starts over");
    }
}
