//! One RTP stream of a publishing client: frames, names, history, retransmissions, sender reports.

use crate::codec::{ExtensionIds, Kind};
use crate::egress::testing::vp8_payload;
use crate::id::TrackKey;
use crate::packet::{RtpSeal, rtcp};
use crate::transport::testing::ClientSrtp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Extension ids of every client.
pub(super) const EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(4),
    rid: Some(10),
    repaired_rid: Some(11),
    transport_cc: Some(3),
    abs_send_time: None,
    audio_level: Some(1),
    dependency_descriptor: None,
    video_orientation: None,
    abs_capture_time: None,
    playout_delay: None,
};
pub(super) const OPUS: u8 = 111;
pub(super) const VP8: u8 = 96;
pub(super) const VP8_RTX: u8 = 97;
/// Packets that carry mid and rid.
const NAMED: u32 = 20;

#[derive(Clone, Debug)]
struct Sent {
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) track: TrackKey,
    pub(super) kind: Kind,
    pub(super) mid: String,
    pub(super) rid: Option<&'static str>,
    pub(super) layer: u8,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) active: bool,
    /// Audio level in −dBov.
    pub(super) level: u8,
    pub(super) interval: Duration,
    pub(super) packets: usize,
    pub(super) size: usize,
    pub(super) key_wanted: bool,
    pub(super) key_frames: u32,
    pub(super) key_requests: u32,
    pub(super) retransmitted: u32,
    /// Packet index: rollover counter and sequence number.
    pub(super) index: u64,
    rtx_index: u64,
    next_at: Option<Instant>,
    next_report: Option<Instant>,
    picture: u16,
    timestamp: u32,
    named: u32,
    rtx_named: u32,
    history: BTreeMap<u16, Sent>,
}

impl Stream {
    pub(super) fn new(track: TrackKey, kind: Kind, mid: &str, rid: Option<&'static str>, layer: u8, ssrc: u32) -> Self {
        let (packets, size) = match (kind, layer) {
            (Kind::Audio, _) => (1, 80),
            (_, 0) => (1, 800),
            (_, 1) => (3, 900),
            _ => (6, 1_100),
        };
        Self {
            track,
            kind,
            mid: mid.to_owned(),
            rid,
            layer,
            ssrc,
            rtx_ssrc: ssrc + 0x10_0000,
            active: true,
            level: 127,
            interval: Duration::from_millis(if kind == Kind::Audio { 20 } else { 50 }),
            packets,
            size,
            key_wanted: true,
            key_frames: 0,
            key_requests: 0,
            retransmitted: 0,
            index: u64::from(ssrc.wrapping_mul(0x9e37_79b1) >> 17),
            rtx_index: 100,
            next_at: None,
            next_report: None,
            picture: (ssrc % 0x7000) as u16,
            timestamp: ssrc.wrapping_mul(31),
            named: NAMED,
            rtx_named: NAMED,
            history: BTreeMap::new(),
        }
    }

    /// Goes on under another SSRC, as after a restart of the encoder.
    pub(super) fn change_ssrc(&mut self, ssrc: u32) {
        let fresh = Self::new(self.track, self.kind, &self.mid.clone(), self.rid, self.layer, ssrc);
        *self = Self { next_at: self.next_at, ..fresh };
    }

    fn clock(&self) -> u32 {
        if self.kind == Kind::Audio { 48_000 } else { 90_000 }
    }

    /// Sends what is due.
    pub(super) fn tick(&mut self, now: Instant, transport: &mut u16, srtp: &ClientSrtp, out: &mut Vec<Vec<u8>>) {
        let due = *self.next_at.get_or_insert(now);
        if due > now {
            return;
        }
        self.next_at = Some(due + self.interval);
        self.timestamp = self.timestamp.wrapping_add((self.interval.as_millis() as u32) * (self.clock() / 1_000));
        if !self.active {
            return;
        }
        let key = std::mem::take(&mut self.key_wanted);
        self.key_frames += u32::from(key);
        self.picture = (self.picture + 1) & 0x7fff;
        // A key frame is three times as large.
        let packets = if self.kind == Kind::Video && key { self.packets * 3 } else { self.packets };
        for number in 0..packets {
            let mut body = vec![self.layer];
            body.extend_from_slice(&self.index.to_be_bytes());
            body.resize(self.size, 0x55);
            let payload = match self.kind {
                Kind::Audio => body,
                Kind::Video => vp8_payload(number == 0, self.picture, self.picture as u8, 0, key, &body),
            };
            let sent = Sent { timestamp: self.timestamp, marker: number + 1 == packets, payload };
            out.push(self.seal(&sent, None, transport, srtp));
            self.history.insert(self.index as u16, sent);
            self.history.remove(&(self.index as u16).wrapping_sub(600));
            self.index += 1;
        }
    }

    /// A sender report where due.
    pub(super) fn report(&mut self, now: Instant, ntp: u64, out: &mut Vec<u8>) {
        if self.next_report.is_none_or(|at| at <= now) && self.active {
            self.next_report = Some(now + Duration::from_secs(1));
            rtcp::sender_report(out, self.ssrc, ntp, self.timestamp, (self.index as u32, 0), None);
        }
    }

    /// Sends a packet again over RTX.
    pub(super) fn resend(&mut self, sequence: u16, transport: &mut u16, srtp: &ClientSrtp) -> Option<Vec<u8>> {
        let sent = self.history.get(&sequence).filter(|_| self.kind == Kind::Video)?.clone();
        self.retransmitted += 1;
        Some(self.seal(&sent, Some(sequence), transport, srtp))
    }

    fn seal(&mut self, sent: &Sent, again: Option<u16>, transport: &mut u16, srtp: &ClientSrtp) -> Vec<u8> {
        let (pt, ssrc, index, named) = match again {
            Some(_) => (VP8_RTX, self.rtx_ssrc, &mut self.rtx_index, &mut self.rtx_named),
            None if self.kind == Kind::Audio => (OPUS, self.ssrc, &mut self.index.clone(), &mut self.named),
            None => (VP8, self.ssrc, &mut self.index.clone(), &mut self.named),
        };
        let mut extensions = Vec::new();
        let mut element = |id: u8, value: &[u8]| {
            extensions.push(id << 4 | (value.len() - 1) as u8);
            extensions.extend_from_slice(value);
        };
        *transport = transport.wrapping_add(1);
        element(3, &transport.to_be_bytes());
        if self.kind == Kind::Audio {
            element(1, &[self.level]);
        }
        if *named > 0 {
            *named -= 1;
            element(4, self.mid.as_bytes());
            if let Some(rid) = self.rid {
                element(if again.is_some() { 11 } else { 10 }, rid.as_bytes());
            }
        }
        extensions.resize(extensions.len().next_multiple_of(4), 0);
        let mut packet = vec![0x90, u8::from(sent.marker) << 7 | pt];
        packet.extend_from_slice(&(*index as u16).to_be_bytes());
        packet.extend_from_slice(&sent.timestamp.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(&[0xbe, 0xde, 0, (extensions.len() / 4) as u8]);
        packet.extend_from_slice(&extensions);
        let header = packet.len();
        if let Some(original) = again {
            packet.extend_from_slice(&original.to_be_bytes());
        }
        packet.extend_from_slice(&sent.payload);
        let sealer = srtp.sealer();
        packet.resize(packet.len() + sealer.overhead(), 0);
        sealer.seal(&mut packet, header, *index);
        if again.is_some() {
            self.rtx_index += 1;
        }
        packet
    }
}
