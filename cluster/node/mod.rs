//! A node in its cluster: opens the ports, joins, and keeps life, facts and links going. The shell of this crate.
//!
//! [`Cluster`] is the handle. `join` asks seeds and saved members before foca may announce this node; `run` is the one
//! task that owns foca, the roster and the UDP socket.

mod error;
mod join;
mod ports;
mod report;
mod run;
mod saved;

pub use error::JoinError;

use crate::alone::Alone;
use crate::config::ClusterConfig;
use crate::facts::{ChitchatFacts, FactTooLarge, FactsConfig, NodeFacts as _, encode};
use crate::key::ClusterKeys;
use crate::limits::{COMMANDS_QUEUED, LEAVE_TIME, LINK_EVENTS_QUEUED};
use crate::link::{LinkConfig, Links};
use crate::member::{Load, MemberFacts, MemberId};
use crate::metrics;
use crate::peers::{CallError, CastError, Hear, Peers, Reply, Topic, Urgency};
use crate::view::View;
use bytes::Bytes;
use join::Joiner;
use ports::Ports;
use run::{Command, Runner};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// This node's part in its cluster. Cheap to clone; ends with [`Cluster::leave`], which the others hear of, or when the
/// last clone is dropped, which they take for its death. Its view ends with it.
#[derive(Clone, Debug)]
pub struct Cluster(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// No key, no port.
    Alone(Alone),
    Joined(Arc<Joined>),
}

#[derive(Debug)]
struct Joined {
    address: SocketAddr,
    own: watch::Sender<MemberFacts>,
    views: watch::Receiver<Arc<View>>,
    commands: mpsc::Sender<Command>,
    links: Links,
}

impl Cluster {
    /// Joins the cluster and returns once this node takes rooms: welcomed by a member, or alone after
    /// [`ClusterConfig::join_wait`]. Without keys it stays alone and opens no port.
    ///
    /// # Errors
    /// [`JoinError`]: what must be put right before this node can be part of the cluster.
    pub async fn start(config: ClusterConfig, hear: Arc<dyn Hear>) -> Result<Self, JoinError> {
        let Some(keys) = config.keys.clone() else {
            let alone = Alone::new(config.facts);
            alone.update(|facts| facts.ready = true);
            return Ok(Self(Kind::Alone(alone)));
        };
        let ports = Ports::open(config.listen, config.advertise).await?;
        let (joined, joiner) = begin(&config, keys, ports, hear).await?;
        let cluster = Self(Kind::Joined(joined));
        match joiner.join(config.join_wait).await {
            Ok(asking) => {
                asking.go_on();
                cluster.set_ready(true);
                Ok(cluster)
            }
            Err(refusal) => {
                cluster.leave().await;
                Err(JoinError::Refused(refusal))
            }
        }
    }

    /// Where other nodes reach this one, UDP and TCP; `None` for a node that is alone for want of a key.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Alone(_) => None,
            Kind::Joined(joined) => Some(joined.address),
        }
    }

    /// Says what this node carries; told to the others in steps and at most once per
    /// [`crate::limits::LOAD_INTERVAL`].
    pub fn set_load(&self, load: Load) {
        self.change(|facts| facts.load = load);
    }

    /// Says whether this node is on its way out and takes no new rooms.
    pub fn set_draining(&self, draining: bool) {
        self.change(|facts| facts.draining = draining);
    }

    /// Says whether this node takes rooms; true once [`Cluster::start`] has returned.
    pub fn set_ready(&self, ready: bool) {
        metrics::ready(ready);
        self.change(|facts| facts.ready = ready);
    }

    /// Says where other nodes reach this node's HTTP port.
    ///
    /// # Errors
    /// [`FactTooLarge`]; then the earlier one stands.
    pub fn set_http(&self, http: String) -> Result<(), FactTooLarge> {
        let bytes = http.len();
        if bytes > crate::limits::FACT_BYTES_MAX {
            return Err(FactTooLarge { key: "http", bytes });
        }
        self.change(|facts| facts.http = http);
        Ok(())
    }

    /// Tells the others that this node goes and closes every link, within [`LEAVE_TIME`].
    pub async fn leave(&self) {
        let Kind::Joined(joined) = &self.0 else { return };
        let (done, left) = oneshot::channel();
        let asked = joined.commands.send(Command::Leave { done });
        let _ = tokio::time::timeout(LEAVE_TIME, async {
            // An error of either means that the task has ended, which is what is wanted.
            let _ = asked.await;
            let _ = left.await;
            joined.links.stop().await;
        })
        .await;
    }

    fn change(&self, change: impl FnOnce(&mut MemberFacts)) {
        match &self.0 {
            Kind::Alone(alone) => alone.update(change),
            Kind::Joined(joined) => {
                joined.own.send_if_modified(|facts| {
                    let before = facts.clone();
                    change(facts);
                    *facts != before
                });
            }
        }
    }
}

impl Peers for Cluster {
    fn view(&self) -> watch::Receiver<Arc<View>> {
        match &self.0 {
            Kind::Alone(alone) => alone.view(),
            Kind::Joined(joined) => joined.views.clone(),
        }
    }

    fn cast(&self, to: &MemberId, topic: Topic, urgency: Urgency, body: Bytes) -> Result<(), CastError> {
        match &self.0 {
            Kind::Alone(alone) => alone.cast(to, topic, urgency, body),
            Kind::Joined(joined) => joined.links.cast(to, topic, urgency, body),
        }
    }

    fn call<'a>(
        &'a self,
        to: &'a MemberId,
        topic: Topic,
        body: Bytes,
        timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>> {
        match &self.0 {
            Kind::Alone(alone) => alone.call(to, topic, body, timeout),
            Kind::Joined(joined) => joined.links.call(to, topic, body, timeout),
        }
    }
}

/// Starts everything and asks nobody yet: who asks this node is answered from here on.
async fn begin(
    config: &ClusterConfig,
    keys: ClusterKeys,
    ports: Ports,
    hear: Arc<dyn Hear>,
) -> Result<(Arc<Joined>, Joiner), JoinError> {
    let facts = MemberFacts { ready: false, ..config.facts.clone() };
    encode(&facts).map_err(JoinError::Fact)?;
    let me = facts.member.clone();
    let Ports { udp, tcp, address } = ports;
    let saved = saved::load(config.data_dir.as_deref()).await;
    let (events, link_events) = mpsc::channel(LINK_EVENTS_QUEUED);
    let link_config = LinkConfig {
        me: me.clone(),
        cluster: config.name.clone(),
        advertise: address,
        version: facts.version.clone(),
        keys: keys.clone(),
        listener: tcp,
        hear,
        events,
        admit: Arc::new(|_| Ok(())),
    };
    let links = Links::start(link_config).await?;
    let facts_config = FactsConfig { cluster_name: config.name.clone(), address, facts: facts.clone() };
    let (node_facts, port) = ChitchatFacts::start(facts_config).await?;
    let told = node_facts.told();
    let (commands, inbox) = mpsc::channel(COMMANDS_QUEUED);
    let own = watch::Sender::new(facts);
    let runner = Runner::new(run::Parts {
        cluster_name: config.name.clone(),
        keys,
        address,
        data_dir: config.data_dir.clone(),
        udp,
        own: own.subscribe(),
        facts: Box::new(node_facts),
        told,
        port,
        links: links.clone(),
        link_events,
        commands: inbox,
    })?;
    let views = runner.views();
    tokio::spawn(runner.run());
    tracing::info!(node = %me, %address, cluster = config.name, "cluster port opened");
    let joiner = Joiner::new(config, address, saved, links.clone(), commands.downgrade(), views.clone());
    Ok((Arc::new(Joined { address, own, views, commands, links }), joiner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{BootId, Capacity, MemberState};
    use crate::peers::Inbound;
    use std::collections::BTreeSet;

    #[derive(Debug)]
    struct Deaf;

    impl Hear for Deaf {
        fn hear(&self, _: Inbound) {}

        fn lost(&self, _: &MemberId) {}
    }

    fn without_keys() -> ClusterConfig {
        let node_id = serde_json::from_value(serde_json::json!("n")).expect("a plain name is a node id");
        let member = MemberId { node_id, boot_id: BootId::after(None, 1) };
        let facts = MemberFacts {
            member,
            region: String::new(),
            version: String::new(),
            roles: BTreeSet::from([crate::member::Role::Room]),
            capacity: Capacity::default(),
            load: Load::default(),
            http: String::new(),
            ready: false,
            draining: false,
        };
        ClusterConfig {
            name: "alone".to_owned(),
            keys: None,
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            advertise: None,
            seeds: vec!["127.0.0.1:1".to_owned()],
            data_dir: None,
            facts,
            join_wait: Duration::from_secs(5),
        }
    }

    #[tokio::test]
    async fn a_node_without_keys_is_a_cluster_of_its_own_and_opens_no_port() {
        let cluster = Cluster::start(without_keys(), Arc::new(Deaf)).await.expect("nothing can fail");
        assert_eq!(cluster.address(), None);
        let view = cluster.view();
        assert!(view.borrow().living().all(crate::member::Member::takes_rooms));
        assert_eq!(view.borrow().members.len(), 1);
        let generation = view.borrow().generation;
        cluster.set_draining(true);
        assert_eq!(view.borrow().generation, generation + 1);
        assert!(view.borrow().living().all(|member| member.state == MemberState::Draining));
        cluster.leave().await;
    }

    #[tokio::test]
    async fn a_url_that_would_block_the_gossip_is_refused() {
        let cluster = Cluster::start(without_keys(), Arc::new(Deaf)).await.expect("nothing can fail");
        let bytes = crate::limits::FACT_BYTES_MAX + 1;
        assert_eq!(cluster.set_http("x".repeat(bytes)), Err(FactTooLarge { key: "http", bytes }));
        assert!(
            cluster.view().borrow().living().all(|member| member.facts.as_ref().is_some_and(|it| it.http.is_empty()))
        );
    }
}
