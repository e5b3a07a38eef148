//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), both ways.

use super::write::{begin, finish, put};
use super::{FORMAT_TRANSPORT_CC, RtcpError, TRANSPORT_FEEDBACK, word};

/// Packets that one received feedback may name: as many as a sender remembers, and more than any receiver reports at
/// once (libwebrtc at least every 250 ms).
const READ_MAX: u16 = 1024;
/// Packets that one written feedback names at most.
pub const WRITE_MAX: usize = 1000;
/// Unit of the reference time in microseconds.
const REFERENCE_US: i64 = 64_000;
/// Unit of a receive delta in microseconds.
const DELTA_US: i64 = 250;
/// Longest run of a run-length chunk: 13 bits.
const RUN_MAX: usize = 0x1fff;

/// One feedback packet whose chunks have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// First sequence number that it names.
    pub base: u16,
    /// How many it names.
    pub count: u16,
    /// Counter of feedback packets, wraps at 8 bits.
    pub feedback_count: u8,
    /// Reference time in units of 64 ms, signed 24 bits.
    pub reference: i32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, RtcpError> {
        let truncated = |needed| RtcpError::Truncated { packet_type: TRANSPORT_FEEDBACK, length: body.len(), needed };
        let rest = body.get(16..).ok_or(truncated(16))?;
        let (base, count) = ((word(body, 8) >> 16) as u16, word(body, 8) as u16);
        if count > READ_MAX {
            return Err(RtcpError::TooManyStatuses(count));
        }
        let (mut named, mut length) = (0, 0);
        while named < usize::from(count) {
            let Some(&[high, low]) = rest.get(length..length + 2) else { return Err(truncated(16 + length + 2)) };
            named += Chunk::read(u16::from_be_bytes([high, low])).length();
            length += 2;
        }
        let (chunks, deltas) = rest.split_at(length);
        let reference = word(body, 12).cast_signed() >> 8;
        Ok(Self { base, count, feedback_count: word(body, 12) as u8, reference, chunks, deltas })
    }

    /// Iterates over (sequence number, arrival time): microseconds on the receiver's clock, or `None` where the packet
    /// has not arrived. Ends early where a delta is missing.
    #[must_use]
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            chunks: self.chunks,
            deltas: self.deltas,
            chunk: Chunk::Run { symbol: 0, left: 0 },
            sequence: self.base,
            left: self.count,
            time_us: i64::from(self.reference) * REFERENCE_US,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run { symbol: u16, left: u16 },
    Vector { bits: u16, width: u16, left: u16 },
}

impl Chunk {
    const fn read(chunk: u16) -> Self {
        if chunk & 0x8000 == 0 {
            Self::Run { symbol: chunk >> 13 & 3, left: chunk & 0x1fff }
        } else if chunk & 0x4000 == 0 {
            Self::Vector { bits: chunk << 2, width: 1, left: 14 }
        } else {
            Self::Vector { bits: chunk << 2, width: 2, left: 7 }
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Run { left, .. } | Self::Vector { left, .. } => usize::from(left),
        }
    }

    const fn next(&mut self) -> Option<u16> {
        match self {
            Self::Run { left: 0, .. } | Self::Vector { left: 0, .. } => None,
            Self::Run { symbol, left } => {
                *left -= 1;
                Some(*symbol)
            }
            Self::Vector { bits, width, left } => {
                *left -= 1;
                let symbol = *bits >> (16 - *width);
                *bits <<= *width;
                Some(symbol)
            }
        }
    }
}

/// Iterator of [`TransportFeedback::statuses`].
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    chunk: Chunk,
    sequence: u16,
    left: u16,
    time_us: i64,
}

impl Iterator for Statuses<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let symbol = loop {
            if let Some(symbol) = self.chunk.next() {
                break symbol;
            }
            let (&[high, low], rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            self.chunk = Chunk::read(u16::from_be_bytes([high, low]));
        };
        let delta = match symbol {
            1 => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(delta))
            }
            2 => {
                let (&delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(delta)))
            }
            _ => None,
        };
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some((
            sequence,
            delta.map(|delta| {
                self.time_us += delta * DELTA_US;
                self.time_us
            }),
        ))
    }
}

/// What [`transport_feedback`] has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Statuses taken from the front; the rest needs another feedback packet.
    pub statuses: usize,
}

/// Appends one feedback packet for the packets `base`, `base + 1`, …, whose arrival times (microseconds on any clock) or
/// losses are `arrivals`.
///
/// It stops before [`WRITE_MAX`] statuses or `bytes_max` bytes are exceeded and before a delta that 16 bits do not hold;
/// nothing is written if no packet among them has arrived.
pub fn transport_feedback(
    out: &mut Vec<u8>,
    (sender, media_ssrc): (u32, u32),
    base: u16,
    feedback_count: u8,
    arrivals: &[Option<i64>],
    bytes_max: usize,
) -> Written {
    let Some(first) = arrivals.iter().find_map(|arrival| *arrival) else { return Written { statuses: 0 } };
    let reference = first.div_euclid(REFERENCE_US);
    let mut symbols = [0u8; WRITE_MAX];
    let mut deltas = [0i16; WRITE_MAX];
    let (mut statuses, mut bytes, mut time) = (0, 24, reference * REFERENCE_US);
    for ((arrival, symbol), slot) in arrivals.iter().zip(&mut symbols).zip(&mut deltas) {
        let mut size = 0;
        if let Some(arrival) = arrival {
            let Ok(delta) = i16::try_from((arrival - time).div_euclid(DELTA_US)) else { break };
            time += i64::from(delta) * DELTA_US;
            *slot = delta;
            size = if (0..=255).contains(&delta) { 1 } else { 2 };
        }
        // A two-bit vector spends 2 bytes on 7 statuses; nothing spends more.
        bytes += size + usize::from(statuses % 7 == 0) * 2;
        if bytes > bytes_max {
            break;
        }
        *symbol = size as u8;
        statuses += 1;
    }
    let symbols = symbols.get(..statuses).unwrap_or_default();
    if symbols.iter().all(|symbol| *symbol == 0) {
        return Written { statuses: 0 };
    }
    let start = begin(out, usize::from(FORMAT_TRANSPORT_CC), TRANSPORT_FEEDBACK);
    put(out, &[sender, media_ssrc, u32::from(base) << 16 | statuses as u32]);
    put(out, &[(reference as u32) << 8 | u32::from(feedback_count)]);
    put_chunks(out, symbols);
    for (symbol, delta) in symbols.iter().zip(&deltas) {
        match symbol {
            1 => out.push(*delta as u8),
            2 => out.extend_from_slice(&delta.to_be_bytes()),
            _ => {}
        }
    }
    let padding = (4 - (out.len() - start) % 4) % 4;
    if padding > 0 {
        // The deltas have no length of their own: padding must be told from them by the padding bit.
        out.extend(std::iter::repeat_n(0, padding - 1));
        out.push(padding as u8);
        if let Some(first) = out.get_mut(start) {
            *first |= 0x20;
        }
    }
    finish(out, start);
    Written { statuses }
}

fn put_chunks(out: &mut Vec<u8>, symbols: &[u8]) {
    let mut rest = symbols;
    while let Some(&symbol) = rest.first() {
        let run = rest.iter().take(RUN_MAX).take_while(|other| **other == symbol).count();
        let narrow = rest.get(..rest.len().min(14)).unwrap_or_default();
        let (chunk, taken) = if run >= 14 || run == rest.len() || (run >= 7 && symbol == 2) {
            (u16::from(symbol) << 13 | run as u16, run)
        } else if narrow.iter().all(|symbol| *symbol < 2) {
            let bits = narrow.iter().enumerate().fold(0, |bits, (at, symbol)| bits | u16::from(*symbol) << (13 - at));
            (0x8000 | bits, narrow.len())
        } else {
            let wide = rest.get(..rest.len().min(7)).unwrap_or_default();
            let bits = wide.iter().enumerate().fold(0, |bits, (at, symbol)| bits | u16::from(*symbol) << (12 - 2 * at));
            (0xc000 | bits, wide.len())
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = rest.get(taken..).unwrap_or_default();
    }
}
