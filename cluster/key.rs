//! The cluster's secret: 32 bytes that every node shares, and the one before it while they are exchanged.

/// The keys in force.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    /// Seals.
    pub primary: ClusterKey,
    /// Also opens, while keys are exchanged.
    pub secondary: Option<ClusterKey>,
}

/// 32 secret bytes; never printed.
#[derive(Clone)]
pub struct ClusterKey([u8; 32]);

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClusterKey(…)")
    }
}

impl ClusterKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving keys.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
