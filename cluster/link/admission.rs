//! Who is let in among those that have the key. Pure.

use crate::limits;
use crate::link::greeting::{Greeting, PROTOCOL, Refusal};
use crate::member::MemberId;
use std::net::SocketAddr;

/// What a node knows when it judges a greeting.
#[derive(Clone, Debug)]
pub struct OwnFacts<'a> {
    /// This node.
    pub me: &'a MemberId,
    /// Where it is.
    pub address: SocketAddr,
    /// Its cluster.
    pub cluster: &'a str,
    /// Its wall clock, milliseconds since the epoch.
    pub now_ms: u64,
    /// The life of the greeting node's id whose link is up and was heard lately, with its address.
    pub holder: Option<(&'a MemberId, SocketAddr)>,
}

/// Decides whether a node that proved the key may come in.
///
/// # Errors
/// [`Refusal`], the same at both ends of a connection.
pub fn judge(greeting: &Greeting, own: &OwnFacts<'_>) -> Result<(), Refusal> {
    if greeting.cluster != own.cluster {
        return Err(Refusal::OtherCluster { name: own.cluster.into() });
    }
    if !greeting.protocol.overlaps(PROTOCOL) {
        return Err(Refusal::ProtocolVersion { spoken: PROTOCOL });
    }
    if greeting.unix_ms.abs_diff(own.now_ms) > limits::CLOCK_SKEW_MS_MAX {
        let ms = i128::from(greeting.unix_ms) - i128::from(own.now_ms);
        return Err(Refusal::ClockOff { ms: i64::try_from(ms).unwrap_or(i64::MAX) });
    }
    if greeting.member.node_id == own.me.node_id && greeting.member != *own.me {
        return Err(Refusal::DuplicateNodeId { address: own.address });
    }
    match own.holder {
        Some((holder, address)) if *holder != greeting.member && holder.node_id == greeting.member.node_id => {
            Err(Refusal::DuplicateNodeId { address })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::greeting::ProtocolRange;
    use crate::link::greeting::tests::{greeting, member};

    fn judge_with(greeting: &Greeting, holder: Option<(&MemberId, SocketAddr)>) -> Result<(), Refusal> {
        let me = member("ND_me", 5);
        let address = SocketAddr::from(([10, 0, 0, 9], 7946));
        judge(greeting, &OwnFacts { me: &me, address, cluster: "blue", now_ms: 1_000_000, holder })
    }

    #[test]
    fn a_node_of_the_same_cluster_comes_in() {
        assert_eq!(judge_with(&greeting("ND_a", 7), None), Ok(()));
    }

    #[test]
    fn another_cluster_is_told_the_name_of_this_one() {
        let other = Greeting { cluster: "red".into(), ..greeting("ND_a", 7) };
        assert_eq!(judge_with(&other, None), Err(Refusal::OtherCluster { name: "blue".into() }));
    }

    #[test]
    fn a_clock_may_be_off_by_the_limit_and_not_by_more() {
        for (unix_ms, expected) in [
            (1_000_000 + limits::CLOCK_SKEW_MS_MAX, Ok(())),
            (1_000_000 - limits::CLOCK_SKEW_MS_MAX, Ok(())),
            (1_000_000 + limits::CLOCK_SKEW_MS_MAX + 1, Err(Refusal::ClockOff { ms: 30_001 })),
            (1_000_000 - limits::CLOCK_SKEW_MS_MAX - 1, Err(Refusal::ClockOff { ms: -30_001 })),
            (u64::MAX, Err(Refusal::ClockOff { ms: i64::MAX })),
        ] {
            assert_eq!(judge_with(&Greeting { unix_ms, ..greeting("ND_a", 7) }, None), expected);
        }
    }

    #[test]
    fn a_second_process_with_a_node_id_is_refused_and_told_where_the_first_is() {
        let address: SocketAddr = "10.0.0.3:7946".parse().expect("address");
        let first = member("ND_a", 6);
        assert_eq!(
            judge_with(&greeting("ND_a", 7), Some((&first, address))),
            Err(Refusal::DuplicateNodeId { address })
        );
        let same = member("ND_a", 7);
        assert_eq!(judge_with(&greeting("ND_a", 7), Some((&same, address))), Ok(()), "it is that very process");
    }

    #[test]
    fn nobody_else_may_have_our_own_node_id() {
        let address = "10.0.0.9:7946".parse().expect("address");
        assert_eq!(judge_with(&greeting("ND_me", 6), None), Err(Refusal::DuplicateNodeId { address }));
    }

    #[test]
    fn software_without_a_protocol_version_in_common_is_refused() {
        let protocol = ProtocolRange { oldest: PROTOCOL.newest + 1, newest: PROTOCOL.newest + 3 };
        let later = Greeting { protocol, ..greeting("ND_a", 7) };
        assert_eq!(judge_with(&later, None), Err(Refusal::ProtocolVersion { spoken: PROTOCOL }));
    }
}
