//! Loss, with its Wilson interval (rules, §1 and §10).

use peerlight_proto::measurement::Counters;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::sync::LazyLock;

/// The standard normal quantile of 97.5 %.
static Z: LazyLock<f64> = LazyLock::new(|| Normal::standard().inverse_cdf(0.975));

/// The share of probes that the network lost, `(late + retransmitted + lost) / (answered + late + retransmitted + lost)`,
/// with its Wilson interval of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Loss {
    /// The share, from 0 to 1.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// Why a row has no loss although probes were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoLoss {
    /// Its targets never answer ICMP while TCP works there.
    IcmpSilent,
}

/// The loss of these probes; none if none of them could be lost.
pub(super) fn loss(counters: &Counters) -> Option<Loss> {
    let lost = counters.network_lost();
    wilson(lost, counters.answered.saturating_add(lost))
}

/// The share `hits / of` with its Wilson interval.
#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
pub(super) fn wilson(hits: u64, of: u64) -> Option<Loss> {
    if of == 0 {
        return None;
    }
    let (hits, n) = (hits.min(of) as f64, of as f64);
    let (z, value) = (*Z, hits / n);
    let z2 = z * z;
    let centre = (value + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (value * (1.0 - value) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding must not push a bound past the value or out of range.
    let low = if hits == 0.0 { 0.0 } else { (centre - half).clamp(0.0, value) };
    let high = if hits >= n { 1.0 } else { (centre + half).clamp(value, 1.0) };
    Some(Loss { value: rounded(value), low: rounded(low), high: rounded(high) })
}

/// To a millionth: more digits than any number of probes supports. Monotone, so bounds stay bounds.
fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wilson_bounds_contain_the_value(of in 1_u64..10_000_000, permille in 0_u64..=1_000) {
            let hits = of * permille / 1_000;
            let loss = wilson(hits, of).unwrap();
            prop_assert!(0.0 <= loss.low && loss.low <= loss.value, "{loss:?}");
            prop_assert!(loss.value <= loss.high && loss.high <= 1.0, "{loss:?}");
        }

        #[test]
        fn more_probes_narrow_the_interval(of in 10_u64..10_000, hits in 0_u64..10) {
            let (few, many) = (wilson(hits, of).unwrap(), wilson(100 * hits, 100 * of).unwrap());
            prop_assert!(many.high - many.low < few.high - few.low);
        }
    }

    #[test]
    fn a_textbook_interval() {
        // Newcombe 1998, method 3: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
        let close = |a: f64, b: f64| (a - b).abs() < 5e-5;
        let loss = wilson(81, 263).unwrap();
        assert!(close(loss.low, 0.2553) && close(loss.high, 0.3662), "{loss:?}");
        let none = wilson(0, 20).unwrap();
        assert!(none.low == 0.0 && close(none.high, 0.1611), "{none:?}");
    }

    #[test]
    fn a_refused_probe_is_not_lost_and_nothing_sent_has_no_loss() {
        let counters =
            Counters { answered: 6, refused: 5, late: 1, lost: 1, retransmitted: 2, ..Counters::default() };
        assert_eq!(loss(&counters).map(|loss| loss.value), Some(0.4));
        assert_eq!(loss(&Counters { refused: 5, ..Counters::default() }), None);
    }
}
