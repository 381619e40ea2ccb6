//! The time: one handle that reads every clock, and the check that they still agree.
//!
//! Interval times come from an [`Anchor`]: the wall clock at the session's start plus the monotonic clock since. So a
//! session's time never goes back, whatever is done to the wall clock.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", windows)))]
mod portable;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(any(target_os = "linux", windows)))]
use portable as platform;
#[cfg(windows)]
use windows as platform;

pub(crate) use platform::FineTimers;

use peerlight_proto::time::Timestamp;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// All clocks at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock: may be wrong, and may jump.
    pub wall: Timestamp,
    /// Never goes back; stands still while the machine is suspended.
    pub monotonic: Duration,
    /// Never goes back; counts suspends, too.
    pub boottime: Duration,
}

/// A cheap handle to the machine's clocks, or to a clock that tests turn by hand.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Manual(Mutex<Reading>),
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// A clock that stands at `wall` until it is turned.
    pub fn manual(wall: Timestamp) -> Self {
        let since_boot = Duration::from_secs(1_000);
        let reading = Reading { wall, monotonic: since_boot, boottime: since_boot };
        Self(Arc::new(Source::Manual(Mutex::new(reading))))
    }

    /// All clocks, read as close together as the machine lets us.
    pub fn read(&self) -> Reading {
        match &*self.0 {
            Source::System => read_together(),
            Source::Manual(reading) => *reading.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The wall clock.
    pub fn wall(&self) -> Timestamp {
        self.read().wall
    }

    /// Lets time pass. Only a manual clock obeys.
    pub fn advance(&self, span: Duration) {
        self.turn(|reading| {
            reading.wall = reading.wall.plus(span);
            reading.monotonic += span;
            reading.boottime += span;
        });
    }

    /// Steps the wall clock by `micros`. Only a manual clock obeys.
    pub fn step(&self, micros: i64) {
        self.turn(|reading| {
            reading.wall = Timestamp::from_micros(reading.wall.as_micros().saturating_add(micros));
        });
    }

    /// Suspends the machine. Only a manual clock obeys.
    pub fn suspend(&self, span: Duration) {
        self.turn(|reading| {
            reading.wall = reading.wall.plus(span);
            reading.boottime += span;
        });
    }

    fn turn(&self, change: impl FnOnce(&mut Reading)) {
        if let Source::Manual(reading) = &*self.0 {
            change(&mut reading.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Reads the clocks, again if this thread was interrupted between them: then they would seem to disagree.
fn read_together() -> Reading {
    const CLOSE: Duration = Duration::from_millis(5);
    let mut attempts = 0;
    loop {
        let monotonic = platform::monotonic();
        let wall = platform::wall();
        let boottime = platform::boottime();
        attempts += 1;
        if platform::monotonic().saturating_sub(monotonic) < CLOSE || attempts == 10 {
            return Reading { wall: Timestamp::default().plus(wall), monotonic, boottime };
        }
    }
}

/// Where a session's time starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    wall: Timestamp,
    monotonic: Duration,
    asleep: Duration,
}

/// Why a session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// The wall clock left the anchor.
    #[error("the wall clock moved by {0} µs against the monotonic clock")]
    Stepped(i64),
    /// The machine slept.
    #[error("the machine was suspended for {0:?}")]
    Suspended(Duration),
}

/// How far wall clock and anchor may drift apart (rules, §2).
const MAX_DRIFT_US: i64 = 1_000_000;
/// A shorter sleep cannot be told from two clocks that are read one after the other on a busy machine.
const SHORTEST_SUSPEND: Duration = Duration::from_millis(200);

impl Anchor {
    /// A session that starts now.
    pub fn new(now: &Reading) -> Self {
        Self { wall: now.wall, monotonic: now.monotonic, asleep: now.boottime.saturating_sub(now.monotonic) }
    }

    /// The session's time at `now`.
    pub fn time(&self, now: &Reading) -> Timestamp {
        self.time_at(now.monotonic)
    }

    /// The session's time when the monotonic clock showed `monotonic`, also before the session.
    pub fn time_at(&self, monotonic: Duration) -> Timestamp {
        if monotonic >= self.monotonic {
            self.wall.plus(monotonic.saturating_sub(self.monotonic))
        } else {
            self.wall.minus(self.monotonic.saturating_sub(monotonic))
        }
    }

    /// Whether the clocks still agree with the session.
    pub fn discontinuity(&self, now: &Reading) -> Option<Discontinuity> {
        let slept = now.boottime.saturating_sub(now.monotonic).saturating_sub(self.asleep);
        let drift = now.wall.micros_after(self.time(now));
        if slept >= SHORTEST_SUSPEND {
            Some(Discontinuity::Suspended(slept))
        } else if drift.abs() > MAX_DRIFT_US {
            Some(Discontinuity::Stepped(drift))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_session_notices_a_step_of_more_than_a_second_either_way() {
        for (step, noticed) in
            [(0, false), (900_000, false), (-900_000, false), (1_100_000, true), (-3_600_000_000, true)]
        {
            let clock = Clock::manual(NOON);
            let anchor = Anchor::new(&clock.read());
            clock.advance(Duration::from_secs(100));
            clock.step(step);
            let now = clock.read();
            assert_eq!(anchor.discontinuity(&now), noticed.then_some(Discontinuity::Stepped(step)));
            assert_eq!(
                anchor.time(&now),
                NOON.plus(Duration::from_secs(100)),
                "the session's time ignores the step"
            );
        }
    }

    #[test]
    fn a_session_notices_a_suspend_although_the_wall_clock_is_right() {
        let clock = Clock::manual(NOON);
        let anchor = Anchor::new(&clock.read());
        clock.suspend(Duration::from_secs(30));
        assert_eq!(
            anchor.discontinuity(&clock.read()),
            Some(Discontinuity::Suspended(Duration::from_secs(30)))
        );
    }

    #[test]
    fn the_machines_clocks_agree_with_themselves() {
        let clock = Clock::system();
        let anchor = Anchor::new(&clock.read());
        assert_eq!(anchor.discontinuity(&clock.read()), None);
    }
}
