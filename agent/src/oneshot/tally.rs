//! What the probes of one run came to. Pure.

use crate::sample::{Outcome, Sample, Stray};
use peerlight_proto::{
    histogram::{Histogram, micros},
    measurement::{Counters, Ending},
    metric::Metric,
    series::{Clock, Family},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// One line of the result: a subject, by its place in the plan, and what was measured of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) subject: usize,
    pub(super) family: Family,
    pub(super) metric: Metric,
    pub(super) clock: Clock,
}

/// What a line says.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The address that was probed last.
    pub(super) address: Option<IpAddr>,
    /// How the probes ended.
    pub(super) counters: Counters,
    /// The times of those that were answered.
    pub(super) histogram: Histogram,
    /// The same by turn, for the jitter.
    by_turn: BTreeMap<u32, u64>,
}

/// All lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    rows: BTreeMap<Key, Row>,
    errors: BTreeMap<(usize, Family), BTreeMap<String, u64>>,
    strays: HashMap<bool, u64>,
}

impl Tally {
    /// Counts one sample.
    pub(super) fn count(&mut self, subject: usize, turn: u32, sample: &Sample) {
        for reading in &sample.readings {
            let Sample { family, address, .. } = *sample;
            let key = Key { subject, family, metric: reading.metric, clock: reading.clock };
            let row = self.rows.entry(key).or_default();
            row.address = address.or(row.address);
            match reading.outcome {
                Outcome::Answered { latency, .. } => {
                    row.counters.count(Ending::Answered);
                    row.histogram.record(micros(latency));
                    row.by_turn.insert(turn, micros(latency));
                }
                Outcome::Failed(ending) => row.counters.count(ending),
            }
        }
        for (_, error) in sample.attributes.iter().filter(|(kind, _)| *kind == "error") {
            let errors = self.errors.entry((subject, sample.family)).or_default();
            *errors.entry(error.clone()).or_default() += 1;
        }
    }

    /// Counts a stray.
    pub(super) fn stray(&mut self, stray: &Stray) {
        *self.strays.entry(stray.duplicate).or_default() += 1;
    }

    /// The lines in order, without those of which nothing was sent by design.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.rows.iter().filter(|(_, row)| row.counters.skipped < row.counters.scheduled)
    }

    /// What went wrong, with how often.
    pub(super) fn errors(&self) -> impl Iterator<Item = (usize, Family, &str, u64)> {
        self.errors.iter().flat_map(|(&(subject, family), errors)| {
            errors.iter().map(move |(error, &count)| (subject, family, error.as_str(), count))
        })
    }

    /// Second replies, and replies that no probe asked for.
    pub(super) fn strays(&self) -> (u64, u64) {
        let of = |duplicate| self.strays.get(&duplicate).copied().unwrap_or(0);
        (of(true), of(false))
    }

    /// Whether anything answered.
    pub(super) fn answered(&self) -> bool {
        self.rows.values().any(|row| row.counters.answered > 0)
    }
}

impl Row {
    /// The percentile in microseconds, unless there are too few values for it (rules, §3).
    pub(super) fn percentile(&self, permille: u32) -> Option<u64> {
        let least = match permille {
            ..=50 | 950..=989 => 20,
            51..950 => 10,
            990..=998 => 100,
            _ => 1_000,
        };
        self.histogram.percentile(permille).filter(|_| self.histogram.count() >= least)
    }

    /// The mean of the differences between consecutive answered probes, in microseconds (RFC 3393).
    #[expect(clippy::cast_precision_loss, reason = "microseconds and counts of one run stay far below 2^53")]
    pub(super) fn jitter_us(&self) -> Option<f64> {
        let pairs = self.by_turn.iter().zip(self.by_turn.iter().skip(1));
        let consecutive = pairs.filter(|((turn, _), (next, _))| *turn + 1 == **next);
        let (count, sum) = consecutive.fold((0_u64, 0_u64), |(count, sum), ((_, before), (_, after))| {
            (count + 1, sum + before.abs_diff(*after))
        });
        (count > 0).then(|| sum as f64 / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Reading;
    use peerlight_proto::series::Path;
    use std::time::Duration;

    pub(in crate::oneshot) fn sample(outcome: Outcome) -> Sample {
        Sample {
            family: Family::V4,
            path: Path::Direct,
            address: Some(IpAddr::from([192, 0, 2, 1])),
            readings: vec![Reading {
                metric: Metric::IcmpRtt,
                clock: Clock::Kernel,
                outcome,
                http_version: None,
                handshake: None,
            }],
            attributes: vec![],
        }
    }

    pub(in crate::oneshot) fn answered(us: u64) -> Sample {
        let latency = Duration::from_micros(us);
        sample(Outcome::Answered { latency, user_latency: latency })
    }

    #[test]
    fn jitter_is_of_consecutive_turns_whatever_order_they_come_in() {
        let mut tally = Tally::default();
        for (turn, us) in [(3, 500), (0, 100), (1, 130), (4, 510)] {
            tally.count(0, turn, &answered(us));
        }
        tally.count(0, 2, &sample(Outcome::Failed(Ending::Lost)));
        let (_, row) = tally.rows().next().unwrap();
        assert_eq!(row.jitter_us(), Some(20.0));
        assert_eq!((row.counters.answered, row.counters.lost), (4, 1));
    }

    #[test]
    fn percentiles_need_enough_values() {
        let mut row = Row::default();
        let known = |row: &Row| [500, 900, 950, 990].map(|permille| row.percentile(permille).is_some());
        for (values, expected) in [
            (9, [false; 4]),
            (10, [true, true, false, false]),
            (20, [true, true, true, false]),
            (100, [true; 4]),
        ] {
            row.histogram = Histogram::from_values(0..values);
            assert_eq!(known(&row), expected, "{values}");
        }
    }

    #[test]
    fn what_was_skipped_by_design_is_no_line() {
        let mut tally = Tally::default();
        tally.count(0, 0, &sample(Outcome::Failed(Ending::Skipped)));
        assert!(tally.rows().next().is_none() && !tally.answered());
    }
}
