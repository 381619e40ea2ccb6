//! The result of the `probe` command: for people a table with small drawings, for programs JSON or CSV.

mod document;
mod failures;
pub(super) mod histogram;
pub(super) mod landing;
pub(super) mod live;
pub(super) mod phases;
mod sheet;
mod table;

use super::{
    args::{Output, Plan},
    canvas::Canvas,
    tally::{Tally, percentile},
    targets::Subject,
};
use peerlight_proto::histogram::Histogram;
use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes the result to stdout: for programs that alone, and what went wrong to stderr.
pub(super) fn write(plan: &Plan, tally: &Tally) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let subjects = &plan.subjects;
    match plan.output {
        Output::Table => write_text(&mut out, subjects, tally, Canvas::stdout(plan.color))?,
        Output::Json => document::write(&mut out, subjects, tally)?,
        Output::Csv => sheet::write(&mut out, subjects, tally)?,
        // Each line was written as its probe landed.
        Output::Ndjson => {}
    }
    out.flush()?;
    if plan.output != Output::Table {
        for line in failures::lines(subjects, tally) {
            tell(&line);
        }
    }
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
pub(super) fn tell(line: &str) {
    // Without stderr there is nobody to tell.
    let _unheard = writeln!(io::stderr(), "{line}");
}

/// All that people read: the table, a drawing for each target, and what went wrong.
fn write_text(out: &mut impl Write, subjects: &[Subject], tally: &Tally, canvas: Canvas) -> io::Result<()> {
    table::write(out, subjects, tally, canvas)?;
    histogram::write(out, subjects, tally, canvas)?;
    phases::write(out, subjects, tally, canvas)?;
    write_failures(out, subjects, tally, canvas)
}

fn write_failures(
    out: &mut impl Write,
    subjects: &[Subject],
    tally: &Tally,
    canvas: Canvas,
) -> io::Result<()> {
    let lines = failures::lines(subjects, tally);
    if !lines.is_empty() && tally.rows().any(|(_, row)| row.counters.sent() > 0) {
        writeln!(out)?;
    }
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.replace('×', canvas.either("×", "x"))))
}

/// Microseconds as milliseconds, to the last of them; a dash for none.
pub(super) fn text_of_us(us: Option<u64>, canvas: Canvas) -> String {
    us.map_or_else(|| none(canvas), |us| format!("{}.{:03}", us / 1_000, us % 1_000))
}

fn none(canvas: Canvas) -> String {
    canvas.either("–", "-").to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "at most 60 s in microseconds")]
fn ms(us: Option<u64>) -> Option<f64> {
    us.map(|us| us as f64 / 1e3)
}

fn percentile_ms(histogram: &Histogram, permille: u32) -> Option<f64> {
    ms(percentile(histogram, permille))
}

/// Cuts `of` columns into parts as large as the values, to the column: none is lost by rounding.
fn shares(values: &[u64], of: usize) -> Vec<usize> {
    let sum = values.iter().map(|&value| u128::from(value)).sum::<u128>().max(1);
    let mut until = 0_u128;
    let mut before = 0;
    let mut share = |&value: &u64| {
        until += u128::from(value);
        let here = usize::try_from((until * of as u128 + sum / 2) / sum).unwrap_or(of);
        let columns = here - before;
        before = here;
        columns
    };
    values.iter().map(&mut share).collect()
}

#[cfg(test)]
mod tests;
