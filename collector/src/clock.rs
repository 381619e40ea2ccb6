//! The collector's clock: a cheap handle that shells read and pass on as `now`; tests set it by hand.

use peerlight_proto::time::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

/// Where the collector reads the time. Clones share a manual clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's wall clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until it is [set](Self::set).
    pub fn manual(at: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(at.as_micros()))))
    }

    /// Moves a manual clock; the machine's own is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(micros) = &self.0 {
            micros.store(to.as_micros(), Ordering::Relaxed);
        }
    }

    /// What it shows.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                // A machine whose clock stands before 1970 gets the epoch: every signature is then skewed, and says so.
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_secs(0).plus(since)
            }
            Source::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::Relaxed)),
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
}
