//! The admin API, and what everybody is told before the node has joined its cluster.

use super::*;

#[tokio::test]
async fn the_cluster_and_its_rooms_are_told_under_the_agreed_names() {
    let server = server(|_| {}).await;
    let lister = changed(|claims| claims.video.room_list = true);
    let ask = async |path: &str| {
        let (status, body) = server.get(&format!("/admin/api/v1/{path}?access_token={lister}"), "").await;
        (status, serde_json::from_str::<serde_json::Value>(&body).expect("JSON"))
    };
    let cluster = json!({"node_id": "one", "members": [{
        "node_id": "one", "boot_id": 1_700_000_000_000_u64, "state": "serving", "address": "127.0.0.1:0",
        "roles": ["room", "record"], "region": "eu", "version": "0.1.0",
        "capacity": {"cpu_millicores": 2000, "egress_mbps": 1000},
        "load": {"cpu_millicores": 0, "egress_mbps": 0, "rooms": 4, "participants": 0},
        "rooms": 4, "http": "http://127.0.0.1:7880", "ready": true,
    }]});
    assert_eq!(ask("cluster").await, (200, cluster));
    let rooms = json!({"missing": ["three"], "rooms": [{
        "name": "r", "sid": "RM_1", "host": "one", "epoch": 3, "standby": null,
        "participants": [{"identity": "ada", "sid": "PA_1", "entry": "two"}],
    }]});
    assert_eq!(ask("rooms").await, (200, rooms));
}

#[tokio::test]
async fn the_admin_api_asks_for_the_grant_to_list_rooms() {
    let strict = server(|_| {}).await;
    for path in ["/admin/api/v1/cluster", "/admin/api/v1/rooms"] {
        assert_eq!(strict.get(path, "").await, (401, "permissions denied".into()));
        assert_eq!(strict.get(&format!("{path}?access_token=garbage"), "").await.0, 401);
        let joiner = format!("Authorization: Bearer {}\r\n", token(&good()));
        assert_eq!(
            strict.get(path, &joiner).await,
            (403, "permissions denied: the token lacks the grant roomList".into())
        );
    }
    assert_eq!(strict.get("/admin/api/v1/nothing", "").await.0, 404);
    let open = server(|config| config.development = true).await;
    assert_eq!(open.get("/admin/api/v1/cluster", "").await.0, 200);
    let joiner = format!("Authorization: Bearer {}\r\n", token(&good()));
    assert_eq!(open.get("/admin/api/v1/cluster", &joiner).await.0, 403);
}

#[tokio::test]
async fn nobody_is_let_in_before_the_node_has_joined_its_cluster() {
    let config = Config { keys: KeyRing::single("devkey", "secret"), development: true, ..Config::default() };
    let (media, _) = MediaPlane::without_workers(1);
    let (state, _) = HttpState::new(&config, media, None);
    let server = serve(state, Arc::new(OpenDoor::default())).await;
    let validate = format!("/rtc/validate?access_token={}", token(&good()));
    for path in ["/ready", "/admin/api/v1/cluster", "/admin/api/v1/rooms", "/debug/rooms", validate.as_str()] {
        let (status, head, body) = server.ask("GET", path, "", "").await;
        assert_eq!((status, body.as_str()), (503, "node is starting"), "{path}");
        assert!(head.contains("retry-after: 1"), "{head}");
    }
    assert_eq!(server.get("/live", "").await.0, 200);
    assert_eq!(server.get("/", "").await.0, 406);
    server.state.open(Arc::clone(&server.door) as Arc<dyn Door>, alone().view());
    assert_eq!(server.get("/ready", "").await.0, 200);
    server.joined().await;
}
