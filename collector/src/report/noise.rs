//! Noise: how late probes left their machines, beside what the same probes measured; tells a busy machine from a bad path.

use super::latency::of_answered;
use peerlight_proto::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// How late the probes of a group left their machines, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentNoise {
    /// The median; null below 10 probes.
    pub p50: Option<f64>,
    /// The 99th percentile; null below 100 probes.
    pub p99: Option<f64>,
}

impl AgentNoise {
    /// Machines that send this late are busy: a tenth of a second is more than most round trips.
    const BUSY_MS: f64 = 100.0;

    pub(super) fn of(noise: &Histogram) -> Option<Self> {
        let late = of_answered(noise);
        (!noise.is_empty()).then_some(Self { p50: late.p50, p99: late.p99 })
    }

    /// How late the slowest hundredth left, or half of them where they are few, if that means that machines were busy.
    pub fn busy(&self) -> Option<f64> {
        self.p99.or(self.p50).filter(|late| *late > Self::BUSY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_busy_by_the_slowest_hundredth_not_by_one_late_probe() {
        let noise = |late: usize, of: usize| {
            let values = (0..of).map(|number| if number < late { 400_000 } else { 300 });
            AgentNoise::of(&Histogram::from_values(values)).unwrap()
        };
        assert_eq!(noise(1, 1_000).busy(), None);
        assert!(noise(20, 1_000).busy().is_some_and(|late| late > 390.0));
        assert_eq!(noise(1, 20).busy(), None, "too few for a 99th percentile");
        assert!(noise(20, 20).busy().is_some());
        assert_eq!(AgentNoise::of(&Histogram::default()), None);
    }
}
