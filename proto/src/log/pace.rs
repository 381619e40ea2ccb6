//! How often one place in the program may log: what repeats without end must neither fill a journal nor push out of it what matters.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tracing::{Level, Metadata, callsite::Identifier};

/// So many lines at once,
const BURST: u32 = 100;
/// and one more each time that this has passed.
const REST: Duration = Duration::from_secs(30);

/// A log that no place in the program can flood.
#[derive(Debug)]
pub struct Paced {
    now: fn() -> Instant,
    pace: Mutex<Pace<Identifier>>,
}

impl Paced {
    /// Nothing has been logged yet. `now` tells the time.
    pub fn new(now: fn() -> Instant) -> Self {
        Self { now, pace: Mutex::default() }
    }

    /// Whether the place of an event may log once more. What is logged only because somebody asked for more than the ordinary is
    /// not held back.
    pub fn may_say(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() > Level::INFO || self.pace().admit(metadata.callsite(), (self.now)())
    }

    /// Logs how much was left out since this was last called, and of which places in the program.
    pub fn tell_left_out(&self) {
        let left_out = self.pace().left_out();
        for (Identifier(place), entries) in left_out {
            let place = place.metadata();
            let (of, line) = (place.target(), place.line());
            tracing::warn!(
                entries,
                of,
                line,
                "entries of the log were left out: there were too many like them"
            );
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace<Identifier>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What each place has logged of late. Pure.
#[derive(Debug)]
struct Pace<P>(HashMap<P, Lines>);

#[derive(Debug)]
struct Lines {
    /// When everything that it logged is forgotten.
    until: Instant,
    left_out: u64,
}

impl<P> Default for Pace<P> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<P: Eq + Hash + Clone> Pace<P> {
    /// Whether `place` may log a line now; if not, it is counted as left out.
    fn admit(&mut self, place: P, now: Instant) -> bool {
        let lines = self.0.entry(place).or_insert(Lines { until: now, left_out: 0 });
        let until = lines.until.max(now) + REST;
        let fits = until <= now + REST * BURST;
        if fits {
            lines.until = until;
        } else {
            lines.left_out += 1;
        }
        fits
    }

    /// How many lines of which places were left out since this was last asked.
    fn left_out(&mut self) -> Vec<(P, u64)> {
        let taken = self.0.iter_mut().map(|(place, lines)| (place.clone(), mem::take(&mut lines.left_out)));
        taken.filter(|&(_, left_out)| left_out > 0).collect()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a pace needs some instant to begin with")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flood_is_cut_off_counted_and_forgotten_while_other_places_go_on() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let said = (0..1_000).filter(|_| pace.admit("flood", start)).count();
        assert_eq!(said, 100);
        assert!(pace.admit("other", start));
        assert_eq!(pace.left_out(), [("flood", 900)]);
        assert_eq!(pace.left_out(), []);
        let later = start + REST;
        assert!(pace.admit("flood", later) && !pace.admit("flood", later), "one more after each rest");
        let much_later = start + REST * 1_000;
        assert_eq!((0..1_000).filter(|_| pace.admit("flood", much_later)).count(), 100);
    }

    proptest! {
        #[test]
        fn no_span_has_more_than_a_burst_and_a_line_for_each_rest(gaps in prop::collection::vec(0_u64..40_000, 1..400)) {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            let mut said = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if pace.admit((), now) {
                    said.push(now);
                }
            }
            for (at, begin) in said.iter().enumerate() {
                for (count, end) in said[at..].iter().enumerate() {
                    let rests = (*end - *begin).as_millis() / REST.as_millis();
                    prop_assert!(count as u128 <= u128::from(BURST) + rests);
                }
            }
        }
    }
}
