//! The phases of HTTPS probes as stacked bars, all on one scale.

use super::shares;
use crate::oneshot::{
    canvas::Canvas,
    painted::{Colour, Painted},
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
pub(in crate::oneshot) struct Stack {
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

    /// What is shown, and its sum.
    pub(in crate::oneshot) fn heading(&self) -> String {
        let (what, values) = self.values();
        format!("{what} of the phases, {} ms", text(values.iter().sum()))
    }

    /// The bar of so many columns, and below it what each part is.
    pub(in crate::oneshot) fn lines(&self, columns: usize, canvas: Canvas) -> Vec<Painted> {
        let (_, values) = self.values();
        let mut lines = vec![bar(&values, columns, canvas)];
        lines.extend(legend(&values, canvas));
        lines
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
        let heading = format!(" {family}: {}", stack.heading());
        let label = canvas.shorten(
            &subjects[*subject].text,
            canvas.width.map_or(usize::MAX, |width| width.saturating_sub(heading.chars().count())),
        );
        writeln!(out, "\n{label}{heading}")?;
        let sum = stack.values().1.iter().sum::<u64>();
        let columns = shares(&[sum, longest - sum], width)[0];
        for line in stack.lines(columns, canvas) {
            writeln!(out, "{:INDENT$}{}", "", line.to_text(canvas))?;
        }
    }
    Ok(())
}

/// The phases of one target over a family, if it has any.
pub(in crate::oneshot) fn stack(tally: &Tally, subject: usize, family: Family) -> Option<Stack> {
    stacks(tally).remove(&(subject, family))
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

fn bar(values: &[u64], columns: usize, canvas: Canvas) -> Painted {
    let mut bar = Painted::default();
    for (phase, columns) in PHASES.iter().zip(shares(values, columns)) {
        bar.push(phase.colour, &mark(phase, canvas).repeat(columns));
    }
    bar
}

fn mark(phase: &Phase, canvas: Canvas) -> &'static str {
    if canvas.colour && canvas.unicode { "█" } else { phase.letter }
}

/// What each part is, with its time; in as many lines as the width needs.
fn legend(values: &[u64], canvas: Canvas) -> Vec<Painted> {
    let width = canvas.width.map_or(usize::MAX, |width| width - INDENT);
    let mut lines = Vec::new();
    let mut line = Painted::default();
    for (phase, &value) in PHASES.iter().zip(values).filter(|&(_, &value)| value > 0) {
        let entry = Painted::of(phase.colour, mark(phase, canvas))
            .then(None, &format!(" {} {}", phase.name, text(value)));
        if line.columns() > 0 && line.columns() + 2 + entry.columns() > width {
            lines.push(std::mem::take(&mut line));
        }
        if line.columns() > 0 {
            line.push(None, "  ");
        }
        line.append(&entry);
    }
    lines.push(line);
    lines
}

fn text(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}
