//! Logs to stderr and the registry of metrics. Both are global to the process and started once.

use crate::config::Logging;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// The log filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("logging.level {level:?} is no level and no filter")]
pub struct LevelError {
    level: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Starts the log. A second call changes nothing.
///
/// # Errors
/// [`LevelError`] for an unknown level.
pub fn start_log(logging: &Logging, level: &str) -> Result<(), LevelError> {
    // LiveKit says `warning`, tracing `warn`.
    let level = if level == "warning" { "warn" } else { level };
    let filter = EnvFilter::try_new(quiet(level)).map_err(|source| LevelError { level: level.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if logging.json { builder.json().try_init() } else { builder.try_init() };
    if result.is_err() {
        tracing::debug!("a log was started before");
    }
    Ok(())
}

/// The protocol crates warn of every extension that they do not know, which any client may send as often as it likes;
/// ractor_cluster tells twice of every session what our links tell once, with the name of the node; chitchat warns of
/// its own end.
fn quiet(level: &str) -> String {
    format!("rtc_dtls=error,rtc_sctp=error,ractor_cluster=error,chitchat=error,{level}")
}

/// The handle that renders all metrics; `None` when another recorder was installed first.
pub fn metrics_handle() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).is_ok().then_some(handle)
        })
        .clone()
}
