//! No manager that wants to be told.

use super::News;
use std::time::Duration;

/// There is none.
pub(super) const fn listens() -> bool {
    false
}

/// Nobody asks.
pub(super) const fn watchdog() -> Option<Duration> {
    None
}

/// It has no journal.
pub(super) const fn journal_reads_standard_error() -> bool {
    false
}

/// Tells nobody.
pub(super) const fn tell(_news: News<'_>) {}
