//! Availability as a table for people: the rows, then the outages, then the gaps.

use crate::{
    report::{
        NoLoss,
        availability::{AvailabilityReport, AvailabilityRow, FEWEST_UNANSWERED, Gap, GapKind, Outage},
        render::{
            figure::{self, length},
            table::{NONE, group_cells, group_columns, plain},
        },
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::fmt::Write as _;

/// How many outages, and how many gaps, are told below the table.
const MAX_TOLD: usize = 12;

/// The report as a table of at most `width` columns, with a line above that says what it is about and notes below.
pub fn render(report: &AvailabilityReport, width: Option<u16>) -> String {
    let mut text =
        format!("Availability, {} to {}\n\n", rfc3339::seconds(report.from), rfc3339::seconds(report.to));
    if report.rows.is_empty() {
        text.push_str("Nothing was to be measured in that span. Is an agent enrolled and running? See `peerlight-collector agent list`.\n");
        return text;
    }
    let by = &report.question.by;
    let proxied = report.rows.iter().any(|row| row.group.is_proxied());
    let mut table = plain(width);
    let names = group_columns(by, proxied).into_iter().chain(["METRIC".to_owned()]);
    let figures =
        ["AGENTS", "COVERED", "AVAILABLE", "OUTAGES", "OUT", "UNDECIDED", "REFUSED", "UNSENT", "SILENT"];
    let figures = figures.map(|title| Cell::new(title).set_alignment(CellAlignment::Right));
    table.set_header(names.map(Cell::new).chain(figures));
    for row in &report.rows {
        let names = group_cells(&row.group, by, proxied).into_iter().chain([row.metric.to_string()]);
        let figures = figures_of(row).map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(names.map(Cell::new).chain(figures));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    text.push_str(&outages(report));
    text.push_str(&gaps(report));
    text.push_str(&notes(report));
    text
}

/// What stands in a row beside its names: agents, coverage, availability, outages, and what the time was.
pub fn figures_of(row: &AvailabilityRow) -> [String; 9] {
    let available = match (row.no_availability_because, row.availability) {
        (Some(NoLoss::IcmpSilent), _) => "icmp silent".to_owned(),
        (None, None) => NONE.to_owned(),
        (None, Some(share)) => {
            let [value, low, high] = [share.value, share.low, share.high].map(|share| share * 100.0);
            format!("{} ({low:.2}-{high:.2})", figure::percent(value / 100.0))
        }
    };
    let seconds = &row.seconds;
    let times = [seconds.outage, seconds.undecided, seconds.refused, seconds.not_measuring, seconds.silent];
    let [outage, undecided, refused, unsent, silent] = times.map(length);
    [
        row.agents.to_string(),
        row.coverage.map_or_else(|| NONE.to_owned(), figure::percent),
        available,
        row.outage_count.to_string(),
        outage,
        undecided,
        refused,
        unsent,
        silent,
    ]
}

/// What a row is called in a sentence.
fn label(report: &AvailabilityReport, row: &AvailabilityRow) -> String {
    format!("{} · {}", row.group.label(&report.question.by), row.metric)
}

fn outages(report: &AvailabilityReport) -> String {
    let mut all: Vec<(&AvailabilityRow, &Outage)> =
        report.rows.iter().flat_map(|row| row.outages.iter().map(move |one| (row, one))).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse((one.ongoing, one.agents_affected, one.seconds)));
    let count: u64 = report.rows.iter().map(|row| row.outage_count).sum();
    let mut text = String::new();
    for (row, one) in all.iter().take(MAX_TOLD) {
        let start = if one.start_known { "" } else { " (or earlier)" };
        let end = match (one.ongoing, one.end_known) {
            (true, _) => " (and lasts)",
            (false, true) => "",
            (false, false) => " (or later)",
        };
        let _ = write!(
            text,
            "\nOutage: {}: {}{start} to {}{end}, {}, {} of {} agents, {} probes unanswered.",
            label(report, row),
            rfc3339::seconds(one.from),
            rfc3339::seconds(one.to),
            length(one.seconds),
            one.agents_affected,
            one.agents_measuring,
            one.unanswered
        );
    }
    more(&mut text, count.saturating_sub(MAX_TOLD.min(all.len()) as u64), "outages");
    text
}

fn gaps(report: &AvailabilityReport) -> String {
    let mut all: Vec<(&AvailabilityRow, &Gap)> =
        report.rows.iter().flat_map(|row| row.gaps.iter().map(move |one| (row, one))).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse((one.agents_affected, one.seconds)));
    let count: u64 = report.rows.iter().map(|row| row.gap_count).sum();
    let mut text = String::new();
    for (row, one) in all.iter().take(MAX_TOLD) {
        let what = match one.kind {
            GapKind::Silent => "nothing was heard",
            GapKind::NotMeasuring => "nothing was sent",
        };
        let agents = if one.agents_affected == 1 { "agent" } else { "agents" };
        let _ = write!(
            text,
            "\nNo outage: {}: {} to {}, {}, {what} of {} {agents}.",
            label(report, row),
            rfc3339::seconds(one.from),
            rfc3339::seconds(one.to),
            length(one.seconds),
            one.agents_affected
        );
    }
    more(&mut text, count.saturating_sub(MAX_TOLD.min(all.len()) as u64), "gaps");
    text
}

fn more(text: &mut String, more: u64, what: &str) {
    if more > 0 {
        let _ = write!(text, "\nand {more} more {what}: --format json");
    }
}

/// How to read it.
fn notes(report: &AvailabilityReport) -> String {
    let mut notes = String::new();
    if report.rows.iter().any(|row| row.icmp_silent_agents > 0) {
        notes.push_str(
            "\nicmp silent: the target never answers ICMP there while TCP works: neither loss nor outage.",
        );
    }
    let coarse = report.rows.iter().flat_map(|row| &row.outages).any(|one| one.resolution_seconds > 60);
    if coarse {
        notes.push_str(
            "\nWhere minutes have expired outages are known to a quarter hour, and shorter ones are not seen.",
        );
    }
    let _ = write!(
        notes,
        "\nOut, undecided, refused, unsent and silent: time of all agents together. An outage takes {FEWEST_UNANSWERED} unanswered probes in a row \
         within minutes of which no probe was answered."
    );
    let _ = writeln!(notes, "\nIn brackets: 95 % within this sample, undecided time at its worst and best.");
    notes
}
