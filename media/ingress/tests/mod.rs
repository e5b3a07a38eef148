//! Rules of ingress, each against packets as a browser sends them, in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]

mod feedback;

use super::*;
use crate::codec::Payload;
use crate::packet::rtcp::{self, RtcpItem};
use crate::packet::{ForwardedExtension, rtp};
use proptest::prelude::*;

const KEY: &[u8] = &[0x10, 0x00, 1, 2, 3];
const DELTA: &[u8] = &[0x10, 0x01, 1, 2, 3];
const VIDEO: TrackKey = TrackKey(1);
const AUDIO: TrackKey = TrackKey(2);
const MID: u8 = 4;
const RID: u8 = 10;
const REPAIRED: u8 = 11;
const TRANSPORT: u8 = 3;

fn ids() -> ExtensionIds {
    ExtensionIds {
        mid: Some(MID),
        rid: Some(RID),
        repaired_rid: Some(REPAIRED),
        transport_cc: Some(TRANSPORT),
        audio_level: Some(1),
        video_orientation: Some(13),
        ..ExtensionIds::default()
    }
}

fn section(mid: &str, track: TrackKey, codec: Codec, pt: u8, rtx_pt: Option<u8>) -> ReceiveSection {
    let payload = Payload { pt, rtx_pt, codec, fmtp: String::new(), nack: rtx_pt.is_some() };
    ReceiveSection {
        mid: mid.into(),
        track,
        kind: codec.kind(),
        payloads: vec![payload],
        rids: Vec::new(),
        ssrcs: Vec::new(),
    }
}

fn simulcast() -> ReceiveSection {
    ReceiveSection { rids: ["q", "h", "f"].map(String::from).to_vec(), ..section("0", VIDEO, Codec::Vp8, 96, Some(97)) }
}

struct Bench {
    ingress: Ingress,
    begin: Instant,
    at_ms: u64,
}

impl Bench {
    fn new(sections: Vec<ReceiveSection>) -> Self {
        let begin = Instant::now();
        let mut ingress = Ingress::new(begin);
        ingress.configure(begin, ids(), sections);
        Self { ingress, begin, at_ms: 0 }
    }

    fn video() -> Self {
        Self::new(vec![simulcast(), section("1", AUDIO, Codec::Opus, 111, None)])
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.at_ms)
    }

    fn rtp(&mut self, packet: &[u8]) -> Option<Accepted> {
        let header = rtp::parse(packet).unwrap();
        let now = self.now();
        self.ingress.handle_rtp(now, &header, packet)
    }

    /// A media packet of layer f, named by mid and rid.
    fn media(&mut self, ssrc: u32, sequence: u16, payload: &[u8]) -> Option<Accepted> {
        self.rtp(&packet(96, sequence, ssrc, &[(MID, b"0"), (RID, b"f")], payload))
    }

    fn repair(&mut self, ssrc: u32, original: u16, payload: &[u8]) -> Option<Accepted> {
        let payload = [&original.to_be_bytes(), payload].concat();
        self.rtp(&packet(97, 7, ssrc, &[(MID, b"0"), (REPAIRED, b"f")], &payload))
    }

    /// Every compound that is due, after checking its size.
    fn feedback(&mut self) -> Vec<u8> {
        let now = self.now();
        let mut all = Vec::new();
        for _ in 0..100 {
            let mut out = Vec::new();
            self.ingress.handle_timeout(now, &mut out);
            assert!(out.len() <= COMPOUND_BYTES_MAX);
            if out.is_empty() {
                assert!(self.ingress.poll_timeout().is_none_or(|due| due > now), "nothing done but still due");
                return all;
            }
            all.extend(out);
        }
        panic!("feedback without end");
    }

    fn nacked(&mut self) -> Vec<u16> {
        let mut lost = Vec::new();
        rtcp::visit(&self.feedback(), |item| {
            if let RtcpItem::Nack { lost: numbers, .. } = item {
                lost.extend(numbers);
            }
        })
        .unwrap();
        lost
    }

    fn plis(&mut self) -> Vec<u32> {
        let mut all = Vec::new();
        rtcp::visit(&self.feedback(), |item| {
            if let RtcpItem::Pli { media_ssrc } = item {
                all.push(media_ssrc);
            }
        })
        .unwrap();
        all
    }
}

fn packet(pt: u8, sequence: u16, ssrc: u32, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, pt];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((u32::from(sequence) * 3000).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    let mut block = Vec::new();
    for (id, value) in extensions {
        block.push(id << 4 | u8::try_from(value.len() - 1).unwrap());
        block.extend(*value);
    }
    block.resize(block.len().next_multiple_of(4), 0);
    bytes.extend([0xbe, 0xde, 0, u8::try_from(block.len() / 4).unwrap()]);
    bytes.extend(block);
    bytes.extend(payload);
    bytes
}

#[test]
fn a_layer_is_bound_by_mid_and_rid_and_stays_bound_without_them() {
    let mut bench = Bench::video();
    let first = bench.media(10, 1, KEY).unwrap();
    assert_eq!((first.track, first.layer, first.first, first.ssrc, first.codec), (VIDEO, 2, true, 10, Codec::Vp8));
    assert_eq!(first.sequence, 65_537);
    assert!(first.info.key_frame);
    let second = bench.rtp(&packet(96, 2, 10, &[], DELTA)).unwrap();
    assert_eq!((second.layer, second.first, second.stream), (2, false, first.stream));
}

#[test]
fn a_payload_type_alone_never_binds_where_rids_are_in_use() {
    let mut bench = Bench::video();
    assert!(bench.rtp(&packet(96, 1, 10, &[], KEY)).is_none());
    assert!(bench.rtp(&packet(96, 1, 10, &[(MID, b"0")], KEY)).is_none());
    assert!(bench.rtp(&packet(96, 1, 10, &[(MID, b"0"), (RID, b"x")], KEY)).is_none());
    assert!(bench.rtp(&packet(96, 1, 10, &[(MID, b"9"), (RID, b"f")], KEY)).is_none());
    assert_eq!(bench.ingress.counters().unbound, 4);
}

#[test]
fn a_repair_stream_before_its_layer_is_dropped_and_bound_later() {
    let mut bench = Bench::video();
    assert!(bench.repair(20, 1, KEY).is_none());
    bench.media(10, 1, KEY).unwrap();
    bench.media(10, 3, DELTA).unwrap();
    let recovered = bench.repair(20, 2, DELTA).unwrap();
    assert_eq!((recovered.sequence, recovered.ssrc, recovered.recovered), (65_538, 10, true));
    let bytes = packet(97, 7, 20, &[(MID, b"0"), (REPAIRED, b"f")], &[&[0, 2], DELTA].concat());
    assert_eq!(&bytes[recovered.payload], DELTA);
}

#[test]
fn redundant_retransmissions_are_absorbed_and_not_forwarded_twice() {
    let mut bench = Bench::video();
    for sequence in 1..50 {
        bench.media(10, sequence, DELTA).unwrap();
    }
    for sequence in 1..50 {
        assert!(bench.repair(20, sequence, DELTA).is_none());
    }
    assert!(bench.rtp(&packet(97, 8, 20, &[], &[])).is_none());
    assert_eq!(bench.ingress.counters().duplicates, 49);
    assert_eq!(bench.ingress.layers()[0].packets, 49);
    assert_eq!(bench.ingress.layers()[0].recovered, 0);
}

#[test]
fn announced_ssrcs_bind_media_and_repair() {
    let mut announced = section("0", VIDEO, Codec::Vp8, 96, Some(97));
    announced.ssrcs = vec![(10, Some(11)), (20, Some(21))];
    let mut bench = Bench::new(vec![announced]);
    assert_eq!(bench.rtp(&packet(96, 1, 20, &[], KEY)).unwrap().layer, 1);
    bench.rtp(&packet(96, 3, 20, &[], DELTA)).unwrap();
    assert!(bench.rtp(&packet(97, 1, 21, &[], &[&[0, 2], DELTA].concat())).unwrap().recovered);
    assert!(bench.rtp(&packet(96, 1, 30, &[(MID, b"0")], KEY)).is_none());
}

#[test]
fn a_section_without_names_is_bound_by_mid() {
    let mut bench = Bench::video();
    let audio = packet(111, 1, 500, &[(MID, b"1"), (1, &[0x80 | 30])], b"opus");
    let accepted = bench.rtp(&audio).unwrap();
    assert_eq!((accepted.track, accepted.audio), (AUDIO, Some(AudioLevel { level: 30, voice: true })));
    let extensions: Vec<_> = accepted.source(&audio).extensions().collect();
    assert_eq!(extensions, [(ForwardedExtension::AudioLevel, &[0x80 | 30][..])]);
    assert_eq!(accepted.source(&audio).payload, b"opus");
}

#[test]
fn padding_takes_a_number_and_is_told_as_a_gap() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    let mut padding = packet(96, 2, 10, &[], &[0, 0, 0, 4]);
    padding[0] |= 0x20;
    let gap = bench.rtp(&padding).unwrap();
    assert!(gap.is_gap());
    assert_eq!(gap.sequence, 65_538);
    bench.media(10, 3, DELTA).unwrap();
    bench.at_ms = 100;
    assert!(bench.nacked().is_empty());
}

#[test]
fn a_layer_published_anew_replaces_the_old_ssrc_for_good() {
    let mut bench = Bench::video();
    let old = bench.media(10, 1, KEY).unwrap();
    let new = bench.media(11, 1, KEY).unwrap();
    assert_eq!((new.stream, new.first, new.ssrc), (old.stream, true, 11));
    assert!(bench.media(10, 2, DELTA).is_none(), "a late packet does not bring the old stream back");
    assert!(!bench.media(11, 2, DELTA).unwrap().first);
    assert_eq!(bench.ingress.layers().len(), 1);
}

#[test]
fn a_track_that_ended_drops_its_streams_and_another_keeps_them() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    bench.rtp(&packet(111, 1, 30, &[(MID, b"1")], b"o")).unwrap();
    let now = bench.now();
    bench.ingress.configure(now, ids(), vec![section("1", AUDIO, Codec::Opus, 111, None)]);
    assert!(bench.media(10, 2, DELTA).is_none());
    assert!(!bench.rtp(&packet(111, 2, 30, &[], b"o")).unwrap().first);
    bench.ingress.configure(now, ids(), vec![simulcast()]);
    assert!(bench.media(10, 3, DELTA).unwrap().first);
}

#[test]
fn a_paused_layer_goes_on_without_being_named_again() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    bench.ingress.handle_bye(10);
    assert!(bench.rtp(&packet(96, 2, 10, &[], DELTA)).is_some());
}

#[test]
fn no_peer_has_more_than_32_streams() {
    let sections = (0..40).map(|index| section(&index.to_string(), TrackKey(index), Codec::Opus, 111, None)).collect();
    let mut bench = Bench::new(sections);
    let bound = (0..40u32)
        .filter(|index| bench.rtp(&packet(111, 1, *index, &[(MID, index.to_string().as_bytes())], b"o")).is_some())
        .count();
    assert_eq!((bound, bench.ingress.counters().streams_refused), (STREAMS_MAX, 8));
    bench.at_ms = 1_000;
    let mut blocks = 0;
    rtcp::visit(&bench.feedback(), |item| blocks += usize::from(matches!(item, RtcpItem::ReportBlock { .. }))).unwrap();
    assert_eq!(blocks, STREAMS_MAX);
}

#[test]
fn unreadable_packets_are_counted_and_not_asked_for_again() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    assert!(bench.media(10, 2, &[0x90]).is_none());
    assert!(bench.rtp(&packet(50, 3, 10, &[], DELTA)).is_none());
    bench.media(10, 4, DELTA).unwrap();
    bench.at_ms = 100;
    assert!(bench.nacked().is_empty());
    assert_eq!(bench.ingress.counters().malformed, 2);
}

#[test]
fn h264_parameter_sets_and_their_slices_are_one_frame() {
    let mut bench = Bench::new(vec![section("0", VIDEO, Codec::H264, 96, Some(97))]);
    let mut frame = |sequence: u16, payload: &[u8]| {
        let mut bytes = packet(96, sequence, 10, &[(MID, b"0")], payload);
        bytes[4..8].copy_from_slice(&[0, 0, 0, 1]);
        bench.rtp(&bytes).unwrap().info
    };
    let parameters = frame(1, &[0x67, 0x42]);
    assert!(parameters.key_frame && parameters.frame_start);
    let slice = frame(2, &[0x65, 0x88]);
    assert!(slice.key_frame && !slice.frame_start);
}

#[test]
fn the_dependency_descriptor_tells_the_layer_of_an_av1_packet() {
    // L1T2: two templates (T0 id 0, T1 id 1), two decode targets, no chains.
    let structure = [0xc0, 0x00, 0x01, 0x80, 0x01, 0x7a, 0x24, 0x00];
    let mut bench = Bench::new(vec![section("0", VIDEO, Codec::Av1, 96, Some(97))]);
    let extensions = ExtensionIds { dependency_descriptor: Some(12), ..ids() };
    let now = bench.now();
    bench.ingress.configure(now, extensions, vec![section("0", VIDEO, Codec::Av1, 96, Some(97))]);
    let key = bench.rtp(&packet(96, 1, 10, &[(MID, b"0"), (12, &structure)], &[0x18, 0x0a, 1])).unwrap();
    assert!(key.info.key_frame && key.info.frame_start && key.info.frame_end);
    assert_eq!(key.extension_bytes.len(), 2 + structure.len());
    let upper = bench.rtp(&packet(96, 2, 10, &[(12, &[0x81, 0, 2])], &[0x10, 0x0a, 1])).unwrap();
    assert_eq!((upper.info.temporal, upper.info.frame_end, upper.info.key_frame), (1, false, false));
    assert!(bench.rtp(&packet(96, 3, 10, &[(12, &[0x8f, 0, 2])], &[0x10, 0x0a, 1])).is_some());
    assert_eq!(bench.ingress.counters().descriptors_refused, 1);
}

#[test]
fn an_exported_state_goes_on_without_learning_names_again() {
    let mut bench = Bench::video();
    bench.at_ms = 5_000;
    bench.media(10, 65_535, KEY).unwrap();
    let last = bench.media(10, 0, DELTA).unwrap();
    bench.repair(20, 65_534, DELTA);
    let bytes = rmp_serde::to_vec(&bench.ingress.export(bench.now())).unwrap();
    let state: IngressState = rmp_serde::from_slice(&bytes).unwrap();
    let begin = bench.begin + Duration::from_secs(100);
    let mut other = Bench { ingress: Ingress::import(begin, state).unwrap(), begin, at_ms: 0 };
    assert!(other.rtp(&packet(96, 0, 10, &[], DELTA)).is_none(), "the window crossed over");
    let next = other.rtp(&packet(96, 2, 10, &[], DELTA)).unwrap();
    assert_eq!((next.sequence, next.first, next.layer), (last.sequence + 2, false, 2));
    assert!(other.rtp(&packet(97, 9, 20, &[], &[&[0, 1], DELTA].concat())).unwrap().recovered);
    other.at_ms = 1_000;
    assert!(!other.feedback().is_empty());
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    bench.ingress.sections.clear();
    let state = bench.ingress.export(bench.now());
    assert_eq!(Ingress::import(bench.now(), state).err(), Some(IngressStateError::NoSection(10)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_packets_never_panic_and_everything_stays_bounded(
        packets in proptest::collection::vec(
            (prop::sample::select(vec![96u8, 97, 111, 50]), any::<u16>(), 0u32..80, 0usize..6, proptest::collection::vec(any::<u8>(), 0..20), any::<bool>(), 0u64..200),
            1..300,
        ),
        near: bool,
    ) {
        let mut bench = Bench::video();
        let mut seen = std::collections::BTreeSet::new();
        for (pt, sequence, ssrc, name, payload, padding, wait) in packets {
            let sequence = if near { sequence % 1000 } else { sequence };
            let wide = sequence.to_be_bytes();
            let names: &[(u8, &[u8])] = match name {
                0 => &[(MID, b"0"), (RID, b"q"), (TRANSPORT, &wide)],
                1 => &[(MID, b"0"), (RID, b"f"), (TRANSPORT, &wide)],
                2 => &[(MID, b"0"), (REPAIRED, b"q")],
                3 => &[(MID, b"1"), (TRANSPORT, &wide)],
                4 => &[(MID, &[0xff, 0xfe])],
                _ => &[],
            };
            let mut bytes = packet(pt, sequence, ssrc % 8, names, &payload);
            bytes[0] |= if padding { 0x20 } else { 0 };
            if let Some(accepted) = bench.rtp(&bytes) {
                prop_assert!(accepted.payload.end <= bytes.len());
                if accepted.first {
                    seen.retain(|(stream, _)| *stream != accepted.stream);
                }
                prop_assert!(seen.insert((accepted.stream, accepted.sequence)), "forwarded twice");
            }
            bench.at_ms += wait / 10;
            let feedback = bench.feedback();
            let readable = rtcp::visit(&feedback, |_| {}).is_ok();
            prop_assert!(readable);
            prop_assert!(bench.ingress.routes.len() <= 2 * STREAMS_MAX);
            prop_assert!(bench.ingress.streams.iter().flatten().all(|stream| stream.missing.len() <= missing::MISSING_MAX));
        }
    }
}
