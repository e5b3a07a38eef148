//! The ICE part against checks as libwebrtc sends them, forged ones, and rtc-stun.

use std::time::Duration;

use super::*;
use proptest::prelude::*;

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.to_owned(), pwd: format!("{name}-password-of-24-chars") }
}

fn path(port: u16) -> Path {
    Path::Udp { socket: 0, remote: ([192, 0, 2, 1], port).into() }
}

fn server() -> (Ice, Instant) {
    let mut ice = Ice::new(credentials("server"));
    ice.set_remote(credentials("client"));
    (ice, start())
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

fn check(local: &IceCredentials, number: u8, nominate: bool) -> Vec<u8> {
    let request = Writer::new(MessageType::Request, [number; 12])
        .username(&format!("{}:client", local.ufrag))
        .priority(1)
        .controlling(7);
    let request = if nominate { request.nominate(1) } else { request };
    request.finish(&local.pwd)
}

fn events(ice: &mut Ice) -> Vec<TransportEvent> {
    ice.events.drain(..).collect()
}

fn reply(ice: &mut Ice) -> (Path, Vec<u8>) {
    ice.out.pop_front().expect("a reply")
}

#[test]
fn an_authentic_check_is_answered_and_its_nomination_followed() {
    let (mut ice, now) = server();
    ice.handle(now, path(1), &check(&credentials("server"), 1, false));
    assert_eq!(events(&mut ice), [TransportEvent::PathAuthenticated(path(1))]);
    assert_eq!(ice.selected(), None);
    let (to, answer) = reply(&mut ice);
    let answer = Message::parse(&answer).unwrap();
    assert_eq!((to, answer.kind), (path(1), MessageType::Success));
    assert!(answer.is_authentic(&credentials("server").pwd));
    ice.handle(now, path(1), &check(&credentials("server"), 2, true));
    assert_eq!(events(&mut ice), [TransportEvent::PathChanged(path(1))]);
}

#[test]
fn a_forged_check_binds_nothing_and_gets_no_answer() {
    let (mut ice, now) = server();
    let wrong = IceCredentials { pwd: "guessed".to_owned(), ..credentials("server") };
    ice.handle(now, path(1), &check(&wrong, 1, true));
    ice.handle(now, path(1), &check(&credentials("stranger"), 1, true));
    let mut bad_fingerprint = check(&credentials("server"), 1, true);
    *bad_fingerprint.last_mut().unwrap() ^= 1;
    ice.handle(now, path(1), &bad_fingerprint);
    assert!(ice.events.is_empty() && ice.out.is_empty());
    assert_eq!((ice.dropped, ice.last_consent), (3, None));
}

#[test]
fn an_attribute_after_message_integrity_does_not_nominate() {
    let (mut ice, now) = server();
    let signed = check(&credentials("server"), 1, false);
    // Insert USE-CANDIDATE before FINGERPRINT and mend length and checksum, as anyone on the path could.
    let mut forged = Writer::new(MessageType::Request, [1; 12]).finish("");
    forged.clear();
    forged.extend_from_slice(&signed[..signed.len() - 8]);
    forged.extend_from_slice(&[0, 0x25, 0, 0]);
    let length = (forged.len() - 20 + 8) as u16;
    forged[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = !forged.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 })
    });
    forged.extend_from_slice(&[0x80, 0x28, 0, 4]);
    forged.extend_from_slice(&(sum ^ 0x5354_554e).to_be_bytes());
    ice.handle(now, path(1), &forged);
    assert_eq!(events(&mut ice), [TransportEvent::PathAuthenticated(path(1))]);
    assert_eq!(ice.selected(), None);
}

#[test]
fn old_credentials_serve_until_the_first_nomination_with_new_ones() {
    let (mut ice, now) = server();
    ice.handle(now, path(1), &check(&credentials("server"), 1, true));
    ice.restart(credentials("second"));
    ice.handle(now, path(2), &check(&credentials("server"), 2, true));
    // A USE-CANDIDATE of the old generation is answered, not followed.
    assert_eq!(ice.selected(), Some(path(1)));
    ice.handle(now, path(3), &check(&credentials("second"), 3, false));
    assert!(ice.previous.is_some());
    ice.handle(now, path(3), &check(&credentials("second"), 4, true));
    assert_eq!(ice.selected(), Some(path(3)));
    assert_eq!(ice.out.len(), 4);
    ice.handle(now, path(1), &check(&credentials("server"), 5, true));
    assert_eq!((ice.out.len(), ice.selected()), (4, Some(path(3))));
}

#[test]
fn authenticated_paths_are_bounded_and_the_selected_one_stays() {
    let (mut ice, now) = server();
    for port in 1..=40 {
        let at = now + Duration::from_millis(u64::from(port));
        ice.handle(at, path(port), &check(&credentials("server"), port as u8, port == 1));
    }
    assert_eq!(ice.paths.len(), limits::MAX_PATHS);
    assert_eq!(ice.selected(), Some(path(1)));
    let expired = events(&mut ice).into_iter().filter(|event| matches!(event, TransportEvent::PathExpired(_))).count();
    assert_eq!(expired, 40 - limits::MAX_PATHS);
}

#[test]
fn a_silent_path_ages_out_and_silence_on_all_ends_consent() {
    let (mut ice, now) = server();
    ice.handle(now, path(1), &check(&credentials("server"), 1, true));
    ice.handle(now + Duration::from_secs(20), path(2), &check(&credentials("server"), 2, true));
    events(&mut ice);
    assert_eq!(ice.poll_timeout(), Some(now + limits::PATH_LIFETIME));
    ice.handle_timeout(now + Duration::from_secs(30));
    assert_eq!(events(&mut ice), [TransportEvent::PathExpired(path(1))]);
    ice.handle_timeout(now + Duration::from_secs(49));
    assert!(events(&mut ice).is_empty());
    ice.handle_timeout(now + Duration::from_secs(50));
    assert_eq!(events(&mut ice), [TransportEvent::Closed(PeerEnd::ConsentExpired)]);
}

#[test]
fn a_peer_that_is_controlled_is_led_also_when_its_check_precedes_its_description() {
    let (mut ice, now) = server();
    ice.remote = None;
    let request = Writer::new(MessageType::Request, [1; 12]).username("server:client").controlled(7);
    ice.handle(now, path(1), &request.finish(&credentials("server").pwd));
    assert_eq!(Message::parse(&reply(&mut ice).1).unwrap().kind, MessageType::Success);
    assert_eq!(ice.out.len(), 0, "without the peer's password nothing can be asked");
    ice.set_remote(credentials("client"));
    assert!(ice.poll_timeout().is_some_and(|at| at <= now));
    ice.handle_timeout(now);
    let (to, ours) = reply(&mut ice);
    let ours_read = Message::parse(&ours).unwrap();
    assert!(ours_read.use_candidate && ours_read.controlling.is_some());
    assert_eq!(to, path(1));
    ice.handle(now, path(1), &answer(&ours, false));
    assert_eq!(ice.selected(), Some(path(1)));
}

/// Answers one of our requests as the client would.
fn answer(request: &[u8], role_conflict: bool) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    assert!(request.is_authentic(&credentials("client").pwd));
    let kind = if role_conflict { MessageType::Error } else { MessageType::Success };
    let writer = Writer::new(kind, request.transaction);
    let writer = if role_conflict { writer.role_conflict() } else { writer.xor_mapped_address(path(9).remote()) };
    writer.finish(&credentials("client").pwd)
}

#[test]
fn a_take_over_nominates_every_known_address_until_one_answers() {
    let (mut ice, now) = server();
    ice.handle(now, path(1), &check(&credentials("server"), 1, true));
    ice.handle(now, path(2), &check(&credentials("server"), 2, false));
    let mut moved = Ice::import(ice.export(), Some(now));
    assert_eq!(moved.selected(), None);
    assert_eq!(moved.take_over(now, |_| vec![3]), 2);
    let (to, request) = reply(&mut moved);
    let new_path = Path::Udp { socket: 3, remote: path(1).remote() };
    assert_eq!(to, new_path);
    let parsed = Message::parse(&request).unwrap();
    assert!(parsed.use_candidate && parsed.controlling == Some(u64::MAX));
    assert_eq!(parsed.username, Some(b"client:server".as_slice()));
    assert!(parsed.nomination == Some(1) && parsed.priority > Some(OWN_PRIORITY));
    assert!(moved.out.is_empty(), "the address selected before is asked alone at first");
    for round in 1..=limits::FIRST_TARGET_ROUNDS {
        moved.out.clear();
        moved.handle_timeout(now + limits::REQUEST_INTERVAL * round);
    }
    assert_eq!(moved.out.len(), 2);
    // An answer by a path that was not asked, or forged, changes nothing.
    moved.handle(now, path(1), &answer(&request, false));
    assert_eq!(moved.selected(), None);
    moved.handle(now, new_path, &answer(&request, false));
    assert_eq!(moved.selected(), Some(new_path));
    moved.out.clear();
    moved.handle_timeout(now + limits::REQUEST_INTERVAL * (limits::FIRST_TARGET_ROUNDS + 2));
    assert!(moved.out.is_empty());
    moved.handle_timeout(now + limits::KEEPALIVE_INTERVAL * 3);
    assert_eq!(moved.out.len(), 1);
    // The next node's nomination and priority are higher again.
    let mut next = Ice::import(moved.export(), Some(now));
    next.take_over(now, |_| vec![0]);
    assert_eq!(Message::parse(&reply(&mut next).1).unwrap().nomination, Some(2));
}

#[test]
fn while_controlling_a_peer_that_still_controls_gets_487_and_one_that_refuses_us_wins() {
    let (mut ice, now) = server();
    ice.handle(now, path(1), &check(&credentials("server"), 1, true));
    ice.out.clear();
    ice.take_over(now, |_| vec![0]);
    let (_, request) = reply(&mut ice);
    ice.handle(now, path(1), &check(&credentials("server"), 2, true));
    assert_eq!(Message::parse(&reply(&mut ice).1).unwrap().error_code, Some(487));
    ice.handle(now, path(1), &answer(&request, true));
    assert!(!ice.controlling);
    ice.handle_timeout(now);
    let (_, request) = reply(&mut ice);
    assert!(Message::parse(&request).unwrap().controlled.is_some());
    ice.handle(now, path(1), &check(&credentials("server"), 3, true));
    assert_eq!(ice.selected(), Some(path(1)));
}

#[test]
fn the_controlling_side_follows_a_peer_whose_address_changed() {
    let (mut ice, now) = server();
    ice.controlling = true;
    let controlled = |number| {
        Writer::new(MessageType::Request, [number; 12])
            .username("server:client")
            .controlled(7)
            .finish(&credentials("server").pwd)
    };
    ice.handle(now, path(1), &controlled(1));
    let request = ice.out.drain(..).find(|(_, bytes)| bytes[..2] == [0, 1]).expect("a nomination").1;
    ice.handle(now, path(1), &answer(&request, false));
    assert_eq!(ice.selected(), Some(path(1)));
    let later = now + limits::SILENT_PATH;
    ice.handle(later, path(2), &controlled(2));
    let request = ice.out.drain(..).find(|(to, bytes)| *to == path(2) && bytes[..2] == [0, 1]).expect("a nomination").1;
    ice.handle(later, path(2), &answer(&request, false));
    assert_eq!(ice.selected(), Some(path(2)));
}

#[test]
fn rtc_stun_reads_what_we_write_and_we_read_what_it_writes() {
    use rtc_stun::attributes::ATTR_USERNAME;
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{BINDING_REQUEST, Message as Theirs, Setter};
    use rtc_stun::textattrs::TextAttribute;
    use rtc_stun::xoraddr::XorMappedAddress;

    let provider = rtc_crypto::default_provider().unwrap();
    let mut theirs = Theirs::new();
    theirs.set_type(BINDING_REQUEST);
    theirs.transaction_id.0 = [5; 12];
    theirs.write_header();
    let setters: Vec<Box<dyn Setter>> = vec![
        Box::new(TextAttribute::new(ATTR_USERNAME, "server:client".to_owned())),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider("secret".to_owned(), provider.crypto())),
        Box::new(FINGERPRINT),
    ];
    for setter in &setters {
        setter.add_to(&mut theirs).unwrap();
    }
    let ours = Message::parse(&theirs.raw).unwrap();
    assert!(ours.is_authentic("secret") && !ours.is_authentic("Secret"));
    assert_eq!(super::super::local_ufrag(&theirs.raw), Some(b"server".as_slice()));

    for address in ["192.0.2.1:4000", "[2001:db8::1]:4000"] {
        let address: SocketAddr = address.parse().unwrap();
        let bytes = Writer::new(MessageType::Success, [9; 12]).xor_mapped_address(address).finish("secret");
        let mut read = Theirs::new();
        read.unmarshal_binary(&bytes).unwrap();
        rtc_stun::fingerprint::FingerprintAttr.check(&read).unwrap();
        MessageIntegrity::check(&mut read, b"secret", provider.crypto()).unwrap();
        let mut mapped = XorMappedAddress::default();
        rtc_stun::message::Getter::get_from(&mut mapped, &read).unwrap();
        assert_eq!((mapped.ip, mapped.port), (address.ip(), address.port()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn mutated_checks_never_panic_and_never_select(at in 0usize..200, value in any::<u8>(), cut in 0usize..40) {
        let (mut ice, now) = server();
        let mut bytes = check(&credentials("server"), 1, true);
        let length = bytes.len();
        let before = bytes.clone();
        bytes[at % length] = value;
        bytes.truncate(length - cut % length);
        ice.handle(now, path(1), &bytes);
        let _ = super::super::local_ufrag(&bytes);
        prop_assert_eq!(ice.selected().is_some(), bytes == before);
    }
}
