//! Join time: from opening the WebSocket until the primary peer connection is up, against a whole node.
#![expect(clippy::disallowed_methods, reason = "it measures by the clock")]

use clap::{Args, ValueEnum};
use starling_chaos::bot::{Bot, Wire, candidate_of};
use starling_protocol::keys::Secret;
use starling_protocol::livekit::{self as proto, signal_request, signal_response};
use starling_protocol::token::{Claims, VideoGrants, sign};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use str0m::change::SdpOffer;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

type Failure = Box<dyn Error + Send + Sync>;

/// Longest wait for one join, and for the node's start.
const TIMEOUT: Duration = Duration::from_secs(15);
/// LiveKit's `ping_interval`.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Life of the tokens, seconds.
const TOKEN_SECONDS: i64 = 3600;
/// Rest between two joins, so that one does not pay for the answers to the one before.
const REST: Duration = Duration::from_millis(20);

/// How joins are measured.
#[derive(Args)]
pub(crate) struct JoinArguments {
    /// Node to join, as `ws://HOST:PORT`.
    #[arg(long, required_unless_present = "starling")]
    url: Option<String>,
    /// Binary of a node to start and to end.
    #[arg(long, conflicts_with = "url")]
    starling: Option<PathBuf>,
    /// Joins, one after the other, all into one room.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Client: str0m costs the machine little; webrtc is the whole client of chaos.
    #[arg(long, value_enum, default_value_t = ClientKind::Str0m)]
    client: ClientKind,
    /// API key and secret of the tokens.
    #[arg(long, default_value = "devkey")]
    api_key: String,
    #[arg(long, default_value = "secret")]
    api_secret: String,
    /// File that the line of figures is appended to.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClientKind {
    Str0m,
    Webrtc,
}

/// Runs all joins and prints the figures.
pub(crate) fn run(arguments: &JoinArguments) -> Result<(), Box<dyn Error>> {
    str0m::crypto::from_feature_flags().install_process_default();
    let node = arguments.starling.as_deref().map(Node::start).transpose()?;
    let url = match (&node, &arguments.url) {
        (Some(node), _) => node.url.clone(),
        (None, Some(url)) => url.clone(),
        (None, None) => return Err("give --url or --starling".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut times = runtime.block_on(join_all(arguments, &url)).map_err(|error| error as Box<dyn Error>)?;
    times.sort_unstable();
    let percentile = |share: f64| {
        let rank = (times.len() as f64 * share).ceil() as usize;
        times.get(rank.saturating_sub(1)).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let line = format!(
        "\nJoin, WebSocket opened → primary connection up, {} joins into one room with {:?} clients on this machine: \
         p50 {:.1} ms, p95 {:.1} ms, slowest {:.1} ms.",
        times.len(),
        arguments.client,
        percentile(0.5),
        percentile(0.95),
        percentile(1.0),
    );
    println!("{line}");
    if let Some(path) = &arguments.output {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, format!("{before}{line}\n"))?;
    }
    Ok(())
}

async fn join_all(arguments: &JoinArguments, url: &str) -> Result<Vec<Duration>, Failure> {
    let (mut times, mut bots, mut stays) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..arguments.count {
        let token = token(arguments, index)?;
        match arguments.client {
            ClientKind::Webrtc => {
                let bot = Bot::join(url, &token).await?;
                times.push(bot.connected_after());
                bots.push(bot);
            }
            ClientKind::Str0m => {
                let (time, stay) = join_once(url, &token).await?;
                times.push(time);
                stays.push(stay);
            }
        }
        tokio::time::sleep(REST).await;
    }
    for bot in bots {
        bot.leave().await?;
    }
    for stay in stays {
        stay.abort();
    }
    Ok(times)
}

fn token(arguments: &JoinArguments, index: usize) -> Result<String, Failure> {
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let video = VideoGrants { room_join: true, room: "bench".into(), ..VideoGrants::default() };
    let claims = Claims { sub: format!("bench-{index}"), exp: now_s + TOKEN_SECONDS, video, ..Claims::default() };
    Ok(sign(&claims, &arguments.api_key, &Secret::new(&arguments.api_secret))?)
}

type Stay = tokio::task::JoinHandle<Result<(), Failure>>;

/// One join; the participant stays until the handle is aborted.
async fn join_once(url: &str, token: &str) -> Result<(Duration, Stay), Failure> {
    let start = Instant::now();
    let (wire, _) = Wire::join(url, token).await?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let local = socket.local_addr()?;
    let mut rtc = Rtc::builder().build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp")?);
    let (connected, connection) = oneshot::channel();
    let mut stay = tokio::spawn(Participant { wire, socket, rtc, connected: Some(connected) }.run());
    tokio::select! {
        result = tokio::time::timeout(TIMEOUT, connection) => match result {
            Ok(Ok(())) => Ok((start.elapsed(), stay)),
            Ok(Err(_)) => Err("a participant ended before it was connected".into()),
            Err(_) => Err(format!("no connection within {TIMEOUT:?}").into()),
        },
        ended = &mut stay => Err(ended?.err().unwrap_or_else(|| "the node ended a participant".into())),
    }
}

struct Participant {
    wire: Wire,
    socket: UdpSocket,
    rtc: Rtc,
    connected: Option<oneshot::Sender<()>>,
}

impl Participant {
    async fn run(mut self) -> Result<(), Failure> {
        let mut ping = tokio::time::interval(PING_INTERVAL);
        let mut buffer = vec![0; 2048];
        let local = self.socket.local_addr()?;
        loop {
            let due = self.drain().await?;
            tokio::select! {
                message = self.wire.receive() => {
                    if self.on_signal(message?).await? {
                        return Ok(());
                    }
                }
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, source) = received?;
                    if let Ok(contents) = buffer[..length].try_into() {
                        let receive = Receive { proto: Protocol::Udp, source, destination: local, contents };
                        self.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                    }
                }
                () = tokio::time::sleep_until(due.into()) => self.rtc.handle_input(Input::Timeout(Instant::now()))?,
                _ = ping.tick() => {
                    self.wire.send(signal_request::Message::PingReq(proto::Ping::default())).await?;
                }
            }
        }
    }

    async fn drain(&mut self) -> Result<Instant, Failure> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => return Ok(due),
                Output::Transmit(transmit) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).await?;
                }
                Output::Event(Event::Connected) => {
                    if let Some(connected) = self.connected.take() {
                        // Nobody waits any more when the join has timed out.
                        let _ = connected.send(());
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Serves one message; `true` = the node sends the participant away.
    async fn on_signal(&mut self, message: signal_response::Message) -> Result<bool, Failure> {
        match message {
            signal_response::Message::Offer(offer) => {
                // str0m waits as DTLS server where it may; every browser starts the handshake, and so do the SDKs.
                let offered = offer.sdp.replace("a=setup:actpass", "a=setup:passive");
                let answer = self.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&offered)?)?;
                let answer = proto::SessionDescription {
                    r#type: "answer".into(),
                    sdp: answer.to_sdp_string(),
                    id: offer.id,
                    ..Default::default()
                };
                self.wire.send(signal_request::Message::Answer(answer)).await?;
                self.rtc.handle_input(Input::Timeout(Instant::now()))?;
            }
            signal_response::Message::Trickle(trickle) => {
                if let Some(line) = candidate_of(&trickle)
                    && let Ok(candidate) = Candidate::from_sdp_string(&line)
                {
                    self.rtc.add_remote_candidate(candidate);
                    self.rtc.handle_input(Input::Timeout(Instant::now()))?;
                }
            }
            signal_response::Message::Leave(_) => return Ok(true),
            _ => {}
        }
        Ok(false)
    }
}

/// A node of our own, ended with us.
struct Node {
    process: Child,
    url: String,
}

impl Node {
    fn start(binary: &Path) -> Result<Self, Box<dyn Error>> {
        let ports = std::env::temp_dir().join(format!("starling-bench-{}.json", std::process::id()));
        // An old file of the same process id would be believed.
        let _ = std::fs::remove_file(&ports);
        // A free port: 0 would be LiveKit's "off".
        let udp_port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(binary);
        command.args(["--dev", "--port=0", "--set=rtc.tcp_port=0"]).arg(format!("--udp-port={udp_port}"));
        command.arg("--ports-file").arg(&ports);
        let process = command.stdout(Stdio::null()).spawn()?;
        let mut node = Self { process, url: String::new() };
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if let Ok(text) = std::fs::read_to_string(&ports) {
                let _ = std::fs::remove_file(&ports);
                let value: serde_json::Value = serde_json::from_str(&text)?;
                let address = value["http"][0].as_str().ok_or("the ports file names no address")?;
                node.url = format!("ws://{address}");
                return Ok(node);
            }
            if let Some(status) = node.process.try_wait()? {
                return Err(format!("the node ended with {status}").into());
            }
            std::thread::sleep(REST);
        }
        Err("the node wrote no ports file".into())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
