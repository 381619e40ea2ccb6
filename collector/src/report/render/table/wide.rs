//! The columns of the wide table: everything that a row holds.

use super::{Column, NONE, bounded, ms, name, number, text};
use crate::{
    report::{AgentNoise, Dimension, Jitter, Latency, Report, ReportRow},
    rfc3339,
};

/// A figure of a row.
type Count = fn(&ReportRow) -> u64;
/// A percentile of a row's latency.
type Percentile = fn(&Latency) -> Option<f64>;

const COUNTS: [(&str, Count); 14] = [
    ("sent", |row| row.sent),
    ("answered", |row| row.answered),
    ("lost", |row| row.lost),
    ("refused", |row| row.refused),
    ("late", |row| row.late),
    ("retransmitted", |row| row.retransmitted),
    ("skipped", |row| row.skipped),
    ("voided", |row| row.voided),
    ("dns failed", |row| row.dns_failed),
    ("send failed", |row| row.send_failed),
    ("duplicate", |row| row.duplicate),
    ("foreign", |row| row.foreign),
    ("overflow", |row| row.overflow),
    ("icmp silent", |row| row.icmp_silent),
];
const BESIDE: [(&str, Count); 7] = [
    ("kernel", |row| row.clocks.kernel),
    ("tcp_info", |row| row.clocks.tcp_info),
    ("user", |row| row.clocks.user),
    ("verified", |row| row.verified),
    ("declared", |row| row.declared),
    ("uncounted", |row| row.declared_uncounted),
    ("off prefix", |row| row.off_prefix),
];
const PERCENTILES: [(&str, Percentile); 9] = [
    ("min", |latency| latency.min),
    ("p5", |latency| latency.p5),
    ("p50", |latency| latency.p50),
    ("p90", |latency| latency.p90),
    ("p95", |latency| latency.p95),
    ("p99", |latency| latency.p99),
    ("p99.9", |latency| latency.p99_9),
    ("max", |latency| latency.max),
    ("mean", |latency| latency.mean),
];

/// Every column.
pub(super) fn columns(report: &Report) -> Vec<Column> {
    let mut columns = Vec::new();
    if report.question.step_seconds.is_some() {
        columns.push(text("slot", |row| row.slot.map_or_else(|| NONE.to_owned(), rfc3339::seconds)));
    }
    for dimension in report.question.by.iter().copied() {
        columns.push(text(dimension.name(), move |row| name(row, dimension)));
        if dimension == Dimension::Target {
            columns.push(text("address", |row| row.group.address.clone().unwrap_or_else(|| NONE.to_owned())));
            columns.push(text("probe", |row| row.group.probe.clone().unwrap_or_else(|| NONE.to_owned())));
        }
    }
    columns.extend([
        text("path", |row| row.group.path.to_string()),
        text("metric", |row| row.metric.to_string()),
        number("agents", |row| row.agents.to_string()),
        number("covered", super::covered),
        number("scheduled", |row| row.scheduled.to_string()),
        number("expected", |row| row.expected.map_or_else(|| NONE.to_owned(), |count| count.to_string())),
    ]);
    let counted = |(title, count): (&str, Count)| number(title, move |row| count(row).to_string());
    columns.extend(COUNTS.map(counted));
    columns.push(number("loss", super::lost));
    columns.extend(PERCENTILES.map(|(title, percentile)| {
        number(title, move |row| {
            let bounds = match title {
                "p50" => row.latency_interval_ms.p50,
                "p95" => row.latency_interval_ms.p95,
                _ => None,
            };
            bounded(percentile(&row.latency_ms), bounds)
        })
    }));
    columns.extend(PERCENTILES.map(|(title, percentile)| {
        number(&format!("{title}+loss"), move |row| {
            with_loss(percentile(&row.latency_ms), percentile(&row.latency_incl_loss_ms))
        })
    }));
    let jitter = |row: &ReportRow, of: fn(Jitter) -> Option<f64>| ms(row.jitter_ms.and_then(of));
    columns.extend([
        number("jitter p50", move |row| jitter(row, |jitter| jitter.p50)),
        number("jitter p95", move |row| jitter(row, |jitter| jitter.p95)),
        number("jitter mean", move |row| jitter(row, |jitter| jitter.mean)),
    ]);
    let noise = |row: &ReportRow, of: fn(AgentNoise) -> Option<f64>| ms(row.agent_noise_ms.and_then(of));
    columns.extend([
        number("noise p50", move |row| noise(row, |noise| noise.p50)),
        number("noise p99", move |row| noise(row, |noise| noise.p99)),
    ]);
    columns.extend(BESIDE.map(counted));
    columns.push(number("clock offset", |row| {
        row.max_clock_offset_ms.map_or_else(|| NONE.to_owned(), |offset| format!("{offset:+.1}"))
    }));
    columns.push(text("front doors", |row| {
        Some(row.seen.front_doors()).filter(|doors| !doors.is_empty()).unwrap_or_else(|| NONE.to_owned())
    }));
    columns
}

/// A figure with losses as infinitely slow: `lost` where there is one only without them.
pub(in crate::report::render) fn with_loss(answered: Option<f64>, with_loss: Option<f64>) -> String {
    match with_loss {
        None if answered.is_some() => "lost".to_owned(),
        value => ms(value),
    }
}
