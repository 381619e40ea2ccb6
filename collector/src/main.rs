//! `peerlight-collector`: runs the collector, or asks the running one.

use clap::Parser as _;
use peerlight_collector::{
    Listeners,
    cli::{Cli, Command, Defaults, Output, execute},
    config::{Config, ConfigError},
    logging::{self, LogFilterError},
    paths, run,
    server::stop_requested,
};
use std::{io, path::Path, process::ExitCode};
use tokio_util::sync::CancellationToken;

/// The exit code of a configuration that the collector does not run with (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When standard error is closed, nobody is left to tell.
            let _told = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {error:#}\n"));
            ExitCode::from(if error.is::<ConfigError>() || error.is::<LogFilterError>() {
                BAD_CONFIG
            } else {
                1
            })
        }
    }
}

async fn carry_out(cli: Cli) -> anyhow::Result<()> {
    let default = Path::new(paths::DEFAULT_CONFIG);
    let path = cli.config.as_deref().or_else(|| default.exists().then_some(default));
    let config = Config::load(path)?;
    match cli.command {
        Command::Run => {
            logging::start(cli.log_format)?;
            let listeners = Listeners::bind(&config)?;
            let shutdown = CancellationToken::new();
            tokio::spawn(stop_requested(shutdown.clone()));
            Ok(run(config, listeners, shutdown).await?)
        }
        Command::CheckConfig => {
            let read =
                path.map_or("no file: every default holds".to_owned(), |path| path.display().to_string());
            Ok(io::Write::write_fmt(
                &mut io::stdout(),
                format_args!("the configuration is acceptable ({read})\n"),
            )?)
        }
        Command::Operate(operation) => {
            let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
            let mut output = Output { out: &mut out, notes: &mut notes, width: None };
            execute(*operation, &cli.connection, &Defaults::of(&config)?, &mut output).await
        }
    }
}
