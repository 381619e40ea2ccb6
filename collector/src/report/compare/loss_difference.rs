//! The difference of two losses: Newcombe's interval, made of the Wilson intervals of both, and its weighted mean over
//! strata that must not be pooled (`MOVER`: each part's distance to its bound is added in squares).

use crate::report::loss::wilson;
use serde::{Deserialize, Serialize};

/// A difference of shares, one provider's loss minus the other's, with an interval of 95 % within this sample: losses come
/// in bursts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LossDifference {
    /// The difference, from -1 to 1.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// How many of how many probes the network lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Late, retransmitted and lost.
    pub lost: u64,
    /// These and the answered.
    pub of: u64,
}

impl Lost {
    /// Adds others.
    pub fn add(&mut self, more: Self) {
        self.lost = self.lost.saturating_add(more.lost);
        self.of = self.of.saturating_add(more.of);
    }
}

/// The difference of two losses (Newcombe 1998, method 10); none where either is of no probe.
pub fn difference(one: Lost, other: Lost) -> Option<LossDifference> {
    let (one, other) = (wilson(one.lost, one.of)?, wilson(other.lost, other.of)?);
    let value = one.value - other.value;
    let low = value - (one.value - one.low).hypot(other.high - other.value);
    let high = value + (one.high - one.value).hypot(other.value - other.low);
    Some(LossDifference { value, low, high })
}

/// The mean of differences by these weights; none if nothing weighs.
pub(super) fn mean(parts: &[(f64, LossDifference)]) -> Option<LossDifference> {
    let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let sum = |of: fn(&LossDifference) -> f64| {
        parts.iter().map(|(weight, part)| weight / total * of(part)).sum::<f64>()
    };
    let root = |of: fn(&LossDifference) -> f64| {
        parts.iter().map(|(weight, part)| (weight / total * of(part)).powi(2)).sum::<f64>().sqrt()
    };
    let value = sum(|part| part.value);
    let low = value - root(|part| part.value - part.low);
    let high = value + root(|part| part.high - part.value);
    Some(LossDifference { value: rounded(value), low: rounded(low), high: rounded(high) })
}

/// To a millionth: more digits than any number of probes supports. No zero has a sign.
fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost() -> impl Strategy<Value = Lost> {
        (1_u64..1_000_000, 0_u64..=1_000).prop_map(|(of, permille)| Lost { lost: of * permille / 1_000, of })
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-5
    }

    proptest! {
        #[test]
        fn one_against_the_other_mirrors_the_other_against_one(parts in prop::collection::vec((1_u32..100, lost(), lost()), 1..5)) {
            let of = |swap: bool| {
                let parts: Vec<_> = parts.iter().map(|(weight, one, other)| {
                    let (one, other) = if swap { (other, one) } else { (one, other) };
                    (f64::from(*weight), difference(*one, *other).unwrap())
                }).collect();
                mean(&parts).unwrap()
            };
            let (straight, mirrored) = (of(false), of(true));
            prop_assert_eq!(mirrored, LossDifference { value: -straight.value, low: -straight.high, high: -straight.low });
            prop_assert!(straight.low <= straight.value && straight.value <= straight.high);
            prop_assert!(-1.0 - 1e-6 <= straight.low && straight.high <= 1.0 + 1e-6, "{straight:?}");
        }
    }

    #[test]
    fn textbook_intervals() {
        // Newcombe 1998, table II, method 10: 56/70 - 48/80 gives 0.0524 to 0.3339; 9/10 - 3/10 gives 0.1705 to 0.8090.
        let found = difference(Lost { lost: 56, of: 70 }, Lost { lost: 48, of: 80 }).unwrap();
        assert!(close(found.low, 0.0524) && close(found.high, 0.3339), "{found:?}");
        let found = difference(Lost { lost: 9, of: 10 }, Lost { lost: 3, of: 10 }).unwrap();
        assert!(close(found.low, 0.1705) && close(found.high, 0.8090), "{found:?}");
    }

    #[test]
    fn the_mean_of_strata_is_not_the_pool() {
        // One loses less in either stratum, and more when both are pooled: nine tenths of its probes were in the lossy one.
        let of = |lost, of| Lost { lost, of };
        let parts = [
            (1.0, difference(of(90, 900), of(15, 100)).unwrap()),
            (1.0, difference(of(0, 100), of(9, 900)).unwrap()),
        ];
        let found = mean(&parts).unwrap();
        assert!(close(found.value, -0.03), "{found:?}");
        assert!(difference(of(90, 1_000), of(24, 1_000)).unwrap().low > 0.0);
    }

    #[test]
    fn nothing_that_could_be_lost_has_no_difference() {
        assert_eq!(difference(Lost::default(), Lost { lost: 1, of: 2 }), None);
        assert_eq!(mean(&[]), None);
    }
}
