//! Logs: to standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What is logged unless `PEERLIGHT_LOG` says otherwise. The signature library logs what hostile requests hold; that is
/// counted as a problem instead.
const DEFAULT_FILTER: &str = "info,httpsig=off,httpsig_hyper=off";

/// Starts logging. `PEERLIGHT_LOG` filters (`debug`, `peerlight_collector=trace`), `PEERLIGHT_LOG_FORMAT=json` makes
/// JSON. A second call changes nothing.
pub fn start() {
    let filter =
        EnvFilter::try_from_env("PEERLIGHT_LOG").unwrap_or_else(|_absent| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let as_json = std::env::var("PEERLIGHT_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A logger that is there already belongs to the program that this runs in.
    let _started = if as_json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        let colours = std::io::stderr().is_terminal();
        registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
    };
}
