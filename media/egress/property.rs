//! The rules of outgoing numbers over random sources, losses, switches, pauses, retransmissions and take-overs.

use super::testing::{RecordingSink, TestLink, link, read, section, start, vp8_ids, vp8_payload};
use super::*;
use crate::codec::{Codec, Kind};
use crate::packet::{PayloadInfo, SourcePacket};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const LAYERS: u8 = 3;
const TEMPORAL: [(u8, bool); 4] = [(0, false), (2, true), (1, true), (2, false)];

#[derive(Clone)]
struct Owned {
    layer: u8,
    sequence: u64,
    timestamp: u32,
    marker: bool,
    info: PayloadInfo,
    payload: Vec<u8>,
}

impl Owned {
    fn packet(&self) -> SourcePacket<'_> {
        SourcePacket {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            codec: Codec::Vp8,
            info: self.info,
            payload: &self.payload,
            extension_bytes: &[],
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

struct World {
    random: Random,
    now: Instant,
    subscription: Subscription,
    link: TestLink,
    sink: RecordingSink,
    histories: Vec<History>,
    next_source: [u64; LAYERS as usize],
    tl0: [u8; LAYERS as usize],
    late: Vec<(u64, Owned)>,
    /// Source packets that did not arrive in order.
    disturbed: BTreeSet<(u8, u64)>,
    key_wanted: Option<u8>,
    /// Payloads and timestamps by output index.
    outputs: BTreeMap<u64, (Vec<u8>, u32, bool)>,
    burnt: BTreeSet<u64>,
    retransmitted: usize,
    loss: u64,
}

impl World {
    fn new(seed: u64, loss: u64) -> Self {
        let now = start();
        Self {
            random: Random(seed),
            now,
            subscription: Subscription::new(&section(Kind::Video), now),
            link: link(now),
            sink: RecordingSink::default(),
            histories: (0..LAYERS).map(|_| History::new(Kind::Video)).collect(),
            next_source: [65_536, 100_000, 131_000],
            tl0: [3, 250, 90],
            late: Vec::new(),
            disturbed: BTreeSet::new(),
            key_wanted: None,
            outputs: BTreeMap::new(),
            burnt: BTreeSet::new(),
            retransmitted: 0,
            loss,
        }
    }

    fn frame(&mut self, frame: u64, layer: u8) -> Vec<Owned> {
        let key = self.key_wanted == Some(layer) || self.random.percent(2);
        if key && self.key_wanted == Some(layer) {
            self.key_wanted = None;
        }
        let (temporal, sync) = if key { (0, false) } else { TEMPORAL[(frame % 4) as usize] };
        let place = usize::from(layer);
        if temporal == 0 {
            self.tl0[place] = self.tl0[place].wrapping_add(1);
        }
        let picture_id = (frame + 32_000 + 5_000 * u64::from(layer)) as u16 & 0x7fff;
        let count = 1 + self.random.below(3);
        (0..count)
            .map(|part| {
                let sequence = self.next_source[place];
                self.next_source[place] += 1;
                let mut body = vec![layer];
                body.extend(sequence.to_be_bytes());
                let first = part == 0;
                Owned {
                    layer,
                    sequence,
                    timestamp: (frame as u32).wrapping_mul(3000).wrapping_add(0x4000_0000 * u32::from(layer)),
                    marker: part + 1 == count,
                    info: PayloadInfo {
                        key_frame: key && first,
                        frame_start: first,
                        frame_end: part + 1 == count,
                        temporal,
                        temporal_switch: sync,
                        picture_id: Some((picture_id, 15)),
                        tl0_picture_index: Some(self.tl0[place]),
                        ..PayloadInfo::default()
                    },
                    payload: vp8_payload(first, picture_id, self.tl0[place], temporal, key, &body),
                }
            })
            .collect()
    }

    fn run(&mut self, frames: u64) {
        for frame in 0..frames {
            self.now += Duration::from_millis(33);
            for layer in 0..LAYERS {
                for packet in self.frame(frame, layer) {
                    if self.random.percent(self.loss) {
                        self.disturbed.insert((layer, packet.sequence));
                        if self.random.percent(60) {
                            let due = frame + self.random.below(6);
                            self.late.push((due, packet));
                        }
                        continue;
                    }
                    self.arrive(&packet);
                }
            }
            let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= frame);
            self.late = later;
            let due: Vec<(u64, Owned)> = due;
            for (_, packet) in due {
                self.arrive(&packet);
                // A duplicate that slipped through must not be sealed again.
                self.arrive(&packet);
            }
            self.act();
            if let Some(layer) = self.subscription.wants_key_frame(self.now) {
                self.key_wanted = Some(layer);
            }
            if frame % 50 == 49 {
                self.check_holes();
            }
        }
    }

    fn arrive(&mut self, packet: &Owned) {
        self.histories[usize::from(packet.layer)].insert(&packet.packet());
        let before = self.sink.sent.len();
        let forwarded =
            self.subscription.forward(self.now, packet.layer, &packet.packet(), &mut self.link, &mut self.sink);
        assert_eq!(forwarded.sent, self.sink.sent.len() > before);
        if !forwarded.sent {
            return;
        }
        let received = read(self.sink.sent.last().unwrap());
        let newest = self.link.sealer.sealed.borrow().keys().filter(|key| key.0 == 0x1111).map(|key| key.1).max();
        let newest = newest.unwrap();
        let index = newest - u64::from((newest as u16).wrapping_sub(received.sequence));
        if received.padding {
            self.outputs.insert(index, (Vec::new(), received.timestamp, true));
            return;
        }
        assert_eq!(received.payload[7..], packet.payload[7..], "the payload itself is not touched");
        assert_eq!((received.payload_type, received.marker), (96, packet.marker));
        self.outputs.insert(index, (received.payload, received.timestamp, false));
    }

    fn act(&mut self) {
        match self.random.below(30) {
            0 | 1 => {
                let layer = self.random.below(3) as u8;
                let temporal = self.random.below(4) as u8;
                self.subscription.set_target(Some(LayerTarget::simulcast(layer, temporal)));
            }
            2 => self.subscription.pause(),
            3 | 4 => self.subscription.resume(),
            5 if self.random.percent(20) => self.subscription.set_target(None),
            6 => self.take_over(),
            7..15 => self.nack(),
            _ => {}
        }
    }

    fn take_over(&mut self) {
        let bytes = rmp_serde::to_vec(&self.subscription.export()).unwrap();
        let state = rmp_serde::from_slice(&bytes).unwrap();
        let burn = if self.random.percent(30) { self.random.below(200) as u16 } else { 0 };
        let next = self.outputs.keys().next_back().map_or(0, |last| last + 1);
        self.subscription = Subscription::import(&section(Kind::Video), state, burn, self.now).unwrap();
        if burn > 0 {
            // Numbers that still waited before the take-over are given up with the burnt ones.
            self.burnt.extend(next.saturating_sub(2000)..self.subscription.numbering_for_tests().next_output());
        }
    }

    fn nack(&mut self) {
        let Some((&last, _)) = self.outputs.last_key_value() else { return };
        let index = last - self.random.below(60).min(last);
        let before = self.sink.sent.len();
        let histories = &self.histories;
        let sent = self.subscription.retransmit(
            self.now,
            index as u16,
            |layer, sequence| histories[usize::from(layer)].get(sequence),
            &mut self.link,
            &mut self.sink,
        );
        assert_eq!(sent, self.sink.sent.len() > before);
        if !sent {
            return;
        }
        self.retransmitted += 1;
        let received = read(self.sink.sent.last().unwrap());
        assert_eq!((received.payload_type, received.ssrc), (97, 0x2222));
        assert_eq!(received.payload[..2], (index as u16).to_be_bytes());
        if let Some((payload, timestamp, _)) = self.outputs.get(&index) {
            assert_eq!(&received.payload[2..], payload, "a NACK brings back what was sent under the number");
            assert!(payload.is_empty() || received.timestamp == *timestamp);
        }
    }

    /// Every hole of the last 200 numbers stands for a packet that did not come in order.
    fn check_holes(&self) {
        let Some((&last, _)) = self.outputs.last_key_value() else { return };
        let first = *self.outputs.keys().next().unwrap();
        for index in first.max(last.saturating_sub(200))..last {
            if self.outputs.contains_key(&index) || self.burnt.contains(&index) {
                continue;
            }
            let Some(origin) = self.subscription.numbering_for_tests().origin(index as u16) else {
                assert!(self.loss > 0, "only eight segments are remembered, but hole {index} has no reason at all");
                continue;
            };
            assert_eq!(origin.output, index);
            // A segment that began at a recovered key frame lacks what had come before it; NACKs fetch that.
            let layer = origin.segment.layer;
            assert!(
                self.disturbed.contains(&(layer, origin.source))
                    || (self.disturbed.contains(&(layer, origin.segment.first_source))
                        && self.histories[usize::from(layer)].get(origin.source).is_some()),
                "hole {index} stands for {}/{}, which arrived in order",
                origin.segment.layer,
                origin.source
            );
        }
    }

    fn check_order(&self) {
        let mut frames = BTreeMap::new();
        let mut previous: Option<u32> = None;
        for (payload, timestamp, padding) in self.outputs.values() {
            if *padding {
                continue;
            }
            if let Some(previous) = previous {
                assert!(timestamp.wrapping_sub(previous).cast_signed() >= 0, "time goes back in order of numbers");
            }
            previous = Some(*timestamp);
            let frame = (payload[7], vp8_ids(payload).0);
            assert_eq!(*frames.entry(*timestamp).or_insert(frame), frame, "one frame per timestamp");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_never_reused_and_always_map_back(seed in any::<u64>(), loss in 0_u64..20) {
        let mut world = World::new(seed, loss);
        world.subscription.set_target(Some(LayerTarget::simulcast(1, 3)));
        world.run(300);
        world.check_order();
    }

    #[test]
    fn without_loss_the_receiver_sees_neither_hole_nor_picture_gap(seed in any::<u64>()) {
        let mut world = World::new(seed, 0);
        world.subscription.set_target(Some(LayerTarget::simulcast(2, 1)));
        world.run(300);
        world.check_order();
        let indices: Vec<u64> = world.outputs.keys().copied().collect();
        let whole = |pair: &[u64]| (pair[0] + 1..pair[1]).all(|index| world.burnt.contains(&index));
        prop_assert!(indices.windows(2).all(whole));
        let ids: Vec<(u16, u8)> = world.outputs.values().map(|it| vp8_ids(&it.0)).collect();
        for pair in ids.windows(2) {
            let step = pair[1].0.wrapping_sub(pair[0].0) & 0x7fff;
            prop_assert!(step <= 1, "picture id jumps by {step}");
            prop_assert!(pair[1].1.wrapping_sub(pair[0].1) <= 1, "tl0 jumps");
        }
    }
}

#[test]
fn nacks_are_answered_from_the_layer_that_was_sent() {
    let mut world = World::new(7, 5);
    world.subscription.set_target(Some(LayerTarget::simulcast(0, 3)));
    world.run(2000);
    assert!(world.retransmitted > 50, "{}", world.retransmitted);
    assert!(world.outputs.len() > 1000);
}
