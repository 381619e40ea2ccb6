//! Edge mix as a table for people: a line for each front door, then the shifts, then what is not known.

use crate::{
    geography::{Distance, Nearness},
    report::{
        edges::{EdgeShare, EdgeShift, EdgesReport, EdgesRow},
        render::{
            figure,
            table::{NONE, group_cells, group_columns, plain},
        },
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::{collections::BTreeSet, fmt::Write as _};

/// How many shifts are told below the table.
const MAX_TOLD: usize = 12;

/// The report as a table of at most `width` columns, with a line above that says what it is about and notes below.
pub fn render(report: &EdgesReport, width: Option<u16>) -> String {
    let mut text =
        format!("Front doors, {} to {}\n\n", rfc3339::seconds(report.from), rfc3339::seconds(report.to));
    if report.rows.is_empty() {
        text.push_str("No HTTPS probe was answered in that span: only they tell which front door served. See `peerlight-collector target list`.\n");
        return text;
    }
    let proxied = report.rows.iter().any(|row| row.group.is_proxied());
    let mut table = plain(width);
    let figures = ["REQUESTS", "SHARE", "KM", "P50 MS"].map(right);
    let ends = ["NEAREST", "FIRST SEEN", "LAST SEEN"].map(Cell::new);
    let names = group_columns(&report.question.by, proxied).into_iter().chain(["FRONT DOOR".to_owned()]);
    table.set_header(names.map(Cell::new).chain(figures).chain(ends));
    for row in &report.rows {
        for door in &row.front_doors {
            let names =
                group_cells(&row.group, &report.question.by, proxied).into_iter().chain([called(door)]);
            let figures = figures_of(door).map(right);
            let ends =
                [nearness(row, door), rfc3339::seconds(door.first_seen), rfc3339::seconds(door.last_seen)];
            table.add_row(names.map(Cell::new).chain(figures).chain(ends.map(Cell::new)));
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    text.push_str(&shifts(report));
    text.push_str(&notes(report));
    text
}

fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

/// `FRA Frankfurt`; a code that is in no table alone.
pub(crate) fn called(door: &EdgeShare) -> String {
    door.city.as_ref().map_or_else(|| door.code.clone(), |city| format!("{} {city}", door.code))
}

/// Requests, share, distance and the median of connects.
pub(crate) fn figures_of(door: &EdgeShare) -> [String; 4] {
    [
        door.requests.to_string(),
        figure::percent(door.share),
        door.distance.map_or_else(|| NONE.to_owned(), kilometres),
        door.connect_p50_ms.map_or_else(|| NONE.to_owned(), figure::ms),
    ]
}

/// `5176-5342`, `<83` where one may stand in the other.
pub(in crate::report::render) fn kilometres(distance: Distance) -> String {
    let Distance { least_km, most_km } = distance;
    if least_km > 0.0 { format!("{least_km:.0}-{most_km:.0}") } else { format!("<{most_km:.0}") }
}

/// `yes`, or which one is.
pub(crate) fn nearness(row: &EdgesRow, door: &EdgeShare) -> String {
    let nearest = || row.nearest.as_ref().map(|nearest| nearest.code.as_str()).unwrap_or_default();
    match door.nearness {
        None => NONE.to_owned(),
        Some(Nearness::Nearest) => "yes".to_owned(),
        Some(Nearness::Undecided) => format!("perhaps {}", nearest()),
        Some(Nearness::Farther) => format!("no, {}", nearest()),
    }
}

/// `LOS to LIS, 34.0 to 72.0 ms`.
pub(crate) fn shifted(shift: &EdgeShift) -> String {
    let mut text = format!("{} to {}", shift.from, shift.to);
    if let (Some(before), Some(after)) = (shift.p50_before_ms, shift.p50_after_ms) {
        let _ = write!(text, ", p50 {} to {} ms", figure::ms(before), figure::ms(after));
    }
    text
}

fn shifts(report: &EdgesReport) -> String {
    let by = &report.question.by;
    let mut all: Vec<(&EdgesRow, &EdgeShift)> =
        report.rows.iter().flat_map(|row| row.shifts.iter().map(move |shift| (row, shift))).collect();
    all.sort_by_key(|(_, shift)| std::cmp::Reverse(shift.at));
    let count: u64 = report.rows.iter().map(|row| row.shift_count).sum();
    let mut text = String::new();
    for (row, shift) in all.iter().take(MAX_TOLD) {
        let _ = write!(
            text,
            "\nShift: {}: {}: {}.",
            rfc3339::seconds(shift.at),
            row.group.label(by),
            shifted(shift)
        );
    }
    let more = count.saturating_sub(MAX_TOLD.min(all.len()) as u64);
    if more > 0 {
        let _ = write!(text, "\nand {more} more shifts: --format json");
    }
    text
}

fn notes(report: &EdgesReport) -> String {
    let doors = || report.rows.iter().flat_map(|row| &row.front_doors);
    let mut text = String::new();
    let unknown: BTreeSet<&str> =
        doors().filter(|door| door.city.is_none()).map(|door| door.code.as_str()).collect();
    if !unknown.is_empty() {
        let list = unknown.into_iter().take(MAX_TOLD).collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\nIn no table, so that nobody knows where it is: {list}.");
    }
    text.push_str(&places(report.rows.iter().map(|row| (row.group.location.as_deref(), row.area.is_some()))));
    let untold: u64 = report.rows.iter().map(|row| row.untold).sum();
    if untold > 0 {
        let _ = write!(text, "\n{untold} answered connects named no front door.");
    }
    text.push_str(
        "\nNEAREST: of the front doors in Microsoft's own table; KM: the least and the most that it may be.\nP50: of connects in slots that the front door served alone.\n",
    );
    text
}

/// Which locations nobody knows the place of.
pub(in crate::report::render) fn places<'a>(
    locations: impl Iterator<Item = (Option<&'a str>, bool)>,
) -> String {
    let unknown: BTreeSet<&str> =
        locations.filter(|(_, known)| !known).filter_map(|(code, _)| code).collect();
    if unknown.is_empty() {
        return String::new();
    }
    let list = unknown.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "\nNobody knows where {list} lies: `peerlight-collector location add --latitude … --longitude …` says it."
    )
}
