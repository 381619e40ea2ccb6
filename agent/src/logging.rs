//! Logs: to standard error, for people or as JSON for a log collector.

use crate::cli::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::{
    EnvFilter, filter::ParseError, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What is logged unless `PEERLIGHT_LOG` says otherwise.
/// The verifier logs an error for each certificate that it refuses: probes count those and say why.
const DEFAULT_FILTER: &str = "info,rustls_platform_verifier=off";

/// `PEERLIGHT_LOG` says nothing that can be followed.
#[derive(Debug, thiserror::Error)]
#[error("PEERLIGHT_LOG: {0}; write for example `debug` or `info,peerlight_agent::push=trace`")]
pub struct LogFilterError(String);

impl From<ParseError> for LogFilterError {
    fn from(error: ParseError) -> Self {
        Self(error.to_string())
    }
}

/// Starts logging. A second start in one process changes nothing. Where a command fills the terminal, lines would spoil
/// it: only what `PEERLIGHT_LOG` asks for is logged.
pub fn init(format: LogFormat, fills_terminal: bool) -> Result<(), LogFilterError> {
    let asked = std::env::var_os("PEERLIGHT_LOG").filter(|text| !text.is_empty());
    let default = if fills_terminal && std::io::stderr().is_terminal() { "off" } else { DEFAULT_FILTER };
    let filter = asked.as_ref().map_or(default.into(), |text| text.to_string_lossy());
    let registry = tracing_subscriber::registry().with(filter.parse::<EnvFilter>()?);
    let outcome = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    // Somebody else in this process logs already, and so shall we.
    drop(outcome);
    Ok(())
}
