//! The agent's life: read the command line, start to log, do what was asked, end when told to.

use clap::Parser as _;
use peerlight_agent::{causes::with_causes, cli::Cli, command, logging, termination};
use std::{io::Write as _, process::ExitCode};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.log_format);
    match live(cli) {
        Ok(code) => code,
        Err(error) => {
            // With standard error gone there is nobody left to tell.
            let _told = writeln!(std::io::stderr(), "peerlight-agent: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Two threads: one may compress and encrypt while the other keeps the schedule.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn live(cli: Cli) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    // `probe` ends by itself at an interrupt and shows what it has.
    if !matches!(cli.command, peerlight_agent::cli::Command::Probe(_)) {
        let (told, token) = (termination::told()?, shutdown.clone());
        tokio::spawn(async move {
            told.await;
            token.cancel();
        });
    }
    command::execute(cli, shutdown).await
}
