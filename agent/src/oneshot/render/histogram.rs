//! The distribution of each target's times, drawn in one line.

use super::text_of_us;
use crate::oneshot::{
    canvas::Canvas,
    painted::{Colour, Painted},
    tally::{Tally, is_primary},
    targets::Subject,
};
use peerlight_proto::histogram::Histogram;
use std::io::{self, Write};

/// How many columns a drawing has where the terminal does not say how many there are, and at most.
const COLUMNS: (usize, usize) = (32, 64);
/// The columns beside a drawing: both ends of its scale, its frame, and the gap to its label.
pub(in crate::oneshot) const BESIDE: usize = 24;
/// The fewest columns that still show a shape.
const LEAST: usize = 12;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BLOCKS: [char; 6] = [' ', '.', ':', '-', '=', '#'];

/// The characters of a column by its height, the lowest first.
pub(in crate::oneshot) fn blocks(canvas: Canvas) -> &'static [char] {
    if canvas.unicode { &BLOCKS } else { &ASCII_BLOCKS }
}

/// One line for each target that has more than one time.
pub(super) fn write(
    out: &mut impl Write,
    subjects: &[Subject],
    tally: &Tally,
    canvas: Canvas,
) -> io::Result<()> {
    let rows: Vec<_> = tally
        .rows()
        .filter(|(key, row)| is_primary(key.metric) && row.histogram.count() > 1)
        .map(|(key, row)| (&subjects[key.subject].text, format!(" {} {}", key.metric, key.family), row))
        .collect();
    let lengths = rows.iter().map(|(target, what, _)| target.chars().count() + what.len());
    let Some(longest) = lengths.max() else { return Ok(()) };
    let (label_columns, columns) = match canvas.width {
        None => (longest, COLUMNS.0),
        Some(width) => {
            let label = longest.min(width.saturating_sub(BESIDE + LEAST));
            (label, width.saturating_sub(BESIDE + label).clamp(LEAST, COLUMNS.1))
        }
    };
    writeln!(out)?;
    for (target, what, row) in rows {
        let label = canvas.shorten(target, label_columns.saturating_sub(what.len())) + &what;
        let drawing = framed(&row.histogram, columns, canvas).to_text(canvas);
        writeln!(out, "{label:label_columns$} {drawing}")?;
    }
    Ok(())
}

/// The distribution between its least and its largest value.
pub(in crate::oneshot) fn framed(histogram: &Histogram, columns: usize, canvas: Canvas) -> Painted {
    let (left, right) = (canvas.either("▕", "|"), canvas.either("▏", "|"));
    let (least, most) = (text_of_us(histogram.min_us(), canvas), text_of_us(histogram.max_us(), canvas));
    Painted::plain(format!("{least:>9} {left}"))
        .then(Colour::Cyan, &draw(histogram, columns, canvas))
        .then(None, &format!("{right} {most}"))
}

/// The distribution from its least to its largest value, on a logarithmic scale.
pub(super) fn draw(histogram: &Histogram, columns: usize, canvas: Canvas) -> String {
    let (Some(least), Some(most)) = (histogram.min_us(), histogram.max_us()) else { return String::new() };
    let mut counts = vec![0_u64; columns];
    for &(bucket, count) in histogram.buckets() {
        let value = peerlight_proto::histogram::lowest_of(bucket).clamp(least, most);
        counts[column(value, least, most, columns)] += count;
    }
    let highest = counts.iter().copied().max().unwrap_or(1).max(1);
    let blocks = blocks(canvas);
    let top = blocks.len() as u64 - 1;
    let height = |count: u64| usize::try_from((count * top).div_ceil(highest)).unwrap_or(0);
    counts.iter().filter_map(|&count| blocks.get(height(count))).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the place in a drawing of a few columns"
)]
pub(super) fn column(value: u64, least: u64, most: u64, columns: usize) -> usize {
    let log = |us: u64| ((us + 1) as f64).ln();
    let range = log(most) - log(least);
    let place = if range > 0.0 { (log(value) - log(least)) / range } else { 0.5 };
    ((place * columns as f64) as usize).min(columns.saturating_sub(1))
}
