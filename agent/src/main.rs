//! The agent's process: it reads the command line, and lives as whoever started it wants.

use clap::Parser as _;
use peerlight_agent::{cli::Cli, service};
use std::process::ExitCode;

fn main() -> ExitCode {
    service::host(Cli::parse())
}
