//! Logs: to standard error, for people or as JSON for a log collector; or to the journal of the system that keeps one for services.

use crate::{causes::with_causes, cli::LogFormat, service};
use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::ParseError, fmt, fmt::writer::BoxMakeWriter, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
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

/// Where the log goes.
#[derive(Debug)]
pub(crate) enum Journal {
    /// To standard error.
    StandardError,
    /// To a journal that keeps time and severity of each entry itself.
    #[cfg_attr(unix, expect(dead_code, reason = "the journal of systemd reads standard error"))]
    Of(BoxMakeWriter),
}

/// Starts logging. A second start in one process changes nothing. Where a command fills the terminal, lines would spoil
/// it: only what `PEERLIGHT_LOG` asks for is logged.
pub(crate) fn init(format: LogFormat, fills_terminal: bool, journal: Journal) -> Result<(), LogFilterError> {
    let asked = std::env::var_os("PEERLIGHT_LOG").filter(|text| !text.is_empty());
    let default = if fills_terminal && io::stderr().is_terminal() { "off" } else { DEFAULT_FILTER };
    let filter = asked.as_ref().map_or(default.into(), |text| text.to_string_lossy());
    let registry = tracing_subscriber::registry().with(filter.parse::<EnvFilter>()?);
    let layer = match (format, journal) {
        (LogFormat::Text, Journal::StandardError) => {
            fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed()
        }
        (LogFormat::Text, Journal::Of(writer)) => {
            fmt::layer().without_time().with_level(false).with_ansi(false).with_writer(writer).boxed()
        }
        (LogFormat::Json, Journal::StandardError) => fmt::layer().json().with_writer(io::stderr).boxed(),
        (LogFormat::Json, Journal::Of(writer)) => fmt::layer().json().with_writer(writer).boxed(),
    };
    // Somebody else in this process logs already, and so shall we.
    drop(registry.with(layer).try_init());
    Ok(())
}

/// Says why this process ends: to whoever reads standard error, and to the journal of a service that has none.
pub(crate) fn complain(error: &(dyn Error + 'static)) {
    let text = with_causes(error);
    // With standard error gone there is nobody left to tell.
    let _told = writeln!(io::stderr(), "peerlight-agent: {text}");
    service::record(&text);
}
