//! Reports as a table for people, which fits a terminal of 120 to 160 columns unless it is to hold every figure.

mod wide;

pub(super) use wide::with_loss;

use super::figure;
use crate::{
    report::{Bounds, Dimension, Group, Jitter, Latency, Loss, NoLoss, Report, ReportRow},
    rfc3339,
};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::{collections::BTreeSet, fmt::Write as _};

/// What stands where a value is null.
pub(super) const NONE: &str = "-";
/// How many notes tell who served, or what is missing.
const MAX_SEEN: usize = 12;

/// The report as a table of at most `width` columns, with a line above that says what it is about and notes below.
pub fn render(report: &Report, width: Option<u16>) -> String {
    render_columns(report, &columns(report), width)
}

/// The same with every figure in a column of its own, as wide as that takes.
pub fn render_wide(report: &Report) -> String {
    render_columns(report, &wide::columns(report), None)
}

fn render_columns(report: &Report, columns: &[Column], width: Option<u16>) -> String {
    let mut text =
        format!("Latency in ms, {} to {}", rfc3339::seconds(report.from), rfc3339::seconds(report.to));
    if let Some(until) = report.measured_until {
        let _ = write!(text, ", measured until {}", rfc3339::seconds(until));
    }
    text.push_str("\n\n");
    if report.rows.is_empty() {
        text.push_str("Nothing was measured in that span. Is an agent enrolled and running? See `peerlight-collector agent list`.\n");
        text.push_str(missing(report).trim_start());
        return text;
    }
    let mut table = plain(width);
    table.set_header(columns.iter().map(|column| aligned(column, column.title.clone())));
    for row in &report.rows {
        table.add_row(columns.iter().map(|column| aligned(column, (column.value)(row))));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    text.push_str(&notes(report));
    text
}

/// A table without lines, of at most `width` columns.
pub(super) fn plain(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// The titles of the columns that say what a line is about.
pub(super) fn group_columns(by: &[Dimension], proxied: bool) -> Vec<String> {
    let names = by.iter().map(|dimension| dimension.name().to_uppercase());
    names.chain(proxied.then(|| "PATH".to_owned())).collect()
}

/// What a line is about.
pub(super) fn group_cells(group: &Group, by: &[Dimension], proxied: bool) -> Vec<String> {
    let named = |dimension: &Dimension| {
        Some(group.name(*dimension)).filter(|name| !name.is_empty()).unwrap_or(NONE).to_owned()
    };
    by.iter().map(named).chain(proxied.then(|| group.path.to_string())).collect()
}

struct Column {
    title: String,
    numeric: bool,
    value: Box<dyn Fn(&ReportRow) -> String>,
}

fn aligned(column: &Column, text: String) -> Cell {
    Cell::new(text).set_alignment(if column.numeric { CellAlignment::Right } else { CellAlignment::Left })
}

fn text(title: &str, value: impl Fn(&ReportRow) -> String + 'static) -> Column {
    Column { title: title.to_uppercase(), numeric: false, value: Box::new(value) }
}

fn number(title: &str, value: impl Fn(&ReportRow) -> String + 'static) -> Column {
    Column { title: title.to_uppercase(), numeric: true, value: Box::new(value) }
}

fn columns(report: &Report) -> Vec<Column> {
    let mut columns = Vec::new();
    if report.question.step_seconds.is_some() {
        columns.push(text("slot", |row| row.slot.map_or_else(|| NONE.to_owned(), rfc3339::seconds)));
    }
    for dimension in &report.question.by {
        let dimension = *dimension;
        columns.push(text(dimension.name(), move |row| name(row, dimension)));
    }
    if report.rows.iter().any(|row| row.group.is_proxied()) {
        columns.push(text("path", |row| row.group.path.to_string()));
    }
    columns.extend([
        text("metric", |row| row.metric.to_string()),
        number("agents", |row| row.agents.to_string()),
        number("covered", covered),
        number("sent", |row| row.sent.to_string()),
        number("loss", lost),
    ]);
    if report.rows.iter().any(|row| row.refused > 0) {
        columns.push(number("refused", |row| row.refused.to_string()));
    }
    columns.extend([
        number("p50", |row| bounded(row.latency_ms.p50, row.latency_interval_ms.p50)),
        number("p95", |row| bounded(row.latency_ms.p95, row.latency_interval_ms.p95)),
        number("p95+loss", |row| with_loss(row.latency_ms.p95, row.latency_incl_loss_ms.p95)),
        number("p99", |row| ms(row.latency_ms.p99)),
        number("jitter", |row| ms(row.jitter_ms.and_then(|Jitter { p50, .. }| p50))),
        text("clock", clock),
    ]);
    if report.rows.iter().any(|row| row.declared > 0) {
        columns.push(number("declared", |row| row.declared.to_string()));
    }
    columns
}

fn covered(row: &ReportRow) -> String {
    row.coverage.map_or_else(|| NONE.to_owned(), figure::percent)
}

fn name(row: &ReportRow, dimension: Dimension) -> String {
    let name = row.group.name(dimension);
    if name.is_empty() { NONE.to_owned() } else { name.to_owned() }
}

/// Below the table: what was not counted, and how to read it.
fn notes(report: &Report) -> String {
    let mut notes = missing(report);
    let sum = |of: fn(&ReportRow) -> u64| report.rows.iter().map(of).fold(0_u64, u64::saturating_add);
    let (off, declared) = (sum(|row| row.off_prefix), sum(|row| row.declared_uncounted));
    if off > 0 {
        let _ =
            write!(notes, "\nNot counted: {off} probes that left from an address outside the registration.");
    }
    if declared > 0 {
        let _ = write!(
            notes,
            "\nNot counted: {declared} probes whose public address could not be seen (declared)."
        );
    }
    let silent = sum(|row| row.icmp_silent);
    if silent > 0 {
        let _ = write!(
            notes,
            "\nNot counted as loss: {silent} echo requests to targets that never answer ICMP at their site while TCP works there."
        );
    }
    let offsets = report.rows.iter().filter_map(|row| row.max_clock_offset_ms);
    if let Some(furthest) = offsets.max_by(|a, b| a.abs().total_cmp(&b.abs())) {
        let (off, side) = (figure::ms(furthest.abs()), if furthest > 0.0 { "behind" } else { "ahead" });
        let _ = write!(
            notes,
            "\nThe clock of an agent that was furthest off the collector's was {off} ms {side}."
        );
    }
    let busy = report.rows.iter().filter_map(|row| row.agent_noise_ms?.busy());
    if let Some(latest) = busy.max_by(f64::total_cmp) {
        let _ = write!(
            notes,
            "\nAgents were busy: probes left up to {} ms late. Times by the kernel and tcp_info stand, those by the user clock may be the machine's.",
            figure::ms(latest)
        );
    }
    notes.push_str(&seen(report));
    let null = |latency: &Latency| latency.p50.is_none() || latency.p95.is_none() || latency.p99.is_none();
    if report.rows.iter().any(|row| null(&row.latency_ms)) {
        let _ = write!(notes, "\n`{NONE}`: too few answered probes (p50 needs 10, p95 20, p99 100).");
    }
    if report
        .rows
        .iter()
        .any(|row| row.latency_ms.p95.is_some() && row.latency_ms.p95 != row.latency_incl_loss_ms.p95)
    {
        let _ = write!(
            notes,
            "\nP95+LOSS: with lost probes as infinitely slow; `lost` where the rank falls on one."
        );
    }
    let _ = writeln!(notes, "\nIn brackets: {}.", report.intervals);
    notes
}

/// What was dropped: gaps of coverage of which it is known why they are there.
fn missing(report: &Report) -> String {
    let mut notes = String::new();
    for missing in report.dropped.iter().take(MAX_SEEN) {
        let _ = write!(notes, "\nMissing: {}.", missing.sentence());
    }
    let more = report.dropped.len().saturating_sub(MAX_SEEN);
    if more > 0 {
        let _ = write!(notes, "\nand {more} more of this kind: `dropped` in --format json");
    }
    notes
}

/// Who served the probes, where that changed or is flagged: once for a group, whose metrics are of the same probes.
fn seen(report: &Report) -> String {
    let mut said = BTreeSet::new();
    for row in &report.rows {
        let mixed =
            row.seen.is_mixed().then(|| format!("several front doors served: {}", row.seen.front_doors()));
        let about = row.group.label(&report.question.by);
        said.extend(row.seen.flags().into_iter().chain(mixed).map(|what| format!("\n{about}: {what}")));
    }
    let more = said.len().saturating_sub(MAX_SEEN);
    let mut notes: String = said.into_iter().take(MAX_SEEN).collect();
    if more > 0 {
        let _ = write!(notes, "\nand {more} more of this kind: `seen` in --format json");
    }
    notes
}

/// The loss of a row, or why it has none.
fn lost(row: &ReportRow) -> String {
    match row.no_loss_because {
        Some(NoLoss::IcmpSilent) => "icmp silent".to_owned(),
        None => row.loss.map_or_else(|| NONE.to_owned(), loss),
    }
}

pub(super) fn loss(loss: Loss) -> String {
    format!("{} ({:.1}-{:.1})", figure::percent(loss.value), loss.low * 100.0, loss.high * 100.0)
}

/// A time with as many digits as matter.
fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), figure::ms)
}

pub(super) fn bounded(value: Option<f64>, bounds: Option<Bounds>) -> String {
    let Some(value) = value else { return NONE.to_owned() };
    let bounds = bounds.unwrap_or_default();
    match (bounds.low, bounds.high) {
        (None, None) => figure::ms(value),
        (low, high) => {
            let edge = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), figure::ms);
            format!("{} ({}-{})", figure::ms(value), edge(low), edge(high))
        }
    }
}

/// The clock that timed most probes, marked if others timed some.
fn clock(row: &ReportRow) -> String {
    let mut clocks =
        [("kernel", row.clocks.kernel), ("tcp_info", row.clocks.tcp_info), ("user", row.clocks.user)];
    clocks.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match clocks {
        [(_, 0), ..] => NONE.to_owned(),
        [(name, _), (_, 0), _] => name.to_owned(),
        [(name, _), ..] => format!("{name}+"),
    }
}
