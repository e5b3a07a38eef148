//! The last known members on disk, off the async threads. Failing to keep them is logged, never fatal.

use crate::identity::{SavedMember, SavedMembers};
use crate::limits::MEMBERS_SAVED_MAX;
use crate::view::View;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Addresses of the members that this node knew in its last life.
pub(super) async fn load(data_dir: Option<&Path>) -> Vec<SocketAddr> {
    let Some(folder) = data_dir.map(Path::to_owned) else { return Vec::new() };
    let loaded = tokio::task::spawn_blocking(move || SavedMembers::load(&folder)).await;
    match loaded {
        Ok(Ok(saved)) => saved.members.into_iter().map(|member| member.address).collect(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "saved members are not used");
            Vec::new()
        }
        Err(error) => {
            tracing::error!(%error, "loading saved members failed");
            Vec::new()
        }
    }
}

/// What is worth saving of a view: the other members, the living first; `None` when there is no other, for then the
/// ones that were known before are worth more.
pub(super) fn worth_saving(view: &View) -> Option<SavedMembers> {
    let mut others: Vec<_> = view.members.values().filter(|member| member.id != view.me).collect();
    others.sort_by_key(|member| !member.is_alive());
    let saved = others.iter().take(MEMBERS_SAVED_MAX);
    let members: Vec<_> =
        saved.map(|member| SavedMember { node_id: member.id.node_id.clone(), address: member.address }).collect();
    (!members.is_empty()).then_some(SavedMembers { members })
}

/// Saves in the background.
pub(super) fn save(members: SavedMembers, folder: PathBuf) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = members.save(&folder) {
            tracing::warn!(%error, "members are not saved");
        }
    });
}
