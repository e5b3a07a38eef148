//! The shell around chitchat: its tasks, and the tables that go in and come out.

use super::transport::{FactsPort, channel};
use super::{FactTooLarge, NodeFacts, Told, decode, encode};
use crate::limits::{
    FACT_NODES_MAX, FACTS_DEAD_GRACE, FACTS_GOSSIP_INTERVAL, FACTS_INITIAL_INTERVAL, FACTS_PHI, REPAIR_FIRST,
};
use crate::member::{BootId, MemberFacts, MemberId, NodeId};
use crate::metrics;
use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, watch};

/// Who gossips, and with whom.
#[derive(Clone, Debug)]
pub struct FactsConfig {
    /// Messages of another cluster are answered with a refusal.
    pub cluster_name: String,
    /// Where the others send their gossip to.
    pub address: SocketAddr,
    /// What this node says of itself at the start.
    pub facts: MemberFacts,
}

/// Facts do not start.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// One of this node's own facts.
    #[error(transparent)]
    TooLarge(#[from] FactTooLarge),
    /// chitchat says so.
    #[error("chitchat does not start: {0}")]
    Chitchat(anyhow::Error),
}

/// Facts by chitchat. Dropping it ends chitchat.
pub struct ChitchatFacts {
    handle: ChitchatHandle,
    own: watch::Sender<Vec<(&'static str, String)>>,
    told: watch::Receiver<Arc<Told>>,
}

impl std::fmt::Debug for ChitchatFacts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChitchatFacts").field("id", self.handle.chitchat_id()).finish_non_exhaustive()
    }
}

impl ChitchatFacts {
    /// Starts chitchat; its datagrams go through the port.
    ///
    /// # Errors
    /// [`FactsError`] when a fact is too large.
    pub async fn start(config: FactsConfig) -> Result<(Self, FactsPort), FactsError> {
        let pairs = encode(&config.facts)?;
        let me = config.facts.member.clone();
        let (transport, port) = channel(me.clone());
        let initial = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let handle =
            spawn_chitchat(chitchat_config(&config, &me), initial, &transport).await.map_err(FactsError::Chitchat)?;
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        let subscription = handle.with_chitchat(|chitchat| {
            let notify = notify.clone();
            chitchat.subscribe_event("", move |_| notify.notify_one())
        });
        subscription.await.forever();
        let own = watch::Sender::new(pairs);
        let (told_sender, told) = watch::channel(Arc::default());
        let table = Table { me, chitchat: handle.chitchat(), read: BTreeMap::new(), told: told_sender };
        tokio::spawn(keep(table, own.subscribe(), changed));
        let ended = handle.termination_watcher();
        tokio::spawn(async move {
            if let Err(error) = ended.await {
                tracing::debug!(%error, "chitchat has ended");
            }
        });
        Ok((Self { handle, own, told }, port))
    }
}

impl NodeFacts for ChitchatFacts {
    fn tell(&self, facts: &MemberFacts) -> Result<(), FactTooLarge> {
        self.own.send_replace(encode(facts)?);
        Ok(())
    }

    fn meet(&self, address: SocketAddr) {
        // An error means that chitchat has ended, which its own task reports.
        let _ = self.handle.gossip(address);
    }

    fn told(&self) -> watch::Receiver<Arc<Told>> {
        self.told.clone()
    }
}

fn chitchat_config(config: &FactsConfig, me: &MemberId) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new(me.node_id.as_str(), me.boot_id.number(), config.address),
        cluster_id: config.cluster_name.clone(),
        gossip_interval: FACTS_GOSSIP_INTERVAL,
        listen_addr: config.address,
        // foca finds members; the shell makes chitchat meet them.
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: FACTS_PHI,
            initial_interval: FACTS_INITIAL_INTERVAL,
            dead_node_grace_period: FACTS_DEAD_GRACE,
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: FACTS_DEAD_GRACE,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// Writes own facts and reads the others' until the owner drops [`ChitchatFacts`].
async fn keep(mut table: Table, mut own: watch::Receiver<Vec<(&'static str, String)>>, changed: Arc<Notify>) {
    // Nodes that say nothing raise no event; they are looked for at the pace at which they are asked.
    let mut look = tokio::time::interval(REPAIR_FIRST);
    loop {
        tokio::select! {
            biased;
            result = own.changed() => {
                if result.is_err() {
                    return;
                }
                let pairs = own.borrow_and_update().clone();
                table.write(&pairs).await;
            }
            () = changed.notified() => table.read().await,
            _ = look.tick() => table.read().await,
        }
    }
}

struct Table {
    me: MemberId,
    chitchat: Arc<Mutex<Chitchat>>,
    /// What was read of each life at which version.
    read: BTreeMap<ChitchatId, (u64, Option<MemberFacts>)>,
    told: watch::Sender<Arc<Told>>,
}

impl Table {
    async fn write(&self, pairs: &[(&'static str, String)]) {
        let mut chitchat = self.chitchat.lock().await;
        let state = chitchat.self_node_state();
        for (key, value) in pairs {
            state.set(key, value);
        }
    }

    async fn read(&mut self) {
        let mut unreadable = 0;
        let mut read = BTreeMap::new();
        {
            let chitchat = self.chitchat.lock().await;
            let others = chitchat.node_states().iter().filter(|(id, _)| *id != chitchat.self_chitchat_id());
            for (id, state) in others.take(FACT_NODES_MAX) {
                let version = state.max_version();
                let facts = match self.read.remove(id) {
                    Some((known, facts)) if known == version => facts,
                    _ => member_id(id).and_then(|member| decode(&member, state.key_values(), &mut unreadable)),
                };
                read.insert(id.clone(), (version, facts));
            }
        }
        self.read = read;
        if unreadable > 0 {
            metrics::facts_unreadable(unreadable);
        }
        self.publish();
    }

    fn publish(&self) {
        let rows = self.read.iter().filter_map(|(id, (_, facts))| {
            let member = member_id(id).filter(|member| *member != self.me)?;
            Some(((member, id.gossip_advertise_addr), facts.clone()))
        });
        let rows: Told = rows.collect();
        self.told.send_if_modified(|told| {
            let differs = **told != rows;
            if differs {
                *told = Arc::new(rows);
            }
            differs
        });
    }
}

fn member_id(id: &ChitchatId) -> Option<MemberId> {
    let node_id = serde_json::from_value::<NodeId>(serde_json::Value::from(&*id.node_id)).ok()?;
    Some(MemberId { node_id, boot_id: BootId::after(None, id.generation_id) })
}
