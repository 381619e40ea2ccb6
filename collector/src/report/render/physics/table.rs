//! Physics as a table for people: a line for each front door, what is faster than light below it.

use crate::{
    report::{
        Dimension,
        physics::{NoVerdict, PhysicsReport, PhysicsRow, PhysicsVerdict},
        render::{
            edges::table::{kilometres, places},
            figure,
            table::{NONE, group_cells, group_columns, plain},
        },
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::fmt::Write as _;

/// The report as a table of at most `width` columns, with a line above that says what it is about and notes below.
pub fn render(report: &PhysicsReport, width: Option<u16>) -> String {
    let mut text = format!(
        "Connects against light in fibre, {} to {}\n\n",
        rfc3339::seconds(report.from),
        rfc3339::seconds(report.to)
    );
    if report.rows.is_empty() {
        text.push_str("No HTTPS probe was answered in that span: only they tell which front door served. See `peerlight-collector target list`.\n");
        return text;
    }
    let by = &report.question.by;
    let proxied = report.rows.iter().any(|row| row.group.is_proxied());
    let mut table = plain(width);
    let names = group_columns(by, proxied).into_iter().chain(["FRONT DOOR".to_owned()]);
    let figures =
        ["KM", "ANSWERED", "MIN MS", "P5 MS", "BOUND MS", "STRETCH"].map(|title| right(title.to_owned()));
    table.set_header(names.map(Cell::new).chain(figures).chain([Cell::new("VERDICT")]));
    for row in &report.rows {
        let names = group_cells(&row.group, by, proxied).into_iter().chain([called(row)]);
        let figures = figures_of(row).map(right);
        table.add_row(names.map(Cell::new).chain(figures).chain([Cell::new(verdict(row))]));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    for row in
        report.rows.iter().filter(|row| row.verdict == Some(PhysicsVerdict::InterceptionOrWrongLocation))
    {
        let _ = write!(text, "\nInterception or wrong location: {}", impossible(row, by));
    }
    text.push_str(&places(report.rows.iter().map(|row| (row.group.location.as_deref(), row.area.is_some()))));
    text.push_str(
        "\nBOUND: there and back through fibre over the least KM. STRETCH: the 5th percentile over the bounds of the most and the least KM.\nUp to 2 is good, beyond 4 a detour, wherever within the location and the front door's city the two stand.\n",
    );
    text
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// What a round trip below the bound means, in a sentence.
pub(crate) fn impossible(row: &PhysicsRow, by: &[Dimension]) -> String {
    let ms = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), figure::ms);
    format!(
        "{}: {} answered within {} ms, light takes at least {}. A proxy that ends connections nearer by, or a location that \
         is not where the site is.",
        row.group.label(by),
        called(row),
        ms(row.latency_ms.min),
        ms(row.bound_ms),
    )
}

/// `FRA Frankfurt`; a code that is in no table alone.
pub(crate) fn called(row: &PhysicsRow) -> String {
    match (&row.front_door, &row.city) {
        (Some(code), Some(city)) => format!("{code} {city}"),
        (Some(code), None) => code.clone(),
        (None, _) => NONE.to_owned(),
    }
}

/// Kilometres, answered connects, least and 5th percentile, bound and stretch.
pub(crate) fn figures_of(row: &PhysicsRow) -> [String; 6] {
    let ms = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), figure::ms);
    let stretch = row.stretch.map(|stretch| match stretch.high {
        Some(high) => format!("{:.2}-{high:.2}", stretch.low),
        None => format!(">{:.2}", stretch.low),
    });
    [
        row.distance.map_or_else(|| NONE.to_owned(), kilometres),
        row.answered.to_string(),
        ms(row.latency_ms.min),
        ms(row.latency_ms.p5),
        ms(row.bound_ms),
        stretch.unwrap_or_else(|| NONE.to_owned()),
    ]
}

/// What to make of it, or why nothing.
pub(crate) fn verdict(row: &PhysicsRow) -> &'static str {
    match (row.verdict, row.no_verdict_because) {
        (Some(PhysicsVerdict::InterceptionOrWrongLocation), _) => "impossible",
        (Some(PhysicsVerdict::Good), _) => "good",
        (Some(PhysicsVerdict::Typical), _) => "typical",
        (Some(PhysicsVerdict::Detour), _) => "detour",
        (None, Some(NoVerdict::Proxied)) => "none: through a proxy",
        (None, Some(NoVerdict::SeveralFrontDoors)) => "none: not one front door",
        (None, Some(NoVerdict::UnknownFrontDoor)) => "none: front door unknown",
        (None, Some(NoVerdict::UnknownLocation)) => "none: location unknown",
        (None, Some(NoVerdict::MayBeNear)) => "none: may be near",
        (None, Some(NoVerdict::TooFew)) => "none: too few",
        (None, None) => NONE,
    }
}
