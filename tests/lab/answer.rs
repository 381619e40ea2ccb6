//! The lab's answer: the collector's report with the truth beside it, as a table or as one JSON document.

use crate::truth::TruthRow;
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use peerlight_proto::metric::Metric;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, ops::Range};

/// The table's columns; the truth's come behind the report's, and last what is remarkable about a row.
const HEADER: [&str; 14] = [
    "target",
    "metric",
    "location",
    "provider",
    "sent",
    "answered",
    "loss",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "true loss",
    "true p50",
    "true p95",
    "notes",
];
/// The columns that hold numbers.
const NUMBERS: Range<usize> = 4..13;
/// Less coverage than this is remarkable: somewhere turns of the schedule are missing altogether.
const FULL_COVERAGE: f64 = 0.995;
/// Parts of other metrics: the table leaves them to the document and the dashboard.
const PHASES: [&str; 6] =
    ["https.dns", "https.proxy", "https.tcp", "https.tls", "https.transfer", "https.local"];

/// Answered by a resolver, not by the target.
const LOOKUPS: [&str; 3] = ["dns.query", "dns.lookup", "https.dns"];

/// The report as the API gave it, and the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The API's latency report.
    pub report: serde_json::Value,
    /// What the packets really took.
    pub truth: Vec<TruthRow>,
}

/// What the lab reads of a row of the report.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReportRow {
    /// The site's provider.
    pub provider: String,
    /// The site's location.
    pub location: String,
    /// The target.
    pub target: String,
    /// The metric.
    pub metric: String,
    /// How many probes were sent.
    pub sent: u64,
    /// How many of them were answered in time.
    pub answered: u64,
    /// How many were not sent because their name did not resolve.
    pub dns_failed: u64,
    /// How many this machine could not send.
    pub send_failed: u64,
    /// How many the target or a router refused.
    pub refused: u64,
    /// The share of scheduled probes that agents accounted for.
    pub coverage: Option<f64>,
    /// Which share was lost.
    pub loss: Option<Loss>,
    /// The times of the answered ones.
    pub latency_ms: Latency,
}

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Loss {
    /// The share.
    pub value: f64,
}

/// Percentiles in milliseconds; none where there are too few probes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

#[derive(Deserialize)]
struct Rows {
    rows: Vec<ReportRow>,
}

impl Answer {
    /// The report's rows.
    pub fn rows(&self) -> anyhow::Result<Vec<ReportRow>> {
        let rows =
            Rows::deserialize(&self.report).context("the collector's report is not as the lab knows it")?;
        Ok(rows.rows)
    }

    /// The one document of `--format json`.
    pub fn document(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The table for people.
    pub fn table(&self) -> anyhow::Result<String> {
        let truth: HashMap<_, _> = self
            .truth
            .iter()
            .map(|row| {
                ((row.provider.as_str(), row.location.as_str(), row.target.as_str(), row.metric.name()), row)
            })
            .collect();
        let mut rows = self.rows()?;
        rows.retain(|row| !PHASES.contains(&row.metric.as_str()));
        // Providers under one another at each place: that is what people compare.
        rows.sort_by(|a, b| {
            (&a.target, &a.metric, &a.location, &a.provider).cmp(&(
                &b.target,
                &b.metric,
                &b.location,
                &b.provider,
            ))
        });
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(HEADER);
        let mut above = None;
        for row in &rows {
            let key =
                (row.provider.as_str(), row.location.as_str(), row.target.as_str(), row.metric.as_str());
            let group = (row.target.as_str(), row.metric.as_str());
            table.add_row(cells(row, truth.get(&key).copied(), above == Some(group)));
            above = Some(group);
        }
        for number in NUMBERS {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Ok(table.trim_fmt())
    }

    /// How many probes reached their target, and how many did not know where it is.
    pub fn totals(&self) -> anyhow::Result<Totals> {
        let mut totals = Totals::default();
        for row in self.rows()? {
            if !LOOKUPS.contains(&row.metric.as_str()) {
                totals.reached += row.answered;
            }
            totals.dns_failed += row.dns_failed;
            if row.metric == Metric::IcmpRtt.name() && row.sent == 0 {
                totals.icmp_unsent += row.send_failed;
            }
        }
        Ok(totals)
    }
}

/// Sums over all rows of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Probes that their target answered; the answer of a resolver is none.
    pub reached: u64,
    /// Probes whose name did not resolve.
    pub dns_failed: u64,
    /// ICMP probes that this machine could not send, where it could send none.
    pub icmp_unsent: u64,
}

/// A row for people; target and metric stand only in the first row of theirs.
fn cells(row: &ReportRow, truth: Option<&TruthRow>, repeats: bool) -> [String; HEADER.len()] {
    let once = |text: &str| if repeats { String::new() } else { text.to_owned() };
    [
        once(&row.target),
        once(&row.metric),
        row.location.clone(),
        row.provider.clone(),
        row.sent.to_string(),
        row.answered.to_string(),
        percent(row.loss.map(|loss| loss.value)),
        millis(row.latency_ms.p50),
        millis(row.latency_ms.p95),
        millis(row.latency_ms.p99),
        percent(truth.and_then(|row| row.loss)),
        millis(truth.and_then(|row| row.p50_ms)),
        millis(truth.and_then(|row| row.p95_ms)),
        notes(row),
    ]
}

/// What the figures of a row do not say: that there should be more of them.
fn notes(row: &ReportRow) -> String {
    let gap = row.coverage.filter(|coverage| *coverage < FULL_COVERAGE);
    let gap = gap.map(|coverage| format!("coverage {:.0} %", coverage * 100.0));
    let refused = (row.refused > 0).then(|| format!("{} refused", row.refused));
    [gap, refused].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn millis(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", value * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_proto::measurement::Counters;
    use serde_json::json;

    fn answer() -> Answer {
        let row = |location: &str, answered: u64, refused: u64, p50: Option<f64>| {
            json!({
                "provider": "Example Telecom", "location": location, "target": "exchange-online",
                "metric": "icmp.rtt", "sent": 40, "answered": answered, "dns_failed": 1, "send_failed": 0,
                "refused": refused, "coverage": if refused == 0 { 1.0 } else { 0.625 },
                "loss": {"value": 0.05, "low": 0.01, "high": 0.2},
                "latency_ms": {"min": 8.0, "p50": p50, "p95": null, "p99": null},
            })
        };
        let truth = TruthRow {
            provider: "Example Telecom".into(),
            location: "GB-LND".into(),
            target: "exchange-online".into(),
            metric: Metric::IcmpRtt,
            n: 38,
            p50_ms: Some(8.141),
            p95_ms: Some(8.9),
            loss: Some(0.05),
            counters: Counters::default(),
        };
        let rows = [row("GB-LND", 38, 0, Some(8.127)), row("DE-HE", 0, 7, None)];
        Answer { report: json!({"rows": rows}), truth: vec![truth] }
    }

    #[test]
    fn the_table_shows_the_truth_beside_the_report_where_there_is_one() {
        insta::assert_snapshot!(answer().table().unwrap());
    }

    #[test]
    fn the_document_holds_the_report_as_it_came_and_the_truth() {
        let document: serde_json::Value = serde_json::from_str(&answer().document().unwrap()).unwrap();
        assert_eq!(document["report"], answer().report);
        assert_eq!(document["truth"][0]["metric"], "icmp.rtt");
        assert_eq!(document["truth"][0]["p50_ms"], 8.141);
    }

    #[test]
    fn the_totals_tell_answers_from_names_that_did_not_resolve() {
        assert_eq!(answer().totals().unwrap(), Totals { reached: 38, dns_failed: 2, icmp_unsent: 0 });
    }

    #[test]
    fn a_report_of_another_shape_is_an_error_that_says_so() {
        let answer = Answer { report: json!({"rows": [{}]}), truth: Vec::new() };
        assert_eq!(
            answer.totals().unwrap_err().to_string(),
            "the collector's report is not as the lab knows it"
        );
    }
}
