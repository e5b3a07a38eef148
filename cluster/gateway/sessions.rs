//! ractor_cluster as a pipe: one NodeServer that nobody can reach but through links that were proved, and one session
//! per link (cluster.md §1.5).

use crate::gateway::actor::NodeGateway;
use crate::gateway::door::Door;
use crate::gateway::doors::Doors;
use crate::gateway::message::GatewayMessage;
use crate::gateway::{LinkNews, News};
use crate::limits;
use crate::member::MemberId;
use crate::peers::Hear;
use ractor::{Actor, ActorRef};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, IncomingEncryptionMode, NodeEventSubscription, NodeServer, NodeServerMessage,
};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// The sessions of this process.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    server: ActorRef<NodeServerMessage>,
    gateway: ActorRef<GatewayMessage>,
    doors: Arc<Doors>,
    hear: Arc<dyn Hear>,
    news: mpsc::UnboundedSender<News>,
}

/// A proved connection for a session.
pub(crate) struct Carrier {
    /// Its number.
    pub(crate) link: u64,
    /// Whose.
    pub(crate) member: MemberId,
    /// The other side dialled.
    pub(crate) accepted: bool,
    /// Ends by itself when the link shall be closed.
    pub(crate) read: BoxRead,
    /// The other direction.
    pub(crate) write: BoxWrite,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Carrier").field("member", &self.member).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Starts ractor's part. `closed_port` is a TLS configuration that no client can satisfy: ractor's own port cannot
    /// be switched off, and its cookie is no secret here, since every link has proved the cluster key before.
    pub(crate) async fn start(
        me: &MemberId,
        closed_port: TlsAcceptor,
        hear: Arc<dyn Hear>,
        news: mpsc::UnboundedSender<News>,
    ) -> Result<Self, ractor::SpawnErr> {
        let doors = Doors::new(news.clone());
        let (gateway, _) = Actor::spawn(None, NodeGateway, Arc::clone(&doors)).await?;
        let server = NodeServer::new(
            0,
            "proved".into(),
            session_name(me),
            "starling".into(),
            Some(IncomingEncryptionMode::Tls(closed_port)),
            Some(NodeConnectionMode::Isolated),
        )
        .with_listen_addr(Ipv4Addr::LOCALHOST.into());
        let (server, _) = Actor::spawn(None, server, ()).await?;
        let watch = Watch { doors: Arc::clone(&doors), news: news.clone() };
        // A server that was just started takes messages.
        let _ = server.cast(NodeServerMessage::SubscribeToEvents { id: "links".into(), subscription: Box::new(watch) });
        Ok(Self { server, gateway, doors, hear, news })
    }

    /// Makes a proved connection a link.
    pub(crate) fn open(&self, carrier: Carrier) {
        let (link, is_server) = (carrier.link, carrier.accepted);
        self.doors.insert(Door::open(carrier.member.clone(), link, Arc::clone(&self.hear), self.news.clone()));
        let stream = Box::new(carrier);
        let opened = NodeServerMessage::ConnectionOpenedExternal { stream, is_server };
        if self.server.cast(opened).is_err() {
            self.never_opened(link);
        }
    }

    /// A connection was lost before it became a link.
    pub(crate) fn never_opened(&self, link: u64) {
        let _ = self.news.send(News { link, news: LinkNews::Ended });
    }

    /// Nothing more is sent on the link, and everything that waits for it fails.
    pub(crate) fn ended(&self, link: u64) {
        self.doors.hide(link);
        // The gateway ends with the process.
        let _ = self.gateway.cast(GatewayMessage::Ended { link });
    }

    /// The door to that very life, if messages flow.
    pub(crate) fn to(&self, member: &MemberId) -> Option<Arc<Door>> {
        self.doors.to(member)
    }

    /// Ends ractor's part, and with it every session.
    pub(crate) async fn stop(&self) {
        // Either has stopped already, or does within the time; there is nothing more to do about it.
        let _ = self.server.stop_and_wait(None, Some(limits::LINK_REPLACE_TIME)).await;
        let _ = self.gateway.drain_and_wait(Some(limits::LINK_REPLACE_TIME)).await;
    }
}

/// `node_id~boot_id`: two lives of a node have two names, so that a session of the dead one never beats the living
/// one's (cluster.md §1.3). The greater name dials.
pub(crate) fn session_name(member: &MemberId) -> String {
    format!("{}~{}", member.node_id, member.boot_id.number())
}

impl ClusterBidiStream for Carrier {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        (self.read, self.write)
    }

    fn peer_label(&self) -> Option<String> {
        Some(format!("{:016x}", self.link))
    }
}

/// Hears of sessions from ractor's server.
struct Watch {
    doors: Arc<Doors>,
    news: mpsc::UnboundedSender<News>,
}

fn link_of(session: &NodeServerSessionInformation) -> Option<u64> {
    u64::from_str_radix(&session.peer_addr, 16).ok()
}

impl Watch {
    /// ractor mirrors the peer's gateway a moment after the session is authenticated, and tells nobody.
    fn find_gateway(&self, session: &NodeServerSessionInformation) {
        let Some(link) = link_of(session) else { return };
        self.doors.session_opened(link, session.node_id);
        let doors = Arc::clone(&self.doors);
        tokio::spawn(async move {
            let mut wait = Duration::from_millis(1);
            let search = async {
                while let Some(door) = doors.find(link) {
                    if doors.attach(&door) {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(20));
                }
            };
            // A link that does not open in time is closed by the one who keeps links.
            let _ = tokio::time::timeout(limits::LINK_OPEN_TIME, search).await;
        });
    }
}

impl NodeEventSubscription for Watch {
    fn node_session_opened(&self, session: NodeServerSessionInformation) {
        if let Some(link) = link_of(&session) {
            self.doors.session_opened(link, session.node_id);
        }
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        if let Some(link) = link_of(&session) {
            let _ = self.news.send(News { link, news: LinkNews::Ended });
        }
    }

    fn node_session_authenticated(&self, session: NodeServerSessionInformation) {
        self.find_gateway(&session);
    }
}
