//! Joins the stages: schedule, probe and aggregate in one loop, then the spool, then push; and bounds their end.

mod measure;
mod report;

use crate::{
    assignment::Follower,
    cadence::Cadence,
    captures::Captures,
    clock::Clock,
    config::Config,
    credential::keyring::Keyring,
    link::Link,
    logging,
    observe::{Observations, Observer},
    offset::Offset,
    probe::Probe,
    proxy::Proxies,
    push::{Patience, Push},
    rotation::{self, Rotation},
    sample::Stray,
    spool::{handle::SharedSpool, pack::pack},
    status::{self, Board},
    targets::{ScheduledTarget, Selector},
    uplink::Way,
};
use measure::{Closed, Measure, Outlet};
use report::Speaker;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Closed intervals that may wait for the disk; beyond, measuring waits and counts what it skips.
const MAX_CLOSED: usize = 64;
/// How often the spool is tidied.
const TIDY_PERIOD: Duration = Duration::from_secs(2);

/// What the pipeline is made of.
pub struct Parts {
    /// What sends probes over each of the configuration's ways, in their order.
    pub engines: Vec<Engine>,
    /// Which proxy serves whom.
    pub proxies: Proxies,
    /// Targets to measure when there are no others.
    pub builtin: Vec<ScheduledTarget>,
    /// The agent's identity.
    pub key: Arc<Keyring>,
    /// Where batches wait.
    pub spool: SharedSpool,
    /// The clocks.
    pub clock: Clock,
    /// Where the parts say what they are doing.
    pub board: Board,
    /// How patient pushing is.
    pub patience: Patience,
}

/// What sends probes over one way.
pub struct Engine {
    /// Sends probes.
    pub probe: Arc<dyn Probe>,
    /// Replies that no probe waits for.
    pub strays: mpsc::Receiver<Stray>,
}

/// Runs until `shutdown`, then stops the schedule, gives probes in flight a moment, spools the open interval and ends.
pub async fn run(config: &Config, parts: Parts, shutdown: CancellationToken) {
    let Parts { engines, proxies, builtin, key, spool, clock, board, patience } = parts;
    let link = Link {
        state: config.state.clone(),
        uplinks: config.uplink_names(),
        trust: config.collector.trust,
        proxies: proxies.clone(),
        key: Arc::clone(&key),
        clock: clock.clone(),
        offset: Offset::default(),
    };
    if let Ok(Some(enrolment)) = link.enrolment() {
        if let Some(url) = &config.collector.url
            && !enrolment.is_with(url)
        {
            tracing::warn!(configured = %url, enrolled = enrolment.collector, "batches go to the collector of the enrolment; enrol again to change it");
        }
        board.update(|status| status.enrolled = Some(enrolment.into()));
    }
    let ways = config.ways();
    let selector = Selector {
        configured: config.targets.clone(),
        builtin,
        ceilings: config.limits.clone(),
        families: ways.iter().map(|way| way.families.clone()).collect(),
        paths: config.proxy.paths(proxies),
    };
    let (follower, assignment) = Follower::begin(config.state.clone(), selector.clone(), board.clone());
    let observations: Vec<_> = ways.iter().map(|_way| Observations::default()).collect();
    let mut background = JoinSet::new();
    background.spawn(Push::new(spool.clone(), link.clone(), board.clone(), patience).run());
    background.spawn(Rotation::new(link.clone(), board.clone(), rotation::Patience::default()).run());
    background.spawn(follower.run(link.clone(), Cadence::default()));
    let speaker = Speaker { board: board.clone(), spool: spool.clone(), link: link.clone() };
    background.spawn(speaker.clone().tell_manager());
    background.spawn(status::answer(config.state.clone(), move || speaker.clone().status()));
    background.spawn(tidy(spool.clone(), link.clone()));
    background.spawn(logging::tell_what_is_left_out());
    for (way, observations) in ways.iter().zip(&observations) {
        for observer in observers(way, &link, observations, &board) {
            background.spawn(observer.run());
        }
    }
    let (closed, to_spool) = mpsc::channel(MAX_CLOSED);
    let measure = Measure::new(measure::Parts {
        agent: key.agent(),
        outlets: outlets(config, &ways, engines, observations),
        selector,
        length: config.probing.interval,
        deadline: config.probing.settings.deadline,
        clock,
        board: board.clone(),
        assignment,
        closed,
        captures: config
            .probing
            .capture_paths
            .then(|| Captures::new(&config.state, &ways, board.clone(), shutdown.clone())),
    });
    tokio::join!(measure.run(shutdown), keep_safe(to_spool, &spool, &link, &board));
    background.shutdown().await;
    spool.close();
}

/// What the loop needs of each way.
fn outlets(
    config: &Config,
    ways: &[Way],
    engines: Vec<Engine>,
    observations: Vec<Observations>,
) -> Vec<Outlet> {
    let site = config.site.as_ref().map(|site| &site.name);
    ways.iter()
        .zip(engines)
        .zip(observations)
        .map(|((way, Engine { probe, strays }), observations)| Outlet {
            uplink: way.uplink.clone(),
            site: site.cloned(),
            probe,
            strays,
            observations,
        })
        .collect()
}

/// One for each family that is probed over a way.
fn observers(
    way: &Way,
    link: &Link,
    observations: &Observations,
    board: &Board,
) -> impl Iterator<Item = Observer> {
    way.families.iter().map(move |&family| Observer {
        link: link.clone(),
        uplink: way.uplink.clone(),
        departure: way.settings.departure(family),
        observations: observations.clone(),
        board: board.clone(),
        cadence: Cadence::default(),
    })
}

/// Spools what is closed, until measuring has ended.
async fn keep_safe(mut closed: mpsc::Receiver<Closed>, spool: &SharedSpool, link: &Link, board: &Board) {
    while let Some(Closed { session, interval }) = closed.recv().await {
        let covered = interval.interval;
        let (created, offset) = (link.clock.wall(), link.offset.micros());
        if let Err(error) = spool.remark(board.get().remarks()).await {
            tracing::debug!(%error, "a batch says of its agent what the one before said");
        }
        if let Err(error) = spool.append(session, pack(interval), created, offset).await {
            tracing::error!(%error, start = covered.start().as_secs(), "an interval could not be spooled and is lost");
            board.update(|status| status.measuring.lost_intervals += 1);
        }
    }
}

/// Applies the bounds of age and does what `resend` asked for.
async fn tidy(spool: SharedSpool, link: Link) {
    let mut ticks = tokio::time::interval(TIDY_PERIOD);
    loop {
        ticks.tick().await;
        let wall = link.clock.wall();
        // A wrong clock must not drop what only seems old.
        let corrected = link.offset.micros().map(|_known| link.offset.correct(wall));
        if let Err(error) = spool.expire(corrected, wall).await {
            tracing::warn!(%error, "the spool could not be tidied");
        }
        match spool.honour_resend_request().await {
            Ok(Some(batches)) => tracing::info!(batches, "acknowledged batches are sent again on request"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a request to resend could not be honoured"),
        }
    }
}
