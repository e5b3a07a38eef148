//! Round trips through our own reader and through `rtc-rtcp`, and hostile bytes.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::SourceDescription;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{SymbolTypeTcc, TransportLayerCc};
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 7,
    fraction_lost: 3,
    cumulative_lost: 1000,
    highest: 70_000,
    jitter: 55,
    last_sr: 0x1234_5678,
    delay: 99,
};

fn theirs(bytes: &[u8]) -> Vec<Box<dyn rtc_rtcp::packet::Packet>> {
    rtc_rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(bytes)).unwrap()
}

fn items(bytes: &[u8]) -> Vec<RtcpItem<'_>> {
    let mut all = Vec::new();
    visit(bytes, |item| all.push(item)).unwrap();
    all
}

fn pick<T: Clone + 'static>(packet: &dyn rtc_rtcp::packet::Packet) -> T {
    packet.as_any().downcast_ref::<T>().unwrap().clone()
}

#[test]
fn what_we_write_the_library_reads() {
    let mut out = Vec::new();
    sender_report(&mut out, 5, 0x1_0000_0002, 3, (4, 6), Some("cname"));
    receiver_report(&mut out, 1, &[BLOCK, ReportBlock { ssrc: 8, ..BLOCK }]);
    nack(&mut out, 1, 9, &[65_535, 0, 3, 500]);
    pli(&mut out, 1, 10);
    fir(&mut out, 1, 11, 12);
    remb(&mut out, 1, 2_500_000, &[13]);
    bye(&mut out, &[14, 15]);
    let packets = theirs(&out);
    let report = pick::<SenderReport>(&*packets[0]);
    assert_eq!((report.ssrc, report.ntp_time, report.rtp_time), (5, 0x1_0000_0002, 3));
    assert_eq!((report.packet_count, report.octet_count), (4, 6));
    assert_eq!(pick::<SourceDescription>(&*packets[1]).chunks[0].items[0].text, Bytes::from("cname"));
    let receiver = pick::<ReceiverReport>(&*packets[2]);
    assert_eq!(receiver.reports[0].total_lost, 1000);
    assert_eq!((receiver.reports[1].ssrc, receiver.reports[1].last_sequence_number), (8, 70_000));
    let lost = pick::<TransportLayerNack>(&*packets[3]);
    assert_eq!(lost.nacks.iter().flat_map(NackPair::packet_list).collect::<Vec<_>>(), [65_535, 0, 3, 500]);
    assert_eq!(lost.nacks.len(), 2);
    assert_eq!(pick::<PictureLossIndication>(&*packets[4]).media_ssrc, 10);
    assert_eq!(pick::<FullIntraRequest>(&*packets[5]).fir, [FirEntry { ssrc: 11, sequence_number: 12 }]);
    let estimate = pick::<ReceiverEstimatedMaximumBitrate>(&*packets[6]);
    assert!((estimate.bitrate - 2_500_000.0).abs() < 20.0 && estimate.ssrcs == [13]);
    assert_eq!(pick::<Goodbye>(&*packets[7]).sources, [14, 15]);
}

#[test]
fn what_the_library_writes_we_read() {
    let packets: Vec<Box<dyn rtc_rtcp::packet::Packet>> = vec![
        Box::new(SenderReport {
            ssrc: 5,
            ntp_time: 77,
            rtp_time: 3,
            packet_count: 4,
            octet_count: 6,
            reports: vec![ReceptionReport { ssrc: 7, fraction_lost: 3, total_lost: 1000, ..Default::default() }],
            profile_extensions: Bytes::new(),
        }),
        Box::new(TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 9,
            nacks: vec![NackPair { packet_id: 65_535, lost_packets: 0b1001 }],
        }),
        Box::new(FullIntraRequest {
            sender_ssrc: 1,
            media_ssrc: 0,
            fir: vec![FirEntry { ssrc: 11, sequence_number: 12 }],
        }),
        Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 10 }),
        Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate: 1_000_000.0, ssrcs: vec![13] }),
        Box::new(Goodbye { sources: vec![14], reason: Bytes::from("over") }),
    ];
    let bytes = rtc_rtcp::packet::marshal(&packets).unwrap();
    let all = items(&bytes);
    assert_eq!(all[0], RtcpItem::SenderReport { ssrc: 5, ntp: 77, rtp: 3, packets: 4, octets: 6 });
    let RtcpItem::ReportBlock { reporter: 5, block } = all[1] else { panic!("no report block") };
    assert_eq!((block.ssrc, block.fraction_lost, block.cumulative_lost), (7, 3, 1000));
    let RtcpItem::Nack { media_ssrc: 9, lost } = all[2].clone() else { panic!("no nack") };
    assert_eq!(lost.collect::<Vec<_>>(), [65_535, 0, 3]);
    assert_eq!(all[3], RtcpItem::Fir { ssrc: 11, sequence: 12 });
    assert_eq!(all[4], RtcpItem::Pli { media_ssrc: 10 });
    assert!(matches!(all[5], RtcpItem::Remb { bitrate_bps: 990_000..=1_000_000 }));
    assert_eq!(all[6], RtcpItem::Bye { ssrc: 14 });
}

#[test]
fn a_negative_loss_count_keeps_its_sign() {
    let mut out = Vec::new();
    receiver_report(&mut out, 1, &[ReportBlock { cumulative_lost: -5, ..BLOCK }]);
    assert_eq!(
        items(&out),
        [RtcpItem::ReportBlock { reporter: 1, block: ReportBlock { cumulative_lost: -5, ..BLOCK } }]
    );
}

#[test]
fn more_blocks_than_one_report_holds_go_into_several() {
    let mut out = Vec::new();
    receiver_report(&mut out, 1, &[BLOCK; 40]);
    assert_eq!(items(&out).len(), 40);
}

#[test]
fn a_feedback_reads_back_the_same_for_both_readers() {
    let arrivals =
        [Some(1_000_000), None, Some(1_000_500), Some(1_000_250), None, Some(1_200_000), Some(1_200_250), None];
    let mut out = Vec::new();
    let written = transport_feedback(&mut out, (1, 2), 65_534, 9, &arrivals, 1200);
    assert_eq!(written.statuses, arrivals.len());
    let all = items(&out);
    let RtcpItem::TransportFeedback(feedback) = &all[0] else { panic!("no feedback") };
    let expected: Vec<_> =
        (0..8).map(|index: u16| (65_534u16.wrapping_add(index), arrivals[usize::from(index)])).collect();
    assert_eq!(feedback.statuses().collect::<Vec<_>>(), expected);
    let library = pick::<TransportLayerCc>(&*theirs(&out)[0]);
    assert_eq!((library.base_sequence_number, library.packet_status_count, library.fb_pkt_count), (65_534, 8, 9));
    assert_eq!(library.recv_deltas.iter().map(|delta| delta.delta).sum::<i64>(), 1_200_250 - 15 * 64_000);
    assert_eq!(library.recv_deltas[2].type_tcc_packet, SymbolTypeTcc::PacketReceivedLargeDelta);
}

#[test]
fn a_feedback_stops_before_a_delta_that_does_not_fit() {
    let arrivals = [Some(0), None, Some(9_000_000), Some(9_000_250)];
    let mut out = Vec::new();
    assert_eq!(transport_feedback(&mut out, (1, 2), 0, 0, &arrivals, 1200).statuses, 2);
    assert_eq!(transport_feedback(&mut out, (1, 2), 2, 1, &arrivals[2..], 1200).statuses, 2);
    assert_eq!(items(&out).len(), 2);
}

#[test]
fn a_big_gap_becomes_a_run() {
    let mut arrivals = vec![None; 900];
    arrivals[0] = Some(0);
    arrivals[899] = Some(1000);
    let mut out = Vec::new();
    assert_eq!(transport_feedback(&mut out, (1, 2), 0, 0, &arrivals, 1200).statuses, 900);
    assert!(out.len() <= 32, "{} bytes", out.len());
}

#[test]
fn a_feedback_over_too_many_packets_is_refused() {
    let mut out = Vec::new();
    transport_feedback(&mut out, (1, 2), 0, 0, &[Some(0)], 1200);
    out[14..16].copy_from_slice(&0x9000u16.to_be_bytes());
    assert_eq!(visit(&out, |_| {}), Err(RtcpError::TooManyStatuses(0x9000)));
}

#[test]
fn truncated_and_endless_compounds_are_refused() {
    let mut out = Vec::new();
    pli(&mut out, 1, 2);
    assert!(visit(&out[..8], |_| {}).is_err());
    assert!(visit(&out[..3], |_| {}).is_err());
    assert_eq!(visit(&[0x80, 204, 0, 0].repeat(65), |_| {}), Err(RtcpError::TooManyPackets));
    assert_eq!(visit(&[0xa0, 204, 0, 1, 0, 0, 0, 9], |_| {}), Err(RtcpError::Padding(9)));
    assert_eq!(visit(&[0x40, 204, 0, 0], |_| {}), Err(RtcpError::Version(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_feedback_reads_back(
        arrivals in proptest::collection::vec(proptest::option::weighted(0.7, 0i64..400_000), 1..300),
        base: u16,
        bytes_max in 60usize..1300,
    ) {
        let mut out = Vec::new();
        let written = transport_feedback(&mut out, (1, 2), base, 3, &arrivals, bytes_max);
        prop_assert!(out.len() <= bytes_max);
        if written.statuses > 0 {
            let all = items(&out);
            let RtcpItem::TransportFeedback(feedback) = &all[0] else { panic!("no feedback") };
            let read: Vec<_> = feedback.statuses().collect();
            prop_assert_eq!(read.len(), written.statuses);
            for (index, (sequence, arrival)) in read.iter().enumerate() {
                prop_assert_eq!(*sequence, base.wrapping_add(index as u16));
                prop_assert_eq!(arrival.is_some(), arrivals[index].is_some());
                if let (Some(read), Some(written)) = (arrival, arrivals[index]) {
                    prop_assert!((0..250).contains(&(written - read)), "{} against {}", read, written);
                }
            }
            let library = pick::<TransportLayerCc>(&*theirs(&out)[0]);
            prop_assert_eq!(library.recv_deltas.len(), read.iter().filter(|(_, arrival)| arrival.is_some()).count());
        } else {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn any_nack_list_reads_back(lost in proptest::collection::btree_set(any::<u16>(), 1..600)) {
        let lost: Vec<u16> = lost.into_iter().collect();
        let mut out = Vec::new();
        nack(&mut out, 1, 2, &lost);
        let mut read = Vec::new();
        visit(&out, |item| if let RtcpItem::Nack { lost, .. } = item { read.extend(lost) }).unwrap();
        prop_assert_eq!(read, lost);
    }

    #[test]
    fn any_bytes_are_visited_without_a_panic(packets in proptest::collection::vec((200u8..=207, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..5)) {
        let mut bytes = Vec::new();
        for (packet_type, count, mut body) in packets {
            body.truncate(body.len() / 4 * 4);
            bytes.extend([0x80 | (count & 0x3f), packet_type, 0, (body.len() / 4) as u8]);
            bytes.extend(body);
        }
        let mut steps = 0;
        let _ = visit(&bytes, |item| {
            steps += match item {
                RtcpItem::Nack { lost, .. } => lost.count(),
                RtcpItem::TransportFeedback(feedback) => feedback.statuses().count(),
                _ => 1,
            };
        });
        prop_assert!(steps <= PACKETS_MAX * 0x8000);
    }
}
