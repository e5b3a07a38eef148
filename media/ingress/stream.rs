//! One incoming RTP stream (one simulcast layer of one track) and what is done with each of its packets.

use super::IngressCounters;
use super::accepted::{Accepted, AudioLevel, ExtensionBytes};
use super::key_frame::KeyFrames;
use super::missing::Missing;
use super::reception::Reception;
use super::window::{Arrival, Window};
use crate::codec::{Codec, ExtensionIds, Kind};
use crate::id::TrackKey;
use crate::packet::dependency::DependencyReader;
use crate::packet::rtp::RtpHeader;
use crate::packet::{ForwardedExtension, PayloadInfo, payload};
use std::ops::Range;

/// Weight of a new round-trip sample: 1/4.
const RTT_SHIFT: u32 = 2;

/// The header extensions of one packet that ingress looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extensions<'a> {
    pub(super) mid: Option<&'a [u8]>,
    pub(super) rid: Option<&'a [u8]>,
    pub(super) repaired_rid: Option<&'a [u8]>,
    pub(super) transport_cc: Option<u16>,
    /// Indexed by [`ForwardedExtension::code`].
    forwarded: [Option<&'a [u8]>; 5],
}

impl<'a> Extensions<'a> {
    pub(super) fn read(ids: &ExtensionIds, header: &RtpHeader, packet: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (id, value) in header.extensions(packet) {
            let id = Some(id);
            if id == ids.transport_cc {
                found.transport_cc = value.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
            } else if id == ids.mid {
                found.mid = Some(value);
            } else if id == ids.rid {
                found.rid = Some(value);
            } else if id == ids.repaired_rid {
                found.repaired_rid = Some(value);
            } else if let Some(kind) = forwarded_kind(ids, id)
                && let Some(slot) = found.forwarded.get_mut(usize::from(kind.code()))
            {
                *slot = Some(value);
            }
        }
        found
    }

    fn get(&self, kind: ForwardedExtension) -> Option<&'a [u8]> {
        self.forwarded.get(usize::from(kind.code())).copied().flatten()
    }

    fn audio_level(&self) -> Option<AudioLevel> {
        let byte = *self.get(ForwardedExtension::AudioLevel)?.first()?;
        Some(AudioLevel { level: byte & 0x7f, voice: byte & 0x80 != 0 })
    }

    fn to_bytes(self) -> ExtensionBytes {
        let mut bytes = ExtensionBytes::default();
        for (code, value) in (0u8..).zip(self.forwarded) {
            if let (Some(kind), Some(value)) = (ForwardedExtension::from_code(code), value) {
                bytes.push(kind, value);
            }
        }
        bytes
    }
}

fn forwarded_kind(ids: &ExtensionIds, id: Option<u8>) -> Option<ForwardedExtension> {
    Some(if id == ids.audio_level {
        ForwardedExtension::AudioLevel
    } else if id == ids.dependency_descriptor {
        ForwardedExtension::DependencyDescriptor
    } else if id == ids.video_orientation {
        ForwardedExtension::VideoOrientation
    } else if id == ids.abs_capture_time {
        ForwardedExtension::AbsCaptureTime
    } else if id == ids.playout_delay {
        ForwardedExtension::PlayoutDelay
    } else {
        return None;
    })
}

/// One media packet after RTX has been undone.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) sequence: u16,
    pub(super) payload: Range<usize>,
    pub(super) codec: Codec,
    pub(super) nack: bool,
    pub(super) recovered: bool,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    pub(super) mid: String,
    /// Index of the section with this mid in the present table.
    pub(super) section: usize,
    pub(super) track: TrackKey,
    pub(super) layer: u8,
    pub(super) kind: Kind,
    /// Codec of the newest packet.
    pub(super) codec: Option<Codec>,
    /// Whether a packet has been handed out already.
    announced: bool,
    last_timestamp: Option<u32>,
    pub(super) window: Window,
    #[serde(skip)]
    pub(super) missing: Missing,
    pub(super) reception: Reception,
    pub(super) key_frames: KeyFrames,
    dependencies: DependencyReader,
}

impl Stream {
    pub(super) fn new(
        at_us: i64,
        ssrc: u32,
        section: usize,
        (track, layer): (TrackKey, u8),
        mid: String,
        kind: Kind,
    ) -> Self {
        let mut reception = Reception::default();
        reception.begin(at_us);
        Self {
            ssrc,
            rtx_ssrc: None,
            mid,
            section,
            track,
            layer,
            kind,
            codec: None,
            announced: false,
            last_timestamp: None,
            window: Window::new(),
            missing: Missing::default(),
            reception,
            key_frames: KeyFrames::default(),
            dependencies: DependencyReader::default(),
        }
    }

    /// Notes that a packet took a sequence number though nothing can be done with it.
    pub(super) fn skip(&mut self, sequence: u16) {
        if let Arrival::New { sequence, restarted, .. } = self.window.insert(sequence, false) {
            if restarted {
                self.missing.clear();
            }
            self.missing.arrived(0, sequence);
            self.reception.count(0, false);
        }
    }

    /// Takes one packet in; `None` for what must not be forwarded.
    pub(super) fn accept(
        &mut self,
        at_us: i64,
        header: &RtpHeader,
        packet: &[u8],
        media: Media,
        extensions: &Extensions<'_>,
        rtt_us: &mut Option<i64>,
        counters: &mut IngressCounters,
    ) -> Option<Accepted> {
        let expected = self.window.expected();
        let (sequence, gap, newest, restarted) = match self.window.insert(media.sequence, media.recovered) {
            Arrival::New { sequence, gap, newest, restarted } => (sequence, gap, newest, restarted),
            Arrival::Duplicate => {
                counters.duplicates += 1;
                return None;
            }
            Arrival::Old => {
                counters.stale += 1;
                return None;
            }
        };
        if restarted {
            self.missing.clear();
            self.reception.restart(expected);
        }
        let sample = self.missing.arrived(at_us, sequence).filter(|_| media.recovered);
        if let Some(sample) = sample {
            smooth(rtt_us, sample);
        }
        if !gap.is_empty() && (self.kind == Kind::Video || media.nack) {
            let given_up = self.missing.add(at_us, gap);
            self.give_up(at_us, given_up);
        }
        self.codec = Some(media.codec);
        self.reception.count(packet.len(), media.recovered);
        let bytes = packet.get(media.payload.clone()).unwrap_or_default();
        let mut accepted = Accepted {
            stream: 0,
            track: self.track,
            layer: self.layer,
            first: false,
            restarted,
            sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            codec: media.codec,
            info: PayloadInfo::default(),
            payload: media.payload,
            audio: None,
            extension_bytes: ExtensionBytes::default(),
            ssrc: self.ssrc,
            recovered: media.recovered,
        };
        if bytes.is_empty() {
            counters.padding += 1;
            return self.announced.then_some(accepted);
        }
        if newest && !media.recovered {
            self.reception.time(at_us, header.timestamp, media.codec.clock_rate());
        }
        accepted.info = match self.info(header, bytes, (sequence, newest), media.codec, extensions, counters) {
            Ok(info) => info,
            Err(_) => {
                counters.malformed += 1;
                return None;
            }
        };
        if accepted.info.key_frame && accepted.info.frame_start {
            self.key_frames.arrived();
        }
        accepted.first = !self.announced;
        self.announced = true;
        accepted.audio = extensions.audio_level();
        accepted.extension_bytes = extensions.to_bytes();
        Some(accepted)
    }

    /// Packets are lost for good: without them video cannot go on.
    pub(super) fn give_up(&mut self, at_us: i64, packets: usize) {
        if packets > 0 && self.kind == Kind::Video {
            self.key_frames.request(at_us);
        }
    }

    fn info(
        &mut self,
        header: &RtpHeader,
        bytes: &[u8],
        (sequence, newest): (u64, bool),
        codec: Codec,
        extensions: &Extensions<'_>,
        counters: &mut IngressCounters,
    ) -> Result<PayloadInfo, payload::PayloadError> {
        let mut info = payload::info(codec, bytes)?;
        if codec.kind() == Kind::Audio {
            return Ok(info);
        }
        info.frame_end |= header.marker;
        if matches!(codec, Codec::H264 | Codec::H265) && newest {
            // Parameter sets and the slices after them share a timestamp: only the first packet starts the frame.
            let same = self.last_timestamp == Some(header.timestamp);
            let follows = self.last_timestamp.is_some() && self.window.is_seen(sequence.wrapping_sub(1));
            info.frame_start = !same && (info.frame_start || follows);
        }
        if newest {
            self.last_timestamp = Some(header.timestamp);
        }
        // VP8 and VP9 say all of this in their own descriptors.
        if !matches!(codec, Codec::Vp8 | Codec::Vp9)
            && let Some(descriptor) = extensions.get(ForwardedExtension::DependencyDescriptor)
        {
            match self.dependencies.read(descriptor) {
                Ok(dependency) => {
                    info.key_frame |= dependency.key_frame && dependency.spatial == 0;
                    info.frame_start = dependency.frame_start;
                    info.frame_end = dependency.frame_end;
                    info.spatial = dependency.spatial;
                    info.temporal = dependency.temporal;
                    info.temporal_switch = dependency.switch;
                    info.not_referenced_above = dependency.not_referenced_above;
                }
                Err(_) => counters.descriptors_refused += 1,
            }
        }
        Ok(info)
    }
}

/// Moves a smoothed round-trip time towards a sample.
pub(super) fn smooth(rtt_us: &mut Option<i64>, sample_us: i64) {
    *rtt_us = Some(rtt_us.map_or(sample_us, |rtt| rtt + ((sample_us - rtt) >> RTT_SHIFT)));
}
