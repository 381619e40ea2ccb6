//! The collector's clock: a cheap handle that shells read and pass on as `now`; tests set it by hand.

mod doubt;

use self::doubt::Belief;
use peerlight_proto::time::Timestamp;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Where the collector reads the time. Clones are one clock.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    belief: Arc<Mutex<Belief>>,
}

#[derive(Debug, Clone)]
enum Source {
    /// The machine's, and when this handle was made.
    System(Instant),
    /// What it shows, and how much time has passed.
    Manual(Arc<Mutex<(Timestamp, Duration)>>),
}

impl Clock {
    /// The machine's wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self::of(Source::System(Instant::now()))
    }

    /// A clock that stands at `at` until it is [set](Self::set).
    pub fn manual(at: Timestamp) -> Self {
        Self::of(Source::Manual(Arc::new(Mutex::new((at, Duration::ZERO)))))
    }

    fn of(source: Source) -> Self {
        let (shown, passed) = source.read();
        Self { source, belief: Arc::new(Mutex::new(Belief::new(shown, passed))) }
    }

    /// Lets time pass on a manual clock until it shows `to`; the machine's own is left alone.
    pub fn set(&self, to: Timestamp) {
        self.source.change(|(shown, passed)| (to, passed + to.since(shown)));
    }

    /// Makes a manual clock jump to `to` while no time passes; the machine's own is left alone.
    pub fn jump(&self, to: Timestamp) {
        self.source.change(|(_shown, passed)| (to, passed));
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        self.source.read().0
    }

    /// By how many microseconds it has jumped, forward or back, if that was less than a day ago and it has not returned.
    /// Then it may be wrong, and what depends on it and cannot be taken back has to wait.
    pub fn jumped(&self) -> Option<i64> {
        let (shown, passed) = self.source.read();
        self.belief.lock().unwrap_or_else(PoisonError::into_inner).look(shown, passed)
    }
}

impl Source {
    /// What it shows, and how much time has passed, by a clock that nobody sets.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn read(&self) -> (Timestamp, Duration) {
        match self {
            Self::System(since) => {
                // A machine whose clock stands before 1970 gets the epoch: every signature is then skewed, and says so.
                let shown = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                (Timestamp::from_secs(0).plus(shown), since.elapsed())
            }
            Self::Manual(manual) => *manual.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn change(&self, change: impl FnOnce((Timestamp, Duration)) -> (Timestamp, Duration)) {
        if let Self::Manual(manual) = self {
            let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
            *manual = change(*manual);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_for_every_clone_and_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_secs(7));
        let clone = clock.clone();
        clock.set(Timestamp::from_secs(9));
        assert_eq!(clone.now(), Timestamp::from_secs(9));
    }

    #[test]
    fn a_jump_is_known_to_every_clone_and_time_that_passes_is_none() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let clone = clock.clone();
        clock.set(Timestamp::from_secs(9_000_000));
        assert_eq!(clone.jumped(), None);
        clock.jump(Timestamp::from_secs(8_000_000));
        assert_eq!(
            (clone.jumped(), clone.now()),
            (Some(-1_000_000_000_000), Timestamp::from_secs(8_000_000))
        );
        clock.jump(Timestamp::from_secs(9_000_000));
        assert_eq!(clone.jumped(), None);
        assert_eq!(Clock::system().jumped(), None);
    }
}
