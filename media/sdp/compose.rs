//! Writes local descriptions. Decides nothing: answers and offers arrive here as lists of sections.

use crate::codec::{Codec, Kind};
use crate::sdp::model::{DEFAULT_SCTP_PORT, Direction};
use crate::sdp::parse::is_token_char;
use crate::sdp::{LocalTransport, candidates, codecs};
use std::fmt::Write as _;

/// `a=max-message-size`, bytes: what SCTP reassembles at most.
const MAX_MESSAGE_SIZE: u32 = 262_144;
/// Characters of one token of `a=msid`; longer names (of streams, chosen by publishers) are cut.
const MAX_MSID_CHARS: usize = 256;

/// One payload type with its retransmissions.
#[derive(Clone, Debug)]
pub(super) struct LocalPayload {
    pub(super) pt: u8,
    pub(super) codec: Codec,
    pub(super) fmtp: String,
    pub(super) feedback: Vec<&'static str>,
    pub(super) rtx_pt: Option<u8>,
}

/// What a sending section says of its source.
#[derive(Clone, Debug)]
pub(super) struct LocalSource {
    pub(super) stream_id: String,
    pub(super) track_sid: String,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
}

/// The body of a section.
#[derive(Clone, Debug)]
pub(super) enum LocalBody {
    Rejected {
        media: String,
    },
    Data,
    Rtp {
        kind: Kind,
        direction: Direction,
        payloads: Vec<LocalPayload>,
        extensions: Vec<(u8, &'static str)>,
        /// Streams to be received, in the order of the offer.
        rids: Vec<String>,
        /// Whether `a=simulcast` is said too, as the offer did.
        simulcast: bool,
        source: Option<LocalSource>,
    },
}

/// One section.
#[derive(Clone, Debug)]
pub(super) struct LocalSection {
    pub(super) mid: String,
    pub(super) protocol: String,
    pub(super) body: LocalBody,
}

/// What is said once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) local: &'a LocalTransport,
    pub(super) setup: &'static str,
    pub(super) session_id: u64,
    pub(super) version: u64,
    pub(super) allow_mixed: bool,
    /// Whether `a=group:BUNDLE` is said; an answer may not where the offer does not.
    pub(super) bundle: bool,
}

/// A session id for `o=`: from the first user name fragment, for nothing here may draw a random number.
pub(super) fn session_id(ufrag: &str) -> u64 {
    // FNV-1a, below 2^62 as RFC 8829 §5.2.1 wants it.
    ufrag.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        >> 2
}

/// Makes one token of a text that others chose.
pub(super) fn token(text: &str) -> String {
    let cut: String = text.chars().take(MAX_MSID_CHARS).map(|c| if is_token_char(c) { c } else { '_' }).collect();
    if cut.is_empty() { "-".to_owned() } else { cut }
}

/// Writes a description.
pub(super) fn compose(head: &Head<'_>, sections: &[LocalSection]) -> String {
    let mut out = String::with_capacity(512 + sections.len() * 1024);
    let _ = write!(out, "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", head.session_id, head.version);
    let accepted = |section: &&LocalSection| !matches!(section.body, LocalBody::Rejected { .. });
    if head.bundle {
        out.push_str("a=group:BUNDLE");
        for section in sections.iter().filter(accepted) {
            let _ = write!(out, " {}", section.mid);
        }
        out.push_str("\r\n");
    }
    if head.local.ice_lite {
        out.push_str("a=ice-lite\r\n");
    }
    out.push_str("a=ice-options:trickle\r\n");
    if head.allow_mixed {
        out.push_str("a=extmap-allow-mixed\r\n");
    }
    out.push_str("a=msid-semantic: WMS *\r\n");
    let mut first = true;
    for section in sections {
        write_section(&mut out, head, section, first);
        first &= matches!(section.body, LocalBody::Rejected { .. });
    }
    debug_assert_eq!(crate::sdp::validate_local(&out), Ok(()), "{out}");
    out
}

fn write_section(out: &mut String, head: &Head<'_>, section: &LocalSection, first: bool) {
    let LocalSection { mid, protocol, body } = section;
    match body {
        LocalBody::Rejected { media } => {
            let format = if media == "application" { "webrtc-datachannel" } else { "0" };
            let _ = write!(out, "m={media} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n");
            if !mid.is_empty() {
                let _ = write!(out, "a=mid:{mid}\r\n");
            }
        }
        LocalBody::Data => {
            let _ = write!(out, "m=application 9 {protocol} webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n");
            write_transport(out, head, mid, first);
            let _ = write!(out, "a=sctp-port:{DEFAULT_SCTP_PORT}\r\na=max-message-size:{MAX_MESSAGE_SIZE}\r\n");
        }
        LocalBody::Rtp { kind, direction, payloads, extensions, rids, simulcast, source } => {
            let media = if *kind == Kind::Audio { "audio" } else { "video" };
            let _ = write!(out, "m={media} 9 {protocol}");
            for payload in payloads {
                let _ = write!(out, " {}", payload.pt);
                if let Some(rtx) = payload.rtx_pt {
                    let _ = write!(out, " {rtx}");
                }
            }
            out.push_str("\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
            write_transport(out, head, mid, first);
            for (id, uri) in extensions {
                let _ = write!(out, "a=extmap:{id} {uri}\r\n");
            }
            let _ = write!(out, "a={}\r\n", direction.name());
            if let Some(source) = source {
                let _ = write!(out, "a=msid:{} {}\r\n", token(&source.stream_id), token(&source.track_sid));
            }
            out.push_str("a=rtcp-mux\r\na=rtcp-rsize\r\n");
            payloads.iter().for_each(|payload| write_payload(out, payload));
            write_streams(out, rids, *simulcast);
            if let Some(source) = source {
                write_source(out, source, payloads.iter().any(|payload| payload.rtx_pt.is_some()));
            }
        }
    }
}

fn write_transport(out: &mut String, head: &Head<'_>, mid: &str, first: bool) {
    let local = head.local;
    let _ = write!(out, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", local.ice.ufrag, local.ice.pwd);
    let _ = write!(out, "a=fingerprint:sha-256 {}\r\na=setup:{}\r\na=mid:{mid}\r\n", local.fingerprint, head.setup);
    if first {
        candidates::write(out, &local.candidates, local.local_preference);
    }
}

fn write_payload(out: &mut String, payload: &LocalPayload) {
    let pt = payload.pt;
    let _ = write!(out, "a=rtpmap:{pt} {}\r\n", codecs::encoding(payload.codec));
    for message in &payload.feedback {
        let _ = write!(out, "a=rtcp-fb:{pt} {message}\r\n");
    }
    if !payload.fmtp.is_empty() {
        let _ = write!(out, "a=fmtp:{pt} {}\r\n", payload.fmtp);
    }
    if let Some(rtx) = payload.rtx_pt {
        let _ = write!(out, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={pt}\r\n", payload.codec.clock_rate());
    }
}

fn write_streams(out: &mut String, rids: &[String], simulcast: bool) {
    for rid in rids {
        let _ = write!(out, "a=rid:{rid} recv\r\n");
    }
    if simulcast && !rids.is_empty() {
        let _ = write!(out, "a=simulcast:recv {}\r\n", rids.join(";"));
    }
}

fn write_source(out: &mut String, source: &LocalSource, rtx: bool) {
    let LocalSource { ssrc, rtx_ssrc, .. } = source;
    let cname = token(&source.stream_id);
    if rtx {
        let _ = write!(
            out,
            "a=ssrc-group:FID {ssrc} {rtx_ssrc}\r\na=ssrc:{ssrc} cname:{cname}\r\na=ssrc:{rtx_ssrc} cname:{cname}\r\n"
        );
    } else {
        let _ = write!(out, "a=ssrc:{ssrc} cname:{cname}\r\n");
    }
}
