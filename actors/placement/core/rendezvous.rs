//! Rendezvous hashing: which node owns a room name. Every node of a cluster must compute the same, in every version.
//!
//! weight(node, room) = mix(mix(fnv1a64(node id)) ^ fnv1a64(room name)) over the UTF-8 bytes, with MurmurHash3's 64-bit
//! finaliser as `mix`; the greatest weight wins, then the greatest node id. The life of a node does not count: a node
//! that restarts keeps its share. The vectors in the tests are part of the protocol.

use starling_cluster::member::NodeId;

/// The node's part of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeKey(u64);

/// The room's part of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomKey(u64);

impl NodeKey {
    pub(super) fn of(node: &NodeId) -> Self {
        Self(mix(fnv1a64(node.as_str().as_bytes())))
    }
}

impl RoomKey {
    pub(super) fn of(room: &str) -> Self {
        Self(fnv1a64(room.as_bytes()))
    }
}

/// How much the node is the room's owner.
pub(super) fn weight(node: NodeKey, room: RoomKey) -> u64 {
    mix(node.0 ^ room.0)
}

fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::core::tests::member;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mix(0), 0);
        assert_eq!(mix(1), 0xb456_bcfc_34c2_cb2c);
    }

    #[test]
    fn weights_keep_their_committed_vectors() {
        for (node, room, expected) in VECTORS {
            let found = weight(NodeKey::of(&member(node, 1).node_id), RoomKey::of(room));
            assert_eq!(found, expected, "weight of {node:?} for {room:?} is {found:#018x}");
        }
    }

    const VECTORS: [(&str, &str, u64); 4] = [
        ("ND_a", "", 0x1e0d_17a0_27bc_3c16),
        ("ND_a", "standup", 0xf815_afed_c3f6_8599),
        ("ND_b", "standup", 0xb0c2_4c98_a665_f44d),
        ("ND_b", "Besprechung äöü", 0x2a92_dfcd_6d6a_f038),
    ];

    #[test]
    fn a_node_that_leaves_moves_only_its_own_rooms_and_shares_are_even() {
        let nodes: Vec<NodeKey> = (0..5).map(|n| NodeKey::of(&member(&format!("ND_{n}"), 1).node_id)).collect();
        let owner = |room: RoomKey, among: &[usize]| among.iter().copied().max_by_key(|n| weight(nodes[*n], room));
        let mut shares = [0_u32; 5];
        for room in (0..10_000).map(|n| RoomKey::of(&format!("room-{n}"))) {
            let before = owner(room, &[0, 1, 2, 3, 4]).unwrap();
            shares[before] += 1;
            if before != 2 {
                assert_eq!(owner(room, &[0, 1, 3, 4]), Some(before));
            }
        }
        assert!(shares.iter().all(|share| (1_800..2_200).contains(share)), "shares of 10,000: {shares:?}");
    }
}
