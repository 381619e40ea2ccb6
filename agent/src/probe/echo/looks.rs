//! When to look at a socket again. Pure.
//!
//! The kernel stamps packets, so a look may come late without harm: nothing wakes this process for each packet, and a look
//! takes all that there is. Sending is a look, too.

use std::time::{Duration, Instant};

/// The shortest wait for a reply: what comes within it is read together.
pub(super) const SHORTEST: Duration = Duration::from_millis(20);
/// The longest wait.
pub(super) const LONGEST: Duration = Duration::from_millis(500);
/// The wait while there is more to send than the buffers permit.
pub(super) const HELD_UP: Duration = Duration::from_millis(1);
/// The wait while sending does the looking.
pub(super) const STEADY: Duration = Duration::from_millis(100);
/// How long further copies of replies are looked for.
pub(super) const LINGER: Duration = Duration::from_secs(3);

/// What a socket is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Requests wait to be sent.
    pub(super) held_up: bool,
    /// When the oldest request that has not ended is overdue.
    pub(super) overdue: Option<Instant>,
    /// When the newest request was sent.
    pub(super) newest: Option<Instant>,
    /// How often something was sent since the last look that was made for its own sake.
    pub(super) sends: u32,
}

/// How long to wait before the next look; none if there is nothing to see. A probe's wait grows with its age, so that a lost
/// one costs little.
pub(super) fn wait(waiting: Waiting, now: Instant) -> Option<Duration> {
    if waiting.held_up {
        return Some(HELD_UP);
    }
    let age = now.saturating_duration_since(waiting.newest?);
    let Some(overdue) = waiting.overdue else { return (age < LINGER).then_some(LONGEST) };
    let wait = if waiting.sends > 2 { STEADY } else { (age / 2).clamp(SHORTEST, LONGEST) };
    Some(wait.min(overdue.saturating_duration_since(now)).max(HELD_UP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::exchange::now;
    use proptest::prelude::*;

    #[test]
    fn nothing_in_flight_is_not_looked_for_long() {
        let now = now();
        let waiting = |newest| Waiting { held_up: false, overdue: None, newest, sends: 9 };
        assert_eq!(wait(waiting(None), now), None);
        assert_eq!(wait(waiting(Some(now)), now + LINGER), None);
        assert_eq!(wait(waiting(Some(now)), now), Some(LONGEST), "a copy may follow");
    }

    #[test]
    fn a_lost_probe_is_looked_for_a_few_times() {
        let (start, mut age, mut looks) = (now(), Duration::ZERO, 0);
        let deadline = Duration::from_secs(3);
        while age < deadline {
            let overdue = Some(start + deadline);
            let waiting = Waiting { held_up: false, overdue, newest: Some(start), sends: 1 };
            age += wait(waiting, start + age).unwrap();
            looks += 1;
        }
        assert!((8..=20).contains(&looks), "{looks}");
        assert_eq!(age, deadline, "and known to be lost as soon as it is");
    }

    proptest! {
        #[test]
        fn whatever_is_open_is_looked_at_within_half_a_second(age_ms in 0_u64..60_000, sends in 0_u32..9, held_up: bool) {
            let start = now();
            let waiting = Waiting { held_up, overdue: Some(start), newest: Some(start), sends };
            let wait = wait(waiting, start + Duration::from_millis(age_ms)).unwrap();
            prop_assert!(wait > Duration::ZERO && wait <= LONGEST);
        }
    }
}
