//! Joins.
use clap::Args;
#[derive(Args)]
pub(crate) struct JoinArguments { #[arg(long)] url: Option<String> }
pub(crate) fn run(_a: JoinArguments) -> std::io::Result<()> { Ok(()) }
