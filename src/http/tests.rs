//! The HTTP surface against a door that always opens, over real sockets on loopback.

mod admin;

use super::*;
use crate::rooms::{Admitted, Reply, RequestSink};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::json;
use starling_actors::{
    Join, JoinError, ParticipantSnapshot, RelocateError, RoomSnapshot, RoomsSnapshot, SessionError, SessionOutput,
};
use starling_cluster::Alone;
use starling_cluster::member::{BootId, Capacity, Load, MemberFacts, MemberId, NodeId, Role};
use starling_cluster::peers::Peers;
use starling_media::id::PeerId;
use starling_media::worker::Relocation;
use starling_protocol::keys::Secret;
use starling_protocol::limits::SIGNAL_FRAME_BYTES_MAX;
use starling_protocol::livekit as lk;
use starling_protocol::token::{Claims, VideoGrants, sign};
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Lets everybody in but those who ask for the rooms `missing` and `full`; answers each request with a pong.
#[derive(Debug, Default)]
struct OpenDoor {
    joins: Mutex<Vec<Join>>,
}

#[derive(Debug)]
struct Echo(mpsc::Sender<SessionOutput>);

impl RequestSink for Echo {
    fn send(&self, request: lk::SignalRequest) -> Result<(), SessionError> {
        let output = match request.message {
            Some(lk::signal_request::Message::Leave(_)) => SessionOutput::Close,
            _ => SessionOutput::Signal(Box::new(pong(7))),
        };
        self.0.try_send(output).map_err(|_| SessionError::Busy)
    }
}

fn pong(value: i64) -> lk::SignalResponse {
    lk::SignalResponse { message: Some(lk::signal_response::Message::Pong(value)) }
}

fn verdict(join: &Join) -> Result<(), JoinError> {
    match join.claims.video.room.as_str() {
        "missing" => Err(JoinError::RoomNotFound),
        "full" => Err(JoinError::RoomFull { limit: 2 }),
        _ => Ok(()),
    }
}

impl Door for OpenDoor {
    fn validate<'a>(&'a self, join: &'a Join) -> Reply<'a, Result<(), JoinError>> {
        Box::pin(async move { verdict(join) })
    }

    fn join(&self, join: Join) -> Reply<'_, Result<Admitted, JoinError>> {
        Box::pin(async move {
            verdict(&join)?;
            self.joins.lock().expect("joins").push(join);
            let (sender, responses) = mpsc::channel(2_000);
            Ok(Admitted { first: Box::new(pong(1)), requests: Box::new(Echo(sender)), responses })
        })
    }

    fn snapshot(&self) -> Reply<'_, serde_json::Value> {
        Box::pin(async { json!({"rooms": []}) })
    }

    fn overview(&self) -> Reply<'_, RoomsSnapshot> {
        Box::pin(async {
            let id = |name: &str| NodeId::try_from(name.to_owned()).expect("node id");
            let ada = ParticipantSnapshot {
                sid: "PA_1".into(),
                identity: "ada".into(),
                name: "Ada".into(),
                state: "ACTIVE".into(),
                entry: id("two"),
                hidden: false,
                tracks: Vec::new(),
                subscriptions: Vec::new(),
                joined_at_ms: 7,
            };
            let room = RoomSnapshot {
                name: "r".into(),
                sid: "RM_1".into(),
                host: id("one"),
                epoch: 3,
                standby: None,
                worker: 0,
                participants: vec![ada],
            };
            RoomsSnapshot { rooms: vec![room], missing: vec![id("three")] }
        })
    }

    fn crash<'a>(&'a self, _: &'a str) -> Reply<'a, ()> {
        Box::pin(async {})
    }

    fn relocate<'a>(&'a self, room: &'a str, worker: usize) -> Reply<'a, Result<Relocation, RelocateError>> {
        Box::pin(async move {
            match (room, worker) {
                ("r", 0) => Ok(Relocation { moved: vec![PeerId(1)], lost: Vec::new() }),
                ("r", worker) => Err(RelocateError::NoWorker { worker }),
                _ => Err(RelocateError::NoRoom),
            }
        })
    }
}

struct Server {
    address: SocketAddr,
    door: Arc<OpenDoor>,
    state: Arc<HttpState>,
}

async fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config { keys: KeyRing::single("devkey", "secret"), ..Config::default() };
    change(&mut config);
    let door = Arc::new(OpenDoor::default());
    let (media, _) = MediaPlane::without_workers(1);
    let (state, _) = HttpState::new(&config, media, None);
    state.open(Arc::clone(&door) as Arc<dyn Door>, alone().view());
    serve(state, door).await
}

async fn serve(state: Arc<HttpState>, door: Arc<OpenDoor>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("address");
    let service = router(Arc::clone(&state)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Server { address, door, state }
}

/// A cluster of one.
fn alone() -> Alone {
    let now_ms = 1_700_000_000_000;
    Alone::new(MemberFacts {
        member: MemberId {
            node_id: NodeId::try_from("one".to_owned()).expect("node id"),
            boot_id: BootId::after(None, now_ms),
        },
        region: "eu".into(),
        version: "0.1.0".into(),
        roles: [Role::Room, Role::Record].into(),
        capacity: Capacity { cpu_millicores: 2_000, egress_mbps: 1_000 },
        load: Load { rooms: 4, ..Load::default() },
        http: "http://127.0.0.1:7880".into(),
        ready: true,
        draining: false,
    })
}

impl Server {
    /// Sends one request and returns status, head and body.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connection");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: node:7880\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("status");
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", path, headers, "").await;
        (status, body)
    }

    async fn connect(&self, path_and_query: &str) -> Result<Client, WebSocketError> {
        connect_async(format!("ws://{}{path_and_query}", self.address)).await.map(|(client, _)| client)
    }

    /// A client that has got its first response.
    async fn joined(&self) -> Client {
        let token = token(&good());
        let mut client = self.connect(&format!("/rtc?access_token={token}")).await.expect("session");
        assert_eq!(response(&mut client).await, pong(1));
        client
    }
}

async fn response(client: &mut Client) -> lk::SignalResponse {
    match client.next().await.expect("a frame").expect("a good frame") {
        Message::Binary(bytes) => lk::SignalResponse::decode(bytes).expect("protobuf"),
        other => panic!("{other:?}"),
    }
}

async fn close_code(client: &mut Client) -> (CloseCode, String) {
    loop {
        match client.next().await.expect("a frame").expect("a good frame") {
            Message::Close(Some(frame)) => return (frame.code, frame.reason.to_string()),
            Message::Binary(_) | Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn good() -> Claims {
    Claims {
        sub: "alice".into(),
        exp: signal::now_s() + 600,
        video: VideoGrants { room_join: true, room: "r".into(), ..VideoGrants::default() },
        ..Claims::default()
    }
}

fn token(claims: &Claims) -> String {
    sign(claims, "devkey", &Secret::new("secret")).expect("token")
}

fn changed(change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = good();
    change(&mut claims);
    token(&claims)
}

#[tokio::test]
async fn every_refusal_has_livekits_status_and_text() {
    let server = server(|_| {}).await;
    let other_secret = sign(&good(), "devkey", &Secret::new("other")).expect("token");
    let other_key = sign(&good(), "nokey", &Secret::new("secret")).expect("token");
    let unsigned = {
        let signed = token(&good());
        let payload = signed.split('.').nth(1).expect("payload").to_owned();
        format!("eyJhbGciOiJub25lIn0.{payload}.")
    };
    let now = signal::now_s();
    let cases: Vec<(String, u16, &str)> = vec![
        (String::new(), 401, "permissions denied"),
        ("garbage".into(), 401, "invalid authorization token"),
        ("a.b.c".into(), 401, "invalid authorization token"),
        (unsigned, 401, "invalid authorization token: algorithm \"none\" is not HS256"),
        (other_secret, 401, "invalid token: error in cryptographic primitive"),
        (other_key, 401, "invalid API key: nokey"),
        (changed(|claims| claims.exp = now - 120), 401, "invalid token: token is expired (exp)"),
        (changed(|claims| claims.exp = 0), 401, "invalid token: expiration claim (exp) is missing"),
        (changed(|claims| claims.nbf = Some(now + 300)), 401, "invalid token: token not valid yet (nbf)"),
        (changed(|claims| claims.video.room_join = false), 401, "permissions denied"),
        (changed(|claims| claims.sub.clear()), 400, "identity cannot be empty"),
        (changed(|claims| claims.video.room.clear()), 400, "no room name"),
        (
            changed(|claims| claims.video.room = "r".repeat(257)),
            400,
            "room name length exceeds limits (max 256 bytes, got 257)",
        ),
        (
            changed(|claims| claims.sub = "i".repeat(257)),
            400,
            "participant identity length exceeds limits (max 256 bytes, got 257)",
        ),
        (
            changed(|claims| claims.name = "n".repeat(257)),
            400,
            "participant name length exceeds limits (max 256 bytes, got 257)",
        ),
        (changed(|claims| claims.video.room = "missing".into()), 404, "requested room does not exist"),
        (changed(|claims| claims.video.room = "full".into()), 429, "room has 2 participants, which is its limit"),
        (token(&good()), 200, "success"),
    ];
    for (token, status, text) in cases {
        let query = server.get(&format!("/rtc/validate?access_token={token}"), "").await;
        assert_eq!(query, (status, text.to_owned()), "{token}");
        let upgrade = server.connect(&format!("/rtc?access_token={token}")).await;
        match upgrade {
            Ok(_) => assert_eq!(status, 200, "{token}"),
            Err(WebSocketError::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                assert_eq!((response.status().as_u16(), String::from_utf8_lossy(&body).as_ref()), (status, text));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_token_in_the_header_counts_and_another_scheme_does_not() {
    let server = server(|_| {}).await;
    let good = format!("Authorization: Bearer {}\r\n", token(&good()));
    assert_eq!(server.get("/rtc/validate", &good).await, (200, "success".into()));
    let (status, text) = server.get("/rtc/validate", "Authorization: Basic abc\r\n").await;
    assert_eq!((status, text.as_str()), (401, "invalid authorization header. Must start with Bearer "));
}

#[tokio::test]
async fn large_metadata_and_attributes_are_refused_by_name() {
    let server = server(|config| (config.limit.max_metadata_size, config.limit.max_attributes_size) = (10, 10)).await;
    let metadata = changed(|claims| claims.metadata = "m".repeat(11));
    let attributes = changed(|claims| claims.attributes = [("k".to_owned(), "v".repeat(10))].into());
    for (token, what) in [(metadata, "metadata size"), (attributes, "attributes size")] {
        let (status, text) = server.get(&format!("/rtc/validate?access_token={token}"), "").await;
        assert_eq!((status, text), (400, format!("{what} exceeds limits (max 10 bytes, got 11)")));
    }
}

#[tokio::test]
async fn the_join_request_is_demanded_on_v1_and_its_errors_are_named() {
    let server = server(|_| {}).await;
    let token = token(&good());
    for (query, text) in [
        ("", "join_request is required"),
        ("&join_request=%25%25", "cannot base64 decode join_request"),
        ("&join_request=_____w", "cannot unmarshal wrapped join_request"),
    ] {
        let answer = server.get(&format!("/rtc/v1/validate?access_token={token}{query}"), "").await;
        assert_eq!(answer, (400, text.to_owned()));
    }
    let answer = server.get(&format!("/rtc/validate?access_token={token}&attributes=%25"), "").await;
    assert_eq!(answer, (400, "cannot decode attributes".to_owned()));
    // An empty wrapper is a join request with every default.
    let answer = server.get(&format!("/rtc/v1/validate?access_token={token}&join_request=CAA"), "").await;
    assert_eq!(answer, (200, "success".to_owned()));
}

#[tokio::test]
async fn a_request_line_of_sixty_thousand_bytes_is_read() {
    let server = server(|_| {}).await;
    let path = format!("/rtc/validate?access_token={}&x={}", token(&good()), "y".repeat(60_000));
    assert_eq!(server.get(&path, "").await.0, 200);
}

#[tokio::test]
async fn what_is_no_upgrade_is_not_found_on_both_paths() {
    let server = server(|_| {}).await;
    for path in ["/rtc", "/rtc/v1"] {
        assert_eq!(server.get(path, "").await, (404, String::new()));
        assert_eq!(server.ask("POST", path, "", "").await.0, 404);
    }
}

#[tokio::test]
async fn browsers_may_read_validates_answer_from_anywhere() {
    let server = server(|_| {}).await;
    for (method, path, status) in [("GET", "/rtc/validate", 401), ("OPTIONS", "/rtc/v1/validate", 204)] {
        let (found, head, _) = server.ask(method, path, "Origin: https://app.example.org\r\n", "").await;
        assert_eq!(found, status);
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
    }
}

#[tokio::test]
async fn the_root_is_ok_for_machines_and_a_page_for_browsers() {
    let server = server(|_| {}).await;
    assert_eq!(server.get("/", "").await, (200, "OK".into()));
    assert_eq!(server.ask("HEAD", "/", "", "").await.0, 200);
    let (_, head, _) = server.ask("GET", "/", "Origin: https://app.example.org\r\n", "").await;
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    let (_, page) = server.get("/", "Accept: text/html,*/*\r\n").await;
    assert!(page.contains("href=\"/meet\"") && page.contains("href=\"/admin\""));
    server.state.stop();
    assert_eq!(server.get("/", "").await.0, 406);
    assert_eq!(server.get("/ready", "").await.0, 503);
    assert_eq!(server.get("/live", "").await.0, 200);
    let validate = server.get(&format!("/rtc/validate?access_token={}", token(&good())), "").await;
    assert_eq!(validate, (503, "node is shutting down".into()));
}

#[tokio::test]
async fn binary_and_text_clients_are_answered_in_kind() {
    let server = server(|_| {}).await;
    let mut client = server.joined().await;
    let ping = lk::SignalRequest { message: Some(lk::signal_request::Message::Ping(3)) };
    client.send(Message::Binary(ping.encode_to_vec().into())).await.expect("sent");
    assert_eq!(response(&mut client).await, pong(7));
    client.send(Message::Text(r#"{"ping":"3"}"#.into())).await.expect("sent");
    let text = client.next().await.expect("frame").expect("frame").into_text().expect("text");
    assert_eq!(text.as_str(), r#"{"pong":"7"}"#);
    let leave = lk::SignalRequest { message: Some(lk::signal_request::Message::Leave(Default::default())) };
    client.send(Message::Binary(leave.encode_to_vec().into())).await.expect("sent");
    assert_eq!(close_code(&mut client).await, (CloseCode::Normal, String::new()));
}

#[tokio::test]
async fn garbage_oversize_and_floods_end_the_websocket_with_a_reason() {
    let server = server(|config| config.limit.max_messages_per_second = 1).await;
    let large = vec![0_u8; SIGNAL_FRAME_BYTES_MAX + 1];
    let cases = [
        (
            vec![Message::Binary(vec![0xff; 64].into())],
            CloseCode::Invalid,
            "signalling frame is not a valid protobuf message",
        ),
        (vec![Message::Text("{".into())], CloseCode::Invalid, "signalling frame is not a valid JSON message"),
        (vec![Message::Binary(large.into())], CloseCode::Size, "signalling frame is larger than 2097152 bytes"),
        (vec![Message::Binary(Vec::new().into()); 12], CloseCode::Policy, "more than 1 signalling messages per second"),
    ];
    for (frames, code, reason) in cases {
        let mut client = server.joined().await;
        for frame in frames {
            // A server that has closed already refuses the rest.
            let _ = client.send(frame).await;
        }
        assert_eq!(close_code(&mut client).await, (code, reason.to_owned()));
    }
    // Nobody else is hurt.
    server.joined().await;
}

#[tokio::test]
async fn the_door_hears_who_comes_with_what() {
    let server = server(|_| {}).await;
    let token = changed(|claims| (claims.sub, claims.jti) = (String::new(), Some("old".into())));
    let path = format!("/rtc?access_token={token}&sdk=js&protocol=17&publish=cam&auto_subscribe=0");
    server.connect(&path).await.expect("session");
    let joins = server.door.joins.lock().expect("joins");
    let join = joins.first().expect("a join");
    assert_eq!(join.claims.identity(), "old#cam");
    assert_eq!(join.claims.video.can_subscribe, Some(false));
    assert_eq!((join.parameters.client.protocol, join.parameters.auto_subscribe), (17, false));
    assert_eq!(join.parameters.client.address, "127.0.0.1");
}

#[tokio::test]
async fn tokens_for_the_asking_and_impairments_exist_only_where_allowed() {
    let strict = server(|_| {}).await;
    for path in ["/meet/token?room=r&identity=i", "/metrics", "/debug/impair", "/debug/crash?room=r"] {
        assert_eq!(strict.get(path, "").await.0, 404, "{path}");
    }
    assert_eq!(strict.get("/debug/rooms", "").await, (401, "permissions denied".into()));
    let lister = changed(|claims| claims.video.room_list = true);
    assert_eq!(strict.get(&format!("/debug/rooms?access_token={lister}"), "").await.0, 200);

    let open = server(|config| (config.development, config.test_switches) = (true, true)).await;
    let (status, body) = open.get("/meet/token?room=r&identity=i&name=N", "").await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, answer["url"].as_str()), (200, Some("ws://node:7880")));
    let token = answer["token"].as_str().expect("token");
    assert_eq!(open.get(&format!("/rtc/validate?access_token={token}"), "").await.0, 200);
    let (status, _, _) = open.ask("POST", "/meet/token", "", r#"{"room":"r","identity":"i"}"#).await;
    assert_eq!(status, 200);
    for (method, path, body) in [
        ("GET", "/meet/token?room=r", ""),
        ("POST", "/meet/token", "{"),
        ("POST", "/meet/token", "{}"),
        ("POST", "/debug/impair", "[]]"),
        ("POST", "/debug/crash", ""),
    ] {
        assert_eq!(open.ask(method, path, "", body).await.0, 400, "{method} {path}");
    }
    assert_eq!(open.get("/debug/rooms", "").await.0, 200);
    for (body, status, answer) in [
        (r#"{"room":"r","worker":0}"#, 200, r#"{"lost":0,"moved":1}"#),
        (r#"{"room":"r","worker":9}"#, 404, "media worker 9 does not exist"),
        (r#"{"room":"x","worker":0}"#, 404, "requested room does not exist"),
    ] {
        let (found, _, text) = open.ask("POST", "/debug/move", "", body).await;
        assert_eq!((found, text.as_str()), (status, answer));
    }
    assert_eq!(open.ask("POST", "/debug/move", "", "{}").await.0, 400);
    let forwarded = "X-Forwarded-Proto: https, http\r\n";
    let (_, body) = open.get("/meet/token?room=r&identity=i", forwarded).await;
    assert!(body.contains("wss://node:7880"), "{body}");
}
