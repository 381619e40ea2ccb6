//! What became of a fleet's pushes.

use super::content::Content;
use peerlight_proto::histogram::Histogram;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Counts pushes as they end; shared by all agents.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

/// What is counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Batches whose acknowledgement was checked.
    pub acknowledged: u64,
    /// Of these, those that the collector had already.
    pub duplicates: u64,
    /// Measurements that the collector refused.
    pub refused_measurements: u64,
    /// Connections that were made, and those that resumed a session.
    pub connections: u64,
    /// Of these, those that resumed a session.
    pub resumed: u64,
    /// Probes that the acknowledged batches hold of [`super::ASKED`]: scheduled and answered.
    pub asked: (u64, u64),
    /// Answers that asked to come again, by status.
    pub put_off: BTreeMap<u16, u64>,
    /// What went wrong besides, by what it says.
    pub failures: BTreeMap<String, u64>,
    /// When each agent's backlog was handed over, since the beginning.
    pub backlogs: Vec<Duration>,
    times: Histogram,
    backlog_times: Histogram,
}

/// Times of acknowledgements, in milliseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Times {
    /// Half of them.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p99_9_ms: f64,
    /// All.
    pub max_ms: f64,
}

impl Tally {
    pub(super) fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the times so far: what comes now is to be measured.
    pub fn begin_anew(&self) {
        self.change(|counts| {
            (counts.times, counts.backlog_times) = (Histogram::default(), Histogram::default());
        });
    }

    pub(super) fn acknowledged(
        &self,
        content: &Content,
        (agent, round): (u32, u32),
        live: bool,
        took: Duration,
    ) {
        let asked = content.asked(agent, round);
        self.change(|counts| {
            counts.acknowledged += 1;
            counts.asked = (counts.asked.0 + asked.0, counts.asked.1 + asked.1);
            let times = if live { &mut counts.times } else { &mut counts.backlog_times };
            times.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        });
    }
}

impl Counts {
    /// How long acknowledgements took, from when their batch was due, of batches that were pushed as they closed.
    pub fn times(&self) -> Times {
        Times::of(&self.times)
    }

    /// The same of what waited from the beginning, counted from then.
    pub fn backlog_times(&self) -> Times {
        Times::of(&self.backlog_times)
    }
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most a minute in microseconds")]
        let ms = |us: Option<u64>| us.unwrap_or(0) as f64 / 1e3;
        Self {
            p50_ms: ms(histogram.percentile(500)),
            p99_ms: ms(histogram.percentile(990)),
            p99_9_ms: ms(histogram.percentile(999)),
            max_ms: ms(histogram.max_us()),
        }
    }
}
