//! The grid: a row for each location, a column for each provider, in each cell its figures and their trend. Pure.

use super::spark::{Spark, spark};
use crate::{
    dashboard::{
        chart::{Slot, axis::Axis, scale::Scale, told},
        frame::{View, address},
        table::{ENOUGH_COVERAGE, NONE, or_none},
    },
    report::{Question, Report, ReportRow, render::figure},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// From this share of lost probes on a cell carries a warning, if the interval says so, too.
pub(crate) const MATTERING_LOSS: f64 = 0.01;
/// The most rows of the trends' table.
const MOST_TOLD: usize = 2_000;

/// The grid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<GridRow>,
    /// Every slot of every trend in words.
    pub(crate) slots: Vec<SlotOf>,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) text: String,
    pub(crate) href: String,
}

/// A location.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GridRow {
    pub(crate) location: String,
    pub(crate) name: String,
    pub(crate) href: String,
    /// In the order of the columns.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// A provider at a location.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) href: String,
    /// What it says to those who do not see it.
    pub(crate) label: String,
    pub(crate) p50: String,
    pub(crate) p95: String,
    pub(crate) loss: String,
    pub(crate) lossy: bool,
    /// The median's change against the span before, with its sign.
    pub(crate) change: String,
    /// The coverage, if it is low.
    pub(crate) coverage: String,
    /// How it is dressed.
    pub(crate) level: &'static str,
    pub(crate) spark: Spark,
}

/// A slot of a trend in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotOf {
    pub(crate) location: String,
    pub(crate) provider: String,
    pub(crate) told: Slot,
}

type Place = (String, String);

/// The grid of a report by location and provider, its course by the same in slots, and the report of the span before.
pub(crate) fn grid(
    question: &Question,
    report: &Report,
    course: &Report,
    before: Option<&Report>,
    names: &BTreeMap<String, String>,
) -> Grid {
    let columns: BTreeSet<String> = report.rows.iter().map(column).collect();
    let locations: BTreeSet<&str> = report.rows.iter().map(location).collect();
    let cells: BTreeMap<Place, &ReportRow> = report.rows.iter().map(|row| (place(row), row)).collect();
    let earlier: BTreeMap<Place, &ReportRow> =
        before.iter().flat_map(|before| &before.rows).map(|row| (place(row), row)).collect();
    let axis = Axis::of(course, Duration::from_secs(course.question.step_seconds.unwrap_or(3_600)));
    let mut courses: BTreeMap<Place, BTreeMap<u32, &ReportRow>> = BTreeMap::new();
    for row in &course.rows {
        if let Some(slot) = row.slot.and_then(|slot| axis.slot(slot)) {
            courses.entry(place(row)).or_default().insert(slot, row);
        }
    }
    let scale =
        Scale::of(course.rows.iter().flat_map(|row| [row.latency_ms.p50, row.latency_ms.p95]).flatten());
    let none = BTreeMap::new();
    let cell = |location: &str, column: &String| {
        let place = (location.to_owned(), column.clone());
        let course = courses.get(&place).unwrap_or(&none);
        let row = cells.get(&place)?;
        Some(made(question, row, earlier.get(&place).copied(), spark(course, axis, scale)))
    };
    let narrower = |view: View, more: &[(&'static str, String)]| {
        let kept = question.parameters();
        let others =
            kept.iter().filter(|(name, _)| *name != "by" && !more.iter().any(|(new, _)| new == name));
        address(view.path(), others.chain(more))
    };
    let rows = locations.iter().map(|location| GridRow {
        location: (*location).to_owned(),
        name: names.get(*location).cloned().unwrap_or_default(),
        href: narrower(
            View::Latency,
            &[("location", (*location).to_owned()), ("by", "location,provider".to_owned())],
        ),
        cells: columns.iter().map(|column| cell(location, column)).collect(),
    });
    let told_of = |((location, provider), slots): (&Place, &BTreeMap<u32, &ReportRow>)| {
        let (location, provider) = (location.clone(), provider.clone());
        let rows: Vec<_> = (0..axis.slots())
            .map(|slot| SlotOf {
                location: location.clone(),
                provider: provider.clone(),
                told: told(slot, slots.get(&slot).copied(), axis),
            })
            .collect();
        rows
    };
    Grid {
        rows: rows.collect(),
        slots: courses.iter().flat_map(told_of).take(MOST_TOLD).collect(),
        columns: columns
            .iter()
            .map(|text| {
                let registered = report.rows.iter().any(|row| row.group.provider.as_ref() == Some(text));
                let href = narrower(
                    View::Latency,
                    &[("provider", text.clone()), ("by", "provider,location".to_owned())],
                );
                Column { text: text.clone(), href: if registered { href } else { String::new() } }
            })
            .collect(),
    }
}

fn made(question: &Question, row: &ReportRow, before: Option<&ReportRow>, spark: Spark) -> Cell {
    let lossy = row.loss.is_some_and(|loss| loss.value >= MATTERING_LOSS && loss.low >= MATTERING_LOSS / 2.0);
    let low_coverage = row.coverage.filter(|coverage| *coverage < ENOUGH_COVERAGE);
    let (p50, p95) = (or_none(row.latency_ms.p50), or_none(row.latency_ms.p95));
    let loss = row.loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value));
    let change = change(row, before);
    let (location, provider) = place(row);
    let label = format!(
        "{provider} at {location}: p50 {p50} ms, p95 {p95} ms, loss {loss}{}",
        low_coverage.map_or_else(String::new, |share| format!(", {} covered", figure::percent(share)))
    );
    let kept = question.parameters();
    let others = kept.iter().filter(|(name, _)| !["by", "provider", "location"].contains(name));
    let there = [("provider", row.group.provider.clone().unwrap_or_default()), ("location", location)];
    Cell {
        href: address(View::Series.path(), others.chain(&there)),
        label,
        p50,
        p95,
        loss,
        lossy,
        change,
        coverage: low_coverage.map(figure::percent).unwrap_or_default(),
        level: if lossy { "lossy" } else { "" },
        spark,
    }
}

/// How the median changed, if it did by as much as its digits show.
pub(crate) fn change(row: &ReportRow, before: Option<&ReportRow>) -> String {
    let Some((now, then)) = row.latency_ms.p50.zip(before.and_then(|row| row.latency_ms.p50)) else {
        return String::new();
    };
    let by = now - then;
    let shown = format!("{by:+.1}");
    if shown == "+0.0" || shown == "-0.0" { "±0".to_owned() } else { shown.replace('-', "−") }
}

/// What a column is of: a provider, straight or through the proxy.
fn column(row: &ReportRow) -> String {
    crate::dashboard::chart::title(row)
}

fn location(row: &ReportRow) -> &str {
    row.group.location.as_deref().unwrap_or_default()
}

fn place(row: &ReportRow) -> Place {
    (location(row).to_owned(), column(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::{
            Dimension,
            fixture::{Evidence, Measured, answer, registration, row, series},
        },
    };
    use peerlight_proto::{metric::Metric, time::Timestamp};

    fn asked(step: Option<Duration>) -> Question {
        Question {
            from: Timestamp::from_secs(0),
            to: Timestamp::from_secs(600),
            by: vec![Dimension::Location, Dimension::Provider],
            step,
            ..Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(600))
        }
    }

    fn report(step: Option<Duration>, rows: &[Measured]) -> Report {
        let registrations = [
            registration(1, "Aurora", "GB-LND"),
            registration(2, "Borealis", "GB-LND"),
            registration(3, "Borealis", "DE-BE"),
        ];
        let question = asked(step);
        answer(
            &question,
            &Evidence { rows, registrations: &registrations, ..Evidence::default() },
            question.to,
        )
    }

    fn measured(registration: i64, values_us: &[u64], lost: u64) -> Measured {
        row(registration, &series(Metric::TcpConnect, "edge"), values_us, lost)
    }

    fn of(rows: &[Measured], before: &[Measured]) -> Grid {
        let step = Some(Duration::from_mins(1));
        grid(
            &asked(None),
            &report(None, rows),
            &report(step, rows),
            Some(&report(None, before)),
            &BTreeMap::from([("GB-LND".to_owned(), "London".to_owned())]),
        )
    }

    #[test]
    fn what_was_not_measured_is_an_empty_cell_and_what_lost_probes_is_marked() {
        let grid = of(
            &[measured(1, &[9_000; 90], 10), measured(2, &[12_000; 40], 0), measured(3, &[20_000; 40], 0)],
            &[measured(2, &[10_000; 40], 0)],
        );
        let columns: Vec<_> = grid.columns.iter().map(|column| column.text.as_str()).collect();
        assert_eq!(columns, ["Aurora", "Borealis"]);
        let [berlin, london] = grid.rows.as_slice() else { panic!("{grid:?}") };
        assert_eq!((berlin.location.as_str(), london.name.as_str()), ("DE-BE", "London"));
        assert_eq!((berlin.cells[0].is_none(), berlin.cells[1].is_some()), (true, true));
        let (aurora, borealis) = (london.cells[0].as_ref().unwrap(), london.cells[1].as_ref().unwrap());
        assert_eq!((aurora.p50.as_str(), aurora.loss.as_str(), aurora.lossy), ("9.00", "10.0%", true));
        assert_eq!((borealis.change.as_str(), borealis.lossy, aurora.change.as_str()), ("+2.0", false, ""));
        assert!(
            aurora.href.starts_with("/series?last=1h&provider=Aurora&location=GB-LND"),
            "{}",
            aurora.href
        );
        assert!(
            aurora.label.contains("p50 9.00 ms") && aurora.label.contains("loss 10.0%"),
            "{}",
            aurora.label
        );
    }

    #[test]
    fn one_lost_probe_of_few_is_no_warning() {
        let grid = of(&[measured(1, &[9_000; 40], 1)], &[]);
        let cell = grid.rows[0].cells[0].as_ref().unwrap();
        assert_eq!((cell.loss.as_str(), cell.lossy), ("2.4%", false));
    }
}
