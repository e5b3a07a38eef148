//! `starling-bench`: what a forwarded packet, a subscriber and a join cost, beside str0m's forwarder in the same run.
//!
//! `run` starts a forwarder and the load as processes of their own, each on its core, and prints a table.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks through its standard streams"
)]

mod batch;
mod client;
mod join;
mod load;
mod process;
mod run;
mod sfu_starling;
mod sfu_str0m;
mod signal;
mod table;

use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::net::SocketAddr;

#[derive(Parser)]
#[command(name = "starling-bench", about = "Measures the media plane and the join time of Starling")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything but joins, and prints the table.
    Run(run::RunArguments),
    /// Finds the highest lossless rate of both forwarders on one core.
    Ramp(run::RunArguments),
    /// Measures the time of joins to a node.
    Join(join::JoinArguments),
    /// Starling's media plane as a forwarder (started by `run`).
    SfuStarling(CoreArguments),
    /// str0m's forwarder (started by `run`).
    SfuStr0m(CoreArguments),
    /// The load (started by `run`).
    Load(load::LoadArguments),
}

#[derive(Args)]
struct CoreArguments {
    /// Core to run on.
    #[arg(long)]
    core: Option<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments)?,
        Command::Ramp(arguments) => run::ramp(&arguments)?,
        Command::Join(arguments) => join::run(&arguments)?,
        Command::SfuStarling(arguments) => {
            pin(arguments.core)?;
            sfu_starling::run(announce)?;
        }
        Command::SfuStr0m(arguments) => {
            pin(arguments.core)?;
            str0m::crypto::from_feature_flags().install_process_default();
            sfu_str0m::run(announce)?;
        }
        Command::Load(arguments) => {
            pin(arguments.core)?;
            str0m::crypto::from_feature_flags().install_process_default();
            load::run(&arguments, |window| {
                if let Ok(line) = serde_json::to_string(window) {
                    println!("{line}");
                }
            })?;
        }
    }
    Ok(())
}

fn pin(core: Option<usize>) -> std::io::Result<()> {
    core.map_or(Ok(()), batch::pin)
}

fn announce(address: SocketAddr) {
    println!("{address}");
}
