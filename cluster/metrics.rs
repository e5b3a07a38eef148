//! What this crate counts: gossip and members first, then links. Labels are enums, never ids.

use crate::member::MemberState;
use crate::membership::MembershipCounts;
use crate::view::View;
use std::time::Duration;

/// Members by what this node makes of them, and the generation of its view; nodes that agree show the same.
pub(crate) fn view(view: &View) {
    for state in [MemberState::Serving, MemberState::Suspect, MemberState::Draining, MemberState::Dead] {
        let label = match state {
            MemberState::Serving => "serving",
            MemberState::Suspect => "suspect",
            MemberState::Draining => "draining",
            MemberState::Dead => "dead",
        };
        let count = view.members.values().filter(|member| member.state == state).count();
        metrics::gauge!("starling_cluster_members", "state" => label).set(count as f64);
    }
    metrics::gauge!("starling_cluster_generation").set(view.generation as f64);
}

/// Datagrams not taken or not sent, by reason; `forged` and `key` are somebody without the key.
pub(crate) fn datagram_dropped(reason: &'static str) {
    metrics::counter!("starling_cluster_datagrams_dropped_total", "reason" => reason).increment(1);
}

/// UDP payloads of gossip, sealed: their bytes and their number.
pub(crate) fn gossip(direction: &'static str, kind: &'static str, bytes: usize) {
    metrics::counter!("starling_cluster_gossip_bytes_total", "direction" => direction, "kind" => kind)
        .increment(bytes as u64);
    metrics::counter!("starling_cluster_gossip_datagrams_total", "direction" => direction, "kind" => kind).increment(1);
}

/// Seeds and saved members that refused this node or did not answer, by reason.
pub(crate) fn join_refused(reason: &'static str) {
    metrics::counter!("starling_cluster_join_refused_total", "reason" => reason).increment(1);
}

/// Facts of others that could not be read: another version of the software, or a bug.
pub(crate) fn facts_unreadable(count: u64) {
    metrics::counter!("starling_cluster_facts_unreadable_total").increment(count);
}

/// What membership told, by kind.
pub(crate) fn life_change(change: &'static str) {
    metrics::counter!("starling_cluster_life_changes_total", "change" => change).increment(1);
}

/// What membership counts of itself. `guarded` rises under loss and is harmless; `rejoins` should not rise.
pub(crate) fn membership(counts: MembershipCounts) {
    metrics::counter!("starling_cluster_suspicions_guarded_total").absolute(counts.guarded);
    metrics::counter!("starling_cluster_rejoins_total").absolute(counts.rejoins);
    metrics::counter!("starling_cluster_lonely_announcements_total").absolute(counts.lonely_announcements);
    metrics::counter!("starling_cluster_membership_sends_dropped_total").absolute(counts.sends_dropped);
    metrics::counter!("starling_cluster_membership_faults_total").absolute(counts.faults);
}

/// Members that were declared dead because their host refused a link.
pub(crate) fn down_hint() {
    metrics::counter!("starling_cluster_down_hints_total").increment(1);
}

/// Failed look-ups of a seed's name.
pub(crate) fn seed_lookup_failed() {
    metrics::counter!("starling_cluster_seed_lookups_failed_total").increment(1);
}

/// 1 once this node has joined or serves alone, 0 before.
pub(crate) fn ready(is: bool) {
    metrics::gauge!("starling_cluster_ready").set(if is { 1.0 } else { 0.0 });
}

/// Messages that were not delivered, by reason: duplicates, answers that came late or found no credit.
pub(crate) fn message_dropped(reason: &'static str) {
    metrics::counter!("starling_cluster_messages_dropped_total", "reason" => reason).increment(1);
}

/// Messages that this node could not read; rises while versions are mixed.
pub(crate) fn unreadable() {
    metrics::counter!("starling_cluster_unreadable_total").increment(1);
}

/// Messages that were refused to their sender because a peer's window was full.
pub(crate) fn window_refused() {
    metrics::counter!("starling_cluster_window_refusals_total").increment(1);
}

/// A cast was put on a link.
pub(crate) fn cast() {
    metrics::counter!("starling_cluster_casts_total").increment(1);
}

/// A call ended, with how long it took; read `starling_cluster_calls_total` by outcome beside it.
pub(crate) fn call(outcome: &'static str, took: Duration) {
    metrics::counter!("starling_cluster_calls_total", "outcome" => outcome).increment(1);
    metrics::histogram!("starling_cluster_call_seconds").record(took.as_secs_f64());
}

/// Links on which messages flow.
pub(crate) fn links_up(count: usize) {
    metrics::gauge!("starling_cluster_links").set(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Connections to the cluster port that were closed before they became anything, by reason.
pub(crate) fn handshake_refused(reason: &'static str) {
    metrics::counter!("starling_cluster_handshakes_refused_total", "reason" => reason).increment(1);
}

/// Links that were closed by this side, by reason.
pub(crate) fn link_closed(reason: &'static str) {
    metrics::counter!("starling_cluster_links_closed_total", "reason" => reason).increment(1);
}
