//! Logs: to standard error, as text for people or JSON for machines.

use crate::cli::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::{
    EnvFilter, filter::ParseError, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What is logged unless `PEERLIGHT_LOG` says otherwise. The signature library logs what hostile requests hold; that is
/// counted as a problem instead.
const DEFAULT_FILTER: &str = "info,httpsig=off,httpsig_hyper=off";

/// `PEERLIGHT_LOG` says nothing that can be followed.
#[derive(Debug, thiserror::Error)]
#[error("PEERLIGHT_LOG: {0}; write for example `debug` or `info,peerlight_collector::ingest=trace`")]
pub struct LogFilterError(String);

impl From<ParseError> for LogFilterError {
    fn from(error: ParseError) -> Self {
        Self(error.to_string())
    }
}

/// Starts logging. `PEERLIGHT_LOG` filters (`debug`, `peerlight_collector=trace`). A second call changes nothing.
pub fn start(format: LogFormat) -> Result<(), LogFilterError> {
    let asked = std::env::var_os("PEERLIGHT_LOG").filter(|text| !text.is_empty());
    let filter = asked.as_ref().map_or(DEFAULT_FILTER.into(), |text| text.to_string_lossy());
    let registry = tracing_subscriber::registry().with(filter.parse::<EnvFilter>()?);
    // A logger that is there already belongs to the program that this runs in.
    let _started = match format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
    };
    Ok(())
}
