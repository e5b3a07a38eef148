//! Entry points for fuzzers: any bytes go in, nothing may panic and nothing may grow.

use super::dependency::DependencyReader;
use super::{payload, red, rtcp, rtp, vp8};
use crate::codec::Codec;

/// Reads `bytes` as an RTP packet, with every extension and its payload range.
pub fn fuzz_rtp(bytes: &[u8]) {
    let Ok(header) = rtp::parse(bytes) else { return };
    let total: usize = header.extensions(bytes).map(|(_, value)| value.len()).sum();
    assert!(total <= bytes.len(), "extensions lie inside the packet");
    if let Ok(range) = header.payload(bytes) {
        assert!(bytes.get(range).is_some(), "the payload lies inside the packet");
    }
}

/// Visits `bytes` as an RTCP compound and walks every list in it.
pub fn fuzz_rtcp(bytes: &[u8]) {
    let mut statuses = 0;
    let _ = rtcp::visit(bytes, |item| {
        statuses += match item {
            rtcp::RtcpItem::Nack { lost, .. } => lost.count(),
            rtcp::RtcpItem::TransportFeedback(feedback) => feedback.statuses().count(),
            _ => 0,
        };
    });
    assert!(statuses <= rtcp::PACKETS_MAX << 15, "lists are bounded");
}

/// Reads `bytes` as a payload of each codec, as a dependency descriptor, and rewrites it as VP8.
pub fn fuzz_payload(bytes: &[u8]) {
    for codec in [Codec::Opus, Codec::Red, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
        let _ = payload::info(codec, bytes);
    }
    if let Ok(primary) = red::primary(bytes) {
        assert!(primary.len() < bytes.len(), "the primary block is a part of the payload");
    }
    let mut reader = DependencyReader::default();
    let _ = reader.read(bytes);
    let _ = reader.read(bytes);
    let mut copy = bytes.to_vec();
    let _ = vp8::rewrite(&mut copy, Some(0x1234), Some(7));
    assert_eq!(copy.len(), bytes.len(), "rewriting keeps the size");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_an_entry_point_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            fuzz_rtp(&bytes);
            fuzz_rtcp(&bytes);
            fuzz_payload(&bytes);
        }
    }
}
