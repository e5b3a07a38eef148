//! The rooms of the whole cluster: every living member's, page by page.

use crate::limits::{OVERVIEW_PAGE_PARTICIPANTS, OVERVIEW_PAGE_ROOMS_MAX, OVERVIEW_PAGES_MAX, OVERVIEW_TIMEOUT};
use crate::relay::wire::{self, Call, RoomsPage};
use crate::snapshot::{RoomSnapshot, RoomsSnapshot};
use starling_cluster::member::MemberId;
use starling_cluster::peers::Peers;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The rooms whose names come after `after`, as many as fit into a page. `rooms` are in order of their names.
pub(super) fn page(rooms: Vec<RoomSnapshot>, after: Option<&str>) -> RoomsPage {
    let mut page = RoomsPage::default();
    let mut participants = 0;
    for room in rooms.into_iter().filter(|room| after.is_none_or(|after| room.name.as_str() > after)) {
        if page.rooms.len() >= OVERVIEW_PAGE_ROOMS_MAX || participants >= OVERVIEW_PAGE_PARTICIPANTS {
            page.next = page.rooms.last().map(|last| last.name.clone());
            break;
        }
        participants += room.participants.len();
        page.rooms.push(room);
    }
    page
}

/// Adds the rooms of every other living member to `own`.
pub(crate) async fn overview(peers: Arc<dyn Peers>, mut own: RoomsSnapshot) -> RoomsSnapshot {
    let view = Arc::clone(&peers.view().borrow());
    let mut asked = JoinSet::new();
    for member in view.living().filter(|member| member.id != view.me) {
        let (peers, id) = (Arc::clone(&peers), member.id.clone());
        asked.spawn(async move {
            let rooms = all_pages(&*peers, &id).await;
            (id.node_id, rooms)
        });
    }
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((_, Some(rooms))) => own.rooms.extend(rooms),
            Ok((node_id, None)) => own.missing.push(node_id),
            Err(error) => tracing::error!(%error, "overview failed"),
        }
    }
    own.rooms.sort_by(|one, other| (&one.name, &one.host).cmp(&(&other.name, &other.host)));
    own.missing.sort();
    own
}

async fn all_pages(peers: &dyn Peers, member: &MemberId) -> Option<Vec<RoomSnapshot>> {
    let mut rooms = Vec::new();
    let mut after = None;
    for _ in 0..OVERVIEW_PAGES_MAX {
        let body = wire::encode(&Call::Rooms { after }).ok()?;
        let answer = peers.call(member, wire::RELAY, body, OVERVIEW_TIMEOUT).await;
        let answer = answer.inspect_err(|error| tracing::debug!(%member, %error, "rooms not told")).ok()?;
        let page: RoomsPage = wire::decode(&answer).ok()?;
        rooms.extend(page.rooms);
        after = page.next;
        if after.is_none() {
            return Some(rooms);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: String) -> RoomSnapshot {
        let host = crate::tests::facts("ND_a").member.node_id;
        RoomSnapshot { name, sid: "RM_".into(), host, epoch: 1, standby: None, worker: 0, participants: Vec::new() }
    }

    #[test]
    fn pages_bring_every_room_once() {
        let rooms: Vec<_> = (0..450).map(|number| room(format!("{number:04}"))).collect();
        let (mut told, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = page(rooms.clone(), after.as_deref());
            assert!(page.rooms.len() <= OVERVIEW_PAGE_ROOMS_MAX);
            told.extend(page.rooms);
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((told, pages), (rooms, 3));
    }
}
