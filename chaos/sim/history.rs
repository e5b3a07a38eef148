//! A fingerprint of everything that happened, in order (FNV-1a over 64-bit words).

/// A fingerprint of everything that happened.
#[derive(Debug)]
pub(crate) struct History(u64);

impl History {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn note(&mut self, words: &[u64]) {
        for word in words {
            self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.0
    }
}
