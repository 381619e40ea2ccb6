//! Series as CSV (RFC 4180): one line for each slot and bin; a slot in which nothing was answered has one line without a bin.
//! The slot's counts and figures stand in each of its lines.

use crate::{
    report::{
        render::csv::{CsvError, cell, code, names, record, text},
        series::{SeriesReport, SeriesSlot},
    },
    rfc3339,
};

const HEADER: [&str; 22] = [
    "slot",
    "scheduled",
    "coverage",
    "sent",
    "answered",
    "refused",
    "icmp_silent",
    "loss",
    "loss_low",
    "loss_high",
    "no_loss_because",
    "min_ms",
    "p5_ms",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
    "p50_incl_loss_ms",
    "p95_incl_loss_ms",
    "bin_from_ms",
    "bin_to_ms",
    "bin_count",
];

/// The report as CSV with a header.
pub fn render(report: &SeriesReport) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let by = &report.question.by;
    writer.write_record(names(by).into_iter().chain(HEADER.map(str::to_owned)))?;
    for row in &report.series {
        for slot in &row.slots {
            let head: Vec<String> =
                record(&row.group, row.metric, by).into_iter().chain(of_slot(slot)).collect();
            let bins = slot.bins.iter();
            let mut bins =
                bins.map(|bin| [cell(Some(bin.from_ms)), cell(Some(bin.to_ms)), bin.count.to_string()]);
            let first = bins.next().unwrap_or_default();
            for bin in std::iter::once(first).chain(bins) {
                writer.write_record(head.iter().chain(&bin))?;
            }
        }
    }
    text(writer)
}

fn of_slot(slot: &SeriesSlot) -> Vec<String> {
    let (loss, latency) = (slot.loss, &slot.latency_ms);
    let mut cells = vec![rfc3339::text(slot.slot), slot.scheduled.to_string(), cell(slot.coverage)];
    cells.extend([slot.sent, slot.answered, slot.refused, slot.icmp_silent].map(|count| count.to_string()));
    cells.extend(
        [loss.map(|loss| loss.value), loss.map(|loss| loss.low), loss.map(|loss| loss.high)].map(cell),
    );
    cells.push(slot.no_loss_because.map(code).unwrap_or_default());
    let figures = [latency.min, latency.p5, latency.p50, latency.p95, latency.p99, latency.max];
    cells.extend(figures.map(cell));
    cells.extend([slot.latency_incl_loss_ms.p50, slot.latency_incl_loss_ms.p95].map(cell));
    cells
}
