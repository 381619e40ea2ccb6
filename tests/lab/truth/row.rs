//! Rows of the truth: probes counted up and their times ranked.

use super::{Flight, Place};
use peerlight_proto::{
    measurement::{Counters, Ending},
    metric::Metric,
};
use serde::Serialize;
use std::time::Duration;

/// One row of the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthRow {
    /// The site's provider.
    pub provider: String,
    /// The site's location.
    pub location: String,
    /// The target.
    pub target: String,
    /// The metric.
    pub metric: Metric,
    /// How many probes were answered.
    pub n: u64,
    /// Their median by nearest rank.
    pub p50_ms: Option<f64>,
    /// Their 95th percentile by nearest rank.
    pub p95_ms: Option<f64>,
    /// Which share was lost, answered late or answered only after the SYN was sent again.
    pub loss: Option<f64>,
    /// What an agent's counters must be, if it sent all that it had scheduled.
    #[serde(skip)]
    pub counters: Counters,
}

/// What became of the probes of a row.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counters: Counters,
    answered: Vec<Duration>,
}

impl Tally {
    pub(super) fn count(&mut self, flight: &Flight, timeout: Duration, deadline: Duration) {
        let ending = flight.ending(timeout, deadline);
        self.counters.count(ending);
        self.counters.duplicate += flight.copies;
        self.counters.foreign += flight.foreign;
        if let (Ending::Answered, Some(end)) = (ending, flight.end) {
            self.answered.push(end.after);
        }
    }

    pub(super) fn row(mut self, place: &Place, target: &str, metric: Metric) -> TruthRow {
        self.answered.sort_unstable();
        let failed = self.counters.network_lost();
        let all = failed + self.counters.answered;
        #[expect(clippy::cast_precision_loss, reason = "a lab's counts are far below 2^53")]
        let share = |part: u64, whole: u64| part as f64 / whole as f64;
        TruthRow {
            provider: place.provider.clone(),
            location: place.location.clone(),
            target: target.to_owned(),
            metric,
            n: self.counters.answered,
            p50_ms: self.percentile(50),
            p95_ms: self.percentile(95),
            loss: (all > 0).then(|| share(failed, all)),
            counters: self.counters,
        }
    }

    /// The nearest rank: the smallest value that at least `percent` of the values do not exceed.
    fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.answered.len() * percent).div_ceil(100);
        self.answered.get(rank.checked_sub(1)?).copied().map(millis)
    }
}

/// Milliseconds to the nearest microsecond, as a decimal of at most three places.
fn millis(took: Duration) -> f64 {
    let micros = (took.as_nanos() + 500) / 1_000;
    #[expect(clippy::cast_precision_loss, reason = "a probe's microseconds are far below 2^53")]
    let micros = micros as f64;
    micros / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_the_microsecond_without_noise() {
        let shown = |nanos| millis(Duration::from_nanos(nanos)).to_string();
        assert_eq!(shown(15_139_914), "15.14");
        assert_eq!(shown(15_139_400), "15.139");
        assert_eq!(shown(1_400), "0.001");
    }
}
