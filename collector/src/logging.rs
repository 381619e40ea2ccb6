//! Logs: to standard error, as text for people or JSON for machines.

use crate::cli::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What is logged unless `PEERLIGHT_LOG` says otherwise. The signature library logs what hostile requests hold; that is
/// counted as a problem instead.
const DEFAULT_FILTER: &str = "info,httpsig=off,httpsig_hyper=off";

/// Starts logging. `PEERLIGHT_LOG` filters (`debug`, `peerlight_collector=trace`). A second call changes nothing.
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("PEERLIGHT_LOG").unwrap_or_else(|_absent| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    // A logger that is there already belongs to the program that this runs in.
    let _started = match format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
    };
}
