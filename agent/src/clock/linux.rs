//! Linux: the kernel's clocks.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Since the machine's start, without suspends.
pub(super) fn monotonic() -> Duration {
    since_epoch_of(ClockId::CLOCK_MONOTONIC)
}

/// Since 1970.
pub(super) fn wall() -> Duration {
    since_epoch_of(ClockId::CLOCK_REALTIME)
}

/// Since the machine's start.
pub(super) fn boottime() -> Duration {
    since_epoch_of(ClockId::CLOCK_BOOTTIME)
}

/// A clock's value. The clocks above exist on every supported kernel, so this cannot fail.
fn since_epoch_of(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
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
