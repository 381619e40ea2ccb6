//! systemd, and whoever else speaks its `sd_notify`: a datagram for each word to the socket that `NOTIFY_SOCKET` names.

use super::News;
use crate::{
    cli::Cli,
    life::{self, Ends},
    logging::Journal,
};
use nix::sys::stat::fstat;
use peerlight_proto::log::journal;
use sd_notify::NotifyState;
use std::{env, io, process::ExitCode, time::Duration};
use tracing::Level;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Lives as the command line says. Who started the process makes no difference here: the manager speaks by signals, and its journal
/// takes the log from standard error.
pub fn host(cli: Cli) -> ExitCode {
    let journal = if journal_reads_standard_error() {
        Journal::Of(BoxMakeWriter::new(journal::Journal(io::stderr)))
    } else {
        Journal::StandardError
    };
    life::live(cli, journal, Ends::BySignal)
}

/// The text as whoever reads standard error takes it for an error.
pub(crate) fn as_error(text: String) -> String {
    if journal_reads_standard_error() { journal::marked(Level::ERROR, &text) } else { text }
}

fn journal_reads_standard_error() -> bool {
    let Ok(stream) = env::var(journal::STREAM) else { return false };
    fstat(io::stderr()).is_ok_and(|file| journal::is_stream(&stream, file.st_dev, file.st_ino))
}

/// Nobody keeps a log that standard error does not reach.
pub(crate) const fn record(_error: &str) {}

/// Tells the manager, if there is one.
pub fn tell(news: News<'_>) {
    let told = match news {
        News::Started => sd_notify::notify(&[NotifyState::Ready]),
        News::Doing(what) => sd_notify::notify(&[NotifyState::Status(&in_one_line(what))]),
        News::Works => sd_notify::notify(&[NotifyState::Watchdog]),
        News::Stops => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, ?news, "the service manager could not be told");
    }
}

/// Within which time it wants to hear that the agent works; none where it does not ask.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Each line is a word to the manager, and what the agent tells holds others' words: the collector's reasons.
fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_words_become_the_managers() {
        assert_eq!(in_one_line("stopped: go\naway\r\nMAINPID=1"), "stopped: go away  MAINPID=1");
    }
}
