//! The time axis of charts: a span cut into slots, and the lines and areas that are drawn over it.

use super::{Line, place};
use crate::report::Report;
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// A span cut into slots, drawn between two places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    first: i64,
    step: i64,
    slots: u32,
    from: f64,
    to: f64,
}

impl Axis {
    /// Of a report in slots of `step`, drawn from 0 to 1.
    pub(crate) fn of(report: &Report, step: Duration) -> Self {
        Self::between(report.from, report.to, step)
    }

    /// Of a span in slots of `step`, drawn from 0 to 1.
    pub(crate) fn between(from: Timestamp, to: Timestamp, step: Duration) -> Self {
        let step = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).max(1);
        let first = from.as_secs().div_euclid(step).saturating_mul(step);
        let last = to.as_secs().saturating_sub(1).max(first);
        let slots = u32::try_from((last - first) / step + 1).unwrap_or(u32::MAX);
        Self { first, step, slots, from: 0.0, to: 1.0 }
    }

    /// The same between these places.
    #[must_use]
    pub(crate) fn drawn(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// How many slots there are.
    pub(crate) fn slots(self) -> u32 {
        self.slots
    }

    /// The slot that starts at this instant.
    pub(crate) fn slot(self, start: Timestamp) -> Option<u32> {
        let slot = start.as_secs().checked_sub(self.first)? / self.step;
        u32::try_from(slot).ok().filter(|slot| *slot < self.slots)
    }

    /// How wide a slot is drawn.
    pub(crate) fn width(self) -> f64 {
        (self.to - self.from) / f64::from(self.slots)
    }

    /// Where a slot begins.
    pub(crate) fn left(self, slot: u32) -> f64 {
        self.from + f64::from(slot) * self.width()
    }

    /// The middle of a slot.
    pub(crate) fn centre(self, slot: u32) -> f64 {
        self.left(slot) + self.width() / 2.0
    }

    /// When a slot begins.
    pub(crate) fn instant(self, slot: u32) -> Timestamp {
        Timestamp::from_secs(self.first.saturating_add(i64::from(slot).saturating_mul(self.step)))
    }

    /// The length of a slot in seconds.
    pub(crate) fn step(self) -> i64 {
        self.step
    }

    /// Where an instant lies between slots.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a span of at most years")]
    pub(crate) fn place(self, instant: Timestamp) -> f64 {
        let slots = (instant.as_secs() - self.first) as f64 / self.step as f64;
        self.from + slots * self.width()
    }
}

impl Axis {
    /// The runs of slots of which something holds: from where, and how wide.
    pub(crate) fn runs_where(self, holds: impl Fn(&u32) -> bool) -> Vec<(String, String)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for slot in (0..self.slots).filter(holds) {
            match runs.last_mut() {
                Some((_, end)) if *end == slot => *end = slot + 1,
                _ => runs.push((slot, slot + 1)),
            }
        }
        let run = |(from, to): (u32, u32)| (place(self.left(from)), place(self.left(to) - self.left(from)));
        runs.into_iter().map(run).collect()
    }
}

/// Lines that hold their value over each slot, which is what a slot says.
pub(crate) fn steps(points: &[(u32, f64)], axis: Axis) -> Vec<String> {
    let drawn = |run: &[(u32, f64)]| {
        let mut path = String::new();
        for (at, (slot, y)) in run.iter().enumerate() {
            let start = if at == 0 {
                format!("M{} {}", place(axis.left(*slot)), place(*y))
            } else {
                format!("V{}", place(*y))
            };
            let _ = write!(path, "{start}H{}", place(axis.left(slot + 1)));
        }
        path
    };
    runs(points).map(drawn).collect()
}

/// Runs of points whose slots follow one another.
fn runs<T>(points: &[(u32, T)]) -> impl Iterator<Item = &[(u32, T)]> {
    points.chunk_by(|(before, _), (after, _)| before + 1 == *after)
}

/// The line through these points.
pub(crate) fn line(points: &[(u32, f64)], axis: Axis) -> Line {
    let mut line = Line::default();
    for run in runs(points) {
        match run {
            [(slot, y)] => line.points.push((place(axis.centre(*slot)), place(*y))),
            run => line.paths.push(path(run.iter().copied(), axis)),
        }
    }
    line
}

/// The same where a point without a neighbour is a line as wide as its slot.
pub(crate) fn line_paths(points: &[(u32, f64)], axis: Axis) -> Vec<String> {
    let alone = |slot: u32, y: f64| format!("M{} {y:.1}h{:.1}", place(axis.left(slot)), axis.width());
    let drawn = |run: &[(u32, f64)]| match run {
        [(slot, y)] => alone(*slot, *y),
        run => path(run.iter().copied(), axis),
    };
    runs(points).map(drawn).collect()
}

fn path(points: impl Iterator<Item = (u32, f64)>, axis: Axis) -> String {
    let mut path = String::new();
    for (slot, y) in points {
        path.push_str(if path.is_empty() { "M" } else { " L" });
        let _ = write!(path, "{} {}", place(axis.centre(slot)), place(y));
    }
    path
}

/// The area between two lines, where both have values.
pub(crate) fn bands(low: &[(u32, f64)], high: &[(u32, f64)], axis: Axis) -> Vec<String> {
    let low: BTreeMap<u32, f64> = low.iter().copied().collect();
    let both: Vec<(u32, (f64, f64))> =
        high.iter().filter_map(|(slot, high)| Some((*slot, (*low.get(slot)?, *high)))).collect();
    runs(&both)
        .filter(|run| run.len() > 1)
        .map(|run| {
            let there = run.iter().map(|(slot, (_, high))| (*slot, *high));
            let back = run.iter().rev().map(|(slot, (low, _))| (*slot, *low));
            format!("{} Z", path(there.chain(back), axis))
        })
        .collect()
}
