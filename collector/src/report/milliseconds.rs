//! Times as reports show them.

use peerlight_proto::histogram::Histogram;

/// Microseconds in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "values are at most 60 s in microseconds")]
pub(super) fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// The exact mean, rounded to a nanosecond, which no clock here resolves.
pub(super) fn mean_ms(histogram: &Histogram) -> Option<f64> {
    histogram.mean_us().map(|us| (us * 1e3).round() / 1e6)
}

/// Milliseconds without what arithmetic left beyond a nanosecond.
pub(super) fn rounded_ms(ms: f64) -> f64 {
    // No zero has a sign.
    (ms * 1e6).round() / 1e6 + 0.0
}
