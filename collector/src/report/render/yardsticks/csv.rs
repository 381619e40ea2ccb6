//! Yardsticks as CSV (RFC 4180): one line for each row, figures as in JSON, empty where they are null.

use crate::report::{
    render::csv::{CsvError, cell, code, names, record, table},
    yardsticks::{YardstickRow, YardsticksReport},
};

const HEADER: [&str; 10] = [
    "yardstick",
    "measured",
    "unit",
    "points",
    "passes",
    "result",
    "no_result_because",
    "samples",
    "source",
    "method",
];

/// The report as CSV with a header.
pub fn render(report: &YardsticksReport) -> Result<String, CsvError> {
    let by = &report.question.by;
    let line = |row: &YardstickRow| record(&row.group, row.metric, by).into_iter().chain(of(row)).collect();
    table(names(by).into_iter().chain(HEADER.map(str::to_owned)), report.rows.iter().map(line))
}

fn of(row: &YardstickRow) -> [String; 10] {
    [
        code(row.yardstick),
        cell(row.measured),
        row.unit.clone(),
        cell(row.points),
        row.passes.clone(),
        row.result.map(code).unwrap_or_default(),
        row.no_result_because.map(code).unwrap_or_default(),
        row.samples.to_string(),
        row.source.clone(),
        row.method.clone(),
    ]
}
