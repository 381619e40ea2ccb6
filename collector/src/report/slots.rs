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

/// From this span on a course beside other figures has slots of days: rollups of days are a hundredth of those of quarter hours.
const DAYS_FROM: Duration = Duration::from_hours(14 * 24);

/// The length of slots of a course that stands beside other figures: at most so many, and days where the span is long.
pub(crate) fn brief_step_within(span: Duration, most: u64) -> Duration {
    days_over(span).unwrap_or_else(|| step_within(span, most))
}

/// A day, where the slots of a course over a span are days.
pub(crate) fn days_over(span: Duration) -> Option<Duration> {
    (span >= DAYS_FROM).then_some(LONGEST)
}

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
        let brief = |hours| brief_step_within(Duration::from_hours(hours), 60).as_secs() / 60;
        assert_eq!([1, 7 * 24, 14 * 24, 30 * 24].map(brief), [1, 180, 1_440, 1_440]);
    }
}
