//! Everything a peer sends us: recognises streams, undoes RTX, drops duplicates, asks for what is missing, reports what
//! has arrived. Decrypts nothing and forwards nothing; it is told the time and appends RTCP to a buffer.

mod accepted;
mod arrivals;
mod binding;
mod feedback;
mod key_frame;
mod missing;
mod reception;
mod state;
mod stream;
mod window;

#[cfg(test)]
mod tests;

pub use accepted::{Accepted, AudioLevel, EXTENSION_BYTES_MAX, ExtensionBytes};
pub use feedback::{COMPOUND_BYTES_MAX, FEEDBACK_SSRC};
pub use state::{IngressState, IngressStateError};

use crate::codec::{Codec, ExtensionIds, ReceiveSection};
use crate::command::LayerSnapshot;
use crate::id::TrackKey;
use crate::packet::rtp::RtpHeader;
use arrivals::Arrivals;
use reception::SenderReport;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use stream::{Extensions, Media, Stream, Wire};

/// Streams of one peer: LiveKit's clients publish a handful of tracks with at most 3 layers each.
pub const STREAMS_MAX: usize = 32;

/// Counted drops and requests of one peer, since its begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngressCounters {
    /// Packets whose SSRC belongs to no stream.
    pub unbound: u64,
    /// New streams beyond [`STREAMS_MAX`].
    pub streams_refused: u64,
    /// Packets with a bad padding count, an unknown payload type or an unreadable payload.
    pub malformed: u64,
    /// Dependency descriptors that could not be read; their packets were kept.
    pub descriptors_refused: u64,
    /// Packets seen before, redundant retransmissions among them.
    pub duplicates: u64,
    /// Packets older than the window or the stream.
    pub stale: u64,
    /// Packets of nothing but padding.
    pub padding: u64,
    /// Key-frame requests sent.
    pub key_frame_requests: u64,
}

/// Statistics of one layer since the last question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackStats {
    /// The track.
    pub track: TrackKey,
    /// Simulcast layer, 0 lowest.
    pub layer: u8,
    /// Packets expected by their sequence numbers.
    pub expected: u64,
    /// Packets among them that have not arrived in any way.
    pub lost: u64,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f32,
    /// Round-trip time in milliseconds, where measured.
    pub rtt_ms: Option<f32>,
    /// Bits per second.
    pub bitrate_bps: u64,
}

/// A publisher's own clock: which RTP timestamp belongs to which NTP time, and when it told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderClock {
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// RTP timestamp of the same moment.
    pub rtp: u32,
    /// When the report arrived.
    pub arrived: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    stream: usize,
    /// The SSRC carries retransmissions of the stream.
    repair: bool,
}

/// One peer's incoming RTP.
#[derive(Debug)]
pub struct Ingress {
    epoch: Instant,
    /// What the clock said at `epoch`: not 0 where the state came from another host.
    clock_offset_us: i64,
    extensions: ExtensionIds,
    sections: Vec<ReceiveSection>,
    streams: Vec<Option<Stream>>,
    /// At most two for each stream.
    routes: BTreeMap<u32, Route>,
    retired: VecDeque<(u32, i64)>,
    arrivals: Arrivals,
    rtt_us: Option<i64>,
    next_report_us: Option<i64>,
    counters: IngressCounters,
    /// Reused list of sequence numbers to ask for.
    due: Vec<u16>,
}

impl Ingress {
    /// Begins without any section: every packet is dropped until [`Ingress::configure`].
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            clock_offset_us: 0,
            extensions: ExtensionIds::default(),
            sections: Vec::new(),
            streams: Vec::new(),
            routes: BTreeMap::new(),
            retired: VecDeque::new(),
            arrivals: Arrivals::default(),
            rtt_us: None,
            next_report_us: None,
            counters: IngressCounters::default(),
            due: Vec::new(),
        }
    }

    /// Replaces the whole table; streams of tracks that are no longer named end.
    pub fn configure(&mut self, _now: Instant, extensions: ExtensionIds, sections: Vec<ReceiveSection>) {
        self.extensions = extensions;
        self.sections = sections;
        for index in 0..self.streams.len() {
            let Some(stream) = self.streams.get_mut(index).and_then(Option::as_mut) else { continue };
            let kept = |section: &ReceiveSection| section.mid == stream.mid && section.track == stream.track;
            match self.sections.iter().position(kept) {
                Some(section) => stream.section = section,
                None => drop(self.remove(index)),
            }
        }
    }

    /// Takes in one decrypted RTP packet; returns what is to be forwarded.
    pub fn handle_rtp(&mut self, now: Instant, header: &RtpHeader, packet: &[u8]) -> Option<Accepted> {
        let at_us = self.micros(now);
        let extensions = Extensions::read(&self.extensions, header, packet);
        if let Some(sequence) = extensions.transport_cc {
            self.arrivals.record(at_us, sequence, header.ssrc);
        }
        let known = self.routes.get(&header.ssrc).copied();
        let Some(route) = known.or_else(|| self.bind(at_us, header, &extensions)) else {
            self.counters.unbound += 1;
            return None;
        };
        let stream = self.streams.get_mut(route.stream)?.as_mut()?;
        let section = self.sections.get(stream.section)?;
        let Ok(payload) = header.payload(packet) else {
            self.counters.malformed += 1;
            return None;
        };
        let table = section.payloads.iter().find(|payload| {
            if route.repair { payload.rtx_pt == Some(header.payload_type) } else { payload.pt == header.payload_type }
        });
        let Some(table) = table else {
            self.counters.malformed += 1;
            if !route.repair {
                stream.skip(header.sequence);
            }
            return None;
        };
        let mut media =
            Media { sequence: header.sequence, payload, codec: table.codec, nack: table.nack, recovered: false };
        if route.repair {
            let (original, _) = packet.get(media.payload.clone())?.split_first_chunk::<2>().or_else(|| {
                self.counters.padding += 1;
                None
            })?;
            media.sequence = u16::from_be_bytes(*original);
            media.payload.start += 2;
            media.recovered = true;
            if media.payload.is_empty() {
                self.counters.padding += 1;
                return None;
            }
        }
        let wire = Wire { header, packet, extensions };
        let mut accepted = stream.accept(at_us, &wire, media, &mut self.rtt_us, &mut self.counters)?;
        accepted.stream = route.stream;
        Some(accepted)
    }

    /// Takes in the sender part of a sender report.
    pub fn handle_sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64, rtp: u32) {
        let at_us = self.micros(now);
        if let Some(stream) = self.stream_of(ssrc) {
            stream.reception.sender_report = Some(SenderReport { ntp, rtp, at_us });
        }
    }

    /// Takes in a BYE. The binding stays: libwebrtc says BYE for a layer that it pauses, and later goes on under the
    /// same SSRC without naming it again.
    pub fn handle_bye(&mut self, ssrc: u32) {
        if let Some(stream) = self.stream_of(ssrc) {
            stream.missing.clear();
            stream.key_frames.arrived();
        }
    }

    /// Wishes for a key frame of a layer; it is sent by [`Ingress::handle_timeout`] as soon as the throttle allows and
    /// repeated until one arrives. A layer that has no stream of its own means the track's only one (SVC).
    pub fn request_key_frame(&mut self, now: Instant, track: TrackKey, layer: u8) {
        let at_us = self.micros(now);
        let mut streams = self.streams.iter().flatten().filter(|stream| stream.track == track);
        let exact = streams.any(|stream| stream.layer == layer);
        let single = self.streams.iter().flatten().filter(|stream| stream.track == track).count() == 1;
        for stream in self.streams.iter_mut().flatten().filter(|stream| stream.track == track) {
            if (stream.layer == layer || (!exact && single)) && stream.kind == crate::codec::Kind::Video {
                stream.key_frames.request(at_us);
            }
        }
    }

    /// Returns what is known of every stream.
    #[must_use]
    pub fn layers(&self) -> Vec<LayerSnapshot> {
        let snapshot = |stream: &Stream| LayerSnapshot {
            track: stream.track,
            layer: stream.layer,
            ssrc: stream.ssrc,
            packets: stream.reception.packets(),
            missing: stream.reception.missing(&stream.window),
            recovered: stream.reception.recovered(),
            nacked: stream.reception.nacked,
            bitrate_bps: stream.reception.rate_bps(),
        };
        self.streams.iter().flatten().map(snapshot).collect()
    }

    /// Returns the statistics of every stream since the last call.
    pub fn track_stats(&mut self, now: Instant) -> Vec<TrackStats> {
        let at_us = self.micros(now);
        let rtt_ms = self.rtt_us.map(|rtt| rtt as f32 / 1000.0);
        let stats = |stream: &mut Stream| {
            let interval = stream.reception.interval(at_us, &stream.window);
            let clock = stream.codec.map_or(90_000, Codec::clock_rate);
            TrackStats {
                track: stream.track,
                layer: stream.layer,
                expected: interval.expected,
                lost: interval.lost,
                jitter_ms: stream.reception.jitter() as f32 * 1000.0 / clock as f32,
                rtt_ms,
                bitrate_bps: interval.bitrate_bps,
            }
        };
        self.streams.iter_mut().flatten().map(stats).collect()
    }

    /// Returns the clock that the publisher reported for a layer.
    #[must_use]
    pub fn sender_clock(&self, track: TrackKey, layer: u8) -> Option<SenderClock> {
        let mut streams = self.streams.iter().flatten();
        let stream = streams.find(|stream| stream.track == track && stream.layer == layer)?;
        let report = stream.reception.sender_report?;
        Some(SenderClock { ntp: report.ntp, rtp: report.rtp, arrived: self.instant(report.at_us) })
    }

    /// Returns the round-trip time, once measured.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt_us.map(|rtt| Duration::from_micros(rtt.max(0).cast_unsigned()))
    }

    /// Takes in a round-trip time measured elsewhere, for example by a report block about what we send.
    pub fn observe_rtt(&mut self, sample: Duration) {
        stream::smooth(&mut self.rtt_us, i64::try_from(sample.as_micros()).unwrap_or(i64::MAX));
    }

    /// Returns the counters.
    #[must_use]
    pub const fn counters(&self) -> IngressCounters {
        self.counters
    }

    /// Returns the track and layer that an SSRC carries.
    #[must_use]
    pub fn layer_of(&self, ssrc: u32) -> Option<(TrackKey, u8)> {
        let route = self.routes.get(&ssrc).filter(|route| !route.repair)?;
        let stream = self.streams.get(route.stream)?.as_ref()?;
        Some((stream.track, stream.layer))
    }

    /// Returns the table of what the peer sends.
    #[must_use]
    pub fn sections(&self) -> &[ReceiveSection] {
        &self.sections
    }

    fn stream_of(&mut self, ssrc: u32) -> Option<&mut Stream> {
        let route = self.routes.get(&ssrc).filter(|route| !route.repair)?;
        self.streams.get_mut(route.stream)?.as_mut()
    }

    fn micros(&self, now: Instant) -> i64 {
        let elapsed = now.saturating_duration_since(self.epoch).as_micros();
        self.clock_offset_us.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    /// The moment of a clock reading; what lies before our begin is our begin.
    fn instant(&self, at_us: i64) -> Instant {
        let since = at_us.saturating_sub(self.clock_offset_us).max(0).cast_unsigned();
        self.epoch + Duration::from_micros(since)
    }
}
