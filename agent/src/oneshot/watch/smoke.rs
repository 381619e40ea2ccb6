//! Smoke, after `SmokePing`: over time the median of each column's probes, coloured by how many failed, and around it, the
//! lighter the rarer, all the other times. Pure.

use crate::oneshot::{
    canvas::Canvas,
    history::Column,
    painted::{Colour, Painted},
};

/// Which part of the times lies within the scale; what is above is drawn in the top row.
const WITHIN_PERCENT: usize = 95;
/// The least height of the scale, so that a calm path does not look wild.
const LEAST_US: u32 = 50;
/// The least height as a part of the lowest time, for the same reason.
const LEAST_PART: u32 = 10;
/// From which part of failures on a median has which colour.
const COLOURS: [(f64, Colour); 4] =
    [(0.25, Colour::Red), (0.05, Colour::Magenta), (f64::MIN_POSITIVE, Colour::Yellow), (0.0, Colour::Green)];
/// From which part of a column's times on a cell is how dark.
const SHADES: [(f64, &str, &str); 3] = [(0.3, "▓", "="), (0.1, "▒", ":"), (0.0, "░", ".")];

/// The times at the bottom and at the top of the drawing, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) low: u32,
    pub(super) high: u32,
}

impl Scale {
    /// One that shows what matters of the columns; none if nothing was answered.
    pub(super) fn of(columns: &[Column]) -> Option<Self> {
        let mut times: Vec<u32> = columns.iter().flat_map(|column| column.times.iter().copied()).collect();
        times.sort_unstable();
        let low = *times.first()?;
        let high = *times.get((times.len() * WITHIN_PERCENT).div_ceil(100).saturating_sub(1))?;
        let least = (low / LEAST_PART).max(LEAST_US);
        Some(Self { low, high: high.max(low.saturating_add(least)) })
    }

    /// The row of a time, from 0 at the bottom.
    fn row(self, us: u32, rows: usize) -> usize {
        let (above, height) =
            (u64::from(us.saturating_sub(self.low)), u64::from(self.high - self.low).max(1));
        let row = above * rows as u64 / height;
        usize::try_from(row).unwrap_or(usize::MAX).min(rows.saturating_sub(1))
    }

    /// The time in the middle of a row, from 0 at the bottom.
    pub(super) fn at(self, row: usize, rows: usize) -> u64 {
        let height = u64::from(self.high - self.low);
        u64::from(self.low) + height * (2 * row as u64 + 1) / (2 * rows.max(1) as u64)
    }
}

/// The drawing, its top row first; all rows have as many columns as there are.
pub(super) fn rows(columns: &[Column], scale: Scale, rows: usize, canvas: Canvas) -> Vec<Painted> {
    let mut drawing = vec![Painted::default(); rows];
    for column in columns {
        let mut counts = vec![0_usize; rows];
        for &us in &column.times {
            counts[scale.row(us, rows)] += 1;
        }
        let median = column.times.get(column.times.len().saturating_sub(1) / 2);
        let median = median.map(|&us| scale.row(us, rows));
        for (row, line) in drawing.iter_mut().rev().enumerate() {
            if median == Some(row) {
                line.push(colour_of(failed_part(column)), canvas.either("█", "#"));
            } else if counts[row] > 0 {
                line.push(Colour::Grey, shade(part(counts[row], column.times.len()), canvas));
            } else {
                line.push(None, " ");
            }
        }
    }
    drawing
}

/// A strip that says how much of each column failed.
pub(super) fn failures(columns: &[Column], blocks: &[char]) -> Painted {
    let mut strip = Painted::default();
    for column in columns {
        let failed = column.failed;
        if failed == 0 {
            strip.push(None, " ");
        } else {
            let of = failed + column.times.len();
            let height = (failed * (blocks.len() - 1)).div_ceil(of);
            strip.push(Colour::Red, &blocks[height].to_string());
        }
    }
    strip
}

fn failed_part(column: &Column) -> f64 {
    part(column.failed, column.failed + column.times.len())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a column")]
fn part(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

fn colour_of(failed: f64) -> Colour {
    COLOURS.iter().find(|(least, _)| failed >= *least).map_or(Colour::Green, |(_, colour)| *colour)
}

fn shade(part: f64, canvas: Canvas) -> &'static str {
    let shade = SHADES.iter().find(|(least, ..)| part >= *least);
    shade.map_or(" ", |(_, unicode, ascii)| canvas.either(unicode, ascii))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CANVAS: Canvas = Canvas { width: None, colour: false, unicode: true };

    fn column(times: &[u32], failed: usize) -> Column {
        let mut times = times.to_vec();
        times.sort_unstable();
        Column { times, failed }
    }

    #[test]
    fn the_median_stands_in_its_smoke_and_takes_the_colour_of_the_failures() {
        let columns = [column(&[10_000, 20_000, 20_100, 20_200, 30_000], 1), column(&[10_000; 5], 0)];
        let scale = Scale::of(&columns).unwrap();
        assert_eq!(scale, Scale { low: 10_000, high: 30_000 });
        let drawing = rows(&columns, scale, 3, CANVAS);
        assert_eq!(drawing.iter().map(|row| row.to_text(CANVAS)).collect::<Vec<_>>(), ["▒ ", "█ ", "▒█"]);
        assert_eq!(drawing[1].pieces().next(), Some((Some(Colour::Magenta), "█")));
        assert_eq!((scale.at(0, 2), scale.at(1, 2)), (15_000, 25_000));
    }

    #[test]
    fn one_wild_time_does_not_flatten_the_others() {
        let mut times = vec![10_000; 150];
        times.extend([12_000; 49]);
        times.push(3_000_000);
        assert_eq!(Scale::of(&[column(&times, 0)]), Some(Scale { low: 10_000, high: 12_000 }));
        assert_eq!(Scale::of(&[column(&[1_000; 9], 0)]), Some(Scale { low: 1_000, high: 1_100 }));
        assert_eq!(Scale::of(&[column(&[], 5)]), None);
    }

    #[test]
    fn what_failed_is_higher_the_more_it_was() {
        let columns = [column(&[1; 9], 0), column(&[1; 9], 1), column(&[1; 5], 5), column(&[], 3)];
        assert_eq!(failures(&columns, &[' ', '▁', '▄', '█']).to_text(CANVAS), " ▁▄█");
    }

    proptest! {
        #[test]
        fn every_row_is_as_wide_as_there_are_columns_and_every_median_is_shown(
            columns in prop::collection::vec(prop::collection::vec(0_u32..5_000_000, 0..20), 1..60),
            height in 1_usize..30,
        ) {
            let columns: Vec<_> = columns.iter().map(|times| column(times, 0)).collect();
            let Some(scale) = Scale::of(&columns) else { return Ok(()) };
            let drawing = rows(&columns, scale, height, CANVAS);
            prop_assert_eq!(drawing.len(), height);
            prop_assert!(drawing.iter().all(|row| row.columns() == columns.len()));
            let shown: usize = drawing.iter().map(|row| row.to_text(CANVAS).matches('█').count()).sum();
            prop_assert_eq!(shown, columns.iter().filter(|column| !column.times.is_empty()).count());
        }
    }
}
