//! Everything that must cross to another host for a transport to go on there (streams cannot be learnt anew: clients
//! stop sending their names). The list of missing packets and unsent feedback stay behind.

use super::arrivals::Arrivals;
use super::stream::Stream;
use super::{Ingress, Route, STREAMS_MAX};
use crate::codec::{ExtensionIds, ReceiveSection};
use std::time::Instant;

/// Serialisable state of an [`Ingress`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct IngressState {
    /// The exporter's clock in microseconds; all times inside are on it.
    clock_us: i64,
    rtt_us: Option<i64>,
    extensions: ExtensionIds,
    sections: Vec<ReceiveSection>,
    streams: Vec<Option<Stream>>,
    arrivals: Arrivals,
}

/// Why a state cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngressStateError {
    /// More streams than a peer may have.
    #[error("ingress state with {0} streams, limit is 32")]
    TooManyStreams(usize),
    /// A stream that names a section which is not there.
    #[error("ingress state with stream {0:#010x} of no section")]
    NoSection(u32),
    /// A stream whose window this version cannot use.
    #[error("ingress state with an unusable window of stream {0:#010x}")]
    Window(u32),
}

impl Ingress {
    /// Returns the state to go on with elsewhere.
    #[must_use]
    pub fn export(&self, now: Instant) -> IngressState {
        IngressState {
            clock_us: self.micros(now),
            rtt_us: self.rtt_us,
            extensions: self.extensions,
            sections: self.sections.clone(),
            streams: self.streams.clone(),
            arrivals: self.arrivals.clone(),
        }
    }

    /// Goes on with what another host exported.
    pub fn import(now: Instant, state: IngressState) -> Result<Self, IngressStateError> {
        if state.streams.len() > STREAMS_MAX {
            return Err(IngressStateError::TooManyStreams(state.streams.len()));
        }
        let mut ingress = Self::new(now);
        for (index, stream) in state.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            if stream.section >= state.sections.len() {
                return Err(IngressStateError::NoSection(stream.ssrc));
            }
            if !stream.window.is_sound() {
                return Err(IngressStateError::Window(stream.ssrc));
            }
            ingress.routes.insert(stream.ssrc, Route { stream: index, repair: false });
            if let Some(ssrc) = stream.rtx_ssrc {
                ingress.routes.insert(ssrc, Route { stream: index, repair: true });
            }
        }
        ingress.clock_offset_us = state.clock_us;
        ingress.rtt_us = state.rtt_us;
        ingress.extensions = state.extensions;
        ingress.sections = state.sections;
        ingress.streams = state.streams;
        ingress.arrivals = state.arrivals;
        ingress.next_report_us =
            ingress.streams.iter().any(Option::is_some).then_some(state.clock_us + super::feedback::REPORT_INTERVAL_US);
        Ok(ingress)
    }
}
