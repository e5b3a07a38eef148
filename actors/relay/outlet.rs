//! One direction of a relayed session, sending: which frames go together, and how long a full window is waited for.
//! Pure; the queue in front of it is a bounded channel.

use crate::limits::{RELAY_BATCH_BYTES_MAX, RELAY_BATCH_FRAMES_MAX, RELAY_RETRY_INTERVAL, RELAY_STUCK_MAX};
use crate::relay::blob::Blob;
use starling_cluster::peers::CastError;
use std::time::Instant;

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is on its way.
    Sent,
    /// Send it again at this time.
    RetryAt(Instant),
    /// The session cannot go on.
    End(CastError),
}

/// The sending end of one direction.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    next: u64,
    frames: Vec<Blob>,
    bytes: usize,
    stuck_since: Option<Instant>,
}

impl Outlet {
    /// Adds a frame to the batch.
    pub(crate) fn push(&mut self, frame: Blob) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    /// Whether the batch takes another frame; the first one always goes in.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < RELAY_BATCH_FRAMES_MAX && self.bytes < RELAY_BATCH_BYTES_MAX
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The batch and the number of its first frame.
    pub(crate) fn batch(&self) -> (u64, Vec<Blob>) {
        (self.next, self.frames.clone())
    }

    /// Frames sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.next
    }

    /// The batch was cast, or not: a full window empties in a moment, anything else lasts.
    pub(crate) fn cast(&mut self, result: Result<(), CastError>, now: Instant) -> Verdict {
        match result {
            Ok(()) => {
                self.next += self.frames.len() as u64;
                self.frames.clear();
                self.bytes = 0;
                self.stuck_since = None;
                Verdict::Sent
            }
            Err(error @ CastError::Congested(_)) => {
                let since = *self.stuck_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= RELAY_STUCK_MAX {
                    return Verdict::End(error);
                }
                Verdict::RetryAt(now + RELAY_RETRY_INTERVAL)
            }
            Err(error @ (CastError::NoLink(_) | CastError::TooLarge { .. })) => Verdict::End(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn congested() -> Result<(), CastError> {
        Err(CastError::Congested(crate::tests::facts("ND_a").member))
    }

    #[test]
    fn frames_are_numbered_over_batches() {
        let (mut outlet, now) = (Outlet::default(), crate::clock::now());
        outlet.push(vec![1].into());
        outlet.push(vec![2].into());
        assert_eq!(outlet.batch().0, 0);
        assert_eq!(outlet.cast(Ok(()), now), Verdict::Sent);
        assert!(outlet.is_empty());
        outlet.push(vec![3].into());
        assert_eq!(outlet.batch(), (2, vec![vec![3].into()]));
        assert_eq!(outlet.sent(), 2);
    }

    #[test]
    fn a_full_window_is_waited_for_with_the_same_numbers_and_not_for_ever() {
        let (mut outlet, start) = (Outlet::default(), crate::clock::now());
        outlet.push(vec![1].into());
        let mut now = start;
        while let Verdict::RetryAt(at) = outlet.cast(congested(), now) {
            assert_eq!(outlet.batch().0, 0);
            now = at;
        }
        let waited = now - start;
        assert!(waited >= RELAY_STUCK_MAX && waited < RELAY_STUCK_MAX + Duration::from_secs(1), "{waited:?}");
    }

    #[test]
    fn patience_begins_anew_after_each_success() {
        let (mut outlet, now) = (Outlet::default(), crate::clock::now());
        outlet.push(vec![1].into());
        assert!(matches!(outlet.cast(congested(), now), Verdict::RetryAt(_)));
        assert_eq!(outlet.cast(Ok(()), now), Verdict::Sent);
        outlet.push(vec![2].into());
        assert!(matches!(outlet.cast(congested(), now + RELAY_STUCK_MAX), Verdict::RetryAt(_)));
    }

    #[test]
    fn a_batch_is_bounded_in_frames_and_bytes() {
        let mut outlet = Outlet::default();
        outlet.push(vec![0; RELAY_BATCH_BYTES_MAX].into());
        assert!(!outlet.has_room());
        let mut outlet = Outlet::default();
        (0..RELAY_BATCH_FRAMES_MAX).for_each(|_| outlet.push(Blob::default()));
        assert!(!outlet.has_room());
    }
}
