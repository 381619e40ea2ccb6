//! The agent's life: read the command line, start to log, do what was asked, end when told to.

use clap::Parser as _;
use peerlight_agent::{causes::with_causes, cli::Cli, command, logging, termination};
use std::{io::Write as _, process::ExitCode};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::init(cli.log_format, cli.fills_terminal()) {
        tell(&error);
        return ExitCode::from(command::EXIT_CONFIG);
    }
    match live(cli) {
        Ok(code) => code,
        Err(error) => {
            tell(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn tell(error: &(dyn std::error::Error + 'static)) {
    // With standard error gone there is nobody left to tell.
    let _told = writeln!(std::io::stderr(), "peerlight-agent: {}", with_causes(error));
}

/// One thread: probes wait for the network, the kernel stamps what comes meanwhile, and files are written on threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn live(cli: Cli) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    let (told, token) = (termination::told()?, shutdown.clone());
    tokio::spawn(async move {
        told.await;
        token.cancel();
    });
    command::execute(cli, shutdown).await
}
