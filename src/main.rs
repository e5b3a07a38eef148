//! The binary `starling`: flags, configuration, telemetry, node, exit code.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program prints")]

mod cli;
mod status_command;
mod token_command;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand, Serve, TokenCommand};
use rand::Rng;
use starling::config::{Config, ConfigError, Loaded, Sources, load};
use starling::{Node, telemetry};
use starling_cluster::key::{ClusterKey, ClusterKeys};
use starling_protocol::keys::KeyRing;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use token_command::{DEV_KEY, DEV_SECRET};
use tokio::signal::unix::{SignalKind, signal};

/// LiveKit's recommendation for secrets, bytes.
const SECRET_BYTES_MIN: usize = 32;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                // Some errors quote their cause themselves.
                if !text.ends_with(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            eprintln!("starling: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command.unwrap_or(Command::Serve(Box::new(cli.serve))) {
        Command::Serve(arguments) => serve(&arguments),
        Command::Token { command: TokenCommand::Create(arguments) } => {
            println!("{}", token_command::create(&arguments, now_s())?);
            Ok(())
        }
        Command::GenerateKeys => {
            let mut random = rand::rng();
            let mut text = |length: usize| -> String {
                (0..length).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect()
            };
            println!("API Key:  API{}\nAPI Secret:  {}", text(12), text(44));
            Ok(())
        }
        Command::ClusterKey => cluster_key(),
        Command::Status(arguments) => status_command::run(&arguments, now_s()),
        Command::Ports(arguments) => {
            print_ports(&configuration(&arguments)?.config);
            Ok(())
        }
        Command::Config { command: ConfigCommand::Check { file } } => check(&file),
    }
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let Loaded { config, unused } = configuration(arguments)?;
    telemetry::start_log(&config.logging, config.log_filter())?;
    config.validate()?;
    if !unused.is_empty() {
        tracing::warn!(keys = unused.join(", "), "settings of LiveKit that Starling accepts and does not act on");
    }
    if !config.development {
        for (key, secret) in config.keys.iter().filter(|(_, secret)| secret.len() < SECRET_BYTES_MIN) {
            tracing::error!(key, bytes = secret.len(), "secret should have {SECRET_BYTES_MIN} bytes or more");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_node(config, arguments.ports_file.as_deref()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run_node(config: Config, ports_file: Option<&Path>) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (development, keys) = (config.development, config.keys.clone());
    let node = tokio::select! {
        node = Node::start(config) => node?,
        _ = terminate.recv() => return Err("SIGTERM before the node had started".into()),
        _ = interrupt.recv() => return Err("SIGINT before the node had started".into()),
    };
    if let Some(path) = ports_file {
        write_ports(path, &node)?;
    }
    if development {
        print_banner(node.http_addresses(), &keys)?;
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM, stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT, stopping"),
    }
    tokio::select! {
        () = node.shutdown() => Ok(()),
        _ = terminate.recv() => Err("second SIGTERM, stopped at once".into()),
        _ = interrupt.recv() => Err("second SIGINT, stopped at once".into()),
    }
}

fn configuration(arguments: &Serve) -> Result<Loaded, Failure> {
    let yaml = match (&arguments.config, &arguments.config_body) {
        (Some(path), _) => Some(starling::config::read_file(path)?),
        (None, body) => body.clone(),
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let flags = arguments.settings()?;
    let mut loaded = load(&Sources { environment, yaml, flags, keys: arguments.keys.clone() })?;
    loaded.config.test_switches = arguments.test_switches;
    loaded.config.any_tcp_port = arguments.any_tcp_port;
    if loaded.config.development && loaded.config.keys.is_empty() {
        loaded.config.keys = KeyRing::single(DEV_KEY, DEV_SECRET);
    }
    Ok(loaded)
}

fn check(file: &Path) -> Result<(), Failure> {
    let arguments = Serve { config: Some(file.to_owned()), ..Serve::default() };
    let Loaded { config, unused } = configuration(&arguments)?;
    match config.validate() {
        Err(ConfigError::NoKeys) => {
            println!("no API keys in it: they must come from --keys, --key-file or LIVEKIT_KEYS");
            Config { keys: KeyRing::single(DEV_KEY, DEV_SECRET), ..config }.validate()?;
        }
        other => other?,
    }
    if !unused.is_empty() {
        println!("accepted and not acted on: {}", unused.join(", "));
    }
    println!("{} is a valid configuration", file.display());
    Ok(())
}

fn print_ports(config: &Config) {
    let udp = config.rtc.udp_ports();
    println!("TCP {:<12} HTTP and WebSocket", config.port);
    if config.rtc.tcp_port != 0 {
        println!("TCP {:<12} media over ICE-TCP", config.rtc.tcp_port);
    }
    let range = if udp.first == udp.last { udp.first.to_string() } else { format!("{}-{}", udp.first, udp.last) };
    println!("UDP {range:<12} media");
    if let Some(port) = config.metrics_port() {
        println!("TCP {port:<12} metrics");
    }
    let opened = if config.cluster.has_key() { "" } else { " (opened only with a cluster key)" };
    println!("TCP {:<12} links of the cluster{opened}", config.cluster.port);
    println!("UDP {:<12} gossip of the cluster{opened}", config.cluster.port);
}

/// Prints a key. A file that the shell made for it becomes its owner's alone, as nodes demand of key files.
fn cluster_key() -> Result<(), Failure> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    let output = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    if output.metadata()?.is_file() {
        output.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    print!("{}", ClusterKeys::only(ClusterKey::generate()?).format());
    Ok(())
}

fn write_ports(path: &Path, node: &Node) -> Result<(), Failure> {
    let ports = serde_json::json!({
        "http": node.http_addresses(),
        "metrics": node.metrics_addresses(),
        "udp": node.media_addresses(false),
        "tcp": node.media_addresses(true),
        "cluster": node.cluster_address().into_iter().collect::<Vec<_>>(),
    });
    // Written beside and renamed, so that a reader never sees half of it.
    let partial = path.with_extension("partial");
    std::fs::write(&partial, ports.to_string())?;
    Ok(std::fs::rename(&partial, path)?)
}

fn print_banner(addresses: &[SocketAddr], keys: &KeyRing) -> Result<(), Failure> {
    let Some(address) = addresses.first() else { return Ok(()) };
    let host = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    println!("\n  Starling {} in development mode\n", starling::VERSION);
    println!("  meeting page   http://{host}/meet");
    println!("  admin page     http://{host}/admin");
    println!("  signalling     ws://{host}");
    if let Some((key, secret)) = keys.first().filter(|(key, _)| *key == DEV_KEY) {
        let arguments = ["starling", "token", "create", "--dev", "--room", "R", "--identity", "I"];
        if let Some(Command::Token { command: TokenCommand::Create(create) }) = Cli::try_parse_from(arguments)?.command
        {
            let token = token_command::create(&create, now_s())?;
            println!("  API key        {key} / {}", secret.reveal());
            println!("\n  {}\n  {token}", arguments.join(" "));
        }
    }
    println!();
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "tokens carry the wall clock")]
fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
