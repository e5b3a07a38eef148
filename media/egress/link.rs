//! What all subscriptions of one peer share: keys, address, extension ids, transport-wide numbers, bandwidth.

use crate::bwe::{Cargo, SendSide};
use crate::codec::ExtensionIds;
use crate::packet::RtpSeal;
use std::time::{Duration, Instant};

/// Share of the estimate that retransmissions may take: 20 % loss needs 25 % to be repaired.
const RETRANSMIT_SHARE: f64 = 0.25;
/// Bytes per second of retransmissions that are always allowed: one low layer and its losses.
const RETRANSMIT_MIN_BYTES_PER_SECOND: f64 = 16_000.0;
/// Seconds of that rate that may be spent at once: a whole lost frame.
const RETRANSMIT_BURST_SECONDS: f64 = 0.5;
/// Round-trip time assumed before one is measured.
const RTT_DEFAULT: Duration = Duration::from_millis(100);

/// The sending side of one peer.
#[derive(Debug)]
pub struct PeerLink<S: RtpSeal, D> {
    /// Seals RTP with the peer's keys.
    pub sealer: S,
    /// Where packets go.
    pub destination: D,
    /// Ids of the peer's BUNDLE group.
    pub extensions: ExtensionIds,
    /// SSRC of the RTCP that we send to the peer.
    pub reporter_ssrc: u32,
    /// How much the path carries.
    pub bwe: SendSide,
    transport_sequence: u16,
    opened: Instant,
    rtt: Option<Duration>,
    retransmit_bytes: f64,
    retransmit_at: Instant,
}

/// The part of a link that goes on elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkState {
    /// Last transport-wide number.
    pub transport_sequence: u16,
    /// SSRC of our RTCP.
    pub reporter_ssrc: u32,
    /// Estimate in bits per second.
    pub estimate_bps: u64,
}

impl<S: RtpSeal, D> PeerLink<S, D> {
    /// Makes the link of a peer that has just connected.
    #[must_use]
    pub fn new(sealer: S, destination: D, extensions: ExtensionIds, reporter_ssrc: u32, now: Instant) -> Self {
        Self {
            sealer,
            destination,
            extensions,
            reporter_ssrc,
            bwe: SendSide::new(now),
            transport_sequence: 0,
            opened: now,
            rtt: None,
            retransmit_bytes: RETRANSMIT_MIN_BYTES_PER_SECOND * RETRANSMIT_BURST_SECONDS,
            retransmit_at: now,
        }
    }

    /// What another worker needs to go on.
    #[must_use]
    pub fn export(&self) -> LinkState {
        LinkState {
            transport_sequence: self.transport_sequence,
            reporter_ssrc: self.reporter_ssrc,
            estimate_bps: self.bwe.estimate_bps(),
        }
    }

    /// Goes on where `state` was taken.
    pub fn import(&mut self, state: LinkState, now: Instant) {
        self.transport_sequence = state.transport_sequence;
        self.reporter_ssrc = state.reporter_ssrc;
        self.bwe = SendSide::with_estimate(state.estimate_bps, now);
    }

    /// Takes a round-trip time from RTCP.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(match self.rtt {
            Some(old) => (old * 7 + rtt) / 8,
            None => rtt,
        });
    }

    /// Round-trip time: from report blocks, else from transport feedback.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.or_else(|| self.bwe.rtt())
    }

    pub(super) fn rtt_or_default(&self) -> Duration {
        self.rtt().unwrap_or(RTT_DEFAULT)
    }

    /// Takes the next transport-wide number for a packet of `size` bytes; `None` where not negotiated.
    pub(super) fn stamp(&mut self, size: usize, cargo: Option<Cargo>, now: Instant) -> Option<u16> {
        self.extensions.transport_cc?;
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        self.bwe.on_sent(self.transport_sequence, size, cargo, now);
        Some(self.transport_sequence)
    }

    /// Time of sending as 24-bit 6.18 fixed point seconds.
    pub(super) fn abs_send_time(&self, now: Instant) -> u32 {
        // The field wraps every 64 s; the fraction keeps it below 2²⁴.
        let micros = now.saturating_duration_since(self.opened).as_micros() % 64_000_000;
        ((micros << 18) / 1_000_000) as u32
    }

    /// Spends retransmission budget; `false` if no more of it is left than the share that is to be kept for others.
    pub(super) fn spend(&mut self, bytes: usize, kept: f64, now: Instant) -> bool {
        let rate = (self.bwe.estimate_bps() as f64 / 8.0 * RETRANSMIT_SHARE).max(RETRANSMIT_MIN_BYTES_PER_SECOND);
        let elapsed = now.saturating_duration_since(self.retransmit_at).as_secs_f64();
        self.retransmit_at = now;
        self.retransmit_bytes = (self.retransmit_bytes + elapsed * rate).min(rate * RETRANSMIT_BURST_SECONDS);
        if self.retransmit_bytes < bytes as f64 + kept * rate * RETRANSMIT_BURST_SECONDS {
            return false;
        }
        self.retransmit_bytes -= bytes as f64;
        true
    }
}
