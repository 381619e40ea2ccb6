//! Logs: to standard error, for people or as JSON for a log collector; or to the journal of the system that keeps one for services.
//! No place in the program may flood them.

use crate::{causes::with_causes, cli::LogFormat, service};
use peerlight_proto::log::{self, Form, Paced};
use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    sync::LazyLock,
    time::Duration,
};
use tokio::time::Instant;
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::writer::{BoxMakeWriter, MakeWriterExt as _},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// There is one log for each process, and so is its pace.
static PACED: LazyLock<Paced> = LazyLock::new(|| Paced::new(|| Instant::now().into_std()));

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
    Of(BoxMakeWriter),
}

/// Starts logging. A second start in one process changes nothing. Where a command fills the terminal, lines would spoil
/// it: only what `PEERLIGHT_LOG` asks for is logged.
pub(crate) fn init(format: LogFormat, fills_terminal: bool, journal: Journal) -> Result<(), LogFilterError> {
    let asked = std::env::var_os("PEERLIGHT_LOG").filter(|text| !text.is_empty());
    let default = if fills_terminal && io::stderr().is_terminal() { "off" } else { DEFAULT_FILTER };
    let filter = asked.as_ref().map_or(default.into(), |text| text.to_string_lossy());
    let registry = tracing_subscriber::registry().with(filter.parse::<EnvFilter>()?);
    let (to_journal, writer) = match journal {
        Journal::StandardError => (false, BoxMakeWriter::new(io::stderr)),
        Journal::Of(writer) => (true, writer),
    };
    let form = match format {
        LogFormat::Text if to_journal => Form::Journal,
        LogFormat::Text => Form::Text { colours: io::stderr().is_terminal() },
        LogFormat::Json => Form::Json,
    };
    let paced = writer.with_filter(|metadata: &Metadata<'_>| PACED.may_say(metadata));
    // Somebody else in this process logs already, and so shall we.
    drop(registry.with(log::lines(form, paced)).try_init());
    Ok(())
}

/// Logs once a minute how much was left out meanwhile, and of which places in the program.
pub(crate) async fn tell_what_is_left_out() {
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        minutes.tick().await;
        PACED.tell_left_out();
    }
}

/// Says why this process ends: to whoever reads standard error, and to the journal of a service that has none.
pub(crate) fn complain(error: &(dyn Error + 'static)) {
    let text = with_causes(error);
    let lines = service::as_error(format!("peerlight-agent: {text}\n"));
    // With standard error gone there is nobody left to tell.
    let _told = io::stderr().write_all(lines.as_bytes());
    service::record(&text);
}
