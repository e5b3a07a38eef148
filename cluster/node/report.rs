//! What operators read and count of changes of life.

use crate::membership::MembershipChange;
use crate::metrics;

pub(super) fn tell_operator(change: &MembershipChange) {
    let label = match change {
        MembershipChange::Up { id, address } => {
            tracing::info!(member = %id, %address, "member is up");
            "up"
        }
        MembershipChange::Restarted { old, new, address } => {
            tracing::info!(member = %new, %old, %address, "member restarted");
            "restarted"
        }
        MembershipChange::Renewed { id } => {
            tracing::info!(member = %id, "member is back from a false death");
            "renewed"
        }
        MembershipChange::Suspected { id } => {
            tracing::debug!(member = %id, "member is suspected");
            "suspected"
        }
        MembershipChange::Refuted { id } => {
            tracing::debug!(member = %id, "member is suspected no more");
            "refuted"
        }
        MembershipChange::Down { id } => {
            tracing::warn!(member = %id, "member is dead");
            "down"
        }
        MembershipChange::Left { id } => {
            tracing::info!(member = %id, "member has left");
            "left"
        }
        MembershipChange::CutOff => {
            tracing::warn!("this node is cut off from all others");
            "cut_off"
        }
        MembershipChange::Rejoined => {
            tracing::info!("this node is back in its cluster");
            "rejoined"
        }
    };
    metrics::life_change(label);
}
