//! Live lines on stderr, if that is a terminal: one for each target and family.

use super::{
    args::Plan,
    canvas::Canvas,
    render::live::{self, Recent},
    tally::{Row, Tally, is_primary},
};
use crate::sample::{Outcome, Sample};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use peerlight_proto::{histogram::micros, series::Family};
use std::collections::BTreeMap;

/// How wide lines are where the terminal does not say.
const WIDTH: usize = 80;

/// The lines. Nothing, where nobody looks.
pub(super) struct Progress(Option<Lines>);

struct Lines {
    canvas: Canvas,
    width: usize,
    name_columns: usize,
    all: MultiProgress,
    header: ProgressBar,
    each: BTreeMap<(usize, Family), Line>,
    names: Vec<String>,
    style: ProgressStyle,
}

struct Line {
    bar: ProgressBar,
    name: String,
    recent: Recent,
}

impl Progress {
    /// Progress through a plan, where standard error is a terminal.
    pub(super) fn new(plan: &Plan) -> Self {
        let canvas = Canvas::stderr(plan.color);
        // What goes to the same terminal line by line would be torn.
        let shown = canvas.width.filter(|_| !plan.streams_to_terminal());
        Self(shown.and_then(|width| Lines::new(plan, canvas, width)))
    }

    /// One probe has landed, and was counted.
    pub(super) fn step(&mut self, subject: usize, sample: &Sample, tally: &Tally) {
        if let Some(lines) = &mut self.0 {
            lines.step(subject, sample, tally);
        }
    }

    /// Clears the lines.
    pub(super) fn finish(&self) {
        if let Some(lines) = &self.0 {
            lines.header.finish_and_clear();
            for line in lines.each.values() {
                line.bar.finish_and_clear();
            }
        }
    }
}

impl Lines {
    fn new(plan: &Plan, canvas: Canvas, width: usize) -> Option<Self> {
        let style = ProgressStyle::with_template("{msg}").ok()?;
        let names: Vec<String> = plan.subjects.iter().map(|subject| subject.text.clone()).collect();
        // A family stands behind each name.
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 3;
        // The last column stays free: some terminals wrap there.
        let width = width.min(WIDTH * 2).saturating_sub(1);
        let name_columns = live::name_columns(longest, width);
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let header = all.add(ProgressBar::new_spinner().with_style(style.clone()));
        header.set_message(live::header(name_columns, canvas));
        Some(Self { canvas, width, name_columns, all, header, each: BTreeMap::new(), names, style })
    }

    fn step(&mut self, subject: usize, sample: &Sample, tally: &Tally) {
        let Some(reading) = sample.readings.iter().rfind(|reading| is_primary(reading.metric)) else {
            return;
        };
        let us = match reading.outcome {
            Outcome::Answered { latency, .. } => Some(micros(latency)),
            Outcome::Failed(_) => None,
        };
        let (all, style, names) = (&self.all, &self.style, &self.names);
        let line = self.each.entry((subject, sample.family)).or_insert_with(|| Line {
            bar: all.add(ProgressBar::new_spinner().with_style(style.clone())),
            name: format!("{} {}", names[subject], sample.family),
            recent: Recent::default(),
        });
        line.recent.push(us);
        let none = Row::default();
        let row = tally.row(subject, sample.family, reading).unwrap_or(&none);
        let text = live::line(&line.name, self.name_columns, row, &line.recent, self.width, self.canvas);
        line.bar.set_message(text);
    }
}
