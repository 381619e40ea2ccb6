//! What the probes of one run came to, in bounded memory however long it is. Pure.

mod jitter;

use crate::sample::{Outcome, Reading, Sample, Stray};
use jitter::Jitter;
use peerlight_proto::{
    histogram::{Histogram, micros},
    measurement::{Counters, Ending},
    metric::Metric,
    series::{Clock, Family, Path},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// How many different errors of a target are kept apart; the others count together.
const MAX_ERRORS: usize = 64;
const OTHER_ERRORS: &str = "other errors";

/// One line of the result: a subject, by its place in the plan, and what was measured of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) subject: usize,
    pub(super) family: Family,
    pub(super) metric: Metric,
    pub(super) clock: Clock,
}

impl Key {
    /// The line that a reading is counted in.
    pub(super) const fn of(subject: usize, family: Family, reading: &Reading) -> Self {
        Self { subject, family, metric: reading.metric, clock: reading.clock }
    }
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
    /// The same times by this process's own clock.
    pub(super) user_histogram: Histogram,
    /// Straight or through the proxy.
    pub(super) path: Option<Path>,
    jitter: Jitter,
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
            let Sample { family, address, path, .. } = *sample;
            let key = Key::of(subject, family, reading);
            let row = self.rows.entry(key).or_default();
            row.address = address.or(row.address);
            row.path = Some(path);
            match reading.outcome {
                Outcome::Answered { latency, user_latency } => {
                    row.counters.count(Ending::Answered);
                    row.histogram.record(micros(latency));
                    row.user_histogram.record(micros(user_latency));
                    row.jitter.record(turn, micros(latency));
                }
                Outcome::Failed(ending) => row.counters.count(ending),
            }
        }
        for (_, error) in sample.attributes.iter().filter(|(kind, _)| *kind == "error") {
            let errors = self.errors.entry((subject, sample.family)).or_default();
            let kept = errors.len() < MAX_ERRORS || errors.contains_key(error);
            let error = if kept { error.clone() } else { OTHER_ERRORS.to_owned() };
            *errors.entry(error).or_default() += 1;
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

    /// One line.
    pub(super) fn row(&self, key: &Key) -> Option<&Row> {
        self.rows.get(key)
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

    /// Whether any target answered: the whole of a probe, not a phase of it.
    pub(super) fn answered(&self) -> bool {
        self.rows.iter().any(|(key, row)| is_primary(key.metric) && row.counters.answered > 0)
    }
}

impl Row {
    /// The percentile in microseconds, unless there are too few values for it (rules, §3).
    pub(super) fn percentile(&self, permille: u32) -> Option<u64> {
        percentile(&self.histogram, permille)
    }

    /// The part of what was sent that the network lost; none if nothing says so (rules, §1).
    #[expect(clippy::cast_precision_loss, reason = "counts of one run stay far below 2^53")]
    pub(super) fn loss_ratio(&self) -> Option<f64> {
        let lost = self.counters.network_lost();
        let of = lost + self.counters.answered;
        (of > 0).then(|| lost as f64 / of as f64)
    }

    /// The mean of the differences between consecutive answered probes, in microseconds (RFC 3393).
    pub(super) fn jitter_us(&self) -> Option<f64> {
        self.jitter.mean_us()
    }
}

/// The percentile in microseconds, unless there are too few values for it (rules, §3).
pub(super) fn percentile(histogram: &Histogram, permille: u32) -> Option<u64> {
    histogram.percentile(permille).filter(|_| histogram.count() >= least_answers(permille))
}

/// How many answers a percentile needs (rules, §3).
pub(super) fn least_answers(permille: u32) -> u64 {
    match permille {
        ..=50 | 950..=989 => 20,
        51..950 => 10,
        990..=998 => 100,
        _ => 1_000,
    }
}

/// The reading that a target is judged by: that of the whole probe.
pub(super) fn primary(sample: &Sample) -> Option<&Reading> {
    sample.readings.iter().rfind(|reading| is_primary(reading.metric))
}

/// Whether a metric is the one that a target is judged by: the whole of the probe.
pub(super) fn is_primary(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::IcmpRtt | Metric::TcpConnect | Metric::HttpsTotal | Metric::DnsLookup | Metric::UdpRtt
    )
}

#[cfg(test)]
pub(in crate::oneshot) mod tests {
    use super::*;
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
