//! Whether the machine's clock can be believed: it is compared with the time that has passed since it was last believed.
//! Pure.
//!
//! A clock that jumps is either wrong now or was wrong before, and nobody can tell which at once. So what cannot be taken
//! back waits: nothing is refused for its age or dropped. When the clock returns nothing has happened; one that stays where
//! it is for a day is believed.

use peerlight_proto::{limits::MAX_FUTURE, time::Timestamp};
use std::time::Duration;

/// A jump by more is doubted. Less than intervals may lie ahead, so that no jump that is not doubted makes them be refused.
pub(crate) const JUMP: Duration = Duration::from_mins(2);
const _: () =
    assert!(JUMP.as_secs() < MAX_FUTURE.as_secs(), "no jump goes unnoticed that makes intervals be refused");
/// How long a clock that jumped is doubted.
pub(crate) const DOUBTED_FOR: Duration = Duration::from_hours(24);

/// What the clock should show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Belief {
    /// What it showed when it was last believed, and how much time had passed until then.
    shown: Timestamp,
    passed: Duration,
    /// When the doubt began, in time passed.
    doubted: Option<Duration>,
}

impl Belief {
    /// The clock is believed as it is found.
    pub(super) const fn new(shown: Timestamp, passed: Duration) -> Self {
        Self { shown, passed, doubted: None }
    }

    /// What the clock is off by, in microseconds, from what it should show after so much time has `passed`; none if it is
    /// believed.
    pub(super) fn look(&mut self, shown: Timestamp, passed: Duration) -> Option<i64> {
        let off = shown.micros_after(self.shown.plus(passed.saturating_sub(self.passed)));
        let jumped = Duration::from_micros(off.unsigned_abs()) > JUMP;
        let since = if jumped { *self.doubted.get_or_insert(passed) } else { passed };
        if jumped && passed.saturating_sub(since) < DOUBTED_FOR {
            return Some(off);
        }
        *self = Self::new(shown, passed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_790_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_goes_on_or_is_slewed_is_believed() {
        let mut belief = Belief::new(START, Duration::ZERO);
        for hours in 1..100 {
            let slewed = START.plus(HOUR * hours).plus(Duration::from_secs(100) * hours);
            assert_eq!(belief.look(slewed, HOUR * hours), None, "{hours}");
        }
    }

    #[test]
    fn a_jump_is_doubted_until_the_clock_returns() {
        for jump in [-86_400, -121, 121, 31_536_000_i64] {
            let mut belief = Belief::new(START, Duration::ZERO);
            let off = Timestamp::from_micros(START.as_micros() + jump * 1_000_000);
            assert_eq!(belief.look(off.plus(HOUR), HOUR), Some(jump * 1_000_000));
            assert_eq!(belief.look(off.plus(HOUR * 23), HOUR * 23), Some(jump * 1_000_000));
            assert_eq!(belief.look(START.plus(HOUR * 24), HOUR * 24), None, "it was wrong for a while");
            assert_eq!(belief.look(off.plus(HOUR * 25), HOUR * 25), Some(jump * 1_000_000), "doubted anew");
        }
    }

    #[test]
    fn a_clock_that_stays_where_it_jumped_to_is_believed_after_a_day() {
        let mut belief = Belief::new(START, Duration::ZERO);
        let right = START.plus(HOUR * 1_000);
        assert!(belief.look(right.plus(HOUR), HOUR).is_some());
        assert!(belief.look(right.plus(HOUR * 24), HOUR * 24).is_some());
        assert_eq!(belief.look(right.plus(HOUR * 25), HOUR * 25), None);
        assert!(belief.look(START.plus(HOUR * 26), HOUR * 26).is_some(), "and another jump is doubted");
    }
}
