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

/// Tells nobody.
pub(super) const fn tell(_news: News<'_>) {}
