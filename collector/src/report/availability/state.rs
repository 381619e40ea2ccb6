//! What a span of one agent's probes of one target says, and when a quarter hour has to be looked at by the minute. Pure.

use crate::report::silence::heard;
use peerlight_proto::measurement::Counters;
use std::time::Duration;

/// The fewest probes in a row that have to go unanswered for an outage, in minutes none of whose probes was answered: half
/// a minute of a default ICMP or TCP schedule, three minutes of HTTPS. With independent losses of 5 % three in a row are one
/// in 8,000; fewer are undecided.
pub const FEWEST_UNANSWERED: u64 = 3;
const MINUTE: Duration = Duration::from_mins(1);

/// What an agent's probes of a target say of a span in which its turns were accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The target answered, if only late or at the second try.
    Answered,
    /// Somebody answered, though only to say no: RST, ICMP unreachable, a failed handshake.
    Refused,
    /// Probes left, and nobody answered.
    Unanswered,
    /// No probe left: skipped, voided, or the machine could neither look up the name nor send.
    NotMeasuring,
}

impl State {
    pub(super) fn of(counters: &Counters) -> Self {
        if heard(counters) > 0 {
            Self::Answered
        } else if counters.refused > 0 {
            Self::Refused
        } else if counters.lost > 0 {
            Self::Unanswered
        } else {
            Self::NotMeasuring
        }
    }

    /// Whether probes left.
    pub(super) const fn is_measuring(self) -> bool {
        !matches!(self, Self::NotMeasuring)
    }
}

/// The turns of a schedule in a minute, at least one.
pub(super) fn per_minute(cadence: Duration) -> u64 {
    u64::try_from(MINUTE.as_micros() / cadence.as_micros().max(1)).unwrap_or(u64::MAX).max(1)
}

/// Whether a minute of the quarter hour with these counters may be of another state than the rest: only then minutes tell
/// more. `expected` are the turns that the schedule had in it.
pub(super) fn is_mixed(counters: &Counters, expected: u64, cadence: Duration) -> bool {
    let whole_minute = per_minute(cadence);
    let unsent = counters.scheduled.saturating_sub(counters.sent());
    let kinds = [
        heard(counters) > 0,
        counters.lost >= whole_minute.max(FEWEST_UNANSWERED),
        counters.refused >= whole_minute,
        unsent >= whole_minute,
        expected.saturating_sub(counters.scheduled) >= whole_minute,
    ];
    kinds.into_iter().filter(|there| *there).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CADENCE: Duration = Duration::from_secs(10);

    fn minute(kind: u8) -> Counters {
        let mut counters = Counters { scheduled: 6, ..Counters::default() };
        match kind {
            0 => counters.answered = 6,
            1 => (counters.lost, counters.scheduled) = (6, 6),
            2 => counters.refused = 6,
            3 => counters.skipped = 6,
            _ => counters = Counters::default(),
        }
        counters
    }

    proptest! {
        #[test]
        fn no_minute_of_another_state_hides_in_a_quarter_hour(kinds in prop::collection::vec(0_u8..5, 15)) {
            let mut whole = Counters::default();
            for kind in &kinds {
                whole.merge(&minute(*kind));
            }
            let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
            prop_assert_eq!(is_mixed(&whole, 90, CADENCE), !alike, "{:?}", whole);
        }
    }

    #[test]
    fn a_late_answer_is_an_answer_and_a_refusal_neither_that_nor_an_outage() {
        let of = |counters| State::of(&counters);
        assert_eq!(of(Counters { late: 1, lost: 5, ..Counters::default() }), State::Answered);
        assert_eq!(of(Counters { refused: 1, lost: 5, ..Counters::default() }), State::Refused);
        assert_eq!(of(Counters { lost: 1, skipped: 5, ..Counters::default() }), State::Unanswered);
        assert_eq!(of(Counters { dns_failed: 6, ..Counters::default() }), State::NotMeasuring);
    }

    #[test]
    fn losses_that_cannot_fill_a_minute_are_not_looked_at_closer() {
        let of = |lost, cadence: u64| {
            let counters = Counters { scheduled: 90, answered: 90 - lost, lost, ..Counters::default() };
            is_mixed(&counters, 90, Duration::from_secs(cadence))
        };
        assert_eq!([of(5, 10), of(6, 10), of(2, 60), of(3, 60)], [false, true, false, true]);
    }
}
