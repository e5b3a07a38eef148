//! When to ask a publisher for a key frame: coalesced, throttled, repeated until one arrives.

/// Shortest time between two requests by simulcast layer in microseconds (LiveKit's pli_throttle: 500 ms, 1 s, 1 s).
const THROTTLE_US: [i64; 3] = [500_000, 1_000_000, 1_000_000];
/// How long one wish is repeated, in microseconds; a paused encoder never answers.
const WISH_US: i64 = 10_000_000;

#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct KeyFrames {
    /// End of the present wish.
    until_us: Option<i64>,
    last_us: Option<i64>,
}

impl KeyFrames {
    /// Wishes for a key frame.
    pub(super) const fn request(&mut self, at_us: i64) {
        self.until_us = Some(at_us + WISH_US);
    }

    /// A key frame begins, or nothing is to be expected any more.
    pub(super) const fn arrived(&mut self) {
        self.until_us = None;
    }

    /// When the next request may be sent.
    pub(super) fn due_us(&self, layer: u8) -> Option<i64> {
        let throttle = THROTTLE_US.get(usize::from(layer)).or(THROTTLE_US.last()).copied().unwrap_or(0);
        let until = self.until_us?;
        let due = self.last_us.map_or(i64::MIN, |last| last + throttle);
        (due < until).then_some(due)
    }

    /// Tells whether a request goes out now, and counts it.
    pub(super) fn take_due(&mut self, at_us: i64, layer: u8) -> bool {
        if self.until_us.is_some_and(|until| until <= at_us) {
            self.until_us = None;
        }
        if self.due_us(layer).is_none_or(|due| due > at_us) {
            return false;
        }
        self.last_us = Some(at_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_coalesced_throttled_and_end_with_a_key_frame() {
        let mut frames = KeyFrames::default();
        assert!(!frames.take_due(0, 0));
        frames.request(0);
        frames.request(0);
        assert!(frames.take_due(0, 0));
        assert!(!frames.take_due(499_999, 0));
        assert!(frames.take_due(500_000, 0));
        frames.arrived();
        frames.request(500_000);
        assert!(!frames.take_due(900_000, 0), "the throttle outlives the key frame");
        assert!(frames.take_due(1_000_000, 0));
    }

    #[test]
    fn upper_layers_wait_a_second_and_nobody_asks_for_ever() {
        let mut frames = KeyFrames::default();
        frames.request(0);
        let sent = (0..100).filter(|step| frames.take_due(step * 500_000, 2)).count();
        assert_eq!(sent, 10);
        assert_eq!(frames.due_us(2), None);
        frames.request(100_000_000);
        assert!(frames.take_due(100_000_000, 2));
    }
}
