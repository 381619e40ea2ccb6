//! Logs: to standard error, for people or as JSON for a log collector.

use crate::cli::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What is logged unless `PEERLIGHT_LOG` says otherwise.
/// The verifier logs an error for each certificate that it refuses: probes count those and say why.
const DEFAULT_FILTER: &str = "info,rustls_platform_verifier=off";

/// Starts logging. A second start in one process changes nothing.
pub fn init(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("PEERLIGHT_LOG").unwrap_or_else(|_unset| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    // Somebody else in this process logs already, and so shall we.
    drop(outcome);
}
