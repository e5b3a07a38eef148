//! Three nodes in one process: links that deliver at once, and can be cut, filled and made to lose messages.

use super::{Signer, facts};
use crate::config::RoomsConfig;
use crate::inbox::{ClusterDoor, inbox};
use crate::rooms::Rooms;
use bytes::Bytes;
use starling_cluster::View;
use starling_cluster::member::{LinkState, Member, MemberId, MemberState};
use starling_cluster::peers::{CallError, CastError, Hear, Inbound, Peers, Reply, Topic, Urgency};
use starling_media::command::{MediaCommand, MediaEvent};
use starling_media::worker::MediaPlane;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Every link.
#[derive(Debug, Default)]
struct Links {
    nodes: BTreeMap<MemberId, Arc<dyn Hear>>,
    full: BTreeSet<(MemberId, MemberId)>,
    cut: BTreeSet<(MemberId, MemberId)>,
    /// Casts that vanish, each way.
    losses: BTreeMap<(MemberId, MemberId), u32>,
}

#[derive(Debug)]
struct FakePeers {
    me: MemberId,
    links: Arc<Mutex<Links>>,
    view: watch::Sender<Arc<View>>,
}

impl FakePeers {
    fn way(&self, to: &MemberId, is_cast: bool) -> Result<Option<Arc<dyn Hear>>, CastError> {
        let way = (self.me.clone(), to.clone());
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.cut.contains(&way) {
            return Err(CastError::NoLink(to.clone()));
        }
        if links.full.contains(&way) {
            return Err(CastError::Congested(to.clone()));
        }
        if is_cast && let Some(losses) = links.losses.get_mut(&way).filter(|losses| **losses > 0) {
            *losses -= 1;
            return Ok(None);
        }
        links.nodes.get(to).cloned().map(Some).ok_or_else(|| CastError::NoLink(to.clone()))
    }
}

impl Peers for FakePeers {
    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    fn cast(&self, to: &MemberId, topic: Topic, _urgency: Urgency, body: Bytes) -> Result<(), CastError> {
        if let Some(hear) = self.way(to, topic == Topic(0x0200))? {
            hear.hear(Inbound { from: self.me.clone(), topic, body, reply: None });
        }
        Ok(())
    }

    fn call<'a>(
        &'a self,
        to: &'a MemberId,
        topic: Topic,
        body: Bytes,
        timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>> {
        Box::pin(async move {
            let late = CallError::Timeout { to: to.clone(), timeout };
            let Some(hear) = self.way(to, false)? else { return Err(late) };
            let (reply, answer) = oneshot::channel();
            hear.hear(Inbound { from: self.me.clone(), topic, body, reply: Some(reply) });
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(Ok(body))) => Ok(body),
                Ok(Ok(Err(unreadable))) => Err(CallError::Unreadable { to: to.clone(), why: unreadable.why }),
                Ok(Err(_)) | Err(_) => Err(late),
            }
        })
    }
}

/// One of the nodes.
pub(super) struct ClusterNode {
    pub(super) rooms: Rooms,
    pub(super) id: MemberId,
    peers: Arc<FakePeers>,
    _commands: Vec<mpsc::Receiver<MediaCommand>>,
    _events: mpsc::Sender<MediaEvent>,
}

/// All of them.
pub(super) struct Cluster {
    pub(super) nodes: Vec<ClusterNode>,
    links: Arc<Mutex<Links>>,
}

impl Cluster {
    pub(super) async fn start(change: impl Fn(&mut RoomsConfig)) -> Self {
        let links = Arc::new(Mutex::new(Links::default()));
        let names = ["ND_1", "ND_2", "ND_3"];
        let mut nodes = Vec::new();
        for name in names {
            let mut config = RoomsConfig::new(Arc::new(Signer));
            config.test_faults = true;
            config.node.node_id = name.into();
            change(&mut config);
            let (media, commands) = MediaPlane::without_workers(1);
            let (events, receiver) = mpsc::channel(64);
            let (inbox, inbound) = inbox();
            let id = facts(name).member;
            let view = watch::Sender::new(Arc::new(view_of(name, &names)));
            let peers = Arc::new(FakePeers { me: id.clone(), links: Arc::clone(&links), view });
            links.lock().unwrap().nodes.insert(id.clone(), inbox);
            let door = ClusterDoor { peers: Arc::clone(&peers) as Arc<dyn Peers>, inbound };
            let rooms = Rooms::start(config, media, receiver, door).await.unwrap();
            nodes.push(ClusterNode { rooms, id, peers, _commands: commands, _events: events });
        }
        // Owners place nothing until hosts had time to register.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Self { nodes, links }
    }

    fn way(&self, from: usize, to: usize) -> (MemberId, MemberId) {
        (self.nodes[from].id.clone(), self.nodes[to].id.clone())
    }

    /// The window of a link is full, or has room again.
    pub(super) fn set_full(&self, from: usize, to: usize, full: bool) {
        let way = self.way(from, to);
        let mut links = self.links.lock().unwrap();
        if full {
            links.full.insert(way)
        } else {
            links.full.remove(&way)
        };
    }

    /// The next so many casts of a relay on a link vanish.
    pub(super) fn lose(&self, from: usize, to: usize, casts: u32) {
        self.links.lock().unwrap().losses.insert(self.way(from, to), casts);
    }

    /// The link between two nodes ends, and comes back only by [`Cluster::mend`].
    pub(super) fn cut(&self, one: usize, other: usize) {
        let ways = [self.way(one, other), self.way(other, one)];
        let mut links = self.links.lock().unwrap();
        let mut lost = Vec::new();
        for (from, to) in ways {
            lost.extend(links.nodes.get(&to).cloned().map(|hear| (hear, from.clone())));
            links.cut.insert((from, to));
        }
        drop(links);
        lost.iter().for_each(|(hear, member)| hear.lost(member));
    }

    /// A new link takes the place of the one that was cut.
    pub(super) fn mend(&self, one: usize, other: usize) {
        let mut links = self.links.lock().unwrap();
        links.cut.remove(&self.way(one, other));
        links.cut.remove(&self.way(other, one));
    }

    /// A node is gone, and all others know.
    pub(super) fn kill(&self, node: usize) {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|other| *other != node).collect();
        others.iter().for_each(|other| self.cut(node, *other));
        self.links.lock().unwrap().nodes.remove(&self.nodes[node].id);
        for other in others {
            self.nodes[other].peers.view.send_modify(|view| {
                let mut changed = View::clone(view);
                changed.generation += 1;
                let member = changed.members.get_mut(&self.nodes[node].id.node_id).unwrap();
                (member.state, member.link) = (MemberState::Dead, LinkState::Down);
                *view = Arc::new(changed);
            });
        }
    }

    /// Every node sees and reaches those of its own part only; one part with all of them heals.
    pub(super) fn part(&self, parts: &[&[usize]]) {
        let part_of = |node: usize| parts.iter().position(|part| part.contains(&node));
        for one in 0..self.nodes.len() {
            for other in 0..one {
                if part_of(one) == part_of(other) { self.mend(one, other) } else { self.cut(one, other) }
            }
        }
        for (one, node) in self.nodes.iter().enumerate() {
            node.peers.view.send_modify(|view| {
                let mut changed = View::clone(view);
                changed.generation += 1;
                for (other, far) in self.nodes.iter().enumerate().filter(|(other, _)| *other != one) {
                    let member = changed.members.get_mut(&far.id.node_id).unwrap();
                    let near = part_of(one) == part_of(other);
                    member.state = if near { MemberState::Serving } else { MemberState::Dead };
                    member.link = if near { LinkState::Up } else { LinkState::Down };
                }
                *view = Arc::new(changed);
            });
        }
    }

    /// Puts raw bytes on a link.
    pub(super) fn cast(&self, from: usize, to: usize, topic: u16, body: Vec<u8>) {
        let to = self.nodes[to].id.clone();
        self.nodes[from].peers.cast(&to, Topic(topic), Urgency::Needed, body.into()).unwrap();
    }

    /// Calls with raw bytes.
    pub(super) async fn call(&self, from: usize, to: usize, topic: u16, body: Vec<u8>) -> Result<Bytes, CallError> {
        let to = self.nodes[to].id.clone();
        self.nodes[from].peers.call(&to, Topic(topic), body.into(), Duration::from_secs(1)).await
    }
}

fn view_of(me: &str, names: &[&str]) -> View {
    let members = names.iter().map(|name| {
        let facts = facts(name);
        let link = if *name == me { LinkState::Own } else { LinkState::Up };
        let member = Member {
            id: facts.member.clone(),
            address: ([127, 0, 0, 1], 1).into(),
            state: MemberState::Serving,
            link,
            facts: Some(facts),
        };
        (member.id.node_id.clone(), member)
    });
    View { me: facts(me).member, generation: 1, members: members.collect() }
}
