//! The result of the `probe` command: a table with small histograms, or JSON.

mod failures;

use super::{
    args::Plan,
    tally::{Key, Row, Tally},
    targets::Subject,
};
use crate::format::Format;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use peerlight_proto::histogram::Histogram;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write},
};

/// How many columns a histogram has.
const COLUMNS: usize = 32;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// One line below the header, and none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
const HEADER: [&str; 15] = [
    "target", "metric", "family", "clock", "sent", "answered", "lost", "refused", "p50", "p90", "p95", "p99",
    "max", "mean", "jitter",
];

/// Writes the result to stdout: with JSON that one document, and what went wrong to stderr.
pub(super) fn write(plan: &Plan, tally: &Tally) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match plan.format {
        Format::Table => write_table(&mut out, &plan.subjects, tally)?,
        Format::Json => {
            write_json(&mut out, &plan.subjects, tally)?;
            for line in failures::lines(&plan.subjects, tally) {
                tell(&line);
            }
        }
    }
    out.flush()?;
    if let Some(advice) = failures::advice(tally) {
        tell(&format!("peerlight-agent: {advice}"));
    }
    Ok(())
}

/// Writes a warning to stderr.
pub(super) fn warn(problem: &impl Display) {
    tell(&format!("warning: {problem}"));
}

/// Writes a line to stderr.
fn tell(line: &str) {
    // Without stderr there is nobody to tell.
    let _unheard = writeln!(io::stderr(), "{line}");
}

/// Rows of which nothing was sent have nothing to show; what became of them is said below.
fn write_table(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEADER);
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (key, row) in tally.rows().filter(|(_, row)| row.counters.sent() > 0) {
        table.add_row(cells(subjects, key, row));
    }
    if !table.is_empty() {
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "Times in milliseconds; lost counts late and retransmitted, too; – means too few answers."
        )?;
    }
    write_histograms(out, subjects, tally)?;
    write_failures(out, subjects, tally)
}

fn cells(subjects: &[Subject], key: &Key, row: &Row) -> Vec<String> {
    let counters = &row.counters;
    let mut cells = vec![
        subjects[key.subject].text.clone(),
        key.metric.name().to_owned(),
        key.family.to_string(),
        key.clock.to_string(),
    ];
    let counts = [counters.sent(), counters.answered, counters.network_lost(), counters.refused];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([500, 900, 950, 990].map(|permille| text_of_us(row.percentile(permille))));
    cells.push(text_of_us(row.histogram.max_us()));
    let means = [row.histogram.mean_us(), row.jitter_us()];
    cells.extend(means.map(|mean| mean.map_or_else(none, |us| format!("{:.3}", us / 1e3))));
    cells
}

fn write_histograms(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let rows: Vec<_> = tally.rows().filter(|(_, row)| row.histogram.count() > 1).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let labels =
        rows.iter().map(|(key, _)| format!("{} {} {}", subjects[key.subject].text, key.metric, key.family));
    let labels: Vec<String> = labels.collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    writeln!(out)?;
    for (label, (_, row)) in labels.iter().zip(rows) {
        let (least, most) = (text_of_us(row.histogram.min_us()), text_of_us(row.histogram.max_us()));
        writeln!(out, "{label:width$} {least:>9} ▕{}▏ {most}", draw(&row.histogram))?;
    }
    Ok(())
}

fn write_failures(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let lines = failures::lines(subjects, tally);
    if !lines.is_empty() && tally.rows().any(|(_, row)| row.counters.sent() > 0) {
        writeln!(out)?;
    }
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// The distribution from its least to its largest value, on a logarithmic scale.
fn draw(histogram: &Histogram) -> String {
    let (Some(least), Some(most)) = (histogram.min_us(), histogram.max_us()) else { return String::new() };
    let mut columns = [0_u64; COLUMNS];
    for &(bucket, count) in histogram.buckets() {
        let value = peerlight_proto::histogram::lowest_of(bucket).clamp(least, most);
        columns[column(value, least, most)] += count;
    }
    let highest = columns.iter().copied().max().unwrap_or(1).max(1);
    let top = BLOCKS.len() as u64 - 1;
    let height = |count: u64| usize::try_from((count * top).div_ceil(highest)).unwrap_or(0);
    columns.iter().filter_map(|&count| BLOCKS.get(height(count))).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the place in a drawing of a few columns"
)]
fn column(value: u64, least: u64, most: u64) -> usize {
    let log = |us: u64| ((us + 1) as f64).ln();
    let range = log(most) - log(least);
    let place = if range > 0.0 { (log(value) - log(least)) / range } else { 0.5 };
    ((place * COLUMNS as f64) as usize).min(COLUMNS - 1)
}

fn text_of_us(us: Option<u64>) -> String {
    us.map_or_else(none, |us| format!("{}.{:03}", us / 1_000, us % 1_000))
}

fn none() -> String {
    "–".to_owned()
}

#[derive(Serialize)]
struct Document<'a> {
    targets: Vec<Entry<'a>>,
    failures: Vec<failures::Failure<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    target: &'a str,
    metric: &'static str,
    family: &'static str,
    address: Option<String>,
    clock: &'static str,
    sent: u64,
    answered: u64,
    lost: u64,
    refused: u64,
    latency_ms: LatencyMs,
}

#[derive(Serialize)]
struct LatencyMs {
    min: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
}

fn write_json(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let entry = |(key, row): (&Key, &Row)| Entry {
        target: &subjects[key.subject].text,
        metric: key.metric.name(),
        family: key.family.as_str(),
        address: row.address.map(|address| address.to_string()),
        clock: key.clock.as_str(),
        sent: row.counters.sent(),
        answered: row.counters.answered,
        lost: row.counters.network_lost(),
        refused: row.counters.refused,
        latency_ms: LatencyMs {
            min: ms(row.histogram.min_us()),
            p50: ms(row.percentile(500)),
            p90: ms(row.percentile(900)),
            p95: ms(row.percentile(950)),
            p99: ms(row.percentile(990)),
            max: ms(row.histogram.max_us()),
            mean: row.histogram.mean_us().map(|us| us.round() / 1e3),
        },
    };
    let document =
        Document { targets: tally.rows().map(entry).collect(), failures: failures::each(subjects, tally) };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

#[expect(clippy::cast_precision_loss, reason = "at most 60 s in microseconds")]
fn ms(us: Option<u64>) -> Option<f64> {
    us.map(|us| us as f64 / 1e3)
}

#[cfg(test)]
mod tests;
