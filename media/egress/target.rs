//! What a subscription aims at.

/// The highest layers that a subscription sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerTarget {
    /// Simulcast layer, 0 lowest; 0 for audio, for one-layer video and for SVC.
    pub layer: u8,
    /// Highest spatial layer inside the stream (SVC); [`LayerTarget::ALL`] for simulcast.
    pub spatial: u8,
    /// Highest temporal layer; [`LayerTarget::ALL`] for no limit.
    pub temporal: u8,
}

impl LayerTarget {
    /// No limit; above every layer number that a payload can carry (3 bits).
    pub const ALL: u8 = 7;
    /// Everything of the only stream: audio, or video without layers.
    pub const WHOLE: Self = Self { layer: 0, spatial: Self::ALL, temporal: Self::ALL };

    /// One of several simulcast streams.
    #[must_use]
    pub const fn simulcast(layer: u8, temporal: u8) -> Self {
        Self { layer, spatial: Self::ALL, temporal }
    }

    /// The lower spatial layers of one SVC stream.
    #[must_use]
    pub const fn scalable(spatial: u8, temporal: u8) -> Self {
        Self { layer: 0, spatial, temporal }
    }

    /// The number that clients know the layer by: the spatial one for SVC, the stream's otherwise.
    #[must_use]
    pub const fn quality(self) -> u8 {
        if self.spatial == Self::ALL { self.layer } else { self.spatial }
    }
}
