//! The self-signed certificate of a node's DTLS server and its fingerprint (RFC 8122 §5).

use aws_lc_rs::digest;

use super::error::CertificateError;

/// An ECDSA certificate (its small size keeps rtc-dtls' flights below the path MTU); shared by all transports of a node.
#[derive(Debug)]
pub struct Certificate {
    pub(super) inner: rtc_dtls::crypto::Certificate,
    fingerprint: String,
}

impl Certificate {
    /// Makes a new key pair and certificate.
    pub fn generate() -> Result<Self, CertificateError> {
        let provider = rtc_crypto::default_provider().map_err(|error| CertificateError(error.to_string()))?;
        let inner = rtc_dtls::crypto::Certificate::generate_self_signed(vec!["starling".to_owned()], provider.crypto())
            .map_err(|error| CertificateError(error.to_string()))?;
        let der = inner.certificate.first().ok_or_else(|| CertificateError("empty chain".to_owned()))?;
        let fingerprint = fingerprint(der);
        Ok(Self { inner, fingerprint })
    }

    /// SHA-256 fingerprint as `a=fingerprint` carries it: upper-case hex pairs joined by colons.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// SHA-256 fingerprint of a certificate in DER.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, der);
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
