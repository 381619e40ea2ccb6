//! One line for each target while it is probed: the last time, p50, p99, loss, and the last probes as a sparkline. Pure.

use super::{histogram, none, text_of_us};
use crate::oneshot::{
    canvas::Canvas,
    history::{History, Landed},
    painted::{Colour, Painted},
    tally::Row,
};
use peerlight_proto::{measurement::Ending, series::Family};

/// How many probes a sparkline shows at most.
const SHOWN: usize = 60;
/// The columns of one figure, with the gap before it.
const FIGURE: usize = 9;
const FIGURES: [&str; 4] = ["now", "p50", "p99", "loss"];
/// The fewest columns of a name and of a sparkline.
const LEAST: usize = 10;

/// What a line is called: the target, and over which family.
pub(in crate::oneshot) fn name(target: &str, family: Family) -> String {
    format!("{target} {family}")
}

/// How many columns a name takes, if the longest has so many.
pub(in crate::oneshot) fn name_columns(longest: usize, width: usize) -> usize {
    longest.min(width.saturating_sub(FIGURE * FIGURES.len() + 2 + LEAST)).max(LEAST)
}

/// What stands above all lines.
pub(in crate::oneshot) fn header(name_columns: usize) -> Painted {
    let figures = FIGURES.map(|name| format!("{name:>FIGURE$}")).concat();
    Painted::of(Colour::Grey, format!("{:name_columns$}{figures}  recent ms", "target"))
}

/// The line of one target.
pub(in crate::oneshot) fn line(
    name: &str,
    name_columns: usize,
    row: &Row,
    history: &History,
    width: usize,
    canvas: Canvas,
) -> Painted {
    let name = canvas.shorten(name, name_columns);
    let figure = |text: String| format!("{text:>FIGURE$}");
    let mut line = Painted::plain(format!("{name:name_columns$}"));
    match history.newest() {
        Some(Landed::Answered(us)) => line.push(None, &figure(text_of_us(Some(us.into()), canvas))),
        Some(Landed::Failed(ending)) => line.push(Colour::Red, &figure(word(ending).to_owned())),
        None => line.push(None, &figure(none(canvas))),
    }
    for permille in [500, 990] {
        line.push(None, &figure(text_of_us(row.percentile(permille), canvas)));
    }
    let loss = row.loss_ratio();
    let colour = loss.filter(|loss| *loss > 0.0).map(|_| Colour::Red);
    line.push(colour, &figure(loss.map_or_else(|| none(canvas), |loss| format!("{:.1}%", loss * 100.0))));
    line.push(None, "  ");
    let columns = width.saturating_sub(name_columns + FIGURE * FIGURES.len() + 2);
    line.append(&sparkline(history, columns, canvas));
    line
}

/// How a probe ended, where a figure would stand.
const fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Skipped => "skipped",
        Ending::Voided => "voided",
        Ending::DnsFailed => "no name",
        Ending::SendFailed => "unsent",
        Ending::Answered => "answered",
        Ending::Retransmitted => "resent",
        Ending::Late => "late",
        Ending::Lost => "lost",
        Ending::Refused => "refused",
    }
}

/// The last probes, the newest to the right, on a logarithmic scale between the least and the most of them.
fn sparkline(history: &History, columns: usize, canvas: Canvas) -> Painted {
    let shown = history.last(columns.min(SHOWN));
    let times = || shown.iter().filter_map(|landed| landed.us());
    let (least, most) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    // The empty block is for no value at all.
    let blocks = &histogram::blocks(canvas)[1..];
    let mut line = Painted::default();
    for landed in &shown {
        match landed {
            Landed::Answered(us) => {
                let height = if least == most {
                    0
                } else {
                    histogram::column((*us).into(), least.into(), most.into(), blocks.len())
                };
                line.push(Colour::Green, &blocks[height].to_string());
            }
            Landed::Failed(_) => line.push(Colour::Red, canvas.either("×", "x")),
        }
    }
    line
}
