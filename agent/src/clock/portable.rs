//! Anywhere: the standard library's clocks. Whether its monotonic clock counts suspends differs from system to system, so a
//! suspend is noticed only where that clock stands still and the wall clock leaves the anchor.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Since the first look at the clock.
pub(super) fn monotonic() -> Duration {
    START.elapsed()
}

/// Since 1970; zero if the clock stands before that.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// No second clock.
pub(super) fn boottime() -> Duration {
    monotonic()
}

/// This process's timers are fine as they are.
#[derive(Debug)]
pub(crate) struct FineTimers;

impl FineTimers {
    /// Nobody need be asked.
    pub(crate) const fn ask() -> Self {
        Self
    }
}
