//! What operators and load balancers ask: health, readiness, metrics, a snapshot of the rooms.

use super::access;
use super::{HttpState, assets, json, signal, text};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use starling_media::command::{MediaCommand, WorkerSnapshot};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A worker that does not answer within this time is left out of the snapshot.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(1);

/// `/`: `OK` for load balancers and clients, a page for browsers.
pub(super) async fn health(State(state): State<Arc<HttpState>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut response = match (state.is_ready(), accept.contains("text/html")) {
        (false, _) => text(StatusCode::NOT_ACCEPTABLE, "Not Ready"),
        (true, true) => assets::landing(),
        (true, false) => text(StatusCode::OK, "OK"),
    };
    // Clients probe the server from wherever the application lives.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `/live`: the process answers.
pub(super) async fn live() -> Response {
    text(StatusCode::OK, "OK")
}

/// `/ready`: the node takes sessions.
pub(super) async fn ready(State(state): State<Arc<HttpState>>) -> Response {
    match state.opened() {
        Ok(_) => text(StatusCode::OK, "OK"),
        Err(refusal) => refusal.response(),
    }
}

/// `/metrics`.
pub(super) async fn metrics(State(state): State<Arc<HttpState>>, headers: HeaderMap) -> Response {
    if !state.metrics_user.is_empty() {
        let expected = STANDARD.encode(format!("{}:{}", state.metrics_user, state.metrics_password.reveal()));
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given != Some(&format!("Basic {expected}")) {
            let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"metrics\""))];
            return (StatusCode::UNAUTHORIZED, challenge, "user name and password needed").into_response();
        }
    }
    match &state.metrics {
        Some(handle) => {
            handle.run_upkeep();
            text(StatusCode::OK, handle.render())
        }
        None => text(StatusCode::NOT_FOUND, "metrics are recorded elsewhere"),
    }
}

/// `/debug/rooms`: rooms, participants and media workers; needs the roomList grant outside of development mode.
pub(super) async fn rooms(State(state): State<Arc<HttpState>>, uri: Uri, headers: HeaderMap) -> Response {
    if !state.development {
        match access::claims(&headers, &access::query(&uri), &state.keys, signal::now_s()) {
            Ok(Some(claims)) if claims.video.room_list => {}
            Ok(_) => return access::Refusal::Permission.response(),
            Err(refusal) => return refusal.response(),
        }
    }
    let mut answer = match state.opened() {
        Ok(opened) => opened.door.snapshot().await,
        Err(refusal) => return refusal.response(),
    };
    let mut workers = Vec::new();
    for worker in 0..state.media.worker_count() {
        workers.push(inspect(&state, worker).await);
    }
    answer["workers"] = serde_json::json!(workers);
    json(StatusCode::OK, &answer)
}

async fn inspect(state: &HttpState, worker: usize) -> Option<WorkerSnapshot> {
    let (reply, snapshot) = oneshot::channel();
    state.media.send(worker, MediaCommand::Inspect { reply }).ok()?;
    timeout(INSPECT_TIMEOUT, snapshot).await.ok()?.ok()
}
