//! The command line: flags in LiveKit's names, and how they become settings.

use clap::{Args, Parser, Subcommand};
use starling::config::duration::from_flag;
use std::path::PathBuf;
use std::time::Duration;

/// A video conferencing node for any LiveKit client.
#[derive(Debug, Parser)]
#[command(name = "starling", version, about, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a node (also without a command).
    Serve(Box<Serve>),
    /// Works with access tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Prints a new API key and secret.
    GenerateKeys,
    /// Prints a new cluster key: the same file on every node.
    ClusterKey,
    /// Prints members and rooms of a running cluster.
    Status(Status),
    /// Prints the ports that the node would use.
    Ports(Box<Serve>),
    /// Works with configuration files.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Prints a signed access token.
    Create(Box<TokenCreate>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Reads and checks a configuration file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Serve {
    /// YAML file; a LiveKit configuration file will do.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The text of a configuration file, used without --config.
    #[arg(long, value_name = "YAML", env = "LIVEKIT_CONFIG")]
    pub(crate) config_body: Option<String>,
    /// Development mode: loopback, devkey/secret when no keys are given, tokens for the asking.
    #[arg(long)]
    pub(crate) dev: bool,
    /// HTTP and WebSocket port.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Address that HTTP listens on (with --dev media too); may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Vec<String>,
    /// API keys as "key: secret" lines (or LIVEKIT_KEYS).
    #[arg(long)]
    pub(crate) keys: Option<String>,
    /// File of "key: secret" lines that others cannot read.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<String>,
    /// Where this node stands.
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// The address that clients are told.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) node_ip: Option<String>,
    /// UDP port of all media, or a range such as 7882-7892.
    #[arg(long, value_name = "PORT")]
    pub(crate) udp_port: Option<String>,
    /// Node of a cluster to join; may be repeated, a DNS name may have several addresses.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) seed: Vec<String>,
    /// File of the cluster key (or STARLING_CLUSTER_KEY), made by `starling cluster-key`.
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster_key_file: Option<String>,
    /// Name of the cluster.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_name: Option<String>,
    /// UDP and TCP port of the cluster.
    #[arg(long, value_name = "PORT")]
    pub(crate) cluster_port: Option<u16>,
    /// Name of this node; otherwise the one kept in --data-dir, or a random one.
    #[arg(long, value_name = "NAME")]
    pub(crate) node_id: Option<String>,
    /// Folder that keeps this node's name, its lives and the last known members.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<String>,
    /// Address under which other nodes reach this one.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) advertise: Option<String>,
    /// What this node does: room, record, transcode, separated by commas.
    #[arg(long, value_name = "ROLES")]
    pub(crate) roles: Option<String>,
    /// What this node can carry, such as 4000m,1000Mbps; detected otherwise.
    #[arg(long, value_name = "CAPACITY")]
    pub(crate) capacity: Option<String>,
    /// Any setting by its dotted path, such as --set rtc.tcp_port=7881; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Writes the real ports to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) ports_file: Option<PathBuf>,
    /// Lets the system choose the ICE-TCP port, which rtc.tcp_port=0 cannot say (tests).
    #[arg(long, hide = true)]
    pub(crate) any_tcp_port: bool,
    /// Allows to drop packets on purpose.
    #[arg(long, hide = true)]
    pub(crate) test_switches: bool,
}

impl Serve {
    /// The flags that were given, as dotted paths and YAML texts; later ones win.
    pub(crate) fn settings(&self) -> Result<Vec<(String, String)>, String> {
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        let mut settings: Vec<(String, String)> = Vec::new();
        let mut add = |path: &str, value: Option<String>| settings.extend(value.map(|value| (path.to_owned(), value)));
        add("port", self.port.map(|port| port.to_string()));
        add("key_file", self.key_file.as_ref().map(quoted));
        add("region", self.region.as_ref().map(quoted));
        add("rtc.node_ip", self.node_ip.as_ref().map(quoted));
        add("rtc.udp_port", self.udp_port.as_ref().map(quoted));
        // LiveKit lets --udp-port win over a configured range.
        add("rtc.port_range_start", self.udp_port.as_ref().map(|_| "0".to_owned()));
        add("rtc.port_range_end", self.udp_port.as_ref().map(|_| "0".to_owned()));
        add("bind_addresses", (!self.bind.is_empty()).then(|| serde_json::json!(self.bind).to_string()));
        add("development", self.dev.then(|| "true".to_owned()));
        add("cluster.seeds", (!self.seed.is_empty()).then(|| serde_json::json!(self.seed).to_string()));
        add("cluster.key_file", self.cluster_key_file.as_ref().map(quoted));
        add("cluster.name", self.cluster_name.as_ref().map(quoted));
        add("cluster.port", self.cluster_port.map(|port| port.to_string()));
        add("cluster.advertise", self.advertise.as_ref().map(quoted));
        add("node_id", self.node_id.as_ref().map(quoted));
        add("data_dir", self.data_dir.as_ref().map(quoted));
        add("roles", self.roles.as_ref().map(quoted));
        add("capacity", self.capacity.as_ref().map(quoted));
        for text in &self.set {
            let (path, value) = text.split_once('=').ok_or_else(|| format!("--set {text} is not KEY=VALUE"))?;
            add(path.trim(), Some(value.to_owned()));
        }
        Ok(settings)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// HTTP address of any node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7880", env = "STARLING_URL")]
    pub(crate) url: String,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// API key (or LIVEKIT_API_KEY).
    #[arg(long, env = "LIVEKIT_API_KEY")]
    pub(crate) api_key: Option<String>,
    /// API secret (or LIVEKIT_API_SECRET).
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    pub(crate) api_secret: Option<String>,
    /// Signs with devkey/secret, whatever the environment holds.
    #[arg(long)]
    pub(crate) dev: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// Room to join.
    #[arg(long, default_value = "")]
    pub(crate) room: String,
    /// Identity of the participant.
    #[arg(long, short = 'i', default_value = "")]
    pub(crate) identity: String,
    /// Display name.
    #[arg(long, default_value = "")]
    pub(crate) name: String,
    /// How long the token is good: 90s, 30m, 6h.
    #[arg(long, default_value = "6h", value_parser = from_flag)]
    pub(crate) ttl: Duration,
    /// Participant metadata.
    #[arg(long, default_value = "")]
    pub(crate) metadata: String,
    /// Participant attribute; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) attribute: Vec<String>,
    /// Further grants as the JSON of a token's `video` claim; may be repeated.
    #[arg(long, value_name = "JSON")]
    pub(crate) grant: Vec<String>,
    /// Joins the room (given by --room too, as in lk).
    #[arg(long)]
    pub(crate) join: bool,
    /// Whether the participant may publish.
    #[arg(long, value_name = "BOOL")]
    pub(crate) can_publish: Option<bool>,
    /// Whether it may publish data.
    #[arg(long, value_name = "BOOL")]
    pub(crate) can_publish_data: Option<bool>,
    /// Whether it may subscribe.
    #[arg(long, value_name = "BOOL")]
    pub(crate) can_subscribe: Option<bool>,
    /// Whether it may change its own metadata and name.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) can_update_own_metadata: Option<bool>,
    /// Source that it may publish: camera, microphone, screen_share, screen_share_audio; may be repeated.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) can_publish_source: Vec<String>,
    /// Not announced to others.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Administers the room.
    #[arg(long)]
    pub(crate) admin: bool,
    /// Creates rooms.
    #[arg(long)]
    pub(crate) create: bool,
    /// Lists rooms.
    #[arg(long)]
    pub(crate) list: bool,
    /// Records.
    #[arg(long)]
    pub(crate) record: bool,
    /// API key (or LIVEKIT_API_KEY).
    #[arg(long, env = "LIVEKIT_API_KEY")]
    pub(crate) api_key: Option<String>,
    /// API secret (or LIVEKIT_API_SECRET).
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    pub(crate) api_secret: Option<String>,
    /// Signs with devkey/secret, whatever the environment holds.
    #[arg(long)]
    pub(crate) dev: bool,
}
