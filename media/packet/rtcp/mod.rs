//! RTCP compound packets (RFC 3550 §6, RFC 4585, RFC 5104, transport-wide congestion control): a visitor that allocates
//! nothing, and writers that append to a buffer. Reduced-size packets (RFC 5506) are read alike.

mod feedback;
mod write;

#[cfg(test)]
mod tests;

pub use feedback::{Statuses, TransportFeedback, WRITE_MAX as FEEDBACK_STATUSES_MAX, Written, transport_feedback};
pub use write::{bye, fir, nack, pli, receiver_report, remb, sender_report};

/// Packets inside one compound; real ones hold a handful, 4 bytes each would allow 375 per datagram.
pub const PACKETS_MAX: usize = 64;
/// Entries of one NACK packet that are read; each names up to 17 packets.
pub const NACK_ENTRIES_MAX: usize = 256;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Generic NACK (RFC 4585 §6.2.1).
const FORMAT_NACK: u8 = 1;
/// Transport-wide congestion control feedback.
const FORMAT_TRANSPORT_CC: u8 = 15;
/// Picture loss indication (RFC 4585 §6.3.1).
const FORMAT_PLI: u8 = 1;
/// Full intra request (RFC 5104 §4.3.1).
const FORMAT_FIR: u8 = 4;
/// Application layer feedback, which carries REMB (draft-alvestrand-rmcat-remb-03).
const FORMAT_APPLICATION: u8 = 15;

/// Why bytes are no RTCP compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A packet is shorter than its type or its own length demands.
    #[error("rtcp packet of type {packet_type} with {length} bytes, needs {needed}")]
    Truncated {
        /// RTCP packet type.
        packet_type: u8,
        /// Bytes present.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// Not version 2.
    #[error("rtcp version {0}, expected 2")]
    Version(u8),
    /// A padding count that does not fit.
    #[error("rtcp padding of {0} bytes does not fit its packet")]
    Padding(u8),
    /// More packets than [`PACKETS_MAX`].
    #[error("rtcp compound of more than {PACKETS_MAX} packets")]
    TooManyPackets,
    /// A transport feedback that names more packets than are read.
    #[error("transport feedback over {0} packets, limit is 32768")]
    TooManyStatuses(u16),
}

/// One report block of a sender or receiver report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream that is reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; 24 bits on the wire, negative with duplicates.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time, 0 without one.
    pub last_sr: u32,
    /// Time since that report in 1/65536 s.
    pub delay: u32,
}

/// One thing that a compound packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcpItem<'a> {
    /// The sender part of a sender report.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// NTP time, 32.32 fixed point.
        ntp: u64,
        /// The same moment as RTP timestamp.
        rtp: u32,
        /// Packets sent.
        packets: u32,
        /// Payload bytes sent.
        octets: u32,
    },
    /// One report block.
    ReportBlock {
        /// Who reports.
        reporter: u32,
        /// What it reports.
        block: ReportBlock,
    },
    /// Packets asked for again.
    Nack {
        /// The stream they belong to.
        media_ssrc: u32,
        /// Their sequence numbers.
        lost: NackIter<'a>,
    },
    /// Picture loss indication.
    Pli {
        /// The stream.
        media_ssrc: u32,
    },
    /// Full intra request.
    Fir {
        /// The stream.
        ssrc: u32,
        /// Its command sequence number; a repeat has the same one.
        sequence: u8,
    },
    /// Receiver estimated maximum bit rate.
    Remb {
        /// Bits per second.
        bitrate_bps: u64,
    },
    /// Arrival times of transport-wide sequence numbers.
    TransportFeedback(TransportFeedback<'a>),
    /// A stream has ended.
    Bye {
        /// The stream.
        ssrc: u32,
    },
    /// A packet of no interest here (SDES, XR, APP and unknown ones).
    Other,
}

/// Sequence numbers named by one NACK packet, at most 17 for each of [`NACK_ENTRIES_MAX`] entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NackIter<'a> {
    entries: &'a [u8],
    base: u16,
    mask: u32,
}

impl<'a> NackIter<'a> {
    fn new(entries: &'a [u8]) -> Self {
        let limit = entries.len().min(4 * NACK_ENTRIES_MAX);
        Self { entries: entries.get(..limit).unwrap_or_default(), base: 0, mask: 0 }
    }
}

impl Iterator for NackIter<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask == 0 {
            let (&[p0, p1, b0, b1], rest) = self.entries.split_first_chunk::<4>()?;
            self.entries = rest;
            self.base = u16::from_be_bytes([p0, p1]);
            self.mask = u32::from(u16::from_be_bytes([b0, b1])) << 1 | 1;
        }
        let offset = self.mask.trailing_zeros();
        self.mask &= self.mask - 1;
        Some(self.base.wrapping_add(offset as u16))
    }
}

/// Calls `f` for everything that a compound packet says, in order.
///
/// What comes before an error has been visited; what follows it is not.
pub fn visit<'a>(compound: &'a [u8], mut f: impl FnMut(RtcpItem<'a>)) -> Result<(), RtcpError> {
    let mut rest = compound;
    for _ in 0..PACKETS_MAX {
        let Some((&[first, packet_type, l0, l1], _)) = rest.split_first_chunk::<4>() else {
            if rest.is_empty() {
                return Ok(());
            }
            return Err(RtcpError::Truncated { packet_type: 0, length: rest.len(), needed: 4 });
        };
        if first >> 6 != 2 {
            return Err(RtcpError::Version(first >> 6));
        }
        let needed = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        let truncated = RtcpError::Truncated { packet_type, length: rest.len(), needed };
        let (packet, tail) = rest.split_at_checked(needed).ok_or(truncated)?;
        rest = tail;
        let mut body = packet.get(4..).unwrap_or_default();
        if first & 0x20 != 0 {
            let padding = body.last().copied().unwrap_or(0);
            let kept = body.len().checked_sub(usize::from(padding)).ok_or(RtcpError::Padding(padding))?;
            if padding == 0 {
                return Err(RtcpError::Padding(padding));
            }
            body = body.get(..kept).unwrap_or_default();
        }
        visit_packet(packet_type, first & 0x1f, body, &mut f)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(RtcpError::TooManyPackets) }
}

fn visit_packet<'a>(
    packet_type: u8,
    count: u8,
    body: &'a [u8],
    f: &mut impl FnMut(RtcpItem<'a>),
) -> Result<(), RtcpError> {
    let need = |needed: usize| {
        if body.len() < needed { Err(RtcpError::Truncated { packet_type, length: body.len(), needed }) } else { Ok(()) }
    };
    match (packet_type, count) {
        (SENDER_REPORT, _) => {
            need(24 + 24 * usize::from(count))?;
            f(RtcpItem::SenderReport {
                ssrc: word(body, 0),
                ntp: u64::from(word(body, 4)) << 32 | u64::from(word(body, 8)),
                rtp: word(body, 12),
                packets: word(body, 16),
                octets: word(body, 20),
            });
            visit_blocks(body, 24, count, f);
        }
        (RECEIVER_REPORT, _) => {
            need(4 + 24 * usize::from(count))?;
            visit_blocks(body, 4, count, f);
        }
        (GOODBYE, _) => {
            need(4 * usize::from(count))?;
            for index in 0..usize::from(count) {
                f(RtcpItem::Bye { ssrc: word(body, 4 * index) });
            }
        }
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => {
            need(12)?;
            f(RtcpItem::Nack { media_ssrc: word(body, 4), lost: NackIter::new(body.get(8..).unwrap_or_default()) });
        }
        (TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_CC) => {
            f(RtcpItem::TransportFeedback(TransportFeedback::read(body)?));
        }
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => {
            need(8)?;
            f(RtcpItem::Pli { media_ssrc: word(body, 4) });
        }
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => {
            need(16)?;
            for entry in body.get(8..).unwrap_or_default().chunks_exact(8) {
                f(RtcpItem::Fir { ssrc: word(entry, 0), sequence: entry.get(4).copied().unwrap_or(0) });
            }
        }
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) if body.get(8..12) == Some(b"REMB") => {
            need(16)?;
            let value = word(body, 12);
            let (exponent, mantissa) = (value >> 18 & 0x3f, u64::from(value & 0x3_ffff));
            let bitrate_bps = if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX };
            f(RtcpItem::Remb { bitrate_bps });
        }
        _ => f(RtcpItem::Other),
    }
    Ok(())
}

fn visit_blocks<'a>(body: &'a [u8], start: usize, count: u8, f: &mut impl FnMut(RtcpItem<'a>)) {
    let reporter = word(body, 0);
    let blocks = body.get(start..).unwrap_or_default().chunks_exact(24);
    for bytes in blocks.take(usize::from(count)) {
        let lost = word(bytes, 4);
        let block = ReportBlock {
            ssrc: word(bytes, 0),
            fraction_lost: (lost >> 24) as u8,
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest: word(bytes, 8),
            jitter: word(bytes, 12),
            last_sr: word(bytes, 16),
            delay: word(bytes, 20),
        };
        f(RtcpItem::ReportBlock { reporter, block });
    }
}

/// Reads a big-endian word; beyond the end it is zero, but every caller has checked the length.
fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}
