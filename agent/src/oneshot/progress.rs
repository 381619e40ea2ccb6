//! Live lines on stderr, if that is a terminal: one for each target and family.

use super::{
    args::Plan,
    canvas::Canvas,
    history::{History, Landed},
    render::live,
    tally::{Key, Row, Tally, primary},
};
use crate::sample::Sample;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use peerlight_proto::series::Family;
use std::collections::BTreeMap;

/// How wide lines are at most.
const WIDEST: usize = 160;

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
    history: History,
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
    pub(super) fn step(&mut self, subject: usize, turn: u32, sample: &Sample, tally: &Tally) {
        if let Some(lines) = &mut self.0 {
            lines.step(subject, turn, sample, tally);
        }
    }
}

impl Drop for Lines {
    /// Clears them.
    fn drop(&mut self) {
        self.header.finish_and_clear();
        for line in self.each.values() {
            line.bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn new(plan: &Plan, canvas: Canvas, width: usize) -> Option<Self> {
        let style = ProgressStyle::with_template("{msg}").ok()?;
        // The last column stays free: some terminals wrap there.
        let width = width.min(WIDEST).saturating_sub(1);
        let name_columns = live::name_columns(plan.longest_name(), width);
        let names = plan.subjects.iter().map(|subject| subject.text.clone()).collect();
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let header = all.add(ProgressBar::new_spinner().with_style(style.clone()));
        header.set_message(live::header(name_columns).to_text(canvas));
        Some(Self { canvas, width, name_columns, all, header, each: BTreeMap::new(), names, style })
    }

    fn step(&mut self, subject: usize, turn: u32, sample: &Sample, tally: &Tally) {
        let Some(reading) = primary(sample) else { return };
        let (all, style, names) = (&self.all, &self.style, &self.names);
        let line = self.each.entry((subject, sample.family)).or_insert_with(|| Line {
            bar: all.add(ProgressBar::new_spinner().with_style(style.clone())),
            name: live::name(&names[subject], sample.family),
            history: History::default(),
        });
        line.history.land(turn, Landed::of(reading.outcome));
        let none = Row::default();
        let row = tally.row(&Key::of(subject, sample.family, reading)).unwrap_or(&none);
        let text = live::line(&line.name, self.name_columns, row, &line.history, self.width, self.canvas);
        line.bar.set_message(text.to_text(self.canvas));
    }
}
