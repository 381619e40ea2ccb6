//! The phases of HTTPS probes as stacked bars, all on one scale.

use super::shares;
use crate::oneshot::{
    canvas::{Canvas, Colour},
    tally::Tally,
    targets::Subject,
};
use peerlight_proto::{metric::Metric, series::Family};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// A phase: its name, its letter where there are no colours, and its colour.
struct Phase {
    metric: Metric,
    name: &'static str,
    letter: &'static str,
    colour: Colour,
}

const fn phase(metric: Metric, name: &'static str, letter: &'static str, colour: Colour) -> Phase {
    Phase { metric, name, letter, colour }
}

/// In the order in which they pass.
const PHASES: [Phase; 7] = [
    phase(Metric::HttpsDns, "dns", "d", Colour::Magenta),
    phase(Metric::HttpsProxy, "proxy", "p", Colour::Red),
    phase(Metric::HttpsTcp, "tcp", "c", Colour::Blue),
    phase(Metric::HttpsTls, "tls", "s", Colour::Cyan),
    phase(Metric::HttpsTtfb, "ttfb", "f", Colour::Green),
    phase(Metric::HttpsTransfer, "transfer", "x", Colour::Yellow),
    phase(Metric::HttpsLocal, "local", "l", Colour::Grey),
];
/// How many columns the longest bar has where the terminal does not say how many there are, and at most.
const COLUMNS: (usize, usize) = (60, 100);
/// The columns beside a bar.
const INDENT: usize = 2;

/// One target's phases in microseconds, by their place in [`PHASES`].
#[derive(Default)]
struct Stack {
    medians: [Option<u64>; PHASES.len()],
    means: [Option<u64>; PHASES.len()],
    answered: [u64; PHASES.len()],
}

impl Stack {
    /// The medians where each phase has one; else the means, which need no least number of answers.
    fn values(&self) -> (&'static str, [u64; PHASES.len()]) {
        let known = |place: &usize| self.medians[*place].is_some() || self.means[*place].is_none();
        let (what, values) = if (0..PHASES.len()).all(|place| known(&place)) {
            ("medians", self.medians)
        } else {
            ("means", self.means)
        };
        (what, values.map(|value| value.unwrap_or(0)))
    }
}

/// One bar with its legend for each target that has phases.
pub(super) fn write(
    out: &mut impl Write,
    subjects: &[Subject],
    tally: &Tally,
    canvas: Canvas,
) -> io::Result<()> {
    let stacks = stacks(tally);
    let sums = stacks.values().map(|stack| stack.values().1.iter().sum::<u64>());
    let Some(longest) = sums.max().filter(|&sum| sum > 0) else { return Ok(()) };
    let width = canvas.width.map_or(COLUMNS.0, |width| (width - INDENT).min(COLUMNS.1));
    for ((subject, family), stack) in &stacks {
        let (what, values) = stack.values();
        let sum = values.iter().sum::<u64>();
        let heading = format!(" {family}: {what} of the phases, {} ms", text(sum));
        let label = canvas.shorten(
            &subjects[*subject].text,
            canvas.width.map_or(usize::MAX, |width| width.saturating_sub(heading.chars().count())),
        );
        writeln!(out, "\n{label}{heading}")?;
        let columns = shares(&[sum, longest - sum], width)[0];
        writeln!(out, "{:INDENT$}{}", "", bar(&values, columns, canvas))?;
        for line in legend(&values, canvas) {
            writeln!(out, "{:INDENT$}{line}", "")?;
        }
    }
    Ok(())
}

fn stacks(tally: &Tally) -> BTreeMap<(usize, Family), Stack> {
    let mut stacks: BTreeMap<_, Stack> = BTreeMap::new();
    for (key, row) in tally.rows() {
        let Some(place) = PHASES.iter().position(|phase| phase.metric == key.metric) else { continue };
        // Failed probes may name another clock than those that were answered.
        if row.counters.answered == 0 {
            continue;
        }
        let stack = stacks.entry((key.subject, key.family)).or_default();
        if row.counters.answered > stack.answered[place] {
            stack.answered[place] = row.counters.answered;
            stack.medians[place] = row.percentile(500);
            stack.means[place] = row.histogram.sum_us().checked_div(row.counters.answered);
        }
    }
    stacks
}

fn bar(values: &[u64], columns: usize, canvas: Canvas) -> String {
    let parts = PHASES.iter().zip(shares(values, columns));
    parts.map(|(phase, columns)| canvas.paint(phase.colour, &mark(phase, canvas).repeat(columns))).collect()
}

fn mark(phase: &Phase, canvas: Canvas) -> &'static str {
    if canvas.colour && canvas.unicode { "█" } else { phase.letter }
}

/// What each part is, with its time; in as many lines as the width needs.
fn legend(values: &[u64], canvas: Canvas) -> Vec<String> {
    let width = canvas.width.map_or(usize::MAX, |width| width - INDENT);
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for (phase, &value) in PHASES.iter().zip(values).filter(|&(_, &value)| value > 0) {
        let text = format!(" {} {}", phase.name, text(value));
        let (gap, length) = (2 * usize::from(columns > 0), 1 + text.chars().count());
        if columns + gap + length > width {
            lines.push(String::new());
            columns = 0;
        }
        if let Some(line) = lines.last_mut() {
            if columns > 0 {
                line.push_str("  ");
                columns += 2;
            }
            line.push_str(&canvas.paint(phase.colour, mark(phase, canvas)));
            line.push_str(&text);
            columns += length;
        }
    }
    lines
}

fn text(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}
