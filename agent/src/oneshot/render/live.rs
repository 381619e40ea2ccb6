//! One line for each target while it is probed: the last time, p50, p99, loss, and the last probes as a sparkline. Pure.

use super::{histogram, none, text_of_us};
use crate::oneshot::{
    canvas::{Canvas, Colour},
    tally::Row,
};
use std::collections::VecDeque;

/// How many probes a sparkline shows at most.
const HISTORY: usize = 60;
/// The columns of one figure, with the gap before it.
const FIGURE: usize = 9;
const FIGURES: [&str; 4] = ["now", "p50", "p99", "loss"];
/// The fewest columns of a name and of a sparkline.
const LEAST: usize = 10;

/// The last probes of a target over a family; what was not answered has no time.
#[derive(Debug, Clone, Default)]
pub(in crate::oneshot) struct Recent(VecDeque<Option<u64>>);

impl Recent {
    /// One probe landed.
    pub(in crate::oneshot) fn push(&mut self, us: Option<u64>) {
        if self.0.len() == HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(us);
    }
}

/// How many columns a name takes, if the longest has so many.
pub(in crate::oneshot) fn name_columns(longest: usize, width: usize) -> usize {
    longest.min(width.saturating_sub(FIGURE * FIGURES.len() + 2 + LEAST)).max(LEAST)
}

/// What stands above all lines.
pub(in crate::oneshot) fn header(name_columns: usize, canvas: Canvas) -> String {
    let figures = FIGURES.map(|name| format!("{name:>FIGURE$}")).concat();
    canvas.paint(Colour::Grey, &format!("{:name_columns$}{figures}  recent ms", "target"))
}

/// The line of one target.
pub(in crate::oneshot) fn line(
    name: &str,
    name_columns: usize,
    row: &Row,
    recent: &Recent,
    width: usize,
    canvas: Canvas,
) -> String {
    let name = canvas.shorten(name, name_columns);
    let figure = |text: String| format!("{text:>FIGURE$}");
    let now = match recent.0.back() {
        Some(Some(us)) => figure(text_of_us(Some(*us), canvas)),
        Some(None) => canvas.paint(Colour::Red, &figure("lost".to_owned())),
        None => figure(none(canvas)),
    };
    let percentiles: String =
        [500, 990].map(|permille| figure(text_of_us(row.percentile(permille), canvas))).concat();
    let loss = row.loss_ratio();
    let text = figure(loss.map_or_else(|| none(canvas), |loss| format!("{:.1}%", loss * 100.0)));
    let loss = if loss.is_some_and(|loss| loss > 0.0) { canvas.paint(Colour::Red, &text) } else { text };
    let columns = width.saturating_sub(name_columns + FIGURE * FIGURES.len() + 2);
    format!("{name:name_columns$}{now}{percentiles}{loss}  {}", sparkline(recent, columns, canvas))
}

/// The last probes, the newest to the right, on a logarithmic scale between the least and the most of them.
fn sparkline(recent: &Recent, columns: usize, canvas: Canvas) -> String {
    let shown: Vec<_> = recent.0.iter().skip(recent.0.len().saturating_sub(columns)).collect();
    let times = || shown.iter().filter_map(|us| **us);
    let (least, most) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    // The empty block is for no value at all.
    let blocks = &histogram::blocks(canvas)[1..];
    let mark = |us: &&Option<u64>| match **us {
        Some(_) if least == most => canvas.paint(Colour::Green, &blocks[0].to_string()),
        Some(us) => {
            let height = histogram::column(us, least, most, blocks.len());
            canvas.paint(Colour::Green, &blocks[height].to_string())
        }
        None => canvas.paint(Colour::Red, canvas.either("×", "x")),
    };
    shown.iter().map(mark).collect()
}
