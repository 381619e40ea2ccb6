//! How the times of both sides are distributed: cumulative shares over the matched cells of the days that count, so that one
//! curve holds the other's hours and targets. A lost probe was answered within no time, so a curve ends below 1.

use super::{cells::Sides, loss_difference::Lost};
use crate::report::series::bins;
use peerlight_proto::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// The cumulative distributions of both sides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Distribution {
    /// The provider's.
    pub provider: Vec<Share>,
    /// The other's.
    pub against: Vec<Share>,
}

/// A point of a cumulative distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Share {
    /// Within less than so many milliseconds,
    pub ms: f64,
    /// this share of the probes that were answered or lost had been answered, from 0 to 1.
    pub share: f64,
}

/// The curves of what was answered and lost; none where a side has no probe.
pub(super) fn distribution(times: &Sides<Histogram>, lost: Sides<Lost>) -> Option<Distribution> {
    let found = Distribution {
        provider: curve(&times.provider, lost.provider),
        against: curve(&times.against, lost.against),
    };
    (lost.provider.of > 0 && lost.against.of > 0).then_some(found)
}

fn curve(histogram: &Histogram, lost: Lost) -> Vec<Share> {
    let mut sum = 0_u64;
    let point = |bin: crate::report::series::Bin| {
        sum = sum.saturating_add(bin.count);
        Share { ms: bin.to_ms, share: share(sum, lost.of.max(1)) }
    };
    bins(histogram).into_iter().map(point).collect()
}

/// To a millionth: more digits than any number of probes supports.
#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_curve_rises_to_what_was_answered(values in prop::collection::vec(1_u64..60_000_000, 1..200), lost in 0_u64..50) {
            let count = values.len() as u64;
            let histogram = Histogram::from_values(values);
            let curve = curve(&histogram, Lost { lost, of: count + lost });
            prop_assert!(curve.windows(2).all(|pair| pair[0].ms < pair[1].ms && pair[0].share < pair[1].share));
            let end = curve.last().unwrap().share;
            prop_assert!((end - share(count, count + lost)).abs() < 1e-9, "{end}");
        }
    }

    #[test]
    fn a_side_without_a_probe_has_no_curve() {
        let times = Sides { provider: Histogram::from_values([9_000]), against: Histogram::default() };
        let of = |against| Sides {
            provider: Lost { lost: 0, of: 1 },
            against: Lost { lost: against, of: against },
        };
        assert_eq!(distribution(&times, of(0)), None);
        assert_eq!(distribution(&times, of(3)).unwrap().against, []);
    }
}
