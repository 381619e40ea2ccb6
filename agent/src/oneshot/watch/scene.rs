//! What `--watch` is about: every target over every family as it is probed, which one is chosen, and how long a column of its
//! smoke lasts. Pure.

use crate::{
    oneshot::{
        args::Plan,
        history::{History, Landed},
        render::live,
        tally::{Key, primary},
    },
    sample::Sample,
};
use peerlight_proto::series::Family;
use std::{collections::BTreeMap, time::Duration};

/// How many turns a column can show.
const SPANS: [u32; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
/// What a column shows at first: some probes, so that they spread, of some time, so that it can be followed.
const FIRST_TURNS: u32 = 5;
const FIRST_TIME: Duration = Duration::from_secs(1);

/// What a person changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// The target above.
    Previous,
    /// The target below.
    Following,
    /// More turns in a column.
    Wider,
    /// Fewer turns in a column.
    Closer,
}

/// One target over one family.
pub(super) struct Line {
    pub(super) name: String,
    /// Where the tally has it.
    pub(super) key: Key,
    pub(super) history: History,
}

/// All of it.
pub(super) struct Scene {
    names: Vec<String>,
    longest_name: usize,
    interval: Duration,
    lines: BTreeMap<(usize, Family), Line>,
    chosen: usize,
    /// Place in [`SPANS`].
    span: usize,
}

impl Scene {
    pub(super) fn new(plan: &Plan) -> Self {
        Self::of(
            plan.subjects.iter().map(|subject| subject.text.clone()).collect(),
            plan.longest_name(),
            plan.interval,
        )
    }

    pub(super) fn of(names: Vec<String>, longest_name: usize, interval: Duration) -> Self {
        let is_first = |&span: &u32| span >= FIRST_TURNS && interval.saturating_mul(span) >= FIRST_TIME;
        let span = SPANS.iter().position(is_first).unwrap_or(SPANS.len() - 1);
        Self { names, longest_name, interval, lines: BTreeMap::new(), chosen: 0, span }
    }

    /// A probe has landed. A target without the family stays away.
    pub(super) fn land(&mut self, subject: usize, turn: u32, sample: &Sample) {
        let Some(reading) = primary(sample) else { return };
        let key = Key::of(subject, sample.family, reading);
        let name = &self.names[subject];
        let line = self.lines.entry((subject, sample.family)).or_insert_with(|| Line {
            name: live::name(name, sample.family),
            key,
            history: History::default(),
        });
        let landed = Landed::of(reading.outcome);
        // What failed may not have come as far as the clock of those that are answered.
        if landed.us().is_some() || line.history.newest().is_none() {
            line.key = key;
        }
        line.history.land(turn, landed);
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Previous => self.chosen = self.chosen.saturating_sub(1),
            Command::Following => self.chosen = (self.chosen + 1).min(self.lines.len().saturating_sub(1)),
            Command::Wider => self.span = (self.span + 1).min(SPANS.len() - 1),
            Command::Closer => self.span = self.span.saturating_sub(1),
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }

    pub(super) const fn chosen(&self) -> usize {
        self.chosen
    }

    pub(super) fn targets(&self) -> usize {
        self.names.len()
    }

    pub(super) const fn longest_name(&self) -> usize {
        self.longest_name
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// How many turns a column shows.
    pub(super) fn span(&self) -> u32 {
        SPANS[self.span]
    }

    /// How long a column lasts.
    pub(super) fn column(&self) -> Duration {
        self.interval.saturating_mul(self.span())
    }
}
