//! The time of day as CSV (RFC 4180): one line for each row and hour, figures as in JSON, empty where they are null. What is
//! said of a row's busy and quiet hour stands in each of its lines.

use crate::report::{
    Bounds,
    render::csv::{CsvError, cell, code, names, record, text},
    time_of_day::{HourFigures, TimeOfDayReport, TimeOfDayRow},
};

const HEADER: [&str; 27] = [
    "days",
    "time_zone",
    "hour",
    "days_measured",
    "sent",
    "answered",
    "refused",
    "icmp_silent",
    "loss",
    "loss_low",
    "loss_high",
    "no_loss_because",
    "p50_ms",
    "p95_ms",
    "p50_incl_loss_ms",
    "p95_incl_loss_ms",
    "p50_low_ms",
    "p50_high_ms",
    "p95_low_ms",
    "p95_high_ms",
    "busy_hour",
    "quiet_hour",
    "difference_days",
    "difference_ms",
    "difference_low_ms",
    "difference_high_ms",
    "confidence",
];

/// The report as CSV with a header.
pub fn render(report: &TimeOfDayReport) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let by = &report.question.by;
    writer.write_record(names(by).into_iter().chain(HEADER.map(str::to_owned)))?;
    for row in &report.rows {
        for hour in &row.hours {
            let head = record(&row.group, row.metric, by);
            writer.write_record(head.into_iter().chain(of_hour(row, hour)).chain(of_row(row)))?;
        }
    }
    text(writer)
}

fn of_hour(row: &TimeOfDayRow, hour: &HourFigures) -> Vec<String> {
    let mut cells = vec![code(row.days), row.time_zone.clone(), hour.hour.to_string()];
    cells.push(hour.days_measured.to_string());
    cells.extend([hour.sent, hour.answered, hour.refused, hour.icmp_silent].map(|count| count.to_string()));
    let loss = hour.loss;
    cells.extend(
        [loss.map(|loss| loss.value), loss.map(|loss| loss.low), loss.map(|loss| loss.high)].map(cell),
    );
    cells.push(hour.no_loss_because.map(code).unwrap_or_default());
    let (answered, with_loss) = (hour.latency_ms, hour.latency_incl_loss_ms);
    cells.extend([answered.p50, answered.p95, with_loss.p50, with_loss.p95].map(cell));
    let bounds = |bounds: Option<Bounds>| bounds.unwrap_or_default();
    let (p50, p95) = (bounds(hour.latency_interval_ms.p50), bounds(hour.latency_interval_ms.p95));
    cells.extend([p50.low, p50.high, p95.low, p95.high].map(cell));
    cells
}

fn of_row(row: &TimeOfDayRow) -> Vec<String> {
    let found = row.busy_quiet;
    let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    let mut cells = vec![
        number(found.map(|found| found.busy_hour.into())),
        number(found.map(|found| found.quiet_hour.into())),
        number(found.map(|found| found.days)),
    ];
    let shift = found.and_then(|found| found.difference_ms);
    cells.extend(
        [
            shift.map(|shift| shift.value),
            shift.map(|shift| shift.low),
            shift.map(|shift| shift.high),
            shift.map(|shift| shift.confidence),
        ]
        .map(cell),
    );
    cells
}
