//! The lab's answer: the collector's report with the truth beside it, as a table or as one JSON document.

use crate::truth::TruthRow;
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

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
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "provider",
            "location",
            "target",
            "metric",
            "sent",
            "answered",
            "loss",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "true loss",
            "true p50",
            "true p95",
        ]);
        let rows = self.rows()?;
        for row in &rows {
            let key =
                (row.provider.as_str(), row.location.as_str(), row.target.as_str(), row.metric.as_str());
            let true_row = truth.get(&key);
            table.add_row([
                row.provider.clone(),
                row.location.clone(),
                row.target.clone(),
                row.metric.clone(),
                row.sent.to_string(),
                row.answered.to_string(),
                percent(row.loss.map(|loss| loss.value)),
                millis(row.latency_ms.p50),
                millis(row.latency_ms.p95),
                millis(row.latency_ms.p99),
                percent(true_row.and_then(|row| row.loss)),
                millis(true_row.and_then(|row| row.p50_ms)),
                millis(true_row.and_then(|row| row.p95_ms)),
            ]);
        }
        for number in 4..13 {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Ok(table.to_string())
    }

    /// How many probes were answered, and how many names did not resolve.
    pub fn totals(&self) -> anyhow::Result<Totals> {
        let mut totals = Totals::default();
        for row in self.rows()? {
            totals.answered += row.answered;
            totals.dns_failed += row.dns_failed;
        }
        Ok(totals)
    }
}

/// Sums over all rows of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Answered probes.
    pub answered: u64,
    /// Probes whose name did not resolve.
    pub dns_failed: u64,
}

fn millis(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", value * 100.0))
}
