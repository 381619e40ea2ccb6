//! Latencies: percentiles of the answered probes, the same with losses counted as infinite, and jitter (rules, §3).

use super::{
    interval::{LatencyBounds, bounds},
    milliseconds::{mean_ms, ms},
};
use peerlight_proto::histogram::{Histogram, nearest_rank};
use serde::{Deserialize, Serialize};

/// The fewest values for the median and the 90th percentile.
const ENOUGH_FOR_P50: u64 = 10;
/// The fewest values for the 5th and 95th percentile.
const ENOUGH_FOR_P95: u64 = 20;
/// The fewest values for the 99th percentile.
const ENOUGH_FOR_P99: u64 = 100;
/// The fewest values for the 99.9th percentile.
const ENOUGH_FOR_P99_9: u64 = 1_000;

/// Times in milliseconds. Null where there are too few probes, or where the rank falls on a lost one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Latency {
    /// The exact smallest.
    pub min: Option<f64>,
    /// The 5th percentile; null below 20 probes.
    pub p5: Option<f64>,
    /// The median; null below 10 probes.
    pub p50: Option<f64>,
    /// The 90th percentile; null below 10 probes.
    pub p90: Option<f64>,
    /// The 95th percentile; null below 20 probes.
    pub p95: Option<f64>,
    /// The 99th percentile; null below 100 probes.
    pub p99: Option<f64>,
    /// The 99.9th percentile; null below 1,000 probes.
    pub p99_9: Option<f64>,
    /// The exact largest.
    pub max: Option<f64>,
    /// The exact mean.
    pub mean: Option<f64>,
}

/// Jitter in milliseconds: |x(i) - x(i-1)| of consecutive answered probes (RFC 3393).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Jitter {
    /// The median; null below 10 pairs of probes.
    pub p50: Option<f64>,
    /// The 95th percentile; null below 20 pairs of probes.
    pub p95: Option<f64>,
    /// The exact mean.
    pub mean: Option<f64>,
}

/// The times of the answered probes.
pub(super) fn of_answered(histogram: &Histogram) -> Latency {
    including_loss(histogram, 0)
}

/// The times of all probes that the network carried or lost, a lost one taking for ever.
pub(super) fn including_loss(histogram: &Histogram, lost: u64) -> Latency {
    let count = histogram.count().saturating_add(lost);
    let at = |permille, enough| {
        if count < enough {
            return None;
        }
        // A rank beyond the answered ones falls on a lost probe: there is no such value.
        histogram.value_at_rank(nearest_rank(count, permille)).map(ms)
    };
    let whole = (lost == 0).then_some(histogram);
    Latency {
        min: histogram.min_us().map(ms),
        p5: at(50, ENOUGH_FOR_P95),
        p50: at(500, ENOUGH_FOR_P50),
        p90: at(900, ENOUGH_FOR_P50),
        p95: at(950, ENOUGH_FOR_P95),
        p99: at(990, ENOUGH_FOR_P99),
        p99_9: at(999, ENOUGH_FOR_P99_9),
        max: whole.and_then(Histogram::max_us).map(ms),
        mean: whole.and_then(mean_ms),
    }
}

/// The intervals of the median and the 95th percentile of the answered probes.
pub(super) fn intervals(histogram: &Histogram) -> LatencyBounds {
    let of = |permille, enough| (histogram.count() >= enough).then(|| bounds(histogram, permille));
    LatencyBounds { p50: of(500, ENOUGH_FOR_P50), p95: of(950, ENOUGH_FOR_P95) }
}

/// What a histogram of differences says; none if there is no pair.
pub(super) fn jitter(histogram: &Histogram) -> Option<Jitter> {
    let Latency { p50, p95, mean, .. } = of_answered(histogram);
    (!histogram.is_empty()).then_some(Jitter { p50, p95, mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_proto::histogram::{bucket_of, width_of};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn percentiles_are_within_a_bucket_of_the_sorted_values(
            mut values in prop::collection::vec(1_u64..10_000_000, 1_000..1_500), lost in 0_u64..2_000,
        ) {
            let latency = including_loss(&Histogram::from_values(values.iter().copied()), lost);
            values.sort_unstable();
            let n = values.len() as u64 + lost;
            let named = [(50, latency.p5), (500, latency.p50), (900, latency.p90), (950, latency.p95), (990, latency.p99), (999, latency.p99_9)];
            for (permille, found) in named {
                let rank = usize::try_from((n * permille).div_ceil(1_000)).unwrap();
                let truth = values.get(rank - 1).copied();
                prop_assert_eq!(found.is_some(), truth.is_some(), "{} of {}", rank, n);
                if let (Some(found), Some(truth)) = (found, truth) {
                    prop_assert!(found >= ms(truth) && found < ms(truth + width_of(bucket_of(truth))));
                }
            }
            prop_assert_eq!(latency.mean.is_some(), lost == 0);
        }
    }

    #[test]
    fn nothing_is_invented_where_probes_are_too_few() {
        let shown = |n: u64| {
            let latency = of_answered(&Histogram::from_values(1..=n));
            [latency.min, latency.p50, latency.p95, latency.p99, latency.p99_9].map(|value| value.is_some())
        };
        assert_eq!(shown(0), [false; 5]);
        assert_eq!(shown(9), [true, false, false, false, false]);
        assert_eq!(shown(10), [true, true, false, false, false]);
        assert_eq!(shown(20), [true, true, true, false, false]);
        assert_eq!(shown(999), [true, true, true, true, false]);
        assert_eq!(shown(1_000), [true; 5]);
    }

    #[test]
    fn a_percentile_that_falls_on_a_lost_probe_has_no_value() {
        let latency = including_loss(&Histogram::from_values(vec![5_000; 90]), 10);
        assert_eq!((latency.p90, latency.p95), (Some(5.0), None));
        assert_eq!((latency.min, latency.max, latency.mean), (Some(5.0), None, None));
    }
}
