//! Links between real processes on loopback: this executable starts itself again as the other nodes, since ractor's
//! registries allow one gateway per process. A child ends when its stdin does, so none outlives the test.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "figures of a real run are printed")]

use bytes::Bytes;
use starling_cluster::key::{ClusterKey, ClusterKeys};
use starling_cluster::limits;
use starling_cluster::link::{GreetError, Greeting, LinkConfig, LinkEvent, Links};
use starling_cluster::member::{BootId, MemberId};
use starling_cluster::peers::{CallError, CastError, Hear, Inbound, Topic, Unreadable, Urgency};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const CHILD: &str = "STARLING_LINKS_CHILD";
/// Counts casts that carry a number.
const NUMBERS: Topic = Topic(1);
/// Answers with the body.
const ECHO: Topic = Topic(2);
/// Answers with what was counted and the resident memory in KiB.
const REPORT: Topic = Topic(3);
/// Never answers.
const MUTE: Topic = Topic(4);
/// Cannot be read.
const ALIEN: Topic = Topic(5);
/// Far beyond anything that happens in it; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

fn member(node: &str, boot: u64) -> MemberId {
    let node_id = serde_json::from_value(serde_json::json!(node)).expect("a node id is a string");
    MemberId { node_id, boot_id: BootId::after(None, boot) }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("resident memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[derive(Debug, Default)]
struct Ears {
    numbers: AtomicU64,
    disordered: AtomicU64,
    lost: AtomicU64,
}

impl Hear for Ears {
    fn hear(&self, inbound: Inbound) {
        match (inbound.topic, inbound.reply) {
            (NUMBERS, None) => {
                let number = u64::from_be_bytes(inbound.body[..8].try_into().expect("a number"));
                if self.numbers.fetch_add(1, Ordering::SeqCst) != number {
                    self.disordered.fetch_add(1, Ordering::SeqCst);
                }
            }
            (ECHO, Some(reply)) => drop(reply.send(Ok(inbound.body))),
            (REPORT, Some(reply)) => {
                let counts = [&self.numbers, &self.disordered, &self.lost].map(|count| count.load(Ordering::SeqCst));
                let text = serde_json::json!([counts[0], counts[1], counts[2], resident_kib()]).to_string();
                drop(reply.send(Ok(text.into())));
            }
            (ALIEN, Some(reply)) => drop(reply.send(Err(Unreadable { why: "from another world".into() }))),
            (MUTE, Some(reply)) => drop(tokio::spawn(async move {
                let _reply = reply;
                std::future::pending::<()>().await;
            })),
            (topic, _) => panic!("unexpected {topic:?}"),
        }
    }

    fn lost(&self, _member: &MemberId) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

struct Node {
    links: Links,
    address: SocketAddr,
    events: mpsc::Receiver<LinkEvent>,
}

async fn start(me: MemberId, key: u8, cluster: &str) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (sender, events) = mpsc::channel(64);
    let config = LinkConfig {
        me,
        cluster: cluster.into(),
        advertise: address,
        version: "test".into(),
        keys: ClusterKeys { primary: ClusterKey::from_bytes([key; 32]), secondary: None },
        listener,
        hear: Arc::new(Ears::default()),
        events: sender,
        admit: Arc::new(|_: &Greeting| Ok(())),
    };
    Node { links: Links::start(config).await.expect("links start"), address, events }
}

/// Another node in its own process.
struct Other {
    id: MemberId,
    address: SocketAddr,
    process: Child,
    stdin: ChildStdin,
}

impl Other {
    fn start(node: &str, key: u8, cluster: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "another_node_when_started_as_one", "--nocapture", "--test-threads=1"])
            .env(CHILD, serde_json::json!([node, key, cluster]).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts itself");
        let stdin = process.stdin.take().expect("piped");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let address = lines
            .find_map(|line| line.expect("text").split("READY ").nth(1)?.parse().ok())
            .expect("it says where it listens");
        Self { id: member(node, 1), address, process, stdin }
    }

    /// Tells it which member there is.
    fn want(&mut self, other: &MemberId, address: SocketAddr) {
        writeln!(self.stdin, "{}", serde_json::json!([[other, address]])).expect("it listens");
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(name).arg(self.process.id().to_string()).status().expect("kill runs");
        assert!(done.success());
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have been killed by its story.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn another_node_when_started_as_one() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let (node, key, cluster): (String, u8, String) = serde_json::from_str(&arguments).expect("arguments");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let Node { links, address, mut events } = runtime.block_on(start(member(&node, 1), key, &cluster));
    runtime.spawn(async move { while events.recv().await.is_some() {} });
    println!("\nREADY {address}");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        links.want(serde_json::from_str(&line).expect("members"));
    }
}

async fn expect(node: &mut Node, wanted: &LinkEvent) -> Duration {
    let began = Instant::now();
    let found = async {
        while let Some(event) = node.events.recv().await {
            if event == *wanted {
                return;
            }
        }
        panic!("links ended");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{wanted:?} never came"));
    began.elapsed()
}

async fn link(node: &mut Node, me: &MemberId, other: &mut Other) -> Duration {
    let began = Instant::now();
    other.want(me, node.address);
    node.links.want(vec![(other.id.clone(), other.address)]);
    expect(node, &LinkEvent::Up(other.id.clone())).await;
    began.elapsed()
}

async fn call(node: &Node, to: &MemberId, topic: Topic, body: impl Into<Bytes>) -> Result<Bytes, CallError> {
    node.links.call(to, topic, body.into(), PATIENCE).await
}

/// Numbers heard, of them out of order, links lost, resident memory in KiB.
async fn report(node: &Node, of: &MemberId) -> [u64; 4] {
    let text = call(node, of, REPORT, "").await.expect("a report");
    serde_json::from_slice(&text).expect("four numbers")
}

/// Casts as fast as the window allows.
async fn cast(node: &Node, to: &MemberId, body: &Bytes) {
    while let Err(error) = node.links.cast(to, NUMBERS, Urgency::Needed, body.clone()) {
        assert_eq!(error, CastError::Congested(to.clone()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() - 1) * share / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_carry_messages_and_tell_who_is_gone() {
    let me = member("ND_m", 1);
    let mut node = start(me.clone(), 7, "blue").await;
    let mut other = Other::start("ND_a", 7, "blue");
    println!("link up (dialled) in {:?}", link(&mut node, &me, &mut other).await);
    calls_are_answered(&node, &other.id).await;
    casts_arrive_in_order(&node, &other.id).await;
    small_calls_pass_large_bodies(&node, &other.id).await;
    strangers_are_few_and_short(&node, &other).await;
    outsiders_are_told_apart(&node, &other).await;
    a_killed_peer_is_lost_and_then_refused(&mut node, &mut other).await;
    let mut dialler = Other::start("ND_z", 7, "blue");
    println!("link up (accepted) in {:?}", link(&mut node, &me, &mut dialler).await);
    a_frozen_peer_is_silent_and_costs_no_memory(&mut node, &dialler).await;
    a_killed_peer_is_lost_and_then_refused(&mut node, &mut dialler).await;
    node.links.stop().await;
    let closed = TcpStream::connect(node.address).await;
    assert!(closed.is_err(), "nobody listens after the end");
    a_node_that_stopped_starts_again_in_the_same_process(&me).await;
}

async fn calls_are_answered(node: &Node, other: &MemberId) {
    let mut took = Vec::new();
    for _ in 0..2_000 {
        let began = Instant::now();
        assert_eq!(call(node, other, ECHO, vec![7; 64]).await.expect("an answer").len(), 64);
        took.push(began.elapsed());
    }
    took.sort();
    println!("call of 64 bytes: p50 {:?}, p99 {:?}", percentile(&took, 50), percentile(&took, 99));
    let unreadable = CallError::Unreadable { to: other.clone(), why: "from another world".into() };
    assert_eq!(call(node, other, ALIEN, "").await, Err(unreadable));
    let timeout = Duration::from_millis(50);
    let late = node.links.call(other, MUTE, Bytes::new(), timeout).await;
    assert_eq!(late, Err(CallError::Timeout { to: other.clone(), timeout }));
    let too_large = vec![0; limits::BODY_BYTES_MAX + 1];
    assert!(matches!(call(node, other, ECHO, too_large).await, Err(CallError::Cast(CastError::TooLarge { .. }))));
    let later_life = member("ND_a", 2);
    assert_eq!(call(node, &later_life, ECHO, "").await, Err(CastError::NoLink(later_life.clone()).into()));
}

async fn casts_arrive_in_order(node: &Node, other: &MemberId) {
    let began = Instant::now();
    for number in 0..100_000_u64 {
        cast(node, other, &Bytes::copy_from_slice(&number.to_be_bytes())).await;
    }
    let [numbers, disordered, ..] = loop {
        let report = report(node, other).await;
        if report[0] >= 100_000 {
            break report;
        }
    };
    println!("100,000 casts in {:?}", began.elapsed());
    assert_eq!((numbers, disordered), (100_000, 0));
}

async fn small_calls_pass_large_bodies(node: &Node, other: &MemberId) {
    let large: Bytes = (0..5_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let began = Instant::now();
    let transfer = call(node, other, ECHO, large.clone());
    tokio::pin!(transfer);
    let mut took = Vec::new();
    let answer = loop {
        let small = Instant::now();
        // Another topic than the large one's, whose order it would otherwise keep.
        let ask = call(node, other, REPORT, "");
        tokio::pin!(ask);
        tokio::select! {
            biased;
            answer = &mut transfer => break answer,
            answer = &mut ask => {
                answer.expect("a report");
                took.push(small.elapsed());
            }
        }
    };
    assert_eq!(answer.expect("the echo"), large);
    took.sort();
    assert!(!took.is_empty(), "small calls pass between the parts");
    println!(
        "5 MB echo in {:?}; {} small calls meanwhile: p50 {:?}, max {:?}",
        began.elapsed(),
        took.len(),
        percentile(&took, 50),
        percentile(&took, 100)
    );
}

async fn strangers_are_few_and_short(node: &Node, other: &Other) {
    let before = report(node, &other.id).await[3];
    let began = Instant::now();
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let mut stream = connect_patiently(other.address).await;
        strangers.spawn(async move {
            let mut heard = Vec::new();
            // A reset is as good an end as any.
            let _ = stream.read_to_end(&mut heard).await;
            heard.len()
        });
    }
    let during = report(node, &other.id).await[3];
    let heard = tokio::time::timeout(PATIENCE, strangers.join_all()).await.expect("every stranger is sent away");
    println!("1,000 silent connections: all closed after {:?}, memory {before} → {during} KiB", began.elapsed());
    assert_eq!(heard.iter().sum::<usize>(), 0, "nothing is said to a stranger");
    assert!(during < before + 16 * 1_024, "memory stays flat: {before} → {during} KiB");
}

/// This process may be out of sockets until some strangers have been sent away.
async fn connect_patiently(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn outsiders_are_told_apart(node: &Node, other: &Other) {
    let welcome = node.links.greet(other.address).await.expect("a welcome");
    assert_eq!((welcome.member, welcome.address), (other.id.clone(), other.address));
    assert_eq!(welcome.members, [(member("ND_m", 1), node.address)]);

    let wrong_key = Other::start("ND_b", 8, "blue");
    let address = wrong_key.address;
    assert_eq!(node.links.greet(address).await, Err(GreetError::WrongKey { address }));
    let red = Other::start("ND_c", 7, "red");
    let address = red.address;
    assert_eq!(node.links.greet(address).await, Err(GreetError::OtherCluster { address, name: "red".into() }));
    let namesake = Other::start("ND_m", 7, "blue");
    let ourselves = node.links.greet(namesake.address).await;
    assert_eq!(ourselves, Err(GreetError::Ourselves { address: namesake.address }), "the same life of the same node");
    drop((wrong_key, red, namesake));
    assert!(matches!(node.links.greet(address).await, Err(GreetError::Unreachable { .. })));

    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = mute.local_addr().expect("bound");
    assert_eq!(node.links.greet(address).await, Err(GreetError::Silent { address }));
}

async fn a_killed_peer_is_lost_and_then_refused(node: &mut Node, other: &mut Other) {
    let (links, to) = (node.links.clone(), other.id.clone());
    let pending = tokio::spawn(async move { links.call(&to, MUTE, Bytes::new(), PATIENCE).await });
    // The call is out once a later one is answered.
    report(node, &other.id).await;
    let began = Instant::now();
    other.kill();
    expect(node, &LinkEvent::Lost(other.id.clone())).await;
    let lost = began.elapsed();
    expect(node, &LinkEvent::Refused(other.id.clone())).await;
    println!("killed: lost after {lost:?}, refused after {:?}", began.elapsed());
    assert_eq!(pending.await.expect("it ends"), Err(CallError::LinkLost(other.id.clone())));
    let gone = node.links.cast(&other.id, NUMBERS, Urgency::Needed, Bytes::new());
    assert_eq!(gone, Err(CastError::NoLink(other.id.clone())));
}

async fn a_frozen_peer_is_silent_and_costs_no_memory(node: &mut Node, other: &Other) {
    // What a starved machine told before does not count.
    while node.events.try_recv().is_ok() {}
    other.signal("-STOP");
    let silent = expect(node, &LinkEvent::Silent(other.id.clone())).await;
    let before = resident_kib();
    let (mut taken, mut droppable) = (0_u64, 0);
    for urgency in [Urgency::Droppable, Urgency::Needed] {
        for _ in 0..20_000 {
            let mut body = taken.to_be_bytes().to_vec();
            body.resize(4 * 1_024, 0);
            if node.links.cast(&other.id, NUMBERS, urgency, body.into()).is_ok() {
                taken += 1;
            }
        }
        droppable = if urgency == Urgency::Droppable { taken } else { droppable };
    }
    let after = resident_kib();
    println!("frozen: silent after {silent:?}; {droppable} then {taken} casts taken; memory {before} → {after} KiB");
    let window = limits::WINDOW_MESSAGES as u64;
    assert_eq!((droppable, taken), (window / 2, window));
    assert!(after < before + 64 * 1_024, "memory stays flat: {before} → {after} KiB");
    other.signal("-CONT");
    println!("thawed: heard after {:?}", expect(node, &LinkEvent::Heard(other.id.clone())).await);
    let [numbers, disordered, ..] = report_when_there_is_room(node, &other.id).await;
    assert_eq!((numbers, disordered), (taken, 0), "what was taken arrives, in order");
}

async fn a_node_that_stopped_starts_again_in_the_same_process(me: &MemberId) {
    let mut node = start(me.clone(), 7, "blue").await;
    let mut other = Other::start("ND_y", 7, "blue");
    link(&mut node, me, &mut other).await;
    assert_eq!(call(&node, &other.id, ECHO, "again").await, Ok(Bytes::from_static(b"again")));
    node.links.want(Vec::new());
    expect(&mut node, &LinkEvent::Lost(other.id.clone())).await;
    let closed = node.links.cast(&other.id, NUMBERS, Urgency::Needed, Bytes::new());
    assert_eq!(closed, Err(CastError::NoLink(other.id.clone())), "life does not have it: no link");
}

async fn report_when_there_is_room(node: &Node, of: &MemberId) -> [u64; 4] {
    loop {
        match call(node, of, REPORT, "").await {
            Ok(text) => {
                let report: [u64; 4] = serde_json::from_slice(&text).expect("four numbers");
                return report;
            }
            Err(CallError::Cast(CastError::Congested(_))) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}
