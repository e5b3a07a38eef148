//! Hostile texts: errors, never panics; and the checker's own eyes.

use super::fixtures::*;
use super::offers::answer_to;
use crate::codec::Kind;
use crate::sdp::parse::{MAX_LINE_BYTES, MAX_LINES, parse};
use crate::sdp::{Answerer, MAX_BYTES, MAX_SECTIONS, Offerer, SdpError, fuzz, validate_local};
use proptest::prelude::*;

#[test]
fn limits_are_named() {
    let over = "v=0\r\n".to_owned() + &"a".repeat(MAX_BYTES);
    assert!(matches!(parse(&over), Err(SdpError::TooLarge { limit: MAX_BYTES, .. })));
    let sections = "v=0\n".to_owned() + &"m=x 9 a/b 0\n".repeat(MAX_SECTIONS + 1);
    assert!(matches!(parse(&sections), Err(SdpError::TooMany { what: "sections", .. })));
    assert!(matches!(
        parse(&("v=0\n".to_owned() + &"\n".repeat(MAX_LINES))),
        Err(SdpError::TooMany { what: "lines", .. })
    ));
    let long = format!("v=0\na={}\n", "x".repeat(MAX_LINE_BYTES));
    assert!(matches!(parse(&long), Err(SdpError::Malformed { line: 2, .. })));
    let rtp = "v=0\nm=audio 9 RTP/SAVPF 111\na=mid:0\n";
    for (line, count) in
        [("a=extmap:1 urn:x\n", 65), ("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n", 1025), ("a=rtcp-fb:111 x\n", 17)]
    {
        assert!(matches!(parse(&(rtp.to_owned() + &line.repeat(count))), Err(SdpError::TooMany { .. })), "{line}");
    }
    let many = |line: &dyn Fn(usize) -> String, count| rtp.to_owned() + &(0..count).map(line).collect::<String>();
    assert!(matches!(parse(&many(&|i| format!("a=rid:r{i} send\n"), 17)), Err(SdpError::TooMany { .. })));
    assert!(matches!(parse(&many(&|i| format!("a=ssrc:{i} cname:x\n"), 65)), Err(SdpError::TooMany { .. })));
}

#[test]
fn line_ends_and_unknown_lines_do_not_matter() {
    let text = offer(&first_v1());
    let bare = text.replace("\r\n", "\n").replace("t=0 0\n", "t=0 0\nb=AS:5\nz=?\na=whatever:1\nnonsense\n\n");
    assert_eq!(format!("{:?}", parse(&text).unwrap()), format!("{:?}", parse(&bare).unwrap()));
}

#[test]
fn session_level_transport_counts_where_sections_say_nothing() {
    let text = offer(&[part("audio", 0, "sendonly")]);
    let own =
        |line: &&str| ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"].iter().any(|key| line.starts_with(key));
    let moved: String = text.split_inclusive("\r\n").filter(own).collect();
    let rest: String = text.split_inclusive("\r\n").filter(|line| !own(line)).collect();
    let rest = rest.replace("a=msid-semantic: WMS\r\n", &format!("a=msid-semantic: WMS\r\n{}", moved.to_lowercase()));
    let rest = rest.replace("kpzc", "kPzC");
    assert_eq!(parse(&rest).unwrap().remote().unwrap().fingerprint, PRINT);
}

#[test]
fn a_section_of_another_protocol_is_rejected_in_its_own_words() {
    let text = offer(&[part("audio", 0, "sendonly")]) + "m=video 9 UDP 96\r\nc=IN IP4 0.0.0.0\r\na=mid:9\r\n";
    let (answer, _) = Answerer::new(policy(), true).apply_offer(&local(), &text).unwrap();
    assert!(answer.contains("m=video 0 UDP 0\r\n"), "{answer}");
    assert_eq!(validate_local(&answer), Ok(()));
}

#[test]
fn bad_lines_are_pointed_at() {
    let good = offer(&[part("audio", 0, "sendonly")]);
    for (from, to) in [
        ("a=mid:0", "a=mid:0 0"),
        ("m=audio 9", "m=audio nine"),
        ("SAVPF 111", "SAVPF 128"),
        ("a=setup:actpass", "a=setup:maybe"),
        ("sha-256 D2", "sha-256 D"),
        ("a=extmap:1 ", "a=extmap:x "),
        ("opus/48000/2", "opus/x"),
        ("v=0", "v=1"),
        ("a=ice-ufrag:kPzC", "a=ice-ufrag:k"),
        ("a=mid:0", "a=mid:0\r\na=ssrc:x y"),
        ("a=mid:0", "a=mid:0\r\na=simulcast:send"),
        ("a=mid:0", "a=mid:0\r\na=rid:\u{e9} send"),
        ("a=rtcp-mux", "a=rtcp-mux\u{0}"),
    ] {
        assert!(matches!(parse(&good.replace(from, to)), Err(SdpError::Malformed { .. })), "{to}");
    }
}

#[test]
fn the_checker_sees_what_aborts_clients() {
    let mut o = Offerer::new(policy());
    o.subscribe(subscribed(1, Kind::Video));
    let good = o.create_offer(&local()).unwrap();
    validate_local(&good).unwrap();
    for (from, to) in [
        ("a=msid:PA_x|s1 TR_1\r\n", "a=msid:PA_x|s1 TR_1\r\na=msid:PA_x|s1 TR_1\r\n"),
        ("a=msid:PA_x|s1 TR_1\r\n", ""),
        ("BUNDLE 0 1", "BUNDLE 0"),
        ("a=mid:1", "a=mid:0"),
        ("a=rtpmap:97", "a=rtpmap:98"),
        ("a=sendonly\r\n", "a=sendonly\r\na=inactive\r\n"),
        ("a=rtcp-mux\r\n", ""),
        ("a=rtcp-fb:96 nack\r\n", "a=rtcp-fb:33 nack\r\n"),
        ("typ host", "typ hose"),
        ("s=-", "x=-"),
        ("a=ssrc:11", "a=ssrc:one"),
        ("a=sctp-port:5000\r\n", ""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && validate_local(&bad).is_err(), "{to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::fuzz_offer(&data);
        fuzz::fuzz_answer(&data);
    }

    /// Lines dropped, doubled, swapped and cut; whatever is answered passes the checker and our own parser.
    #[test]
    fn mutated_offers_are_answered_well_or_refused(edits in proptest::collection::vec((0u8..5, any::<u16>(), any::<u16>(), any::<char>()), 1..12)) {
        let mut parts = first_v1();
        parts.push(Part::camera(7, "cam"));
        let mut all: Vec<String> = offer(&parts).split("\r\n").map(str::to_owned).collect();
        for (what, at, other, letter) in edits {
            let (i, j) = (usize::from(at) % all.len(), usize::from(other) % all.len());
            match what {
                0 if all.len() > 2 => { all.remove(i); }
                1 => { let line = all[j].clone(); all.insert(i, line); }
                2 => all.swap(i, j),
                3 => { let keep = all[i].chars().take(usize::from(other) % 40).collect(); all[i] = keep; }
                _ => all[i].push(letter),
            }
        }
        let text = all.join("\r\n");
        let mut a = Answerer::new(policy(), true);
        a.publish(published(1, Kind::Video, "cam"));
        (2..8).for_each(|track| a.subscribe(subscribed(track, if track % 2 == 0 { Kind::Video } else { Kind::Audio })));
        if let Ok((answer, n)) = a.apply_offer(&local(), &text) {
            prop_assert_eq!(validate_local(&answer), Ok(()));
            let read = parse(&answer).expect("we read what we write");
            prop_assert_eq!(read.sections.len(), parse(&text).expect("it was read before").sections.len());
            prop_assert_eq!(n.mid_to_track_id.len(), n.senders.len());
        }
        fuzz::fuzz_answer(answer_to(&text).as_bytes());
    }
}
