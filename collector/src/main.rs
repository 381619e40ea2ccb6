//! `peerlight-collector`: runs the collector, or asks the running one.

use clap::Parser as _;
use peerlight_collector::{
    Listeners,
    cli::{Cli, Command, Defaults, Output, back_up, execute, restore, verify},
    config::{Config, ConfigError, files},
    logging::{self, LogFilterError},
    paths, run,
    server::stop_requested,
};
use std::{io, path::Path, process::ExitCode};
use tokio_util::sync::CancellationToken;

/// A push makes and frees a thousand small things, on any thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a configuration that the collector does not run with (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::complain(&error);
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
            tokio::spawn(logging::tell_what_is_left_out());
            let listeners = Listeners::bind(&config)?;
            let shutdown = CancellationToken::new();
            tokio::spawn(stop_requested(shutdown.clone()));
            Ok(run(config, listeners, shutdown).await?)
        }
        Command::CheckConfig => {
            let (faults, files) = files::check(&config);
            if !faults.is_empty() {
                return Err(ConfigError::Invalid(faults).into());
            }
            let read =
                path.map_or("no file: every default holds".to_owned(), |path| path.display().to_string());
            let files = match files {
                0 => String::new(),
                count => format!(
                    "; this account can read all {count} files that it names, and nobody but their owner those with secrets"
                ),
            };
            Ok(io::Write::write_fmt(
                &mut io::stdout(),
                format_args!("the configuration is acceptable ({read}){files}\n"),
            )?)
        }
        Command::Backup(args) => Ok(with_files(move |output| back_up(&args, &config, output)).await?),
        Command::Verify(args) => Ok(with_files(move |output| verify(&args, &config, output)).await?),
        Command::Restore(args) => Ok(with_files(move |output| restore(&args, &config, output)).await?),
        Command::Operate(operation) => {
            let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
            let mut output = Output { out: &mut out, notes: &mut notes, width: None };
            execute(*operation, &cli.connection, &Defaults::of(&config)?, &mut output).await
        }
    }
}

/// Does something with files, which may take a while; an interrupt ends it, and what is half written is not used.
async fn with_files(
    work: impl FnOnce(&mut Output<'_>) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let work = move || {
        let (mut out, mut notes) = (io::stdout().lock(), io::stderr());
        work(&mut Output { out: &mut out, notes: &mut notes, width: None })
    };
    tokio::task::spawn_blocking(work).await?
}
