//! Points of Microsoft's network assessment: linear between the edges of its bands.

/// Milliseconds of TCP connect to Exchange Online, and their points.
const EXCHANGE: [(f64, f64); 6] =
    [(10.0, 100.0), (25.0, 80.0), (100.0, 60.0), (200.0, 40.0), (300.0, 20.0), (350.0, 0.0)];

/// The points for a median of TCP connects to Exchange Online, from 0 to 100, to a tenth.
pub fn exchange_points(ms: f64) -> f64 {
    let [first, .., last] = EXCHANGE;
    if ms <= first.0 {
        return first.1;
    }
    let band = EXCHANGE.windows(2).find_map(|band| match *band {
        [(from_ms, from), (to_ms, to)] if ms <= to_ms => {
            Some(from + (to - from) * (ms - from_ms) / (to_ms - from_ms))
        }
        _ => None,
    });
    (band.unwrap_or(last.1) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_points_come_out() {
        let published = [
            (0.0, 100.0),
            (10.0, 100.0),
            (25.0, 80.0),
            (100.0, 60.0),
            (200.0, 40.0),
            (300.0, 20.0),
            (350.0, 0.0),
            (900.0, 0.0),
        ];
        for (ms, points) in published {
            assert!((exchange_points(ms) - points).abs() < 1e-9, "{ms} ms");
        }
        assert!((exchange_points(17.5) - 90.0).abs() < 1e-9 && (exchange_points(325.0) - 10.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn slower_never_has_more_points(a in 0.0..1_000.0_f64, b in 0.0..1_000.0_f64) {
            let (fast, slow) = (a.min(b), a.max(b));
            prop_assert!(exchange_points(fast) >= exchange_points(slow));
            prop_assert!((0.0..=100.0).contains(&exchange_points(a)));
        }
    }
}
