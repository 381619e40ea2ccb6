//! Intervals of percentiles by binomial order statistics (rules, §10): no assumption about the distribution, widened to
//! the edges of buckets. They speak of this sample only, because probes that follow one another are correlated.

use super::milliseconds::ms;
use peerlight_proto::histogram::{Histogram, bucket_of, lowest_of};
use serde::{Deserialize, Serialize};

/// The chance that either bound fails.
const TAIL: f64 = 0.025;
/// The standard normal quantile of `1 - TAIL`.
const NORMAL: f64 = 1.959_963_985;
/// From here on the normal approximation, widened by a rank at either end, stands for the exact sums.
const EXACT_UP_TO: u64 = 1_000_000;
/// Terms this small beside the largest do not move a sum of 64-bit floats.
const NEGLIGIBLE: f64 = 1e-20;

/// Bounds of a percentile, in milliseconds. A bound is null where the sample is too small to have one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bounds {
    /// The percentile is not below this.
    pub low: Option<f64>,
    /// The percentile is not above this.
    pub high: Option<f64>,
}

/// Bounds of 95 % for the median and the 95th percentile, within this sample: probes are autocorrelated.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LatencyBounds {
    /// Of the median; null where the median is.
    pub p50: Option<Bounds>,
    /// Of the 95th percentile; null where that is.
    pub p95: Option<Bounds>,
}

/// The bounds of a percentile of `histogram`, `permille` in 1..1000.
pub(super) fn bounds(histogram: &Histogram, permille: u32) -> Bounds {
    let (low, high) = ranks(histogram.count(), permille);
    let low = low.and_then(|rank| histogram.value_at_rank(rank)).map(|value| {
        // The lower edge of the bucket, and never below what was seen.
        lowest_of(bucket_of(value)).max(histogram.min_us().unwrap_or(0))
    });
    let high = high.and_then(|rank| histogram.value_at_rank(rank));
    Bounds { low: low.map(ms), high: high.map(ms) }
}

/// The ranks (from 1) between which the percentile lies in at least 95 % of samples of `count` values.
pub(super) fn ranks(count: u64, permille: u32) -> (Option<u64>, Option<u64>) {
    let p = f64::from(permille) / 1_000.0;
    if count == 0 || p <= 0.0 || p >= 1.0 {
        return (None, None);
    }
    let (low, high) = if count <= EXACT_UP_TO { exact(count, p) } else { normal(count, p) };
    ((low >= 1).then_some(low), (high <= count).then_some(high))
}

/// How many of `count` values lie below the percentile is binomial: the tails are summed outwards-in over its weights,
/// relative to the mode's, so that nothing overflows.
#[expect(clippy::cast_precision_loss, reason = "counts of at most EXACT_UP_TO")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the mode lies in 0..=count")]
fn exact(count: u64, p: f64) -> (u64, u64) {
    let odds = p / (1.0 - p);
    let mode = (((count + 1) as f64) * p) as u64;
    let mode = mode.min(count);
    let mut below = Vec::new();
    let (mut k, mut weight) = (mode, 1.0);
    while k > 0 && weight > NEGLIGIBLE {
        weight *= k as f64 / ((count - k + 1) as f64 * odds);
        k -= 1;
        below.push(weight);
    }
    let first = k;
    let mut weights: Vec<f64> = below.into_iter().rev().collect();
    weights.push(1.0);
    (k, weight) = (mode, 1.0);
    while k < count && weight > NEGLIGIBLE {
        weight *= (count - k) as f64 * odds / (k + 1) as f64;
        k += 1;
        weights.push(weight);
    }
    let tail = TAIL * weights.iter().sum::<f64>();
    let within = |weights: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        weights
            .take_while(|&&weight| {
                sum += weight;
                sum <= tail
            })
            .count() as u64
    };
    let low = first + within(&mut weights.iter());
    let high = k + 1 - within(&mut weights.iter().rev());
    (low, high)
}

#[expect(clippy::cast_precision_loss, reason = "a rank among more than 2^53 values is not asked for")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at zero")]
fn normal(count: u64, p: f64) -> (u64, u64) {
    let mean = count as f64 * p;
    let half = NORMAL * (mean * (1.0 - p)).sqrt();
    ((mean - half - 1.0).max(0.0) as u64, (mean + half + 2.0) as u64)
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// P(B <= k) of a binomial, from logarithms of factorials: another way than the one under test.
    fn cumulative(n: u64, p: f64, k: i64) -> f64 {
        let ln_factorial = |n: u64| (1..=n).map(|i| (i as f64).ln()).sum::<f64>();
        (0..=k.max(-1))
            .map(i64::cast_unsigned)
            .map(|k| {
                (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
                    + k as f64 * p.ln()
                    + (n - k) as f64 * (1.0 - p).ln())
                .exp()
            })
            .sum()
    }

    proptest! {
        #[test]
        fn ranks_cover_the_percentile_and_are_the_narrowest_that_do(n in 1_u64..250, permille in 1_u32..1000) {
            let p = f64::from(permille) / 1_000.0;
            let (low, high) = ranks(n, permille);
            let below = |rank: u64| cumulative(n, p, rank.cast_signed() - 1);
            let low_rank = low.unwrap_or(0);
            prop_assert!(low_rank == 0 || below(low_rank) <= TAIL + 1e-9);
            prop_assert!(below(low_rank + 1) > TAIL - 1e-9);
            let high_rank = high.unwrap_or(n + 1);
            prop_assert!(high_rank == n + 1 || 1.0 - below(high_rank) <= TAIL + 1e-9);
            prop_assert!(1.0 - below(high_rank - 1) > TAIL - 1e-9);
        }

        #[test]
        fn bounds_contain_the_percentile(values in prop::collection::vec(1_u64..200_000, 20..400)) {
            let histogram = Histogram::from_values(values);
            for permille in [500, 950] {
                let value = histogram.percentile(permille).map(ms).unwrap();
                let bounds = bounds(&histogram, permille);
                prop_assert!(bounds.low.is_none_or(|low| low <= value), "{bounds:?} {value}");
                prop_assert!(bounds.high.is_none_or(|high| value <= high), "{bounds:?} {value}");
            }
        }
    }

    #[test]
    fn textbook_ranks_of_the_median() {
        // Conover, Practical Nonparametric Statistics: n = 20 gives the 6th and the 15th value.
        assert_eq!(ranks(20, 500), (Some(6), Some(15)));
        // Of 20 values none can bound the 95th percentile from above; 72 are the first that can.
        assert_eq!(ranks(20, 950).1, None);
        assert_eq!((ranks(71, 950).1, ranks(72, 950).1), (None, Some(72)));
        assert_eq!(ranks(0, 500), (None, None));
    }

    #[test]
    fn exact_and_normal_ranks_agree_where_they_meet() {
        for permille in [500, 950] {
            let p = f64::from(permille) / 1_000.0;
            let (exact, normal) = (exact(EXACT_UP_TO, p), normal(EXACT_UP_TO, p));
            assert!(normal.0 <= exact.0 && exact.0 - normal.0 <= 3, "{exact:?} {normal:?}");
            assert!(normal.1 >= exact.1 && normal.1 - exact.1 <= 3, "{exact:?} {normal:?}");
        }
    }
}
