//! Yardsticks as a table for people, their sources below it.

use crate::{
    report::{
        render::{
            figure,
            table::{NONE, group_cells, group_columns, plain},
        },
        yardsticks::{NoResult, Yardstick, YardstickResult, YardstickRow, YardsticksReport},
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::{collections::BTreeSet, fmt::Write as _};

/// The report as a table of at most `width` columns, with a line above that says what it is about and notes below.
pub fn render(report: &YardsticksReport, width: Option<u16>) -> String {
    let mut text = format!(
        "Microsoft's own yardsticks, {} to {}\n\n",
        rfc3339::seconds(report.from),
        rfc3339::seconds(report.to)
    );
    if report.rows.is_empty() {
        text.push_str("Nothing was measured there that Microsoft has a yardstick for: TCP connects to Exchange Online, ICMP or UDP to the relays of Teams.\n");
        return text;
    }
    let by = &report.question.by;
    let proxied = report.rows.iter().any(|row| row.group.is_proxied());
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = plain(width);
    let names = group_columns(by, proxied).into_iter().chain(["METRIC", "YARDSTICK"].map(str::to_owned));
    let figures = ["MEASURED", "POINTS", "SAMPLES"].map(|title| right(title.to_owned()));
    table.set_header(
        names.map(Cell::new).chain([Cell::new("RESULT")]).chain(figures).chain([Cell::new("PASSES")]),
    );
    for row in &report.rows {
        let names = group_cells(&row.group, by, proxied).into_iter();
        let names = names.chain([row.metric.to_string(), called(row.yardstick).to_owned()]);
        let figures = figures_of(row).map(right);
        table.add_row(
            names
                .map(Cell::new)
                .chain([Cell::new(result(row))])
                .chain(figures)
                .chain([Cell::new(&row.passes)]),
        );
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    let told: BTreeSet<(&str, &str, &str)> = report
        .rows
        .iter()
        .map(|row| (called(row.yardstick), row.method.as_str(), row.source.as_str()))
        .collect();
    for (yardstick, method, source) in told {
        let _ = write!(text, "\n{yardstick}: {method}. {source}.");
    }
    text.push('\n');
    text
}

/// Its name.
pub(crate) const fn called(yardstick: Yardstick) -> &'static str {
    match yardstick {
        Yardstick::ExchangeTcp => "Exchange TCP",
        Yardstick::TeamsLatency => "Teams latency",
        Yardstick::TeamsJitter => "Teams jitter",
        Yardstick::TeamsLoss => "Teams loss",
    }
}

/// Pass or fail, or why neither.
pub(crate) const fn result(row: &YardstickRow) -> &'static str {
    match (row.result, row.no_result_because) {
        (Some(YardstickResult::Pass), _) => "pass",
        (Some(YardstickResult::Fail), _) => "FAIL",
        (None, Some(NoResult::TooFew)) => "too few",
        (None, Some(NoResult::IcmpSilent)) => "icmp silent",
        (None, None) => NONE,
    }
}

/// What was measured, its points, and of how many probes.
pub(crate) fn figures_of(row: &YardstickRow) -> [String; 3] {
    let measured = row.measured.map(|value| {
        if row.yardstick == Yardstick::TeamsLoss {
            figure::percent(value / 100.0)
        } else {
            format!("{} ms", figure::ms(value))
        }
    });
    [
        measured.unwrap_or_else(|| NONE.to_owned()),
        row.points.map_or_else(|| NONE.to_owned(), |points| points.to_string()),
        row.samples.to_string(),
    ]
}
