//! How a span is cut into slots where nobody says.

use std::time::Duration;

/// The lengths that are chosen among.
pub(crate) const STEPS: [Duration; 8] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    LONGEST,
];
const LONGEST: Duration = Duration::from_hours(24);
/// The most slots of a course: more would be narrower than a line.
pub(crate) const MOST_SLOTS: u64 = 180;

/// The shortest length of slots of which a span has at most so many.
pub(crate) fn step_within(span: Duration, most: u64) -> Duration {
    STEPS.into_iter().find(|step| slots(span, *step) <= most).unwrap_or(LONGEST)
}

/// How many slots of a length a span takes.
pub(crate) fn slots(span: Duration, step: Duration) -> u64 {
    span.as_secs().div_ceil(step.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_short_as_their_number_lets_them() {
        let hours = |hours| step_within(Duration::from_hours(hours), 60).as_secs() / 60;
        assert_eq!([1, 6, 24, 7 * 24, 30 * 24].map(hours), [1, 15, 60, 180, 720]);
    }
}
