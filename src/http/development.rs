//! Routes that exist only in development mode (tokens for the asking) or with test switches (impairments).

use super::access;
use super::{HttpState, json, signal, text};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use serde::Deserialize;
use starling_actors::RelocateError;
use starling_media::command::{Impairment, MediaCommand};
use starling_protocol::token::{self, Claims, VideoGrants};
use std::sync::Arc;

/// Seconds for which a token of the meeting page is good: LiveKit's SDK default.
const TOKEN_SECONDS: i64 = 6 * 3_600;

/// What the meeting page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenRequest {
    room: String,
    identity: String,
    name: String,
}

/// `GET /meet/token?room=R&identity=I&name=N`.
pub(super) async fn token_by_query(State(state): State<Arc<HttpState>>, uri: Uri, headers: HeaderMap) -> Response {
    let query = access::query(&uri);
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    answer(&state, &headers, TokenRequest { room: text("room"), identity: text("identity"), name: text("name") })
}

/// `POST /meet/token` with the same fields as JSON.
pub(super) async fn token_by_body(State(state): State<Arc<HttpState>>, headers: HeaderMap, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(request) => answer(&state, &headers, request),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("body is not JSON with room, identity and name: {error}")),
    }
}

fn answer(state: &HttpState, headers: &HeaderMap, request: TokenRequest) -> Response {
    if request.room.is_empty() || request.identity.is_empty() {
        return text(StatusCode::BAD_REQUEST, "room and identity are required");
    }
    let checks = [
        state.limits.check_room_name(&request.room),
        state.limits.check_identity(&request.identity),
        state.limits.check_name(&request.name),
    ];
    if let Some(error) = checks.into_iter().find_map(Result::err) {
        return text(StatusCode::BAD_REQUEST, error.to_string());
    }
    let now = signal::now_s();
    let claims = Claims {
        sub: request.identity,
        name: request.name,
        nbf: Some(now),
        exp: now + TOKEN_SECONDS,
        video: VideoGrants {
            room_join: true,
            room: request.room,
            can_update_own_metadata: Some(true),
            ..VideoGrants::default()
        },
        ..Claims::default()
    };
    let signed = state.keys.first().map(|(key, secret)| token::sign(&claims, key, secret));
    let Some(Ok(token)) = signed else { return text(StatusCode::INTERNAL_SERVER_ERROR, "token cannot be signed") };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Behind several proxies the first entry is the client's side.
    let secure = forwarded.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("https"));
    let scheme = if secure { "wss" } else { "ws" };
    json(StatusCode::OK, &serde_json::json!({ "token": token, "url": format!("{scheme}://{host}") }))
}

/// `POST /debug/impair` with an [`Impairment`] as JSON: every worker drops what it says.
pub(super) async fn impair(State(state): State<Arc<HttpState>>, body: Bytes) -> Response {
    let impairment: Impairment = match serde_json::from_slice(&body) {
        Ok(impairment) => impairment,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("body is not an impairment: {error}")),
    };
    for worker in 0..state.media.worker_count() {
        if let Err(error) = state.media.send(worker, MediaCommand::Impair { impairment }) {
            return text(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
    }
    text(StatusCode::OK, "OK")
}

/// `POST /debug/crash?room=R`: the room's actor panics.
pub(super) async fn crash(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    match (access::query(&uri).get("room"), state.opened()) {
        (Some(room), Ok(opened)) => {
            opened.door.crash(room).await;
            text(StatusCode::OK, "OK")
        }
        (None, _) => text(StatusCode::BAD_REQUEST, "room is required"),
        (_, Err(refusal)) => refusal.response(),
    }
}

/// What `/debug/move` is asked.
#[derive(Debug, Deserialize)]
struct MoveRequest {
    room: String,
    worker: usize,
}

/// `POST /debug/move` with room and worker as JSON: the room's media goes on at that worker.
pub(super) async fn relocate(State(state): State<Arc<HttpState>>, body: Bytes) -> Response {
    let request: MoveRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("body is not JSON with room and worker: {error}")),
    };
    let opened = match state.opened() {
        Ok(opened) => opened,
        Err(refusal) => return refusal.response(),
    };
    match opened.door.relocate(&request.room, request.worker).await {
        Ok(done) => {
            let answer = serde_json::json!({ "moved": done.moved.len(), "lost": done.lost.len() });
            json(StatusCode::OK, &answer)
        }
        Err(error @ (RelocateError::NoRoom | RelocateError::NoWorker { .. })) => {
            text(StatusCode::NOT_FOUND, error.to_string())
        }
        Err(error @ RelocateError::Media(_)) => text(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
