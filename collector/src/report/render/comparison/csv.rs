//! Comparisons as CSV (RFC 4180): one line for each metric over all, for each of its locations, and for each location where
//! only one provider measured, which has no verdict. Figures are those of JSON, empty where they are null.

use crate::report::{
    compare::{Apart, Comparison, Judgement, SideFigures},
    render::csv::{CsvError, cell, code, defused, text},
};

const HEADER: [&str; 27] = [
    "metric",
    "scope",
    "location",
    "provider",
    "against",
    "verdict",
    "reason",
    "days",
    "cells",
    "shift_ms",
    "shift_low_ms",
    "shift_high_ms",
    "confidence",
    "threshold_ms",
    "provider_p50_ms",
    "against_p50_ms",
    "provider_loss",
    "provider_loss_low",
    "provider_loss_high",
    "against_loss",
    "against_loss_low",
    "against_loss_high",
    "loss_difference",
    "loss_difference_low",
    "loss_difference_high",
    "provider_censored_cells",
    "against_censored_cells",
];

/// The comparison as CSV with a header.
pub fn render(comparison: &Comparison) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for one in &comparison.metrics {
        let metric = one.metric.name();
        writer.write_record(judged(comparison, [metric, "overall", ""], &one.overall))?;
        for place in &one.locations {
            writer.write_record(judged(
                comparison,
                [metric, "location", &place.location],
                &place.judgement,
            ))?;
        }
        for apart in &one.apart {
            writer.write_record(shown(metric, apart))?;
        }
    }
    text(writer)
}

fn judged(comparison: &Comparison, head: [&str; 3], judgement: &Judgement) -> Vec<String> {
    let mut record: Vec<String> = head.map(str::to_owned).into();
    record.extend([&comparison.provider, &comparison.against].map(|name| defused(name)));
    record.extend([
        code(judgement.verdict),
        judgement.reason.map(code).unwrap_or_default(),
        judgement.days.to_string(),
        judgement.cells.to_string(),
    ]);
    let shift = judgement.shift_ms;
    record.extend(
        [
            shift.map(|shift| shift.value),
            shift.map(|shift| shift.low),
            shift.map(|shift| shift.high),
            shift.map(|shift| shift.confidence),
            judgement.threshold_ms,
        ]
        .map(cell),
    );
    let difference = judgement.loss_difference;
    let differences = [
        difference.map(|difference| difference.value),
        difference.map(|difference| difference.low),
        difference.map(|difference| difference.high),
    ];
    record.extend(figures(Some(&judgement.provider), Some(&judgement.against), differences));
    record
}

fn shown(metric: &str, apart: &Apart) -> Vec<String> {
    let mut record: Vec<String> = [metric, "apart", &apart.location].map(str::to_owned).into();
    record.push(defused(&apart.provider));
    record.extend(["", "", "", ""].map(str::to_owned));
    record.push(apart.cells.to_string());
    record.extend([None; 5].map(cell));
    record.extend(figures(Some(&apart.figures), None, [None; 3]));
    record
}

/// The columns from `provider_p50_ms` on.
fn figures(
    one: Option<&SideFigures>,
    other: Option<&SideFigures>,
    differences: [Option<f64>; 3],
) -> Vec<String> {
    let loss = |side: Option<&SideFigures>| {
        let loss = side.and_then(|side| side.loss);
        [loss.map(|loss| loss.value), loss.map(|loss| loss.low), loss.map(|loss| loss.high)]
    };
    let censored =
        |side: Option<&SideFigures>| side.map(|side| side.censored_cells.to_string()).unwrap_or_default();
    let numbers = [one, other].map(|side| side.and_then(|side| side.p50_ms));
    let numbers = numbers.into_iter().chain(loss(one)).chain(loss(other)).chain(differences);
    numbers.map(cell).chain([censored(one), censored(other)]).collect()
}
