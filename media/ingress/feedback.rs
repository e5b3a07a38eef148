//! What ingress sends back to the publisher: receiver reports, NACKs, key-frame requests, transport-wide feedback.

use super::Ingress;
use crate::packet::rtcp;
use std::time::Instant;

/// Time between two receiver reports in microseconds.
pub(super) const REPORT_INTERVAL_US: i64 = 1_000_000;
/// SSRC under which we send feedback; a receiver without media of its own may take any, libwebrtc takes 1.
pub const FEEDBACK_SSRC: u32 = 1;
/// Bytes of one compound, so that with SRTCP's overhead it fits into every path's datagram.
pub const COMPOUND_BYTES_MAX: usize = 1_150;
/// Bytes of a NACK packet before its entries.
const NACK_HEADER_BYTES: usize = 12;
/// Bytes of a picture loss indication.
const PLI_BYTES: usize = 12;
/// Smallest rest of a compound that transport-wide feedback makes use of.
const FEEDBACK_BYTES_MIN: usize = 300;

impl Ingress {
    /// Appends at most one compound of what is due; nothing if nothing is.
    ///
    /// A compound stays below [`COMPOUND_BYTES_MAX`]. What does not fit remains due, so call it, sending each compound
    /// as its own datagram, until it appends nothing. Compounds may be reduced-size ones (RFC 5506).
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) {
        let at_us = self.micros(now);
        let limit = out.len() + COMPOUND_BYTES_MAX;
        self.write_reports(at_us, out);
        self.write_key_frame_requests(at_us, limit, out);
        self.write_nacks(at_us, limit, out);
        let room = limit.saturating_sub(out.len());
        if room >= FEEDBACK_BYTES_MIN {
            self.arrivals.write_due(at_us, FEEDBACK_SSRC, room, out);
        }
    }

    /// Returns when [`Ingress::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let streams = self.streams.iter().flatten();
        let due = streams.flat_map(|stream| [stream.missing.due_us(), stream.key_frames.due_us(stream.layer)]);
        let due = due.chain([self.next_report_us, self.arrivals.due_us()]).flatten().min()?;
        Some(self.instant(due))
    }

    fn write_reports(&mut self, at_us: i64, out: &mut Vec<u8>) {
        if self.next_report_us.is_none_or(|due| due > at_us) {
            return;
        }
        let mut blocks = Vec::with_capacity(self.streams.len());
        for stream in self.streams.iter_mut().flatten() {
            blocks.extend(stream.reception.report(at_us, stream.ssrc, &stream.window));
        }
        if !blocks.is_empty() {
            rtcp::receiver_report(out, FEEDBACK_SSRC, &blocks);
        }
        self.next_report_us = self.streams.iter().any(Option::is_some).then_some(at_us + REPORT_INTERVAL_US);
    }

    fn write_key_frame_requests(&mut self, at_us: i64, limit: usize, out: &mut Vec<u8>) {
        for stream in self.streams.iter_mut().flatten() {
            if out.len() + PLI_BYTES <= limit && stream.key_frames.take_due(at_us, stream.layer) {
                rtcp::pli(out, FEEDBACK_SSRC, stream.ssrc);
                self.counters.key_frame_requests += 1;
            }
        }
    }

    fn write_nacks(&mut self, at_us: i64, limit: usize, out: &mut Vec<u8>) {
        for stream in self.streams.iter_mut().flatten() {
            // The worst list needs one entry of 4 bytes for each number.
            let room = limit.saturating_sub(out.len() + NACK_HEADER_BYTES) / 4;
            if room == 0 {
                return;
            }
            self.due.clear();
            let highest = stream.window.highest();
            let result = stream.missing.take_due(at_us, self.rtt_us, highest, room.min(240), &mut self.due);
            stream.reception.nacked += result.asked as u64;
            stream.give_up(at_us, result.given_up);
            rtcp::nack(out, FEEDBACK_SSRC, stream.ssrc, &self.due);
        }
    }
}
