//! Live progress on stderr, if that is a terminal.

use super::targets::Subject;
use crate::sample::{Outcome, Sample};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

/// A line that tells how far the run is and what came last.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Progress through this many probes.
    pub(super) fn new(probes: usize) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(probes as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// One probe is done.
    pub(super) fn step(&self, subject: &Subject, sample: Option<&Sample>) {
        self.0.inc(1);
        // The last reading is the total of those that have parts.
        let Some((sample, reading)) = sample.and_then(|sample| Some((sample, sample.readings.last()?)))
        else {
            return;
        };
        let outcome = match reading.outcome {
            Outcome::Answered { latency, .. } => format!("{:.3} ms", latency.as_secs_f64() * 1e3),
            Outcome::Failed(ending) => format!("{ending:?}").to_lowercase(),
        };
        self.0.set_message(format!("{} {} {outcome}", subject.text, sample.family));
    }

    /// Clears the line.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
