//! What goes back to the publisher: NACKs, key-frame requests, reports, transport-wide feedback.

use super::*;

#[test]
fn a_loss_is_asked_for_until_it_is_repaired_and_tells_the_round_trip() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    bench.media(10, 4, DELTA).unwrap();
    bench.at_ms = 7;
    assert!(bench.nacked().is_empty());
    bench.at_ms = 8;
    assert_eq!(bench.nacked(), [2, 3]);
    bench.at_ms = 48;
    bench.repair(20, 2, DELTA).unwrap();
    assert_eq!(bench.ingress.rtt(), Some(Duration::from_millis(40)));
    bench.at_ms = 170;
    assert_eq!(bench.nacked(), [3]);
    assert!(bench.media(10, 3, DELTA).is_some());
    bench.at_ms = 900;
    assert!(bench.nacked().is_empty());
    let layer = &bench.ingress.layers()[0];
    assert_eq!((layer.packets, layer.missing, layer.recovered, layer.nacked), (4, 0, 1, 3));
}

#[test]
fn audio_is_only_asked_for_where_negotiated() {
    for nack in [false, true] {
        let mut audio = section("1", AUDIO, Codec::Opus, 111, None);
        audio.payloads[0].nack = nack;
        let mut bench = Bench::new(vec![audio]);
        bench.rtp(&packet(111, 1, 5, &[(MID, b"1")], b"o"));
        bench.rtp(&packet(111, 3, 5, &[], b"o"));
        bench.at_ms = 8;
        assert_eq!(bench.nacked(), if nack { vec![2] } else { vec![] });
    }
}

#[test]
fn video_that_cannot_be_repaired_asks_for_a_key_frame() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    bench.media(10, 3, DELTA).unwrap();
    let mut asked = 0;
    let mut plis = 0;
    for _ in 0..400 {
        bench.at_ms += 10;
        let feedback = bench.feedback();
        rtcp::visit(&feedback, |item| match item {
            RtcpItem::Nack { lost, .. } => asked += lost.count(),
            RtcpItem::Pli { media_ssrc: 10 } => plis += 1,
            _ => {}
        })
        .unwrap();
    }
    assert_eq!(asked, 10);
    assert!(plis >= 1);
}

#[test]
fn a_key_frame_request_is_throttled_and_ends_with_the_key_frame() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    for _ in 0..5 {
        let now = bench.now();
        bench.ingress.request_key_frame(now, VIDEO, 2);
    }
    assert_eq!(bench.plis(), [10]);
    bench.at_ms = 999;
    assert!(bench.plis().is_empty());
    bench.at_ms = 1_000;
    assert_eq!(bench.plis(), [10]);
    bench.media(10, 2, KEY).unwrap();
    bench.at_ms = 5_000;
    assert!(bench.plis().is_empty());
    let now = bench.now();
    bench.ingress.request_key_frame(now, AUDIO, 0);
    assert!(bench.plis().is_empty());
    assert_eq!(bench.ingress.counters().key_frame_requests, 2);
}

#[test]
fn transport_feedback_counts_media_repair_padding_audio_and_strangers() {
    let mut bench = Bench::video();
    let wide = |number: u8| [0, number];
    bench.rtp(&packet(96, 1, 10, &[(MID, b"0"), (RID, b"f"), (TRANSPORT, &wide(1))], KEY));
    bench.rtp(&packet(97, 1, 20, &[(MID, b"0"), (REPAIRED, b"f"), (TRANSPORT, &wide(2))], &[0, 1, 9]));
    bench.rtp(&packet(111, 1, 30, &[(MID, b"1"), (TRANSPORT, &wide(3))], b"o"));
    bench.rtp(&packet(99, 1, 40, &[(TRANSPORT, &wide(5))], b"?"));
    bench.at_ms = 50;
    let mut named = Vec::new();
    rtcp::visit(&bench.feedback(), |item| {
        if let RtcpItem::TransportFeedback(feedback) = item {
            named.extend(feedback.statuses().map(|(number, arrival)| (number, arrival.is_some())));
        }
    })
    .unwrap();
    assert_eq!(named, [(1, true), (2, true), (3, true), (4, false), (5, true)]);
}

#[test]
fn reports_and_statistics_tell_losses_once() {
    let mut bench = Bench::video();
    for sequence in [1u16, 2, 3, 5] {
        bench.media(10, sequence, DELTA).unwrap();
    }
    let now = bench.now();
    bench.ingress.handle_sender_report(now, 10, 0x1234_5678_9abc_def0, 77);
    assert_eq!(bench.ingress.sender_clock(VIDEO, 2).unwrap().rtp, 77);
    bench.at_ms = 1_000;
    let mut blocks = Vec::new();
    rtcp::visit(&bench.feedback(), |item| {
        if let RtcpItem::ReportBlock { block, .. } = item {
            blocks.push(block);
        }
    })
    .unwrap();
    assert_eq!((blocks[0].fraction_lost, blocks[0].cumulative_lost, blocks[0].last_sr), (51, 1, 0x5678_9abc));
    assert_eq!((blocks[0].delay, blocks[0].highest), (65_536, 5));
    let now = bench.now();
    let stats = bench.ingress.track_stats(now);
    assert_eq!((stats[0].expected, stats[0].lost), (5, 1));
    assert_eq!(bench.ingress.track_stats(now)[0].expected, 0);
}

#[test]
fn a_burst_of_losses_is_asked_for_in_several_compounds() {
    let mut bench = Bench::video();
    let mut lost = Vec::new();
    bench.media(10, 0, KEY).unwrap();
    for step in 1..30u16 {
        bench.media(10, step * 60, DELTA).unwrap();
        lost.extend((step - 1) * 60 + 1..step * 60);
    }
    bench.at_ms = 8;
    let asked = bench.nacked();
    assert!(asked.len() <= missing::MISSING_MAX && asked.len() > 400, "{}", asked.len());
    assert!(asked.iter().all(|number| lost.contains(number)));
    assert_eq!(bench.ingress.counters().key_frame_requests, 1);
}

#[test]
fn a_long_jump_is_told_and_not_asked_for() {
    let mut bench = Bench::video();
    bench.media(10, 1, KEY).unwrap();
    let after = bench.media(10, 5_000, DELTA).unwrap();
    assert!(after.restarted && !after.first);
    assert_eq!(after.sequence, 65_536 + 5_000);
    bench.at_ms = 100;
    assert!(bench.nacked().is_empty());
}
