//! Where the settings of a cluster come from, what they may be, and how a wrong one is named.

use super::super::{Config, Sources, load};
use super::*;
use starling_protocol::keys::KeyRing;

fn sources(yaml: &str, flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        environment: environment.iter().map(owned).collect(),
        yaml: Some(yaml.to_owned()),
        flags: flags.iter().map(owned).collect(),
        keys: None,
    }
}

fn config(yaml: &str, flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Config {
    let mut config = load(&sources(yaml, flags, environment)).expect("configuration").config;
    config.keys = KeyRing::single("key", "secret");
    config
}

fn refused(yaml: &str) -> String {
    match load(&sources(yaml, &[], &[])) {
        Ok(loaded) => {
            let config = Config { keys: KeyRing::single("key", "secret"), ..loaded.config };
            config.validate().expect_err(yaml).to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_environment() {
    let environment = [
        ("STARLING_CLUSTER_NAME", "variable"),
        ("STARLING_CLUSTER_PORT", "1"),
        ("STARLING_CLUSTER_SEEDS", "a:1, b:2"),
        ("STARLING_NODE_ID", "variable"),
        ("STARLING_ROLES", "room,record"),
        ("LIVEKIT_CLUSTER_JOIN_WAIT", "9s"),
    ];
    let config = config("cluster: {name: file, port: 2}\nnode_id: 12", &[("cluster.port", "3")], &environment);
    assert_eq!((config.cluster.name.as_str(), config.cluster.port), ("file", 3));
    assert_eq!(config.cluster.seeds, ["a:1", "b:2"]);
    assert_eq!((config.node_id.as_str(), config.roles), ("12", vec![Role::Room, Role::Record]));
    assert_eq!(config.cluster.join_wait, Duration::from_secs(9));
}

#[test]
fn the_key_of_the_strongest_source_counts_whichever_way_it_is_given() {
    let environment = [("STARLING_CLUSTER_KEY", "secret")];
    let of = |yaml: &str, flags: &[(&str, &str)]| {
        let cluster = config(yaml, flags, &environment).cluster;
        (cluster.key.reveal().to_owned(), cluster.key_file)
    };
    assert_eq!(of("", &[]), ("secret".to_owned(), String::new()));
    assert_eq!(of("cluster: {key_file: f}", &[]), (String::new(), "f".to_owned()));
    assert_eq!(of("cluster: {key: k}", &[("cluster.key_file", "g")]), (String::new(), "g".to_owned()));
    assert_eq!(
        refused("cluster: {key: k, key_file: f}"),
        "cluster.key and cluster.key_file are both set; give one of them"
    );
}

#[test]
fn seeds_without_a_key_are_refused_with_the_way_to_make_one() {
    let message = refused("cluster: {seeds: [\"a:7946\"]}");
    assert!(message.contains("starling cluster-key > cluster.key"), "{message}");
    config("cluster: {seeds: [\"a:7946\", \"[::1]:1\"], key: k}", &[], &[]).validate().expect("seeds with a key");
}

#[test]
fn every_wrong_setting_is_named_with_its_value_and_bounds() {
    let cases = [
        ("cluster: {name: a b}", "cluster.name is \"a b\", which must be 1 to 64 letters, digits, '-', '_' and '.'"),
        ("node_id: a/b", "node_id is \"a/b\", which must be 1 to 64 letters, digits, '-', '_' and '.'"),
        (
            "cluster: {key: k, seeds: [here]}",
            "cluster.seeds is \"here\", which must be HOST:PORT with a port from 1 to 65535",
        ),
        (
            "cluster: {key: k, seeds: \"a:1,b:0\"}",
            "cluster.seeds is \"b:0\", which must be HOST:PORT with a port from 1 to 65535",
        ),
        ("cluster: {bind: here}", "cluster.bind is \"here\", which must be an IP address"),
        ("cluster: {advertise: \"a b\"}", "cluster.advertise is \"a b\", which must be HOST or HOST:PORT"),
        ("cluster: {join_wait: 0s}", "cluster.join_wait is 0ns, which must be more than 0 and at most 10m"),
    ];
    for (yaml, expected) in cases {
        assert_eq!(refused(yaml), expected);
    }
    let unknown = refused("cluster: {sedes: []}");
    assert_eq!(unknown, "configuration: unknown key \"cluster.sedes\", did you mean \"cluster.seeds\"?");
    for (yaml, part) in
        [("roles: [dance]", "dance"), ("roles: \"room,dance\"", "dance"), ("cluster: {port: 70000}", "port")]
    {
        let message = refused(yaml);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_capacity_is_read_in_every_way_it_may_be_written() {
    let capacity = |text: &str| {
        let capacity = config(text, &[], &[]).capacity;
        (capacity.cpu_millicores, capacity.egress_mbps)
    };
    assert_eq!(capacity("capacity: 4000m,1000Mbps"), (Some(4_000), Some(1_000)));
    assert_eq!(capacity("capacity: 10Gbps"), (None, Some(10_000)));
    assert_eq!(capacity("capacity: 0.5"), (Some(500), None));
    assert_eq!(capacity("capacity: {cpu: 4, egress: 1Gbps}"), (Some(4_000), Some(1_000)));
    assert_eq!(capacity("capacity: {cpu: 1500m}"), (Some(1_500), None));
    assert_eq!(capacity("capacity: {egress: 200}"), (None, Some(200)));
    assert_eq!(capacity("capacity: \"\""), (None, None));
    for (text, part) in [
        ("capacity: 0m", "cpu is \"0m\", which must be cores"),
        ("capacity: {cpu: 4000}", "cpu is \"4000\", which must be cores"),
        ("capacity: 9000Gbps", "from 1Mbps to 1000Gbps"),
        ("capacity: 1,2", "names cpu twice"),
        ("capacity: {memory: 1}", "a map of cpu and egress"),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{message}");
    }
}
