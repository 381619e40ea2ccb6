//! The agent's life: start to log, do what was asked, end when told to.

use crate::{
    cli::Cli,
    clock::FineTimers,
    command,
    logging::{self, Journal},
    termination,
};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Who says that the process shall end.
#[derive(Debug, Clone)]
pub(crate) enum Ends {
    /// The system's signals.
    BySignal,
    /// Whoever holds this token.
    #[cfg_attr(unix, expect(dead_code, reason = "a service manager of Unix sends signals"))]
    By(CancellationToken),
}

/// Lives as the command line says.
pub(crate) fn live(cli: Cli, journal: Journal, ends: Ends) -> ExitCode {
    if let Err(error) = logging::init(cli.log_format, cli.fills_terminal(), journal) {
        logging::complain(&error);
        return ExitCode::from(command::EXIT_CONFIG);
    }
    match act(cli, ends) {
        Ok(code) => code,
        Err(error) => {
            logging::complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// One thread: probes wait for the network, the kernel stamps what comes meanwhile, and files are written on threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn act(cli: Cli, ends: Ends) -> anyhow::Result<ExitCode> {
    let _held = FineTimers::ask();
    let shutdown = match ends {
        Ends::By(token) => token,
        Ends::BySignal => {
            let shutdown = CancellationToken::new();
            let (told, token) = (termination::told()?, shutdown.clone());
            tokio::spawn(async move {
                told.await;
                token.cancel();
            });
            shutdown
        }
    };
    command::execute(cli, shutdown).await
}
