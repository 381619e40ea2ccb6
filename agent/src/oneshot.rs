//! The `probe` command: measures a few targets now, without any configuration, and shows what it saw.

mod args;
mod progress;
mod render;
mod tally;
mod targets;

use crate::{
    probe::{Probe as _, Prober},
    sample::{Sample, Stray},
};
use anyhow::Context as _;
use args::Plan;
use peerlight_proto::series::Family;
use progress::Progress;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tally::Tally;
use targets::Subject;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub use args::{Engine, Families, ProbeArgs};

/// How many samples may wait to be counted.
const WAITING: usize = 1_024;

/// One probe's outcome: of which subject and turn.
struct Outcome {
    subject: usize,
    turn: u32,
    /// None if the subject does not have the family.
    sample: Option<Sample>,
}

/// Measures, shows progress on a terminal, and writes a table or JSON to stdout. The exit code tells whether anything
/// answered.
pub async fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let (prober, mut strays) = Prober::open(plan.settings.clone())?;
    if let Some(problem) = prober.icmp_problem().filter(|_| plan.subjects.iter().any(Subject::is_icmp)) {
        render::warn(problem);
    }
    let tally = measure(&plan, Arc::new(prober), &mut strays).await;
    render::write(&plan, &tally).context("cannot write the result")?;
    Ok(if tally.answered() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends all turns, or those before an interrupt, and counts them.
async fn measure(plan: &Plan, prober: Arc<Prober>, strays: &mut mpsc::Receiver<Stray>) -> Tally {
    let (sender, mut outcomes) = mpsc::channel(WAITING);
    let streams = streams(plan, &prober, &sender);
    drop(sender);
    let mut tally = Tally::default();
    let progress = Progress::new(streams.len() * plan.count as usize);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        tokio::select! {
            biased;
            _signal = &mut interrupt => break,
            outcome = outcomes.recv() => {
                let Some(outcome) = outcome else { break };
                progress.step(&plan.subjects[outcome.subject], outcome.sample.as_ref());
                if let Some(sample) = &outcome.sample {
                    tally.count(outcome.subject, outcome.turn, sample);
                }
            }
            Some(stray) = strays.recv() => tally.stray(&stray),
        }
    }
    progress.finish();
    while let Ok(stray) = strays.try_recv() {
        tally.stray(&stray);
    }
    tally
}

/// Starts a stream of probes for each subject and family, spread over the interval so that they do not meet.
fn streams(plan: &Plan, prober: &Arc<Prober>, outcomes: &mpsc::Sender<Outcome>) -> JoinSet<()> {
    let pairs: Vec<(usize, Family)> = (0..plan.subjects.len())
        .flat_map(|subject| plan.families.iter().map(move |&family| (subject, family)))
        .collect();
    let start = Instant::now();
    let spread = plan.interval / u32::try_from(pairs.len().max(1)).unwrap_or(u32::MAX);
    let mut streams = JoinSet::new();
    let mut first = start;
    for (subject, family) in pairs {
        let stream = Stream {
            prober: Arc::clone(prober),
            target: Arc::new(plan.subjects[subject].target.clone()),
            subject,
            family,
            outcomes: outcomes.clone(),
        };
        streams.spawn(stream.run(first, plan.interval, plan.count));
        first += spread;
    }
    streams
}

/// The probes of one subject over one family.
struct Stream {
    prober: Arc<Prober>,
    target: Arc<peerlight_proto::target::Target>,
    subject: usize,
    family: Family,
    outcomes: mpsc::Sender<Outcome>,
}

impl Stream {
    /// Sends each probe at its time, whether or not those before it have been answered.
    async fn run(self, first: Instant, interval: Duration, count: u32) {
        let mut under_way = JoinSet::new();
        for turn in 0..count {
            sleep_until(first + interval * turn).await;
            let (prober, target) = (Arc::clone(&self.prober), Arc::clone(&self.target));
            let (subject, family, outcomes) = (self.subject, self.family, self.outcomes.clone());
            under_way.spawn(async move {
                let sample = prober.probe(&target, family).await;
                // Nobody counts any more after an interrupt.
                let _interrupted = outcomes.send(Outcome { subject, turn, sample }).await;
            });
            while under_way.try_join_next().is_some() {}
        }
        under_way.join_all().await;
    }
}
