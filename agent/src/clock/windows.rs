//! Windows: the standard library's clocks, what the system has slept since the first look at them, and how fine its timers are.
#![expect(
    unsafe_code,
    reason = "no safe wrapper tells the system's interrupt time, or sets the period of its timers"
)]

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};
use windows_sys::Win32::{
    Media::{TIMERR_NOERROR, timeBeginPeriod, timeEndPeriod},
    System::{SystemInformation::GetTickCount64, WindowsProgramming::QueryUnbiasedInterruptTime},
};

/// Both of the system's counters go on by ticks of up to 16 ms, and not at once.
const NOISE: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), asleep()));

/// Since the first look at the clock.
pub(super) fn monotonic() -> Duration {
    START.0.elapsed()
}

/// Since 1970; zero if the clock stands before that.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As [`monotonic`], with what the system slept added: whether that clock has counted it already differs from version to
/// version, but the difference between the two always is what was slept.
pub(super) fn boottime() -> Duration {
    let slept = asleep().saturating_sub(START.1);
    monotonic() + if slept < NOISE { Duration::ZERO } else { slept }
}

/// For how long the system has slept since its start.
fn asleep() -> Duration {
    // SAFETY: takes nothing and cannot fail.
    let all = Duration::from_millis(unsafe { GetTickCount64() });
    let mut awake = 0_u64;
    // SAFETY: writes one number to `awake`, which lives until the call returns.
    let known = unsafe { QueryUnbiasedInterruptTime(&raw mut awake) } != 0;
    // In units of 100 ns.
    if known { all.saturating_sub(Duration::from_nanos(awake.saturating_mul(100))) } else { Duration::ZERO }
}

/// Waiting ends within this many milliseconds; unless asked the system makes it up to 15.6, and a turn as late.
const PERIOD: u32 = 1;

/// This process's timers are fine as long as it lives.
#[derive(Debug)]
pub(crate) struct FineTimers {
    granted: bool,
}

impl FineTimers {
    /// Asks the system; where it refuses, turns are later, and their noise says so.
    pub(crate) fn ask() -> Self {
        // SAFETY: takes a number.
        Self { granted: unsafe { timeBeginPeriod(PERIOD) } == TIMERR_NOERROR }
    }
}

impl Drop for FineTimers {
    fn drop(&mut self) {
        if self.granted {
            // SAFETY: takes a number, the one that was granted.
            unsafe { timeEndPeriod(PERIOD) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_makes_its_timers_fine() {
        assert!(FineTimers::ask().granted);
    }

    #[test]
    fn a_system_that_did_not_sleep_slept_nothing() {
        let (before, after) = (boottime(), monotonic());
        assert!(after >= before && after - before < Duration::from_secs(10), "{before:?} {after:?}");
    }
}
