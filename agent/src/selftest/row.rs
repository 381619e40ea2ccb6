//! Rows: what the probes of one kind over one family came to. Pure.

use crate::sample::{Outcome, Sample};
use peerlight_proto::{
    histogram::{Histogram, micros},
    measurement::{Counters, Ending},
    metric::Metric,
    series::{Clock, Family},
};
use std::{collections::BTreeMap, time::Duration};

/// What the probes of one kind over one family came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) metric: Metric,
    pub(super) family: Family,
    /// How the probes ended.
    pub(super) counters: Counters,
    /// The times of those that were answered, less what the reflector took: none can be further off than that.
    pub(super) error: Histogram,
    /// What this process's clock says beyond the kernel's.
    pub(super) noise: Histogram,
    /// How long after its turn each probe was begun.
    pub(super) gap: Histogram,
    /// What went wrong, with how often.
    pub(super) faults: BTreeMap<String, u64>,
    clocks: BTreeMap<&'static str, (Clock, u64)>,
}

impl Row {
    pub(super) fn new(metric: Metric, family: Family) -> Self {
        Self {
            metric,
            family,
            counters: Counters::default(),
            error: Histogram::default(),
            noise: Histogram::default(),
            gap: Histogram::default(),
            faults: BTreeMap::new(),
            clocks: BTreeMap::new(),
        }
    }

    /// Counts one probe that was begun `gap` after its turn, and whose packet the reflector `held` for so long.
    pub(super) fn count(&mut self, sample: &Sample, gap: Duration, held: Duration) {
        self.gap.record(micros(gap));
        for reading in sample.readings.iter().filter(|reading| reading.metric == self.metric) {
            match reading.outcome {
                Outcome::Answered { latency, user_latency } => {
                    self.counters.count(Ending::Answered);
                    self.error.record(micros(latency.saturating_sub(held)));
                    if reading.clock != Clock::User {
                        self.noise.record(micros(user_latency.saturating_sub(latency)));
                    }
                    self.clocks.entry(reading.clock.as_str()).or_insert((reading.clock, 0)).1 += 1;
                }
                Outcome::Failed(ending) => self.counters.count(ending),
            }
        }
        for (_, fault) in sample.attributes.iter().filter(|(kind, _)| *kind == "error") {
            *self.faults.entry(fault.clone()).or_default() += 1;
        }
    }

    /// The clock of most answers; none if there was no answer.
    pub(super) fn clock(&self) -> Option<Clock> {
        self.clocks.values().max_by_key(|(_, count)| *count).map(|(clock, _)| *clock)
    }

    /// What went wrong most often.
    pub(super) fn worst_fault(&self) -> Option<&str> {
        self.faults.iter().max_by_key(|(_, count)| **count).map(|(fault, _)| fault.as_str())
    }

    /// As people call it.
    pub(super) fn name(&self) -> String {
        format!("{} over IP{}", self.metric.name(), self.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Reading;
    use peerlight_proto::series::Path;

    fn sample(clock: Clock, outcome: Outcome) -> Sample {
        let metric = Metric::UdpRtt;
        Sample {
            family: Family::V4,
            path: Path::Direct,
            address: None,
            readings: vec![Reading { metric, clock, outcome, http_version: None, handshake: None }],
            attributes: vec![],
        }
    }

    #[test]
    fn the_reflectors_time_is_not_this_machines_error() {
        let mut row = Row::new(Metric::UdpRtt, Family::V4);
        let us = Duration::from_micros;
        let answered = Outcome::Answered { latency: us(100), user_latency: us(130) };
        row.count(&sample(Clock::Kernel, answered), us(5), us(80));
        row.count(&sample(Clock::Kernel, Outcome::Failed(Ending::Lost)), us(7), us(0));
        assert_eq!((row.error.max_us(), row.noise.max_us(), row.gap.max_us()), (Some(20), Some(30), Some(7)));
        assert_eq!((row.counters.answered, row.counters.lost), (1, 1));
        assert_eq!(row.clock(), Some(Clock::Kernel));
    }

    #[test]
    fn the_clock_is_that_of_most_answers_and_ones_own_clock_has_no_noise() {
        let mut row = Row::new(Metric::UdpRtt, Family::V6);
        assert_eq!(row.clock(), None);
        let answered = Outcome::Answered { latency: Duration::ZERO, user_latency: Duration::from_micros(9) };
        for clock in [Clock::User, Clock::Kernel, Clock::User] {
            row.count(&sample(clock, answered), Duration::ZERO, Duration::ZERO);
        }
        assert_eq!((row.clock(), row.noise.count()), (Some(Clock::User), 1));
        assert_eq!(row.name(), "udp.rtt over IPv6");
    }
}
