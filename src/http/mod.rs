//! The route table, one line per route, and what every handler knows.

mod access;
mod admin;
mod assets;
mod development;
pub(crate) mod listen;
mod operator;
mod rate;
mod rejoins;
mod session;
mod signal;

#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::rooms::Door;
use access::Refusal;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use starling_cluster::View;
use starling_media::worker::MediaPlane;
use starling_protocol::keys::KeyRing;
use starling_protocol::limits::Limits;
use starling_protocol::livekit::SignalResponse;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// What the node has once it has joined its cluster.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) view: watch::Receiver<Arc<View>>,
}

/// What every handler knows.
#[derive(Debug)]
pub struct HttpState {
    opened: OnceLock<Opened>,
    stopped: AtomicBool,
    pub(crate) media: MediaPlane,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) limits: Limits,
    pub(crate) development: bool,
    pub(crate) test_switches: bool,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) metrics_user: String,
    pub(crate) metrics_password: starling_protocol::keys::Secret,
    pub(crate) rejoins: std::sync::Mutex<rejoins::Rejoins>,
    /// Every WebSocket holds a clone; the node waits at its end until all are gone.
    pub(crate) session_guard: std::sync::Mutex<Option<mpsc::Sender<()>>>,
}

impl HttpState {
    /// The state of one node that takes no session yet, and the receiver that ends when its last WebSocket has.
    #[must_use]
    pub fn new(
        config: &Config,
        media: MediaPlane,
        metrics: Option<PrometheusHandle>,
    ) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (guard, all_gone) = mpsc::channel(1);
        let state = Self {
            opened: OnceLock::new(),
            stopped: AtomicBool::new(false),
            media,
            keys: Arc::new(config.keys.clone()),
            limits: config.limit.clone(),
            development: config.development,
            test_switches: config.test_switches,
            metrics,
            metrics_user: config.prometheus.username.clone(),
            metrics_password: config.prometheus.password.clone(),
            rejoins: std::sync::Mutex::default(),
            session_guard: std::sync::Mutex::new(Some(guard)),
        };
        (Arc::new(state), all_gone)
    }

    /// Takes sessions from here on; a second call changes nothing.
    pub fn open(&self, door: Arc<dyn Door>, view: watch::Receiver<Arc<View>>) {
        if self.opened.set(Opened { door, view }).is_err() {
            tracing::debug!("opened before");
        }
    }

    /// Refuses further sessions.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Ok(mut guard) = self.session_guard.lock() {
            *guard = None;
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.opened().is_ok()
    }

    /// The rooms and the cluster, while the node takes sessions.
    ///
    /// # Errors
    /// [`Refusal`] before the node has joined and after it began to stop.
    pub(crate) fn opened(&self) -> Result<&Opened, Refusal> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Refusal::ShuttingDown);
        }
        self.opened.get().ok_or(Refusal::Starting)
    }

    /// Whether somebody was told lately to join anew; asked once.
    #[expect(clippy::disallowed_methods, reason = "the shell tells the memory the time")]
    fn told_to_join_anew(&self, person: &rejoins::Person) -> bool {
        self.rejoins.lock().is_ok_and(|mut rejoins| rejoins.take(person, Instant::now()))
    }

    /// Remembers whose client is told to join anew.
    #[expect(clippy::disallowed_methods, reason = "the shell tells the memory the time")]
    fn remember_if_told_to_join_anew(&self, response: &SignalResponse, person: &rejoins::Person) {
        if rejoins::tells_to_join_anew(response)
            && let Ok(mut rejoins) = self.rejoins.lock()
        {
            rejoins.told(person.clone(), Instant::now());
        }
    }

    pub(crate) fn new_session_guard(&self) -> Option<mpsc::Sender<()>> {
        self.session_guard.lock().ok().and_then(|guard| guard.clone())
    }
}

/// The routes of the main port.
pub fn router(state: Arc<HttpState>) -> Router {
    let mut router = Router::new()
        .route("/", get(operator::health))
        .route("/rtc", any(signal::dual_peer))
        .route("/rtc/v1", any(signal::single_peer))
        .route("/rtc/validate", any(signal::validate_dual_peer))
        .route("/rtc/v1/validate", any(signal::validate_single_peer))
        .route("/live", get(operator::live))
        .route("/ready", get(operator::ready))
        .route("/debug/rooms", get(operator::rooms))
        .route("/admin/api/v1/cluster", get(admin::cluster))
        .route("/admin/api/v1/rooms", get(admin::rooms))
        .route("/admin/api/{*path}", any(admin::unknown))
        .route("/meet", get(assets::meet))
        .route("/meet/", get(assets::meet))
        .route("/admin", get(assets::admin))
        .route("/admin/", get(assets::admin))
        .route("/admin/{*path}", get(assets::admin))
        .route("/assets/{*path}", get(assets::file));
    if state.development {
        router = router
            .route("/metrics", get(operator::metrics))
            .route("/meet/token", get(development::token_by_query).post(development::token_by_body));
    }
    if state.test_switches {
        router = router
            .route("/debug/impair", post(development::impair))
            .route("/debug/crash", post(development::crash))
            .route("/debug/move", post(development::relocate));
    }
    router.with_state(state)
}

/// The routes of the metrics port.
pub fn metrics_router(state: Arc<HttpState>) -> Router {
    Router::new().route("/metrics", get(operator::metrics)).with_state(state)
}

/// A plain-text answer, as LiveKit's errors are.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], body.into())
        .into_response()
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [content_type, (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], body.to_string())
        .into_response()
}
