//! Readings: what a rule finds at each spot, from the rows of the latency report. Pure.

use super::{Rule, RuleKind, Spot};
use crate::{
    report::{FRONT_DOOR, INTERCEPTION, Latency, ReportRow, Seen},
    rfc3339,
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The flag of an address that Microsoft does not publish. It tells as well that a list is old, so it is not counted.
const UNPUBLISHED: &str = "unpublished address";
/// The metric whose rows tell which front door served.
pub const TELLS_EDGES: Metric = Metric::HttpsTtfb;

/// A value that was found at a spot, of enough probes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reading {
    /// By which rule.
    pub rule: String,
    /// Where.
    #[serde(flatten)]
    pub spot: Spot,
    /// Of which metric.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// What was found, in the rule's unit; null for a percentile that falls on lost probes.
    pub value: Option<f64>,
    /// What is certain of it: the lower bound of a loss; else the value.
    pub at_least: Option<f64>,
    /// Of how many probes, turns or requests.
    pub samples: u64,
    /// What was seen, where a number does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The first instant of what was judged.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after it.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

impl Reading {
    /// The value for comparisons: what fell on lost probes is beyond every threshold.
    pub fn worst(&self) -> f64 {
        self.value.unwrap_or(f64::INFINITY)
    }

    /// What is certain of it, for comparisons.
    pub fn certain(&self) -> f64 {
        self.at_least.unwrap_or(f64::INFINITY)
    }
}

/// The front doors that served spots, with their requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doors(BTreeMap<Spot, BTreeMap<String, u64>>);

impl Doors {
    /// What these rows tell of them.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a ReportRow>) -> Self {
        let mut doors = Self::default();
        for row in rows {
            doors.add(row);
        }
        doors
    }

    /// Adds what a row tells.
    pub fn add(&mut self, row: &ReportRow) {
        let seen = row.seen.values(FRONT_DOOR);
        if row.metric != TELLS_EDGES || seen.is_empty() {
            return;
        }
        let Some(spot) = Spot::of(&row.group) else { return };
        let counts = self.0.entry(spot).or_default();
        for one in seen {
            *counts.entry(one.value.clone()).or_default() += one.probes;
        }
    }

    /// Adds what others tell.
    pub fn merge(&mut self, others: &Self) {
        for (spot, doors) in &others.0 {
            let counts = self.0.entry(spot.clone()).or_default();
            for (door, probes) in doors {
                *counts.entry(door.clone()).or_default() += probes;
            }
        }
    }

    /// Takes away what was added of others.
    pub fn take_away(&mut self, others: &Self) {
        for (spot, doors) in &others.0 {
            let Some(counts) = self.0.get_mut(spot) else { continue };
            for (door, probes) in doors {
                if let Some(count) = counts.get_mut(door) {
                    *count = count.saturating_sub(*probes);
                }
            }
            counts.retain(|_, probes| *probes > 0);
        }
        self.0.retain(|_, counts| !counts.is_empty());
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that served most.
    pub fn main(&self, spot: &Spot) -> Option<&str> {
        let counts = self.0.get(spot)?;
        counts.iter().max_by_key(|(_, probes)| **probes).map(|(door, _)| door.as_str())
    }
}

/// What one rule finds at each spot of its scope in rows by provider, location, site and target; the worst of a spot. What has
/// too few probes is not there. `before` are the front doors of the day before.
pub fn readings(
    rule: &Rule,
    rows: &[ReportRow],
    before: &Doors,
    (from, to): (Timestamp, Timestamp),
) -> Vec<Reading> {
    let mut found: BTreeMap<Spot, Reading> = BTreeMap::new();
    for row in rows.iter().filter(|row| rule.metrics.contains(&row.metric)) {
        let Some(spot) = Spot::of(&row.group).filter(|spot| rule.scope.holds(spot)) else { continue };
        let Some(measured) = measured(rule, row, before.0.get(&spot)) else { continue };
        if measured.samples < rule.min_samples {
            continue;
        }
        let Measured { value, at_least, samples, detail } = measured;
        let rule_name = rule.name.clone();
        let metric = row.metric;
        let reading = Reading { rule: rule_name, spot, metric, value, at_least, samples, detail, from, to };
        let known = found.get(&reading.spot);
        if known.is_none_or(|known| badness(rule, &reading) > badness(rule, known)) {
            found.insert(reading.spot.clone(), reading);
        }
    }
    found.into_values().collect()
}

/// How bad a reading is, for comparing those of one rule.
pub(super) fn badness(rule: &Rule, reading: &Reading) -> f64 {
    if rule.kind.is_bad_below() { -reading.worst() } else { reading.worst() }
}

struct Measured {
    value: Option<f64>,
    at_least: Option<f64>,
    samples: u64,
    detail: Option<String>,
}

impl Measured {
    fn share(value: f64, samples: u64) -> Self {
        Self { value: Some(value), at_least: Some(value), samples, detail: None }
    }
}

fn measured(rule: &Rule, row: &ReportRow, before: Option<&BTreeMap<String, u64>>) -> Option<Measured> {
    let carried = row.answered + row.late + row.retransmitted + row.lost;
    match rule.kind {
        RuleKind::Percentile => {
            let value = percentile(rule, &row.latency_incl_loss_ms);
            Some(Measured { value, at_least: value, samples: carried, detail: None })
        }
        RuleKind::Loss => {
            let loss = row.loss?;
            let (value, at_least) = (Some(loss.value), Some(loss.low));
            Some(Measured { value, at_least, samples: carried, detail: None })
        }
        RuleKind::Coverage => Some(Measured::share(row.coverage?, row.expected?)),
        RuleKind::Silence => {
            let nothing = row.scheduled == 0 && row.off_prefix == 0 && row.declared_uncounted == 0;
            Some(Measured::share(f64::from(u8::from(nothing)), row.expected?))
        }
        RuleKind::OffPrefix => {
            let all = row.verified + row.declared + row.declared_uncounted + row.off_prefix;
            Some(Measured::share(share(row.off_prefix, all), all))
        }
        RuleKind::Issuer => Some(interception(row)),
        RuleKind::EdgeShift => shift(&row.seen, before?),
    }
}

fn percentile(rule: &Rule, latency: &Latency) -> Option<f64> {
    use super::Percentile::{P50, P90, P95, P99};
    match rule.percentile? {
        P50 => latency.p50,
        P90 => latency.p90,
        P95 => latency.p95,
        P99 => latency.p99,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part.min(all) as f64 / all as f64 }
}

/// Who else answered, and by which certificates.
fn interception(row: &ReportRow) -> Measured {
    let told: Vec<_> = row.seen.values(INTERCEPTION).iter().filter(|one| one.value != UNPUBLISHED).collect();
    let flagged = told.iter().fold(0_u64, |sum, one| sum.saturating_add(one.probes));
    let mut words: Vec<&str> = told.iter().map(|one| one.value.as_str()).collect();
    words.extend(row.seen.values("issuer").iter().take(3).map(|one| one.value.as_str()));
    let detail = (flagged > 0).then(|| words.join(", "));
    Measured { detail, ..Measured::share(share(flagged, row.sent), row.sent) }
}

/// How far front doors are from those before: half the sum of the differences of their shares.
fn shift(seen: &Seen, before: &BTreeMap<String, u64>) -> Option<Measured> {
    let now: BTreeMap<&str, u64> =
        seen.values(FRONT_DOOR).iter().map(|one| (one.value.as_str(), one.probes)).collect();
    let (all, all_before) = (now.values().sum::<u64>(), before.values().sum::<u64>());
    if all == 0 || all_before == 0 {
        return None;
    }
    let doors = now.keys().copied().chain(before.keys().map(String::as_str));
    let doors: std::collections::BTreeSet<&str> = doors.collect();
    let apart = |door: &&str| {
        let (one, other) = (now.get(door).copied().unwrap_or(0), before.get(*door).copied().unwrap_or(0));
        (share(one, all) - share(other, all_before)).abs()
    };
    let value = doors.iter().map(apart).sum::<f64>() / 2.0;
    let most = before.iter().max_by_key(|(_, probes)| **probes).map_or("none", |(door, _)| door.as_str());
    let detail = format!("{}; before mostly {most}", seen.front_doors());
    Some(Measured { detail: Some(detail), ..Measured::share(value, all.min(all_before)) })
}

#[cfg(test)]
mod tests;
