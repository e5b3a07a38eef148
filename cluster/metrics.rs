//! What links count. Labels are enums, never ids.

use std::time::Duration;

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
