//! Datagrams that only holders of the cluster key can make or read (cluster.md §4.2). Pure: bytes in, bytes out; what
//! does not open gets no answer of any kind.
//!
//! ```text
//! version(1) kind(1) key(1) sender(8) boot(8) counter(8) | ciphertext | tag(16)      numbers big-endian
//! ```
//!
//! ChaCha20-Poly1305, the header is authenticated with it. Each life of a node seals under its own key
//! (HKDF of cluster key, cluster name, node, boot), so a nonce is the counter and never repeats. One key of a node
//! opens until a later life of it was heard: an older life is refused from then on.
//!
//! A receiver that has just started remembers nothing: a captured datagram of a life that still speaks opens once more.
//! foca refuses those (they name the receiver's earlier life) and chitchat's are idempotent. Nothing here says whom a
//! datagram is for.

mod header;
mod opener;
mod replay;
mod sealer;
#[cfg(test)]
mod tests;

pub use header::{Kind, OVERHEAD_BYTES, SenderId};
pub use opener::{OpenError, Opened, Opener, OpenerCounts};
pub use sealer::{SealError, Sealer};

use crate::key::{ClusterKey, expand};
use aws_lc_rs::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf;

/// What a cluster key becomes for datagrams: makes the keys of senders, and has a name of one byte.
struct GossipKey {
    secret: hkdf::Prk,
    /// Tells keys apart while they are exchanged; two keys share it by chance once in 256.
    id: u8,
}

impl GossipKey {
    fn new(key: &ClusterKey, cluster_name: &str) -> Self {
        let secret = key.derive(cluster_name, &[b"starling gossip 1"]);
        let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret);
        let id = expand(&secret, &[b"id"])[0];
        Self { secret, id }
    }

    fn for_sender(&self, sender: SenderId) -> LessSafeKey {
        let info: [&[u8]; 3] = [b"sender", &sender.node.to_be_bytes(), &sender.boot.to_be_bytes()];
        let bytes = expand(&self.secret, &info);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).expect("32 bytes are a key of ChaCha20-Poly1305");
        LessSafeKey::new(key)
    }
}
