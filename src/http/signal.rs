//! `/rtc`, `/rtc/v1` and their `validate`s: the first answer is fetched before the upgrade, so refusals are HTTP statuses.
#![expect(clippy::disallowed_methods, reason = "tokens are checked against the wall clock")]

use super::access::{self, Entry, Refusal};
use super::rejoins::Person;
use super::{HttpState, session, text};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use starling_actors::Join;
use starling_protocol::limits::SIGNAL_FRAME_BYTES_MAX;
use starling_protocol::livekit::SignalResponse;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `/rtc`.
pub(super) async fn dual_peer(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    open(Entry::DualPeer, state, remote, uri, headers, upgrade).await
}

/// `/rtc/v1`.
pub(super) async fn single_peer(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    open(Entry::SinglePeer, state, remote, uri, headers, upgrade).await
}

/// `/rtc/validate`.
pub(super) async fn validate_dual_peer(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    validate(Entry::DualPeer, &state, remote, &method, &uri, &headers).await
}

/// `/rtc/v1/validate`.
pub(super) async fn validate_single_peer(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    validate(Entry::SinglePeer, &state, remote, &method, &uri, &headers).await
}

/// Seconds since the epoch.
pub(super) fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

async fn open(
    entry: Entry,
    state: Arc<HttpState>,
    remote: SocketAddr,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let Ok(upgrade) = upgrade else { return StatusCode::NOT_FOUND.into_response() };
    let mut person = Person::default();
    let admitted = match (state.opened(), request(entry, &state, remote, &uri, &headers)) {
        (Ok(opened), Ok(mut join)) => {
            person = (join.claims.video.room.clone(), join.claims.sub.clone());
            join.rejoins = !join.parameters.reconnect && state.told_to_join_anew(&person);
            opened.door.join(join).await.map_err(Refusal::from)
        }
        (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
    };
    let (admitted, guard) = match (admitted, state.new_session_guard()) {
        (Ok(admitted), Some(guard)) => (admitted, guard),
        (Ok(_), None) => return Refusal::ShuttingDown.response(),
        (Err(refusal), _) => {
            metrics::counter!("starling_http_joins_refused_total").increment(1);
            tracing::debug!(%remote, status = refusal.status().as_u16(), reason = %refusal, "join refused");
            return refusal.response();
        }
    };
    let messages_per_second = state.limits.max_messages_per_second;
    upgrade.max_message_size(SIGNAL_FRAME_BYTES_MAX).max_frame_size(SIGNAL_FRAME_BYTES_MAX).on_upgrade(
        move |socket| async move {
            let remember = |response: &SignalResponse| state.remember_if_told_to_join_anew(response, &person);
            session::serve(socket, admitted, messages_per_second, remember).await;
            drop(guard);
        },
    )
}

async fn validate(
    entry: Entry,
    state: &HttpState,
    remote: SocketAddr,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let mut response = if *method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        match checked(entry, state, remote, uri, headers).await {
            Ok(()) => text(StatusCode::OK, "success"),
            Err(refusal) => refusal.response(),
        }
    };
    // Browsers fetch this page from wherever the application lives; without these headers they see no status.
    let cors = response.headers_mut();
    cors.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    cors.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    cors.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type"));
    cors.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

async fn checked(
    entry: Entry,
    state: &HttpState,
    remote: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let join = request(entry, state, remote, uri, headers)?;
    Ok(state.opened()?.door.validate(&join).await?)
}

fn request(
    entry: Entry,
    state: &HttpState,
    remote: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Join, Refusal> {
    state.opened()?;
    access::join(entry, uri, headers, remote, &state.keys, &state.limits, now_s())
}
