//! Front doors, their shifts, and physics as tables, in the words of the reports' own tables. Pure.

use crate::{
    dashboard::list::{Cell, Column, List, numbers, times, words},
    report::{
        Dimension, Group,
        edges::{EdgeShift, EdgesReport, EdgesRow},
        physics::{PhysicsReport, PhysicsRow, PhysicsVerdict},
        render::{
            edges::table::{called, figures_of, nearness},
            figure,
            physics::table as physics_words,
        },
    },
    rfc3339,
};
use std::collections::BTreeSet;

/// How many shifts are listed, the latest.
const MAX_SHIFTS: usize = 100;
/// How many names a note holds.
const MAX_NAMED: usize = 12;
/// What reports' own tables write where there is nothing.
const TABLES_NONE: &str = "-";

fn columns(by: &[Dimension], others: impl IntoIterator<Item = Column>) -> Vec<Column> {
    by.iter().map(|dimension| words(dimension.name())).chain(others).collect()
}

fn cells(group: &Group, by: &[Dimension]) -> Vec<Cell> {
    let proxied = if group.is_proxied() { "through the proxy" } else { "" };
    let named = by.iter().map(|dimension| Cell::of(group.name(*dimension)));
    let mut cells: Vec<_> = named.collect();
    if let Some(first) = cells.first_mut() {
        proxied.clone_into(&mut first.beside);
    }
    cells
}

/// A figure of a report's own table; nothing is written as pages do.
fn figure_cell(text: String) -> Cell {
    Cell::or_none((text != TABLES_NONE).then_some(text))
}

/// Every front door of every group.
pub(super) fn doors(report: &EdgesReport, csv: String) -> List {
    let by = &report.question.by;
    let all = report.rows.iter().flat_map(|row| row.front_doors.iter().map(move |door| (row, door)));
    let rows = all.map(|(row, door)| {
        let [requests, share, km, p50] = figures_of(door);
        let near = nearness(row, door);
        let near = Cell { warn: near.starts_with("no,"), ..figure_cell(near) };
        let unknown = if door.city.is_none() { "in no table" } else { "" };
        let mut line = cells(&row.group, by);
        line.push(Cell::of(called(door)).beside(unknown));
        line.extend([requests, share, km, p50].map(figure_cell));
        line.push(near);
        line.extend([door.first_seen, door.last_seen].map(|at| Cell::of(rfc3339::seconds(at))));
        line
    });
    List {
        id: "doors",
        title: "Front doors",
        note: "km: the least and the most that it may be; p50: of connects in slots that it served alone"
            .to_owned(),
        csv,
        empty: "No answer named a front door.".to_owned(),
        columns: columns(
            by,
            [
                words("front door"),
                numbers("requests"),
                numbers("share"),
                numbers("km"),
                numbers("p50, ms"),
                words("nearest"),
                times("first seen"),
                times("last seen"),
            ],
        ),
        rows: rows.collect(),
    }
}

/// When another front door came to serve most, the latest first.
pub(super) fn shifts(report: &EdgesReport) -> List {
    let mut all: Vec<(&EdgesRow, &EdgeShift)> =
        report.rows.iter().flat_map(|row| row.shifts.iter().map(move |shift| (row, shift))).collect();
    all.sort_by_key(|(_, shift)| std::cmp::Reverse(shift.at));
    let count: u64 = report.rows.iter().map(|row| row.shift_count).sum();
    let more = count.saturating_sub(all.len().min(MAX_SHIFTS) as u64);
    let ms = |value: Option<f64>| Cell::or_none(value.map(figure::ms));
    let rows = all.into_iter().take(MAX_SHIFTS).map(|(row, shift)| {
        vec![
            Cell::of(rfc3339::seconds(shift.at)),
            Cell::of(row.group.label(&report.question.by)),
            Cell::of(&shift.from),
            Cell::of(&shift.to),
            ms(shift.p50_before_ms),
            ms(shift.p50_after_ms),
        ]
    });
    List {
        id: "shifts",
        title: "Shifts",
        note: if more > 0 {
            format!("the latest; {more} more are not listed")
        } else {
            "another front door came to serve most of the requests; the latest first".to_owned()
        },
        empty: "None: the same front doors served most of the requests all the time.".to_owned(),
        columns: vec![
            times("at"),
            words("where"),
            words("from"),
            words("to"),
            numbers("p50 before, ms"),
            numbers("p50 after, ms"),
        ],
        rows: rows.collect(),
        ..List::default()
    }
}

/// Round trips beside the least that light takes.
pub(super) fn physics(report: &PhysicsReport, csv: String) -> List {
    let by = &report.question.by;
    let rows = report.rows.iter().map(|row| {
        let mut line = cells(&row.group, by);
        line.push(figure_cell(physics_words::called(row)));
        line.extend(physics_words::figures_of(row).map(figure_cell));
        let warn =
            matches!(row.verdict, Some(PhysicsVerdict::InterceptionOrWrongLocation | PhysicsVerdict::Detour));
        line.push(Cell { warn, ..Cell::of(physics_words::verdict(row)) });
        line
    });
    List {
        id: "physics",
        title: "Against light in fibre",
        note: "stretch up to 2 is good, beyond 4 a detour, wherever within the location and the city the two stand"
            .to_owned(),
        csv,
        empty: "No connect was measured.".to_owned(),
        columns: columns(
            by,
            [
                words("front door"),
                numbers("km"),
                numbers("connects"),
                numbers("min, ms"),
                numbers("p5, ms"),
                numbers("bound, ms"),
                numbers("stretch"),
                words("verdict"),
            ],
        ),
        rows: rows.collect(),
    }
}

/// What is faster than light, each in a sentence.
pub(super) fn impossible(report: &PhysicsReport) -> Vec<String> {
    let is = |row: &&PhysicsRow| row.verdict == Some(PhysicsVerdict::InterceptionOrWrongLocation);
    let all = report.rows.iter().filter(is);
    all.map(|row| physics_words::impossible(row, &report.question.by)).collect()
}

/// What is not known.
pub(super) fn notes(report: &EdgesReport) -> Vec<String> {
    let doors = || report.rows.iter().flat_map(|row| &row.front_doors);
    let unknown: BTreeSet<&str> =
        doors().filter(|door| door.city.is_none()).map(|door| door.code.as_str()).collect();
    let nowhere = report.rows.iter().filter(|row| row.area.is_none());
    let nowhere: BTreeSet<&str> = nowhere.filter_map(|row| row.group.location.as_deref()).collect();
    let untold: u64 = report.rows.iter().map(|row| row.untold).sum();
    let listed = |names: &BTreeSet<&str>| {
        let more = names.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", "))
    };
    let unknown = (!unknown.is_empty())
        .then(|| format!("In no table, so that nobody knows where it is: {}.", listed(&unknown)));
    let nowhere = (!nowhere.is_empty())
        .then(|| format!("Nobody knows where {} lies: give it coordinates.", listed(&nowhere)));
    let untold = (untold > 0).then(|| format!("{untold} answered connects named no front door."));
    [unknown, nowhere, untold].into_iter().flatten().collect()
}
