//! Proof of the cluster key, bound to one TLS session and one direction: whoever relays it has another session and
//! proves nothing. Pure.

use crate::key::{ClusterKey, ClusterKeys};
use aws_lc_rs::{constant_time, hkdf, hmac};

/// Bytes of the TLS session's exported secret that a proof covers.
pub(crate) const EXPORTED_BYTES: usize = 32;
/// Label under which TLS exports it.
pub(crate) const EXPORT_LABEL: &[u8] = b"EXPORTER-starling-link-proof";
/// Label under which TLS exports the number of a link.
pub(crate) const NUMBER_LABEL: &[u8] = b"EXPORTER-starling-link-number";
/// Bytes of one proof.
pub(crate) const PROOF_BYTES: usize = 32;
/// Bytes of what the dialling side sends: a proof under each of its two keys, since it cannot know which one is in
/// force on the other side.
pub(crate) const DIALLER_BYTES: usize = 2 * PROOF_BYTES;

/// Which side proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dialler = 1,
    Acceptor = 2,
}

/// The secret of one TLS session, the same at both ends.
pub(crate) type Exported = [u8; EXPORTED_BYTES];

/// What the dialling side sends first.
pub(crate) fn dialler(keys: &ClusterKeys, exported: &Exported) -> [u8; DIALLER_BYTES] {
    let secondary = keys.secondary.as_ref().unwrap_or(&keys.primary);
    let mut proofs = [0; DIALLER_BYTES];
    proofs[..PROOF_BYTES].copy_from_slice(&prove(&keys.primary, Side::Dialler, exported));
    proofs[PROOF_BYTES..].copy_from_slice(&prove(secondary, Side::Dialler, exported));
    proofs
}

/// What the accepting side answers, if the dialling side has proved one of our keys: a proof under that key.
pub(crate) fn acceptor(
    keys: &ClusterKeys,
    exported: &Exported,
    proofs: &[u8; DIALLER_BYTES],
) -> Option<[u8; PROOF_BYTES]> {
    let shared = in_force(keys).find(|key| {
        let expected = prove(key, Side::Dialler, exported);
        proofs.chunks_exact(PROOF_BYTES).any(|proof| is_equal(proof, &expected))
    })?;
    Some(prove(shared, Side::Acceptor, exported))
}

/// Whether the accepting side has proved one of our keys.
pub(crate) fn acceptor_is_proved(keys: &ClusterKeys, exported: &Exported, proof: &[u8; PROOF_BYTES]) -> bool {
    in_force(keys).any(|key| is_equal(proof, &prove(key, Side::Acceptor, exported)))
}

fn in_force(keys: &ClusterKeys) -> impl Iterator<Item = &ClusterKey> {
    std::iter::once(&keys.primary).chain(&keys.secondary)
}

fn is_equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn prove(key: &ClusterKey, side: Side, exported: &Exported) -> [u8; PROOF_BYTES] {
    let mut derived = [0; PROOF_BYTES];
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"starling")
        .extract(key.bytes())
        .expand(&[b"link proof"], hkdf::HKDF_SHA256)
        .and_then(|expanded| expanded.fill(&mut derived))
        .expect("one hash length is always available");
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &derived));
    context.update(exported);
    context.update(&[side as u8]);
    let mut proof = [0; PROOF_BYTES];
    proof.copy_from_slice(context.sign().as_ref());
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(primary: u8, secondary: Option<u8>) -> ClusterKeys {
        let key = |byte| ClusterKey::from_bytes([byte; 32]);
        ClusterKeys { primary: key(primary), secondary: secondary.map(key) }
    }

    /// Whether the acceptor believes the dialler, and the dialler the answer.
    fn prove_both(dialling: &ClusterKeys, accepting: &ClusterKeys) -> (bool, bool) {
        let exported = [7; EXPORTED_BYTES];
        let answer = acceptor(accepting, &exported, &dialler(dialling, &exported));
        (answer.is_some(), answer.is_some_and(|answer| acceptor_is_proved(dialling, &exported, &answer)))
    }

    #[test]
    fn two_nodes_with_a_key_in_common_believe_each_other_in_every_step_of_a_rotation() {
        for (left, right) in [
            (keys(1, None), keys(1, None)),
            (keys(1, None), keys(1, Some(2))),
            (keys(1, Some(2)), keys(2, Some(1))),
            (keys(2, Some(1)), keys(2, None)),
        ] {
            assert_eq!(prove_both(&left, &right), (true, true));
            assert_eq!(prove_both(&right, &left), (true, true));
        }
    }

    #[test]
    fn another_key_is_not_believed() {
        assert_eq!(prove_both(&keys(1, None), &keys(2, None)), (false, false));
        assert_eq!(prove_both(&keys(1, Some(3)), &keys(2, Some(4))), (false, false));
    }

    #[test]
    fn a_proof_of_another_tls_session_or_of_the_other_side_is_worth_nothing() {
        let keys = keys(1, None);
        let proofs = dialler(&keys, &[7; EXPORTED_BYTES]);
        assert!(acceptor(&keys, &[8; EXPORTED_BYTES], &proofs).is_none());
        let reflected = proofs[..PROOF_BYTES].try_into().expect("one proof");
        assert!(!acceptor_is_proved(&keys, &[7; EXPORTED_BYTES], &reflected));
    }
}
