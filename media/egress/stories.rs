//! One subscription step by step: what starts, stops, is cut off, reported, exported and refused.

use super::testing::{RecordingSink, TestLink, audio, link, read, section, start};
use super::*;
use crate::codec::{Codec, Kind};
use crate::packet::rtcp::ReportBlock;
use crate::packet::{PayloadInfo, SourcePacket};
use std::time::Duration;

#[test]
fn audio_flows_at_once_and_is_not_sent_again_without_rtx() {
    let now = start();
    let (mut link, mut sink) = (link(now), RecordingSink::default());
    let mut subscription = Subscription::new(&section(Kind::Audio), now);
    assert!(subscription.forward(now, 0, &audio(65_536, b"one"), &mut link, &mut sink).sent);
    assert_eq!(subscription.wants_key_frame(now), None);
    let first = read(&sink.sent[0]);
    assert_eq!((first.payload_type, first.payload.as_slice()), (111, &b"one"[..]));
    let again = |_, _| Some(audio(65_536, b"one"));
    assert!(!subscription.retransmit(now, first.sequence, again, &mut link, &mut sink));
    subscription.pause();
    assert!(!subscription.forward(now, 0, &audio(65_537, b"two"), &mut link, &mut sink).sent);
    subscription.resume();
    assert!(subscription.forward(now, 0, &audio(65_540, b"three"), &mut link, &mut sink).sent);
    assert_eq!(read(&sink.sent[1]).sequence, first.sequence.wrapping_add(1));
}

#[test]
fn redundancy_is_taken_off_for_a_receiver_without_red() {
    let now = start();
    let (mut link, mut sink) = (link(now), RecordingSink::default());
    let mut subscription = Subscription::new(&section(Kind::Audio), now);
    let red = SourcePacket { codec: Codec::Red, ..audio(65_536, &[111 | 0x80, 0, 0, 2, 111, 1, 1, 9]) };
    assert!(subscription.forward(now, 0, &red, &mut link, &mut sink).sent);
    assert_eq!(read(&sink.sent[0]).payload, [9]);
    let broken = SourcePacket { codec: Codec::Red, ..audio(65_537, &[111 | 0x80, 0]) };
    assert!(!subscription.forward(now, 0, &broken, &mut link, &mut sink).sent);
}

#[test]
fn a_spatial_layer_is_cut_off_with_the_marker_moved_and_returns_at_a_key_frame() {
    let now = start();
    let (mut link, mut sink) = (link(now), RecordingSink::default());
    let mut subscription = Subscription::new(&section(Kind::Video), now);
    subscription.set_target(Some(LayerTarget::scalable(1, LayerTarget::ALL)));
    let mut sequence = 65_536;
    let mut picture = |subscription: &mut Subscription, sink: &mut RecordingSink, timestamp, key| {
        for spatial in 0..3 {
            let info =
                PayloadInfo { key_frame: key, frame_start: true, frame_end: true, spatial, ..PayloadInfo::default() };
            let payload = [spatial];
            let packet =
                SourcePacket { timestamp, marker: spatial == 2, codec: Codec::Vp9, info, ..audio(sequence, &payload) };
            subscription.forward(now, 0, &packet, &mut link, sink);
            sequence += 1;
        }
    };
    picture(&mut subscription, &mut sink, 1, true);
    picture(&mut subscription, &mut sink, 2, false);
    subscription.set_target(Some(LayerTarget::scalable(2, LayerTarget::ALL)));
    picture(&mut subscription, &mut sink, 3, false);
    assert_eq!(subscription.wants_key_frame(now), Some(0));
    picture(&mut subscription, &mut sink, 4, true);
    assert_eq!(subscription.wants_key_frame(now), None);
    subscription.set_target(Some(LayerTarget::scalable(0, LayerTarget::ALL)));
    picture(&mut subscription, &mut sink, 5, false);
    let received: Vec<_> = sink.sent.iter().map(|packet| read(packet)).collect();
    let shape: Vec<(u32, u8, bool)> = received.iter().map(|it| (it.timestamp, it.payload[0], it.marker)).collect();
    assert_eq!(
        shape,
        [
            (1, 0, false),
            (1, 1, true),
            (2, 0, false),
            (2, 1, true),
            (3, 0, false),
            (3, 1, true),
            (4, 0, false),
            (4, 1, false),
            (4, 2, true),
            (5, 0, true),
        ]
    );
    assert!(received.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
}

#[test]
fn a_source_that_counts_anew_is_followed() {
    let now = start();
    let (mut link, mut sink) = (link(now), RecordingSink::default());
    let mut subscription = Subscription::new(&section(Kind::Audio), now);
    for sequence in 900_000..900_010 {
        subscription.forward(now, 0, &audio(sequence, b"a"), &mut link, &mut sink);
    }
    for sequence in 65_536..65_636 {
        subscription.forward(now, 0, &audio(sequence, b"b"), &mut link, &mut sink);
    }
    assert_eq!(sink.sent.len(), 10 + 36, "after 64 packets from long ago");
    let sequences: Vec<u16> = sink.sent.iter().map(|packet| read(packet).sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

#[test]
fn sender_reports_follow_the_publisher_and_give_the_round_trip() {
    let now = start();
    let (mut link, mut sink) = (link(now), RecordingSink::default());
    let mut subscription = Subscription::new(&section(Kind::Audio), now);
    let mut report = Vec::new();
    subscription.sender_report(now, 1 << 40, &mut report);
    assert!(report.is_empty(), "nothing was sent");
    subscription.forward(now, 0, &audio(65_536, b"one"), &mut link, &mut sink);
    subscription.sender_report(now, 1 << 40, &mut report);
    assert!(report.is_empty(), "the publisher's clock is waited for");
    subscription.handle_source_report(now, 0, 7 << 32, 65_536 * 960);
    let later = now + Duration::from_secs(1);
    subscription.sender_report(later, 1 << 40, &mut report);
    assert_eq!(report.len(), 28);
    assert_eq!(u64::from_be_bytes(report[8..16].try_into().unwrap()), 8 << 32);
    assert_eq!(u32::from_be_bytes(report[16..20].try_into().unwrap()), 65_536 * 960 + 48_000);
    let block = ReportBlock { fraction_lost: 64, last_sr: 8 << 16, delay: 65_536 / 2, ..ReportBlock::default() };
    let reported = subscription.handle_report_block(later + Duration::from_millis(580), &block);
    assert_eq!(reported.rtt, Some(Duration::from_millis(80)));
    assert!((reported.loss - 0.25).abs() < 1e-6);
}

#[test]
fn a_foreign_or_broken_state_is_refused() {
    let now = start();
    let section = section(Kind::Video);
    let state = Subscription::new(&section, now).export();
    let other = crate::codec::SendSection { ssrc: 5, ..section.clone() };
    assert!(matches!(Subscription::import(&other, state.clone(), 0, now), Err(ImportError::Ssrc { .. })));
    assert_eq!(Subscription::import(&section, state.clone(), 40_000, now).unwrap_err(), ImportError::Burn(40_000));
    assert!(Subscription::import(&section, state, 0, now).is_ok());
}

#[test]
fn a_subscription_stays_small() {
    assert!(size_of::<Subscription>() <= 1280, "{}", size_of::<Subscription>());
    assert!(size_of::<TestLink>() <= 1024, "{}", size_of::<TestLink>());
}
