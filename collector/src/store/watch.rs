//! A store at work, observed: how long its commits take, whether it fails, how far its upkeep is.

use crate::store::StoreError;
use peerlight_proto::time::Timestamp;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many commits [`Commits`] are of.
const RECENT: usize = 1_024;

/// What a store tells of its work as it goes.
pub struct Watch {
    seconds: Histogram,
    turns: Histogram,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Duration>,
    longest_turn: Duration,
    newest_end: Option<Timestamp>,
    failing: Option<Failing>,
    upkeep: Option<Upkeep>,
}

/// What was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The commits of the last batches.
    pub commits: Commits,
    /// The longest that upkeep kept batches waiting.
    pub longest_turn: Duration,
    /// The end of the newest interval that was stored since the start.
    pub newest_end: Option<Timestamp>,
    /// Set while batches cannot be written.
    pub failing: Option<Failing>,
    /// The last time that the log was folded and rollups were made.
    pub upkeep: Option<Upkeep>,
}

/// How long the last transactions took that made batches durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commits {
    /// How many: the last 1,024 at most.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Batches cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// When the first could not, by the collector's clock.
    pub since: Timestamp,
    /// Why the last could not.
    pub error: String,
}

/// The log was folded, and rollups were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// When it began, by the collector's clock.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Why it was not finished.
    pub error: Option<String>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            // 0.1 ms to 3 s: a transaction holds up to 256 batches and one sync of the disk.
            seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            turns: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            state: Mutex::default(),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Watch {
    /// Notes that a transaction took so long to make batches durable, the newest interval of which ended then.
    pub(crate) fn committed(&self, took: Duration, newest_end: Option<Timestamp>) {
        self.seconds.observe(took.as_secs_f64());
        let mut state = self.state();
        if state.recent.len() == RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(took);
        state.newest_end = state.newest_end.max(newest_end);
        state.failing = None;
    }

    /// Notes that upkeep wrote for so long, between two transactions of batches.
    pub(crate) fn turned(&self, took: Duration) {
        self.turns.observe(took.as_secs_f64());
        let mut state = self.state();
        state.longest_turn = state.longest_turn.max(took);
    }

    /// Notes that a batch that came at `at` could not be written.
    pub(crate) fn failed(&self, at: Timestamp, error: &StoreError) {
        let mut state = self.state();
        let since = state.failing.as_ref().map_or(at, |failing| failing.since);
        state.failing = Some(Failing { since, error: error.to_string() });
    }

    /// Notes how the upkeep went that began at `at`.
    pub(crate) fn kept_up<T>(&self, at: Timestamp, took: Duration, outcome: &Result<T, StoreError>) {
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.state().upkeep = Some(Upkeep { at, took, error });
    }

    /// What was seen.
    pub fn seen(&self) -> Seen {
        let state = self.state();
        Seen {
            commits: Commits::of(state.recent.iter().copied()),
            longest_turn: state.longest_turn,
            newest_end: state.newest_end,
            failing: state.failing.clone(),
            upkeep: state.upkeep.clone(),
        }
    }

    /// How long upkeep wrote at once, in seconds.
    pub fn turn_seconds(&self) -> Histogram {
        self.turns.clone()
    }

    /// The durations of all commits, in seconds.
    pub fn commit_seconds(&self) -> Histogram {
        self.seconds.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn of(recent: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = recent.collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Self { count: sorted.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lasts_until_a_commit_and_begins_when_the_first_batch_failed() {
        let watch = Watch::default();
        let at = Timestamp::from_secs;
        watch.failed(at(5), &StoreError::Closed);
        watch.failed(at(9), &StoreError::Closed);
        let failing = watch.seen().failing.unwrap();
        assert_eq!((failing.since, failing.error.as_str()), (at(5), "the store is closed"));
        watch.committed(Duration::from_millis(3), Some(at(60)));
        watch.committed(Duration::from_millis(1), Some(at(20)));
        let seen = watch.seen();
        assert_eq!((seen.failing, seen.newest_end), (None, Some(at(60))));
        watch.turned(Duration::from_millis(9));
        watch.turned(Duration::from_millis(2));
        assert_eq!(watch.seen().longest_turn, Duration::from_millis(9));
        watch.kept_up(at(10), Duration::from_millis(7), &Err::<(), _>(StoreError::Closed));
        assert_eq!(watch.seen().upkeep.unwrap().error.as_deref(), Some("the store is closed"));
    }

    #[test]
    fn percentiles_are_of_the_last_commits() {
        assert_eq!(Watch::default().seen().commits, Commits::default());
        let watch = Watch::default();
        for millis in 0..2_000 {
            watch.committed(Duration::from_millis(millis), None);
        }
        let commits = watch.seen().commits;
        let millis = [commits.p50, commits.p99, commits.max].map(|took| took.as_millis());
        assert_eq!((commits.count, millis), (1_024, [1_487, 1_989, 1_999]));
    }
}
