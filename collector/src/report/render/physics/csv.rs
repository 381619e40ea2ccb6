//! Physics as CSV (RFC 4180): one line for each row, figures as in JSON, empty where they are null.

use crate::report::{
    physics::{PhysicsReport, PhysicsRow},
    render::csv::{CsvError, cell, code, defused, names, record, table},
    served::METRIC,
};

const HEADER: [&str; 13] = [
    "front_door",
    "city",
    "least_km",
    "most_km",
    "answered",
    "min_ms",
    "p5_ms",
    "p50_ms",
    "bound_ms",
    "stretch_low",
    "stretch_high",
    "verdict",
    "no_verdict_because",
];

/// The report as CSV with a header.
pub fn render(report: &PhysicsReport) -> Result<String, CsvError> {
    let by = &report.question.by;
    let rows =
        report.rows.iter().map(|row| record(&row.group, METRIC, by).into_iter().chain(line(row)).collect());
    table(names(by).into_iter().chain(HEADER.map(str::to_owned)), rows)
}

fn line(row: &PhysicsRow) -> [String; 13] {
    let latency = &row.latency_ms;
    [
        row.front_door.as_deref().map(defused).unwrap_or_default(),
        row.city.clone().unwrap_or_default(),
        cell(row.distance.map(|distance| distance.least_km)),
        cell(row.distance.map(|distance| distance.most_km)),
        row.answered.to_string(),
        cell(latency.min),
        cell(latency.p5),
        cell(latency.p50),
        cell(row.bound_ms),
        cell(row.stretch.map(|stretch| stretch.low)),
        cell(row.stretch.and_then(|stretch| stretch.high)),
        row.verdict.map(code).unwrap_or_default(),
        row.no_verdict_because.map(code).unwrap_or_default(),
    ]
}
