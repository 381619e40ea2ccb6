//! The `probe` command: measures a few targets now, without any configuration, and shows what it saw.

mod args;
mod canvas;
mod history;
mod painted;
mod paths;
mod progress;
mod render;
mod tally;
mod targets;
mod threshold;
mod watch;

use crate::{
    clock::Clock,
    probe::{Probe as _, Prober},
    sample::{Sample, Stray},
};
use anyhow::Context as _;
use args::Plan;
use peerlight_proto::series::Family;
use progress::Progress;
use std::{future::pending, io, process::ExitCode, sync::Arc, time::Duration};
use tally::Tally;
use targets::Subject;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use watch::{Next, Watch};

pub use args::{Engine, Families, Output, ProbeArgs};
pub use threshold::{Limit, LimitError};

/// The exit code of arguments that make no plan; the parser's own is the same.
const EXIT_USAGE: u8 = 2;
/// The exit code of a limit that was passed.
const EXIT_OVER: u8 = 3;
/// How many samples may wait to be counted.
const WAITING: usize = 1_024;

/// One probe's outcome: of which subject and turn.
struct Outcome {
    subject: usize,
    turn: u32,
    /// None if the subject does not have the family.
    sample: Option<Sample>,
}

/// What is seen while probes are under way.
enum View {
    Lines(Box<Progress>),
    Screen(Box<Watch>),
}

impl View {
    fn open(plan: &Plan) -> io::Result<Self> {
        Ok(if plan.watch {
            Self::Screen(Box::new(Watch::open(plan)?))
        } else {
            Self::Lines(Box::new(Progress::new(plan)))
        })
    }

    /// One probe has landed, and was counted.
    fn step(&mut self, subject: usize, turn: u32, sample: &Sample, tally: &Tally) {
        match self {
            Self::Lines(progress) => progress.step(subject, turn, sample, tally),
            Self::Screen(watch) => watch.step(subject, turn, sample),
        }
    }

    /// Shows what there is until somebody wants to end.
    async fn until_quit(&mut self, tally: &Tally) -> io::Result<()> {
        match self {
            Self::Lines(_) => pending().await,
            Self::Screen(watch) => {
                while watch.next().await? == Next::Draw {
                    watch.draw(tally)?;
                }
                Ok(())
            }
        }
    }
}

/// Measures, shows progress on a terminal, and writes to stdout what is asked for. The exit code tells whether anything
/// answered, and whether a limit was passed.
pub async fn run(args: ProbeArgs, shutdown: &CancellationToken) -> anyhow::Result<ExitCode> {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => {
            render::tell(&format!("peerlight-agent: {error:#}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let (prober, mut strays) = Prober::open(plan.settings.clone())?;
    if let Some(problem) = prober.icmp_problem().filter(|_| plan.subjects.iter().any(Subject::is_icmp)) {
        render::warn(problem);
    }
    let tally =
        measure(&plan, Arc::new(prober), &mut strays, shutdown).await.context("cannot show what landed")?;
    render::write(&plan, &tally).context("cannot write the result")?;
    if plan.shows_paths {
        paths::show(&plan, shutdown).await;
    }
    let judgement = threshold::judge(&plan.limits, &plan.subjects, &tally);
    for line in &judgement.lines {
        render::tell(line);
    }
    Ok(match (tally.answered(), judgement.over) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(EXIT_OVER),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Sends all turns, or those before an interrupt, and counts them.
async fn measure(
    plan: &Plan,
    prober: Arc<Prober>,
    strays: &mut mpsc::Receiver<Stray>,
    shutdown: &CancellationToken,
) -> io::Result<Tally> {
    let (sender, mut outcomes) = mpsc::channel(WAITING);
    let streams = streams(plan, &prober, &sender);
    drop(sender);
    let mut tally = Tally::default();
    let mut view = View::open(plan)?;
    let clock = Clock::system();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            outcome = outcomes.recv() => {
                let Some(outcome) = outcome else { break };
                let Outcome { subject, turn, sample: Some(sample) } = outcome else { continue };
                tally.count(subject, turn, &sample);
                view.step(subject, turn, &sample, &tally);
                if plan.output == Output::Ndjson {
                    let out = &mut io::stdout().lock();
                    render::landing::write(out, &plan.subjects[subject], turn, &sample, clock.wall())?;
                }
            }
            Some(stray) = strays.recv() => tally.stray(&stray),
            quit = view.until_quit(&tally) => {
                quit?;
                break;
            }
        }
    }
    drop(view);
    while let Ok(stray) = strays.try_recv() {
        tally.stray(&stray);
    }
    drop(streams);
    Ok(tally)
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
            through_proxy: plan.through_proxy && plan.subjects[subject].is_https(),
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
    through_proxy: bool,
    outcomes: mpsc::Sender<Outcome>,
}

impl Stream {
    /// Sends each probe at its time, whether or not those before it have been answered.
    async fn run(self, first: Instant, interval: Duration, count: Option<u32>) {
        let mut under_way = JoinSet::new();
        for turn in 0..count.unwrap_or(u32::MAX) {
            sleep_until(first + interval * turn).await;
            let (prober, target) = (Arc::clone(&self.prober), Arc::clone(&self.target));
            let (subject, family, outcomes) = (self.subject, self.family, self.outcomes.clone());
            let through_proxy = self.through_proxy;
            under_way.spawn(async move {
                let sample = if through_proxy {
                    prober.probe_through_proxy(&target, family).await
                } else {
                    prober.probe(&target, family).await
                };
                // Nobody counts any more after an interrupt.
                let _interrupted = outcomes.send(Outcome { subject, turn, sample }).await;
            });
            while under_way.try_join_next().is_some() {}
        }
        under_way.join_all().await;
    }
}
