//! How late probes left this machine.

use crate::aggregate::ClosedInterval;
use peerlight_proto::{histogram::Histogram, metric::Metric};
use serde::{Deserialize, Serialize};

/// How late an interval's probes left this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// How many there were.
    pub probes: u64,
    /// The median, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile, in microseconds.
    pub p99_us: u64,
}

impl Noise {
    /// Above this 99th percentile the machine is called busy: a tenth of a second is more than most round trips.
    const BUSY_US: u64 = 100_000;

    /// Over all targets; none where nothing left.
    pub fn of(interval: &ClosedInterval) -> Option<Self> {
        let mut all = Histogram::default();
        let noise = interval.rows.iter().filter(|row| row.series.key.metric == Metric::AgentNoise);
        noise.for_each(|row| all.merge(&row.histogram));
        Some(Self { probes: all.count(), p50_us: all.percentile(500)?, p99_us: all.percentile(990)? })
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |micros: u64| super::table::millis(i64::try_from(micros).unwrap_or(i64::MAX));
        write!(
            f,
            "half of {} probes left within {} ms, 99 % within {} ms",
            self.probes,
            text(self.p50_us),
            text(self.p99_us)
        )?;
        if self.p99_us > Self::BUSY_US {
            f.write_str(": this machine is too busy to send in time")
        } else {
            Ok(())
        }
    }
}
