//! Every link's door: by link for what comes in, by member for what goes out, and the ractor session beneath it.

use crate::gateway::actor::{GROUP, SCOPE};
use crate::gateway::door::Door;
use crate::gateway::transport::RemoteGateway;
use crate::gateway::{LinkNews, News};
use crate::member::MemberId;
use ractor::ActorId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;

/// The doors of this node. As many as links, which membership bounds.
#[derive(Debug)]
pub(crate) struct Doors {
    table: RwLock<Table>,
    news: mpsc::UnboundedSender<News>,
}

#[derive(Debug, Default)]
struct Table {
    by_link: BTreeMap<u64, Arc<Door>>,
    /// Those whose peer's gateway is found.
    by_member: BTreeMap<MemberId, Arc<Door>>,
    /// ractor's number of the session that carries a link.
    sessions: BTreeMap<u64, u64>,
}

impl Doors {
    pub(crate) fn new(news: mpsc::UnboundedSender<News>) -> Arc<Self> {
        Arc::new(Self { table: RwLock::default(), news })
    }

    pub(crate) fn insert(&self, door: Arc<Door>) {
        self.write(|table| table.by_link.insert(door.link, door));
    }

    pub(crate) fn find(&self, link: u64) -> Option<Arc<Door>> {
        self.read(|table| table.by_link.get(&link).cloned())
    }

    /// The door to that very life, if messages flow.
    pub(crate) fn to(&self, member: &MemberId) -> Option<Arc<Door>> {
        self.read(|table| table.by_member.get(member).cloned())
    }

    /// Nothing more is sent on the link; what waits for it is told when [`Doors::remove`] has been called.
    pub(crate) fn hide(&self, link: u64) {
        self.write(|table| table.by_member.retain(|_, door| door.link != link));
    }

    pub(crate) fn remove(&self, link: u64) -> Option<Arc<Door>> {
        self.write(|table| {
            table.sessions.remove(&link);
            let door = table.by_link.remove(&link)?;
            if table.by_member.get(&door.member).is_some_and(|other| other.link == link) {
                table.by_member.remove(&door.member);
            }
            Some(door)
        })
    }

    /// A ractor session carries the link.
    pub(crate) fn session_opened(&self, link: u64, session: u64) {
        self.write(|table| {
            if table.by_link.contains_key(&link) {
                table.sessions.insert(link, session);
            }
        });
    }

    /// Looks for the peer's gateway. True when it is found, now or before.
    pub(crate) fn attach(&self, door: &Arc<Door>) -> bool {
        if door.is_attached() {
            return true;
        }
        let Some(session) = self.read(|table| table.sessions.get(&door.link).copied()) else { return false };
        let found = ractor::pg::get_scoped_members(&SCOPE.into(), &GROUP.into())
            .into_iter()
            .find(|cell| matches!(cell.get_id(), ActorId::Remote { node_id, .. } if node_id == session));
        let Some(cell) = found else { return false };
        if door.attach(Box::new(RemoteGateway(cell.into()))) {
            self.write(|table| table.by_member.insert(door.member.clone(), Arc::clone(door)));
            // Nobody listens any more when links were stopped.
            let _ = self.news.send(News { link: door.link, news: LinkNews::Open });
        }
        true
    }

    fn read<T>(&self, ask: impl FnOnce(&Table) -> T) -> T {
        ask(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }
}
