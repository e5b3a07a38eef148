//! Writers of RTCP packets; each appends whole packets to a buffer.

use super::{
    FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, GOODBYE, PAYLOAD_FEEDBACK, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};

/// Report blocks and SSRCs of one packet: the count has 5 bits.
const COUNT_MAX: usize = 31;
/// Bytes of a CNAME (RFC 3550 §6.5); the rest is cut off.
const CNAME_MAX: usize = 255;
/// Entries of one NACK packet, which keeps a packet below 1 kB.
const NACK_ENTRIES_PER_PACKET: usize = 240;

/// Starts a packet; [`finish`] fills in its length.
pub(super) fn begin(out: &mut Vec<u8>, count: usize, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | (count & 0x1f) as u8, packet_type, 0, 0]);
    start
}

/// Pads the packet that began at `start` to whole words and writes its length.
pub(super) fn finish(out: &mut Vec<u8>, start: usize) {
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(start + 2..start + 4) {
        field.copy_from_slice(&words);
    }
}

pub(super) fn put(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn put_block(out: &mut Vec<u8>, block: &ReportBlock) {
    let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
    let lost = u32::from(block.fraction_lost) << 24 | lost;
    put(out, &[block.ssrc, lost, block.highest, block.jitter, block.last_sr, block.delay]);
}

/// Appends a sender report without report blocks and, with a name, an SDES CNAME.
pub fn sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    ntp: u64,
    rtp: u32,
    (packets, octets): (u32, u32),
    cname: Option<&str>,
) {
    let start = begin(out, 0, SENDER_REPORT);
    put(out, &[ssrc, (ntp >> 32) as u32, ntp as u32, rtp, packets, octets]);
    finish(out, start);
    if let Some(name) = cname {
        let name = name.as_bytes();
        let name = name.get(..name.len().min(CNAME_MAX)).unwrap_or_default();
        let start = begin(out, 1, SOURCE_DESCRIPTION);
        put(out, &[ssrc]);
        out.extend_from_slice(&[1, name.len() as u8]);
        out.extend_from_slice(name);
        // The chunk ends with at least one zero byte (RFC 3550 §6.5).
        out.push(0);
        finish(out, start);
    }
}

/// Appends receiver reports with all `blocks`, 31 in each; without blocks an empty one.
pub fn receiver_report(out: &mut Vec<u8>, reporter: u32, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (chunk, tail) = rest.split_at(rest.len().min(COUNT_MAX));
        let start = begin(out, chunk.len(), RECEIVER_REPORT);
        put(out, &[reporter]);
        for block in chunk {
            put_block(out, block);
        }
        finish(out, start);
        rest = tail;
        if rest.is_empty() {
            return;
        }
    }
}

/// Appends generic NACKs for `lost`, which should be in sending order so that neighbours share an entry.
pub fn nack(out: &mut Vec<u8>, sender: u32, media_ssrc: u32, lost: &[u16]) {
    let mut rest = lost;
    while !rest.is_empty() {
        let start = begin(out, usize::from(FORMAT_NACK), TRANSPORT_FEEDBACK);
        put(out, &[sender, media_ssrc]);
        for _ in 0..NACK_ENTRIES_PER_PACKET {
            let Some((&base, tail)) = rest.split_first() else { break };
            rest = tail;
            let mut mask = 0u16;
            while let Some((&next, tail)) = rest.split_first() {
                let distance = next.wrapping_sub(base);
                if distance > 16 {
                    break;
                }
                if distance > 0 {
                    mask |= 1 << (distance - 1);
                }
                rest = tail;
            }
            put(out, &[u32::from(base) << 16 | u32::from(mask)]);
        }
        finish(out, start);
    }
}

/// Appends a picture loss indication.
pub fn pli(out: &mut Vec<u8>, sender: u32, media_ssrc: u32) {
    let start = begin(out, usize::from(FORMAT_PLI), PAYLOAD_FEEDBACK);
    put(out, &[sender, media_ssrc]);
    finish(out, start);
}

/// Appends a full intra request with its command sequence number.
pub fn fir(out: &mut Vec<u8>, sender: u32, media_ssrc: u32, sequence: u8) {
    let start = begin(out, usize::from(FORMAT_FIR), PAYLOAD_FEEDBACK);
    put(out, &[sender, 0, media_ssrc, u32::from(sequence) << 24]);
    finish(out, start);
}

/// Appends a receiver estimated maximum bit rate for `ssrcs` (at most 255 are written).
pub fn remb(out: &mut Vec<u8>, sender: u32, bitrate_bps: u64, ssrcs: &[u32]) {
    let ssrcs = ssrcs.get(..ssrcs.len().min(255)).unwrap_or_default();
    let start = begin(out, usize::from(FORMAT_APPLICATION), PAYLOAD_FEEDBACK);
    let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
    put(out, &[sender, 0]);
    out.extend_from_slice(b"REMB");
    put(out, &[(ssrcs.len() as u32) << 24 | exponent << 18 | (bitrate_bps >> exponent) as u32]);
    put(out, ssrcs);
    finish(out, start);
}

/// Appends goodbyes for all `ssrcs`.
pub fn bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    for chunk in ssrcs.chunks(COUNT_MAX) {
        let start = begin(out, chunk.len(), GOODBYE);
        put(out, chunk);
        finish(out, start);
    }
}
