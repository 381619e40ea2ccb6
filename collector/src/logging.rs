//! Logs: to standard error, as text for people, JSON for machines, or as the journal reads it. No place in the program may flood them.

use crate::{cli::LogFormat, service};
use peerlight_proto::log::{
    self, Form, Paced,
    journal::{Journal, marked},
};
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::LazyLock,
    time::Duration,
};
use tokio::time::Instant;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::writer::{BoxMakeWriter, MakeWriterExt as _},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// There is one log for each process, and so is its pace.
static PACED: LazyLock<Paced> = LazyLock::new(|| Paced::new(|| Instant::now().into_std()));

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
    let to_journal = service::journal_reads_standard_error();
    let writer =
        if to_journal { BoxMakeWriter::new(Journal(io::stderr)) } else { BoxMakeWriter::new(io::stderr) };
    let form = match format {
        LogFormat::Text if to_journal => Form::Journal,
        LogFormat::Text => Form::Text { colours: io::stderr().is_terminal() },
        LogFormat::Json => Form::Json,
    };
    let paced = writer.with_filter(|metadata: &Metadata<'_>| PACED.may_say(metadata));
    // A logger that is there already belongs to the program that this runs in.
    drop(registry.with(log::lines(form, paced)).try_init());
    Ok(())
}

/// Logs once a minute how much was left out meanwhile, and of which places in the program.
pub async fn tell_what_is_left_out() {
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        minutes.tick().await;
        PACED.tell_left_out();
    }
}

/// Says why this process ends.
pub fn complain(error: &anyhow::Error) {
    let text = format!("error: {error:#}\n");
    let text = if service::journal_reads_standard_error() { marked(Level::ERROR, &text) } else { text };
    // When standard error is closed, nobody is left to tell.
    let _told = io::stderr().write_all(text.as_bytes());
}
