//! systemd, and whoever else speaks its `sd_notify`: a datagram for each word to the socket that `NOTIFY_SOCKET` names.

use super::News;
use nix::sys::stat::fstat;
use peerlight_proto::log::journal;
use sd_notify::NotifyState;
use std::{env, io, time::Duration};

/// Whether there is a manager that wants to be told.
pub(super) fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Within which time it wants to hear that the collector works; none where it does not ask.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Whether its journal is what reads standard error.
pub(super) fn journal_reads_standard_error() -> bool {
    let Ok(stream) = env::var(journal::STREAM) else { return false };
    fstat(io::stderr()).is_ok_and(|file| journal::is_stream(&stream, file.st_dev, file.st_ino))
}

/// Tells it.
pub(super) fn tell(news: News<'_>) {
    let told = match news {
        News::Started(how) => {
            sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&in_one_line(how))])
        }
        News::Works(how) => {
            sd_notify::notify(&[NotifyState::Watchdog, NotifyState::Status(&in_one_line(how))])
        }
        News::Stops => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, ?news, "the service manager could not be told");
    }
}

/// Each line is a word to the manager.
fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
