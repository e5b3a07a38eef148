//! What wins over what, what is accepted, and how the rest is named.

use super::*;

fn yaml(text: &str) -> Sources {
    Sources { yaml: Some(text.to_owned()), ..Sources::default() }
}

fn message(sources: &Sources) -> String {
    load(sources).expect_err("an error").to_string()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_environment() {
    let environment =
        [("LIVEKIT_PORT", "1"), ("LIVEKIT_RTC_TCP_PORT", "2"), ("UDP_PORT", "3"), ("LIVEKIT_REGION", "12")];
    let sources = Sources {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        yaml: Some("port: 10\nrtc:\n  tcp_port: 20\n  use_ice_lite: true".into()),
        flags: vec![("port".into(), "100".into())],
        keys: None,
    };
    let config = load(&sources).expect("configuration").config;
    assert_eq!((config.port, config.rtc.tcp_port, config.rtc.udp_port.first), (100, 20, 3));
    assert_eq!(config.region, "12");
    assert!(config.rtc.use_ice_lite);
}

#[test]
fn keys_come_from_the_flag_then_the_file_then_the_environment() {
    let mut sources = yaml("keys:\n  file: f");
    sources.environment.insert("LIVEKIT_KEYS".into(), "variable: v".into());
    let first =
        |sources: &Sources| load(sources).expect("configuration").config.keys.first().expect("key").0.to_owned();
    assert_eq!(first(&sources), "file");
    sources.keys = Some("flag: f".into());
    assert_eq!(first(&sources), "flag");
    sources = Sources { yaml: None, keys: None, ..sources };
    assert_eq!(first(&sources), "variable");
}

#[test]
fn a_full_livekit_configuration_is_accepted_and_what_is_not_used_is_named() {
    let sources = yaml(include_str!("livekit_config_test.yaml"));
    let loaded = load(&sources).expect("LiveKit's configuration");
    loaded.config.validate().expect("valid");
    assert_eq!(loaded.config.keys.len(), 2);
    assert_eq!(loaded.config.rtc.udp_ports(), crate::config::PortRange { first: 50_000, last: 60_000 });
    assert_eq!(loaded.config.room.enabled_codecs.len(), 2);
    let mut unused = loaded.unused;
    unused.sort();
    let expected = [
        "audio",
        "ingress",
        "limit.bytes_per_sec",
        "logging.pion_level",
        "logging.sample",
        "node_selector",
        "redis",
        "room.enabled_codecs.fmtp_line",
        "room.max_metadata_size",
        "rtc.packet_buffer_size",
        "rtc.pli_throttle",
        "rtc.turn_servers",
        "signal_relay",
        "turn",
        "webhook",
    ];
    assert_eq!(unused, expected);
}

#[test]
fn a_number_may_have_underscores_as_in_go() {
    let config = load(&yaml("limit: {max_metadata_size: 1_000_000}")).expect("configuration").config;
    assert_eq!(config.limit.max_metadata_size, 1_000_000);
}

#[test]
fn unknown_keys_are_named_with_their_path_and_neighbour() {
    let cases = [
        ("prot: 1", "configuration: unknown key \"prot\", did you mean \"port\"?"),
        ("rtc:\n  tcp_prot: 1", "configuration: unknown key \"rtc.tcp_prot\", did you mean \"rtc.tcp_port\"?"),
        (
            "rtc:\n  congestion_control:\n    enable: true",
            "configuration: unknown key \"rtc.congestion_control.enable\", did you mean \"rtc.congestion_control.enabled\"?",
        ),
        ("1: 2", "configuration: a key below \"\" is not a text"),
        ("rtc: 7", "configuration: \"rtc\" must be a section with keys of its own"),
        ("- a", "configuration must be a map of keys"),
    ];
    for (text, expected) in cases {
        assert_eq!(message(&yaml(text)), expected);
    }
}

#[test]
fn a_value_of_the_wrong_type_names_its_key() {
    for (text, name) in [
        ("port: here", "port"),
        ("rtc:\n  tcp_port: 70000", "rtc.tcp_port"),
        ("room:\n  auto_create: 3", "room.auto_create"),
    ] {
        let message = message(&yaml(text));
        assert!(message.contains(name), "{message}");
    }
    let message = message(&yaml("rtc:\n  udp_port: x-y"));
    assert!(message.contains("rtc: udp_port: \"x\" is not a port"), "{message}");
}

#[test]
fn a_port_range_is_read_as_text_and_as_number() {
    let range = |text: &str| load(&yaml(text)).expect("configuration").config.rtc.udp_port;
    assert_eq!(range("rtc: {udp_port: 7882}"), crate::config::PortRange { first: 7882, last: 7882 });
    assert_eq!(range("rtc: {udp_port: 7882-7892}"), crate::config::PortRange { first: 7882, last: 7892 });
}

#[test]
fn an_empty_file_and_empty_sections_are_the_default() {
    for text in ["", "# nothing", "rtc:\nroom:"] {
        assert_eq!(load(&yaml(text)).expect("configuration").config, Config::default());
    }
}

#[test]
fn a_flag_that_names_no_setting_is_an_error() {
    let sources = Sources { flags: vec![("rtc.nothing".into(), "1".into())], ..Sources::default() };
    assert_eq!(message(&sources), "rtc.nothing names no setting");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("starling-keys-{}", std::process::id()));
    std::fs::write(&path, "file: f").expect("a temporary file");
    let sources = yaml(&format!("keys: {{here: h}}\nkey_file: {}", path.display()));
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    mode(0o644);
    let refused = message(&sources);
    mode(0o600);
    let accepted = load(&sources).map(|loaded| loaded.config.keys.len());
    std::fs::remove_file(&path).expect("the temporary file");
    assert!(refused.contains("mode 644"), "{refused}");
    assert_eq!(accepted.expect("configuration"), 2);
}
