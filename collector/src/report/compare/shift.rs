//! The shift between two providers from one difference for each day: Hodges and Lehmann's estimate with the exact interval
//! of the signed-rank test (rules, §10). Days are the unit, because probes that follow one another are correlated and
//! days hardly are. Nothing is assumed of a day's difference but that it falls to either side of the truth alike.

use serde::{Deserialize, Serialize};

/// The fewest days that have an interval of 95 %: five have 2^5 patterns of signs, and 2 of 32 are more than 5 %.
pub const FEWEST_DAYS: usize = 6;
/// The chance that either bound fails, at most.
const TAIL: f64 = 0.025;

/// A difference in milliseconds, one provider minus the other, with an interval of at least 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Shift {
    /// The estimate: the median of all means of two days (Hodges and Lehmann).
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// The chance with which the interval holds the truth; not below 0.95, above it where days are few.
    pub confidence: f64,
}

/// The shift of these days' differences; none of fewer than [`FEWEST_DAYS`].
pub fn shift(differences: &[f64]) -> Option<Shift> {
    if differences.len() < FEWEST_DAYS {
        return None;
    }
    let mut means = walsh(differences);
    means.sort_by(f64::total_cmp);
    let (rank, confidence) = rank(differences.len());
    let (low, high) = (*means.get(rank)?, *means.get(means.len().checked_sub(1 + rank)?)?);
    Some(Shift { value: middle(&means)?, low, high, confidence })
}

/// The median; of an even number the mean of the two in the middle.
pub(in crate::report) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    middle(values)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted.get(half - 1)? + upper) / 2.0) }
}

/// The means of all pairs of values, each with itself included.
fn walsh(values: &[f64]) -> Vec<f64> {
    let pairs = |(at, one): (usize, &f64)| {
        let one = *one;
        values.iter().take(at + 1).map(move |other| (one + other) / 2.0)
    };
    values.iter().enumerate().flat_map(pairs).collect()
}

/// How many of the sorted means lie outside at either end, and the confidence that leaves.
///
/// Under the truth each day's sign is a toss of a coin, so the sum of the ranks with a plus has the distribution that adding
/// 1, 2, … n with a chance of a half each has. It is counted, not approximated: no library has it.
fn rank(days: usize) -> (usize, f64) {
    let mut chances = vec![0.0; days * (days + 1) / 2 + 1];
    chances[0] = 1.0;
    let mut greatest = 0;
    for rank in 1..=days {
        greatest += rank;
        for sum in (0..=greatest).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = f64::midpoint(chances[sum], with);
        }
    }
    // An interval that leaves out so many means at an end fails there where the sum is at most that.
    let (mut outside, mut tail) = (0, chances[0]);
    while let Some(chance) = chances.get(outside + 1).filter(|chance| tail + **chance <= TAIL) {
        tail += chance;
        outside += 1;
    }
    (outside, 1.0 - 2.0 * tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn days() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1_000_000_i32..1_000_000, FEWEST_DAYS..40)
            .prop_map(|us| us.into_iter().map(|us| f64::from(us) / 1_000.0).collect())
    }

    proptest! {
        #[test]
        fn one_against_the_other_mirrors_the_other_against_one(days in days()) {
            let mirrored: Vec<f64> = days.iter().map(|day| -day).collect();
            let (shift, mirrored) = (shift(&days).unwrap(), shift(&mirrored).unwrap());
            let expected = Shift { value: -shift.value, low: -shift.high, high: -shift.low, ..shift };
            prop_assert_eq!(mirrored, expected);
        }

        #[test]
        fn what_all_days_take_longer_is_added_to_everything(days in days(), more in -500_i32..500) {
            let more = f64::from(more);
            let later: Vec<f64> = days.iter().map(|day| day + more).collect();
            let (shift, later) = (shift(&days).unwrap(), shift(&later).unwrap());
            for (before, after) in [(shift.value, later.value), (shift.low, later.low), (shift.high, later.high)] {
                prop_assert!((before + more - after).abs() < 1e-9, "{before} {after}");
            }
        }

        #[test]
        fn the_order_of_days_does_not_matter_and_the_estimate_lies_within(mut days in days()) {
            let before = shift(&days).unwrap();
            days.reverse();
            prop_assert_eq!(shift(&days).unwrap(), before);
            prop_assert!(before.low <= before.value && before.value <= before.high && before.confidence >= 0.95);
        }

        #[test]
        fn one_day_however_bad_moves_the_estimate_no_further_than_its_neighbours(mut days in days(), at in 0_usize..6) {
            days[at] = 60_000.0;
            let worst = days.iter().copied().filter(|day| *day < 60_000.0).fold(f64::MIN, f64::max);
            prop_assert!(shift(&days).unwrap().value <= worst);
        }
    }

    #[test]
    fn five_days_have_no_interval_and_six_span_from_the_least_to_the_greatest() {
        let days = [3.0, -1.0, 4.0, 1.0, 5.0, 9.0];
        assert_eq!(shift(&days[..5]), None);
        let found = shift(&days).unwrap();
        assert_eq!((found.low, found.high, found.confidence), (-1.0, 9.0, 1.0 - 2.0 / 64.0));
    }

    #[test]
    fn the_ranks_are_those_of_the_tables() {
        // Hollander and Wolfe, Nonparametric Statistical Methods, table A.4: of 10 days P(T+ <= 8) = 0.024, P(T+ <= 9) = 0.032.
        let (outside, confidence) = rank(10);
        assert_eq!(outside, 8);
        assert!((confidence - (1.0 - 2.0 * 25.0 / 1_024.0)).abs() < 1e-12, "{confidence}");
        assert_eq!(rank(7).0, 2);
        assert_eq!(rank(20).0, 52);
    }
}
