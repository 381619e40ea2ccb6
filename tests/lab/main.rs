//! `cargo lab`: all of Peerlight on one machine.

use clap::Parser as _;
use peerlight_lab::{cli::Arguments, course, network, scenario::Scenario};
use std::{io::Write as _, process::ExitCode};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Quiet unless asked: the lab prints what it does itself.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("off")))
        .with_writer(std::io::stderr)
        .init();
    let scenario = match &arguments.scenario {
        Some(path) => Scenario::read(path)?,
        None => Scenario::six_sites()?,
    };
    // While there is but this thread: the lab may have to enter a user namespace.
    let ground = network::prepare(course::network_for(arguments))?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(course::run(arguments, &ground, scenario))
}
