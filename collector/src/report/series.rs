//! Series: distributions over time, slot by slot, as far as histograms tell times apart. Pure.
//!
//! A bin is a run of whole buckets of the histograms, so that nothing is guessed: what lies between two bins is counted in
//! neither. Percentiles are of the histograms themselves, as in every other report.

mod question;

pub use question::{MAX_CELLS, SeriesQuestion};

use super::{
    Asked, Evidence, Group, Groups, Latency, Loss, NoLoss, ReportRow, answer, histograms::histograms,
    milliseconds::ms,
};
use crate::rfc3339;
use peerlight_proto::{
    histogram::{Histogram, lowest_of, width_of},
    metric::Metric,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// How many buckets of the histogram one bin holds: a bin is at most 1/16 of its value wide.
const BUCKETS_IN_BIN: u16 = 8;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeriesReport {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The end of the newest interval that was measured of what was asked, within the span or not.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub measured_until: Option<Timestamp>,
    /// What was asked; `step_seconds` is the length of a slot.
    pub question: Asked,
    /// One for each group and metric.
    pub series: Vec<SeriesRow>,
}

/// One group and metric over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeriesRow {
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Which time of a probe.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// The slots in which anything was expected or measured, in order.
    pub slots: Vec<SeriesSlot>,
}

/// One slot of a series. Counts and figures are those of the report of latency with this step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeriesSlot {
    /// Its start.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub slot: Timestamp,
    /// Turns of schedules that were accounted for.
    pub scheduled: u64,
    /// `scheduled / expected`; null where nothing was expected.
    pub coverage: Option<f64>,
    /// Probes that left the machines.
    pub sent: u64,
    /// Answered in time: what the bins and latencies are of.
    pub answered: u64,
    /// Answered by RST, ICMP unreachable or a failed handshake: not a loss.
    pub refused: u64,
    /// Echo requests to targets that never answer ICMP at their site while TCP works there: no loss.
    #[serde(default)]
    pub icmp_silent: u64,
    /// The share that the network lost, null if nothing could be.
    pub loss: Option<Loss>,
    /// Why there is no loss although probes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_loss_because: Option<NoLoss>,
    /// Of the answered probes.
    pub latency_ms: Latency,
    /// With late, retransmitted and lost probes as infinitely slow; null where the rank falls on one.
    pub latency_incl_loss_ms: Latency,
    /// The distribution of the answered probes, in the order of times, without what is empty.
    pub bins: Vec<Bin>,
}

/// How many probes took how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bin {
    /// From this many milliseconds on.
    pub from_ms: f64,
    /// Up to this many, exclusively.
    pub to_ms: f64,
    /// So many probes.
    pub count: u64,
}

/// Answers the groups' question, which has a step, from what was found.
pub fn series(groups: &Groups, evidence: &Evidence<'_>, now: Timestamp) -> SeriesReport {
    let histograms = histograms(groups, evidence);
    let report = answer(groups, evidence, now);
    let mut series: Vec<SeriesRow> = Vec::new();
    for row in report.rows {
        let Some(slot) = row.slot else { continue };
        let histogram = histograms.get(&(row.group.clone(), row.metric, Some(slot)));
        let told = told(&row, slot, histogram);
        match series.last_mut().filter(|last| last.group == row.group && last.metric == row.metric) {
            Some(last) => last.slots.push(told),
            None => series.push(SeriesRow { group: row.group, metric: row.metric, slots: vec![told] }),
        }
    }
    SeriesReport {
        generated_at: report.generated_at,
        from: report.from,
        to: report.to,
        measured_until: report.measured_until,
        question: report.question,
        series,
    }
}

fn told(row: &ReportRow, slot: Timestamp, histogram: Option<&Histogram>) -> SeriesSlot {
    SeriesSlot {
        slot,
        scheduled: row.scheduled,
        coverage: row.coverage,
        sent: row.sent,
        answered: row.answered,
        refused: row.refused,
        icmp_silent: row.icmp_silent,
        loss: row.loss,
        no_loss_because: row.no_loss_because,
        latency_ms: row.latency_ms,
        latency_incl_loss_ms: row.latency_incl_loss_ms,
        bins: histogram.map(bins).unwrap_or_default(),
    }
}

/// Whole buckets put together.
pub(super) fn bins(histogram: &Histogram) -> Vec<Bin> {
    let mut bins: Vec<(u16, u64)> = Vec::new();
    for (bucket, count) in histogram.buckets() {
        let bin = bucket / BUCKETS_IN_BIN;
        match bins.last_mut().filter(|(last, _)| *last == bin) {
            Some((_, sum)) => *sum = sum.saturating_add(*count),
            None => bins.push((bin, *count)),
        }
    }
    let edges = |bin: u16| {
        let last = bin * BUCKETS_IN_BIN + BUCKETS_IN_BIN - 1;
        (ms(lowest_of(bin * BUCKETS_IN_BIN)), ms(lowest_of(last) + width_of(last)))
    };
    let bin = |(bin, count): (u16, u64)| {
        let (from_ms, to_ms) = edges(bin);
        Bin { from_ms, to_ms, count }
    };
    bins.into_iter().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::{
            Question,
            fixture::{self, Measured, registration, row},
        },
    };
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn bins_hold_every_value_once_between_their_edges(values in prop::collection::vec(0_u64..60_000_000, 1..300)) {
            let found = bins(&Histogram::from_values(values.iter().copied()));
            prop_assert_eq!(found.iter().map(|bin| bin.count).sum::<u64>(), values.len() as u64);
            prop_assert!(found.windows(2).all(|pair| pair[0].to_ms <= pair[1].from_ms));
            for bin in &found {
                let within = values.iter().filter(|us| (bin.from_ms..bin.to_ms).contains(&ms(**us))).count();
                prop_assert_eq!(within as u64, bin.count);
                prop_assert!(bin.from_ms < 1.0 || bin.to_ms - bin.from_ms <= bin.from_ms / 15.9);
            }
        }
    }

    #[test]
    fn slots_say_what_the_report_of_latency_says_and_hold_their_own_distribution() {
        let minute = Duration::from_mins(1);
        let question = Question {
            from: Timestamp::from_secs(0),
            to: Timestamp::from_secs(180),
            step: Some(minute),
            ..Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(180))
        };
        let at = |registration, minute: i64, values_us: &[u64], lost| Measured {
            slot: Timestamp::from_secs(60 * minute),
            ..row(registration, &fixture::series(Metric::TcpConnect, "edge"), values_us, lost)
        };
        let rows = [at(1, 0, &[9_000; 20], 0), at(1, 2, &[9_000, 40_000], 3), at(2, 0, &[12_000; 5], 0)];
        let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-LND")];
        let evidence =
            fixture::Evidence { rows: &rows, registrations: &registrations, ..fixture::Evidence::default() };
        let found = fixture::series_of(&question, &evidence, question.to);
        let [aurora, borealis] = found.series.as_slice() else { panic!("{found:?}") };
        assert_eq!((aurora.slots.len(), borealis.slots.len()), (2, 1));
        assert_eq!(aurora.slots[0].bins, [Bin { from_ms: 8.704, to_ms: 9.216, count: 20 }]);
        assert_eq!(aurora.slots[1].bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [1, 1]);
        let loss = aurora.slots[1].loss.unwrap().value;
        assert!((loss - 0.6).abs() < 1e-9, "{loss}");
        let plain = fixture::answer(&question, &evidence, question.to);
        assert_eq!(plain.rows[0].latency_ms, aurora.slots[0].latency_ms);
    }
}
