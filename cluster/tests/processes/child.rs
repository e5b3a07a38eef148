//! One node, as a process of its own.

use crate::counters::Counters;
use serde::{Deserialize, Serialize};
use starling_cluster::Cluster;
use starling_cluster::config::ClusterConfig;
use starling_cluster::identity::Identity;
use starling_cluster::key::{ClusterKey, ClusterKeys};
use starling_cluster::member::{Capacity, Load, MemberFacts, MemberId, Role};
use starling_cluster::peers::{Hear, Inbound, Peers as _};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt as _;

/// The variable that makes a process of this executable a node.
pub(crate) const SETTING: &str = "STARLING_TEST_NODE";
/// The test that such a process runs.
pub(crate) const ENTRY: &str = "child::a_node_runs_when_it_is_set_to";

/// What a node is told at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) cluster: String,
    pub(crate) key: u8,
    pub(crate) node_id: Option<String>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) seeds: Vec<String>,
    pub(crate) join_wait_ms: u64,
}

#[derive(Debug)]
struct Deaf;

impl Hear for Deaf {
    fn hear(&self, _: Inbound) {}

    fn lost(&self, _: &MemberId) {}
}

#[test]
fn a_node_runs_when_it_is_set_to() {
    let Ok(setting) = std::env::var(SETTING) else { return };
    let setting: Setting = serde_json::from_str(&setting).expect("a setting");
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(live(setting));
    // Nothing of the test harness is wanted of a node.
    std::process::exit(0);
}

async fn live(setting: Setting) {
    let counters = Counters::default();
    metrics::set_global_recorder(counters.clone()).expect("the only recorder");
    let since_epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    let now_ms = since_epoch.as_millis() as u64;
    let identity = Identity::load(setting.data_dir.as_deref(), setting.node_id.as_deref(), now_ms).expect("identity");
    let cluster = match Cluster::start(config(&setting, identity.member()), Arc::new(Deaf)).await {
        Ok(cluster) => cluster,
        Err(error) => return say("refused", &error.to_string()),
    };
    say("started", &cluster.address());
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    let mut views = cluster.view();
    views.mark_changed();
    loop {
        tokio::select! {
            biased;
            line = lines.next_line() => match line.expect("readable") {
                Some(line) => obey(&line, &cluster, &counters).await,
                None => return,
            },
            Ok(()) = views.changed() => say("view", &**views.borrow_and_update()),
        }
    }
}

fn config(setting: &Setting, member: MemberId) -> ClusterConfig {
    let facts = MemberFacts {
        member,
        region: "here".to_owned(),
        version: "test".to_owned(),
        roles: BTreeSet::from([Role::Room]),
        capacity: Capacity { cpu_millicores: 2_000, egress_mbps: 1_000 },
        load: Load::default(),
        http: "http://127.0.0.1:7880".to_owned(),
        ready: false,
        draining: false,
    };
    ClusterConfig {
        name: setting.cluster.clone(),
        keys: Some(ClusterKeys { primary: ClusterKey::from_bytes([setting.key; 32]), secondary: None }),
        listen: setting.listen,
        advertise: None,
        seeds: setting.seeds.clone(),
        data_dir: setting.data_dir.clone(),
        facts,
        join_wait: Duration::from_millis(setting.join_wait_ms),
    }
}

async fn obey(line: &str, cluster: &Cluster, counters: &Counters) {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("rooms", count) => cluster.set_load(Load { rooms: count.parse().expect("a number"), ..Load::default() }),
        ("drain", _) => cluster.set_draining(true),
        ("leave", _) => {
            cluster.leave().await;
            say("left", &true);
        }
        ("count", _) => say("counters", &counters.all()),
        (order, _) => panic!("unknown order {order}"),
    }
}

fn say<T: Serialize + ?Sized>(what: &str, value: &T) {
    println!("{}", serde_json::json!({ what: value }));
}
