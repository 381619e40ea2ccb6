//! Reports as CSV (RFC 4180): one line for each row, every figure in a column of its own, empty where it is null.
//!
//! What was dropped is known by site and hour, not by row. Each row says what was of its providers, locations and sites.

use crate::{
    report::{Dimension, Group, Latency, Missing, Report, ReportRow},
    rfc3339,
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// Why a report could not be written as CSV.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The writer failed.
    #[error("cannot write the report as CSV: {0}")]
    Write(#[from] csv::Error),
    /// What was written is not text.
    #[error("the report as CSV is not UTF-8: {0}")]
    Text(#[from] std::string::FromUtf8Error),
}

/// The report as CSV with a header.
pub fn render(report: &Report) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let by = &report.question.by;
    let slotted = report.question.step_seconds.is_some();
    let header = header(by, slotted);
    writer.write_record(&header)?;
    let dropped = Dropped::of(report);
    for row in &report.rows {
        writer.write_record(line(row, by, slotted).into_iter().chain(dropped.of_row(row)))?;
    }
    text(writer)
}

/// A table as CSV.
pub(crate) fn table(
    header: impl IntoIterator<Item = String>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    text(writer)
}

/// What was written.
pub(super) fn text(writer: csv::Writer<Vec<u8>>) -> Result<String, CsvError> {
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error).map_err(csv::Error::from)?;
    Ok(String::from_utf8(bytes)?)
}

const COUNTS: [&str; 18] = [
    "agents",
    "coverage",
    "scheduled",
    "expected",
    "sent",
    "answered",
    "lost",
    "refused",
    "late",
    "retransmitted",
    "skipped",
    "voided",
    "dns_failed",
    "send_failed",
    "duplicate",
    "foreign",
    "overflow",
    "icmp_silent",
];
const LOSS: [&str; 4] = ["loss", "loss_low", "loss_high", "no_loss_because"];
const LATENCY: [&str; 9] = ["min", "p5", "p50", "p90", "p95", "p99", "p99_9", "max", "mean"];
const BESIDE: [&str; 18] = [
    "p50_low_ms",
    "p50_high_ms",
    "p95_low_ms",
    "p95_high_ms",
    "jitter_p50_ms",
    "jitter_p95_ms",
    "jitter_mean_ms",
    "agent_noise_p50_ms",
    "agent_noise_p99_ms",
    "clock_kernel",
    "clock_tcp_info",
    "clock_user",
    "verified",
    "declared",
    "declared_uncounted",
    "off_prefix",
    "max_clock_offset_ms",
    "front_doors",
];
const DROPPED: [&str; 4] =
    ["dropped_measurements", "dropped_turns", "dropped_unread_batches", "dropped_reasons"];

fn header(by: &[Dimension], slotted: bool) -> Vec<String> {
    let mut header: Vec<String> = Vec::new();
    header.extend(slotted.then(|| "slot".to_owned()));
    header.extend(names(by));
    header.extend(COUNTS.iter().chain(&LOSS).map(|name| (*name).to_owned()));
    header.extend(LATENCY.iter().map(|name| format!("{name}_ms")));
    header.extend(LATENCY.iter().map(|name| format!("{name}_incl_loss_ms")));
    header.extend(BESIDE.iter().chain(&DROPPED).map(|name| (*name).to_owned()));
    header
}

/// The columns that say what a line is about.
pub(super) fn names(by: &[Dimension]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for dimension in by {
        names.push(dimension.name());
        if *dimension == Dimension::Target {
            names.extend(["address", "probe"]);
        }
    }
    names.extend(["path", "metric"]);
    names.into_iter().map(str::to_owned).collect()
}

/// What a line is about.
pub(super) fn record(group: &Group, metric: Metric, by: &[Dimension]) -> Vec<String> {
    let mut record = Vec::new();
    for dimension in by {
        record.push(defused(group.name(*dimension)));
        if *dimension == Dimension::Target {
            record.push(group.address.clone().unwrap_or_default());
            record.push(group.probe.clone().unwrap_or_default());
        }
    }
    record.extend([group.path.to_string(), metric.to_string()]);
    record
}

fn line(row: &ReportRow, by: &[Dimension], slotted: bool) -> Vec<String> {
    let slot = slotted.then(|| row.slot.map(rfc3339::text).unwrap_or_default());
    let mut record: Vec<String> = slot.into_iter().chain(record(&row.group, row.metric, by)).collect();
    record.push(row.agents.to_string());
    record.push(cell(row.coverage));
    record.push(row.scheduled.to_string());
    record.push(row.expected.map(|count| count.to_string()).unwrap_or_default());
    let counts = [
        row.sent,
        row.answered,
        row.lost,
        row.refused,
        row.late,
        row.retransmitted,
        row.skipped,
        row.voided,
        row.dns_failed,
        row.send_failed,
        row.duplicate,
        row.foreign,
        row.overflow,
        row.icmp_silent,
    ];
    record.extend(counts.map(|count| count.to_string()));
    record.extend(
        [row.loss.map(|loss| loss.value), row.loss.map(|loss| loss.low), row.loss.map(|loss| loss.high)]
            .map(cell),
    );
    record.push(row.no_loss_because.map(code).unwrap_or_default());
    record.extend(latencies(&row.latency_ms).map(cell));
    record.extend(latencies(&row.latency_incl_loss_ms).map(cell));
    let (p50, p95) =
        (row.latency_interval_ms.p50.unwrap_or_default(), row.latency_interval_ms.p95.unwrap_or_default());
    let jitter = row.jitter_ms.unwrap_or_default();
    record.extend([p50.low, p50.high, p95.low, p95.high, jitter.p50, jitter.p95, jitter.mean].map(cell));
    let noise = row.agent_noise_ms.unwrap_or_default();
    record.extend([noise.p50, noise.p99].map(cell));
    let counts = [
        row.clocks.kernel,
        row.clocks.tcp_info,
        row.clocks.user,
        row.verified,
        row.declared,
        row.declared_uncounted,
        row.off_prefix,
    ];
    record.extend(counts.map(|count| count.to_string()));
    record.push(cell(row.max_clock_offset_ms));
    record.push(defused(&row.seen.front_doors()));
    record
}

/// What was dropped, by the provider, location and site of the rows that it may be missing from.
struct Dropped<'a> {
    by_place: HashMap<[&'a str; 3], Vec<&'a Missing>>,
    step: Option<Duration>,
}

impl<'a> Dropped<'a> {
    fn of(report: &'a Report) -> Self {
        let mut by_place: HashMap<_, Vec<_>> = HashMap::new();
        let by = &report.question.by;
        for missing in &report.dropped {
            let place = [
                (Dimension::Provider, &missing.provider),
                (Dimension::Location, &missing.location),
                (Dimension::Site, &missing.site),
            ];
            let place =
                place.map(|(dimension, name)| if by.contains(&dimension) { name.as_str() } else { "" });
            by_place.entry(place).or_default().push(missing);
        }
        Self { by_place, step: report.question.step_seconds.map(Duration::from_secs) }
    }

    /// The columns of a row: all that was dropped of its place, or what touches its slot.
    fn of_row(&self, row: &ReportRow) -> [String; 4] {
        let place = [Dimension::Provider, Dimension::Location, Dimension::Site];
        let place = self.by_place.get(&place.map(|dimension| row.group.name(dimension)));
        let slot: Option<(Timestamp, Duration)> = row.slot.zip(self.step);
        let within =
            |one: &&&Missing| slot.is_none_or(|(start, step)| one.from < start.plus(step) && start < one.to);
        let here: Vec<_> = place.into_iter().flatten().filter(within).collect();
        let sum = |of: fn(&Missing) -> u64| {
            here.iter().map(|one| of(one)).fold(0_u64, u64::saturating_add).to_string()
        };
        let reasons: BTreeSet<&str> = here.iter().map(|one| one.reason.as_str()).collect();
        [
            sum(|one| one.measurements),
            sum(|one| one.turns),
            sum(|one| one.unread_batches),
            reasons.into_iter().collect::<Vec<_>>().join(", "),
        ]
    }
}

fn latencies(latency: &Latency) -> [Option<f64>; 9] {
    let Latency { min, p5, p50, p90, p95, p99, p99_9, max, mean } = *latency;
    [min, p5, p50, p90, p95, p99, p99_9, max, mean]
}

/// The name of a value as JSON has it.
pub(super) fn code(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A name that a spreadsheet cannot take for a formula.
pub(crate) fn defused(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{name}") } else { name.to_owned() }
}
