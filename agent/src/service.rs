//! The service manager (systemd, or Windows' service control manager): it is told when the agent measures, what it is doing, that
//! it still works, and that it ends; where there is none, nobody is told. And the `service` command, which has it run the agent.

mod args;
mod first;
mod manage;
mod purge;
mod state;

#[cfg(windows)]
mod control;
#[cfg(windows)]
mod event_log;
#[cfg(windows)]
mod scm;
#[cfg(unix)]
mod systemctl;
#[cfg(unix)]
mod systemd;
#[cfg(unix)]
mod unit;

pub use args::ServiceArgs;
pub(crate) use manage::manage;
pub use state::{Activity, Installer, ServiceState};

#[cfg(windows)]
pub(crate) use scm::{NAME, as_error, record};
#[cfg(windows)]
pub use scm::{host, tell, watchdog};
#[cfg(unix)]
pub(crate) use systemd::{as_error, record};
#[cfg(unix)]
pub use systemd::{host, tell, watchdog};

use std::time::Duration;
use tokio::time::Instant;

/// What the manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// The agent measures.
    Started,
    /// What it is doing, in a line.
    Doing(&'a str),
    /// It still works.
    Works,
    /// It is about to end.
    Stops,
}

/// What the loop that measures has to tell, turn by turn. No timer of its own: when the loop hangs, nothing is told, and
/// the manager starts the agent anew. Pure.
#[derive(Debug)]
pub struct Heartbeat {
    /// Half of what the manager waits for, so that one late beat is no death.
    period: Option<Duration>,
    last: Option<Instant>,
}

impl Heartbeat {
    /// The heart of a loop whose manager wants to hear of it within `watchdog`, if it does.
    pub fn new(watchdog: Option<Duration>) -> Self {
        Self { period: watchdog.map(|watchdog| watchdog / 2), last: None }
    }

    /// What to tell at this turn.
    pub fn beat(&mut self, now: Instant) -> Option<News<'static>> {
        let news = match (self.last, self.period) {
            (None, _) => News::Started,
            (Some(last), Some(period)) if now.duration_since(last) >= period => News::Works,
            (Some(_), _) => return None,
        };
        self.last = Some(now);
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_tells_of_the_start_and_later_ones_beat_at_half_of_what_the_manager_waits_for() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut heartbeat = Heartbeat::new(Some(Duration::from_secs(2)));
        let told = [0, 999, 1_000, 1_500, 1_999, 9_000, 9_999, 10_000].map(|at_ms| heartbeat.beat(at(at_ms)));
        let (started, works) = (Some(News::Started), Some(News::Works));
        assert_eq!(told, [started, None, works, None, None, works, None, works]);
    }

    #[test]
    fn a_manager_without_a_watchdog_hears_of_the_start_alone() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(None);
        assert_eq!(heartbeat.beat(start), Some(News::Started));
        assert_eq!(heartbeat.beat(start + Duration::from_hours(1)), None);
    }
}
