//! Scales: from values to places, with ticks at round values.

use jiff::tz::TimeZone;
use peerlight_proto::time::Timestamp;

/// From this ratio of the largest to the smallest value on, a linear axis would flatten what is small.
const LOG_FROM: f64 = 20.0;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The distances at which a time axis may have its ticks, in seconds.
const TIME_STEPS: [i64; 18] = [
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    30 * DAY,
    90 * DAY,
    365 * DAY,
];
/// The most ticks of a time axis.
const TIME_TICKS: i64 = 6;

/// The axis of latencies, shared by every chart of a page so that they can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// From zero to a round value.
    Linear {
        /// The round value.
        top: f64,
        /// The distance of ticks.
        step: f64,
    },
    /// Between two values of 1, 2 or 5 times a power of ten.
    Log {
        /// The lower.
        low: f64,
        /// The upper.
        high: f64,
    },
}

impl Scale {
    /// The scale that shows all of `values`: linear from zero unless they lie orders of magnitude apart.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if most <= 0.0 {
            return Self::Linear { top: 1.0, step: 0.5 };
        }
        if most / least > LOG_FROM {
            return Self::Log { low: round_below(least), high: round_above(most) };
        }
        let step = round_above(most / 5.0);
        Self::Linear { top: (most / step).ceil() * step, step }
    }

    /// The logarithmic scale between two values, a little wider than they lie apart; of 1 to 10 where there are none.
    pub(crate) fn log(range: Option<(f64, f64)>) -> Self {
        let (low, high) = range.unwrap_or((1.0, 10.0));
        Self::Log { low: low * 0.97, high: (high * 1.03).max(low * 1.2) }
    }

    /// Where a value lies, from 0 at the bottom to 1 at the top.
    pub(crate) fn share(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { top, .. } => value / top,
            Self::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The values that are marked.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { top, step } => {
                let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + step));
                ticks.take_while(|tick| *tick <= top + step / 2.0).collect()
            }
            Self::Log { low, high } => {
                let ticks: Vec<f64> = std::iter::successors(Some(low), |tick| Some(round_above(tick * 1.1)))
                    .take_while(|tick| *tick <= high * 1.001)
                    .collect();
                // Over more than two decades only the powers of ten have room.
                let powers = high / low > 100.0;
                ticks
                    .into_iter()
                    .filter(|tick| !powers || (tick.log10() - tick.log10().round()).abs() < 1e-6)
                    .collect()
            }
        }
    }

    /// How the axis is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Linear { .. } => "ms",
            Self::Log { .. } => "ms, log",
        }
    }
}

/// The marked values of a logarithmic scale with any ends: as many as are read with ease.
pub(crate) fn log_ticks(scale: Scale) -> Vec<f64> {
    let Scale::Log { low, high } = scale else { return scale.ticks() };
    let factors: &[f64] = match high / low {
        ratio if ratio < 3.0 => &[1.0, 1.2, 1.5, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0],
        ratio if ratio < 8.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        ratio if ratio < 200.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let first = 10.0_f64.powf(low.log10().floor());
    std::iter::successors(Some(first), |power| Some(power * 10.0))
        .take_while(|power| *power <= high)
        .flat_map(|power| factors.iter().map(move |factor| power * factor))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

/// The largest of 1, 2 or 5 times a power of ten that is not above `value`.
fn round_below(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round <= value * 1.000_001)
        .unwrap_or(power)
}

/// The smallest of 1, 2 or 5 times a power of ten that is not below `value`.
pub(crate) fn round_above(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value / 1.000_001)
        .unwrap_or(10.0 * power)
}

/// The marked instants between `from` and `to`, with what is written at them in UTC.
pub(crate) fn time_ticks(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, String)> {
    let span = to.as_secs().saturating_sub(from.as_secs());
    let step = TIME_STEPS.into_iter().find(|step| span / step < TIME_TICKS).unwrap_or(5 * 365 * DAY);
    let first = from.as_secs().div_euclid(step).saturating_add(1).saturating_mul(step);
    std::iter::successors(Some(first), |tick| tick.checked_add(step))
        .take_while(|tick| Timestamp::from_secs(*tick) < to)
        .map(|tick| (Timestamp::from_secs(tick), label(tick, step)))
        .collect()
}

fn label(seconds: i64, step: i64) -> String {
    let dated = step >= DAY || seconds.rem_euclid(DAY) == 0;
    clock(Timestamp::from_secs(seconds), if dated { "%-d %b" } else { "%H:%M" })
}

/// An instant in UTC by a pattern of `strftime`.
pub(crate) fn clock(instant: Timestamp, pattern: &str) -> String {
    jiff::Timestamp::from_microsecond(instant.as_micros())
        .map(|stamp| stamp.to_zoned(TimeZone::UTC).strftime(pattern).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_value_lies_within_few_round_ticks(values in prop::collection::vec(0.01..50_000.0_f64, 1..40)) {
            let scale = Scale::of(values.iter().copied());
            let ticks = scale.ticks();
            prop_assert!((2..=8).contains(&ticks.len()), "{scale:?} {ticks:?}");
            for value in values {
                let near = scale.share(value * 0.99);
                prop_assert!((0.0..=1.0).contains(&scale.share(value)) && near <= scale.share(value));
            }
        }
    }

    proptest! {
        #[test]
        fn a_logarithmic_axis_has_a_few_ticks_within_its_ends(low in 0.001..1_000.0_f64, ratio in 1.0..60_000.0_f64) {
            let scale = Scale::log(Some((low, low * ratio)));
            let ticks = log_ticks(scale);
            prop_assert!((1..=12).contains(&ticks.len()), "{scale:?} {ticks:?}");
            prop_assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&scale.share(*tick))));
        }
    }

    #[test]
    fn values_of_one_magnitude_start_at_zero_and_those_of_many_do_not() {
        assert_eq!(Scale::of([8.0, 41.0].into_iter()).ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(Scale::of([3.0, 180.0].into_iter()).ticks(), [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        assert_eq!(Scale::of(std::iter::empty()).ticks(), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn time_is_marked_at_round_instants_and_midnight_by_its_date() {
        let labels = |from, to| {
            time_ticks(Timestamp::from_secs(from), Timestamp::from_secs(to))
                .into_iter()
                .map(|(_, label)| label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(30, HOUR), ["00:10", "00:20", "00:30", "00:40", "00:50"]);
        assert_eq!(labels(18 * HOUR, DAY + 18 * HOUR), ["2 Jan", "06:00", "12:00"]);
        assert_eq!(labels(0, 7 * DAY).len(), 3);
    }
}
