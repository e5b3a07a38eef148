//! The names of this area's metrics, each written in one place. Labels are enums.

use crate::member::MemberState;
use crate::view::View;

/// Members by what this node makes of them; sum over nodes and compare: they must agree.
const MEMBERS: &str = "starling_cluster_members";
/// Changes of who lives, drains or restarted; rises in step on all nodes.
const GENERATION: &str = "starling_cluster_generation";
/// Datagrams not taken or not sent, by reason; anything under `unauthentic` is somebody without the key.
const DATAGRAMS_DROPPED: &str = "starling_cluster_datagrams_dropped_total";
/// UDP payload bytes of gossip, sealed.
const GOSSIP_BYTES: &str = "starling_cluster_gossip_bytes_total";
/// Datagrams of gossip.
const GOSSIP_DATAGRAMS: &str = "starling_cluster_gossip_datagrams_total";
/// Greetings of this node that were refused or unanswered, by reason.
const JOIN_REFUSED: &str = "starling_cluster_join_refused_total";
/// Facts of others that could not be read; another version of the software, or a bug.
const FACTS_UNREADABLE: &str = "starling_cluster_facts_unreadable_total";
/// What membership told, by kind.
const LIFE_CHANGES: &str = "starling_cluster_life_changes_total";
/// Hints to membership by refused links.
const DOWN_HINTS: &str = "starling_cluster_down_hints_total";
/// Failed look-ups of a seed's name.
const SEED_LOOKUPS_FAILED: &str = "starling_cluster_seed_lookups_failed_total";
/// 1 once this node has joined (or serves alone), 0 before.
const READY: &str = "starling_cluster_ready";

pub(crate) fn view(view: &View) {
    for state in [MemberState::Serving, MemberState::Suspect, MemberState::Draining, MemberState::Dead] {
        let label = match state {
            MemberState::Serving => "serving",
            MemberState::Suspect => "suspect",
            MemberState::Draining => "draining",
            MemberState::Dead => "dead",
        };
        let count = view.members.values().filter(|member| member.state == state).count();
        metrics::gauge!(MEMBERS, "state" => label).set(count as f64);
    }
    metrics::gauge!(GENERATION).set(view.generation as f64);
}

pub(crate) fn datagram_dropped(reason: &'static str) {
    metrics::counter!(DATAGRAMS_DROPPED, "reason" => reason).increment(1);
}

pub(crate) fn gossip(direction: &'static str, kind: &'static str, bytes: usize) {
    metrics::counter!(GOSSIP_BYTES, "direction" => direction, "kind" => kind).increment(bytes as u64);
    metrics::counter!(GOSSIP_DATAGRAMS, "direction" => direction, "kind" => kind).increment(1);
}

pub(crate) fn join_refused(reason: &'static str) {
    metrics::counter!(JOIN_REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn facts_unreadable(count: u64) {
    metrics::counter!(FACTS_UNREADABLE).increment(count);
}

pub(crate) fn life_change(change: &'static str) {
    metrics::counter!(LIFE_CHANGES, "change" => change).increment(1);
}

pub(crate) fn down_hint() {
    metrics::counter!(DOWN_HINTS).increment(1);
}

pub(crate) fn seed_lookup_failed() {
    metrics::counter!(SEED_LOOKUPS_FAILED).increment(1);
}

pub(crate) fn ready(is: bool) {
    metrics::gauge!(READY).set(if is { 1.0 } else { 0.0 });
}
