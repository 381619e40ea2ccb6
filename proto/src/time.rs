//! Instants in UTC and the aligned intervals that measurements cover.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An instant: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `seconds` seconds after the epoch; far-away values saturate.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This minus `other` in microseconds, of either sign.
    pub const fn micros_after(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// `span` later; saturates at the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// `span` earlier; saturates at the beginning of time.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// A length in seconds that no interval may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interval of {0} s does not divide 15 minutes; choose 1, 2, 5, 10, 15, 30 or 60 s")]
pub struct UnalignedInterval(pub u32);

/// How long an interval is: a divisor of 15 minutes, so that intervals never cross the edge of a rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntervalLength(u32);

impl IntervalLength {
    /// One minute, what agents use unless told otherwise.
    pub const MINUTE: Self = Self(60);
    /// The first rollup.
    pub const QUARTER_HOUR: Self = Self(900);
    /// The second rollup: a UTC day.
    pub const DAY: Self = Self(86_400);

    /// The length of `seconds`, if that divides 15 minutes.
    pub const fn from_secs(seconds: u32) -> Result<Self, UnalignedInterval> {
        if seconds > 0 && Self::QUARTER_HOUR.0.is_multiple_of(seconds) {
            Ok(Self(seconds))
        } else {
            Err(UnalignedInterval(seconds))
        }
    }

    /// In seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// The aligned time span that one measurement covers: its start is a multiple of its length since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    start_secs: i64,
    length: IntervalLength,
}

impl Interval {
    /// The interval of `length` that `instant` lies in.
    pub const fn containing(instant: Timestamp, length: IntervalLength) -> Self {
        let seconds = instant.as_secs();
        Self { start_secs: seconds - seconds.rem_euclid(length.0 as i64), length }
    }

    /// The interval that starts at `start_secs`, if that is aligned to `length`.
    pub const fn starting(start_secs: i64, length: IntervalLength) -> Option<Self> {
        if start_secs.rem_euclid(length.0 as i64) == 0 { Some(Self { start_secs, length }) } else { None }
    }

    /// Its first instant.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_secs(self.start_secs)
    }

    /// The first instant after it.
    pub const fn end(self) -> Timestamp {
        Timestamp::from_secs(self.start_secs.saturating_add(self.length.0 as i64))
    }

    /// How long it is.
    pub const fn length(self) -> IntervalLength {
        self.length
    }

    /// Whether `instant` lies in it; its end does not.
    pub fn contains(self, instant: Timestamp) -> bool {
        self.start() <= instant && instant < self.end()
    }

    /// The interval right after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { start_secs: self.start_secs.saturating_add(self.length.0 as i64), length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_aligned_and_half_open_before_and_after_the_epoch() {
        let ten = IntervalLength::from_secs(10).unwrap();
        let interval = Interval::containing(Timestamp::from_micros(-1), ten);
        assert_eq!((interval.start().as_secs(), interval.end().as_secs()), (-10, 0));
        assert!(interval.contains(Timestamp::from_micros(-1)) && !interval.contains(Timestamp::from_secs(0)));
        assert_eq!(Interval::containing(Timestamp::from_secs(0), ten), interval.next());
    }

    #[test]
    fn only_divisors_of_a_quarter_hour_are_lengths() {
        assert_eq!(IntervalLength::from_secs(0), Err(UnalignedInterval(0)));
        assert_eq!(IntervalLength::from_secs(7), Err(UnalignedInterval(7)));
        assert!([1, 2, 5, 10, 15, 30, 60, 300, 900].iter().all(|&s| IntervalLength::from_secs(s).is_ok()));
    }

    #[test]
    fn a_clock_that_goes_back_never_gives_a_negative_span() {
        assert_eq!(Timestamp::from_secs(1).since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
