//! A subscription's numbers as a value, so that another worker, process or node goes on without using one twice.

use super::numbering::Numbering;
use super::subscription::{Counters, Subscription};
use super::target::LayerTarget;
use crate::codec::SendSection;
use std::time::Instant;

/// Version of [`SubscriptionState`]; another one is refused.
const VERSION: u8 = 1;
/// Largest number of indices that a take-over may burn: receivers take a greater step for a step back.
const BURN_MAX: u16 = 1 << 15;

/// Everything of a subscription that must survive.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SubscriptionState {
    version: u8,
    ssrc: u32,
    rtx_ssrc: u32,
    target: Option<LayerTarget>,
    paused: bool,
    numbering: Numbering,
    counters: Counters,
}

/// A state cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It was written by another version.
    #[error("subscription state has version {0}, expected {VERSION}")]
    Version(u8),
    /// It belongs to another stream.
    #[error("subscription state is of ssrc {found:#x}, expected {expected:#x}")]
    Ssrc {
        /// SSRC of the state.
        found: u32,
        /// SSRC of the section.
        expected: u32,
    },
    /// Its numbers contradict each other.
    #[error("subscription state contradicts itself")]
    Unsound,
    /// The margin is too wide.
    #[error("subscription take-over burns {0} indices, limit {BURN_MAX}")]
    Burn(u16),
}

impl SubscriptionState {
    /// SSRC of the media.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// SSRC of the retransmissions.
    #[must_use]
    pub fn rtx_ssrc(&self) -> u32 {
        self.rtx_ssrc
    }
}

impl Subscription {
    /// Takes the state; the caller must not send through this subscription afterwards.
    #[must_use]
    pub fn export(&self) -> SubscriptionState {
        SubscriptionState {
            version: VERSION,
            ssrc: self.ssrc,
            rtx_ssrc: self.rtx_ssrc,
            target: self.target,
            paused: self.paused,
            numbering: self.numbering.clone(),
            counters: self.counters,
        }
    }

    /// Goes on where `state` was taken. `burn` indices of media and RTX are left out: 0 after a planned hand-over,
    /// more than the old owner can have used since after a crash.
    ///
    /// # Errors
    /// [`ImportError`] when the state does not fit the section or itself.
    pub fn import(
        section: &SendSection,
        state: SubscriptionState,
        burn: u16,
        now: Instant,
    ) -> Result<Self, ImportError> {
        if state.version != VERSION {
            return Err(ImportError::Version(state.version));
        }
        if state.ssrc != section.ssrc {
            return Err(ImportError::Ssrc { found: state.ssrc, expected: section.ssrc });
        }
        if state.rtx_ssrc != section.rtx_ssrc {
            return Err(ImportError::Ssrc { found: state.rtx_ssrc, expected: section.rtx_ssrc });
        }
        if burn > BURN_MAX {
            return Err(ImportError::Burn(burn));
        }
        if !state.numbering.is_sound() {
            return Err(ImportError::Unsound);
        }
        let mut subscription = Self::new(section, now);
        subscription.target = state.target;
        subscription.paused = state.paused;
        subscription.numbering = state.numbering;
        subscription.counters = state.counters;
        if burn > 0 {
            subscription.numbering.burn(u64::from(burn));
        }
        Ok(subscription)
    }
}
