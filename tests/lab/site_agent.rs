//! A site's agent: the real one, on a thread of its own that lives where the site does.

use crate::{
    echo::hold::stamp,
    scenario::Recurring,
    site::{AgentSettings, LabSite},
    truth::Turns,
};
use anyhow::Context as _;
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential,
    enrol::{Applicant, enrol},
    paths::StateDir,
    schedule::{Entry, Schedule},
    targets::ScheduledTarget,
};
use peerlight_proto::{
    enrolment::EnrolmentToken, id::AgentId, metric::Metric, series::Family, target::ProbeKind,
    time::Timestamp,
};
use std::{
    fs, io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio_util::sync::CancellationToken;

/// The running agent.
#[derive(Debug)]
pub struct SiteAgent {
    site: String,
    agent: AgentId,
    targets: Vec<ScheduledTarget>,
    state: StateDir,
    shutdown: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl SiteAgent {
    /// Enrols it by `token` and starts it, with its state in `directory`.
    pub fn start(
        site: &LabSite,
        settings: &AgentSettings,
        token: &str,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let name = site.site.name.clone();
        let text = site.agent_configuration(settings, directory)?;
        let config =
            Config::parse(&text).with_context(|| format!("the configuration of the agent at {name}"))?;
        let token: EnrolmentToken = token.parse()?;
        let agent = credential::load_or_create(&config.state)?.agent();
        let (targets, state) = (config.targets.clone(), config.state.clone());
        let shutdown = CancellationToken::new();
        let (place, rest, stop) = (site.place.clone(), site.site.rest, shutdown.clone());
        let thread = thread::Builder::new().name(format!("agent-{name}")).spawn(move || {
            // All that the agent opens from here on, its runtime's sockets too, lives where the site does.
            place.enter()?;
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(live(config, token, rest, stop))
        })?;
        Ok(Self { site: name, agent, targets, state, shutdown, thread })
    }

    /// The turns of its schedule, from `now` on.
    pub fn turns(&self, now: Timestamp) -> Vec<Turns> {
        let families = [Family::V4, Family::V6];
        let entries = self.targets.iter().flat_map(|scheduled| families.map(|family| (scheduled, family)));
        entries
            .filter_map(|(ScheduledTarget { target, interval }, family)| {
                let mut schedule = Schedule::new(self.agent);
                schedule.replace([Entry::new(target.clone(), family, *interval)], now);
                Some(Turns {
                    target: target.name.clone(),
                    metric: metric_of(&target.probe),
                    family,
                    first: stamp(schedule.next()?),
                    step: *interval,
                })
            })
            .collect()
    }

    /// What is still missing until the collector has signed for all that the agent measured before `instant`; nothing
    /// if it has. Intervals close, are spooled and numbered in their order, so that one of a later end that was
    /// acknowledged, and none of an earlier that waits, is proof.
    pub fn undelivered(&self, instant: Timestamp) -> io::Result<Option<String>> {
        let spool = self.state.spool();
        // In this order: a batch may move from the second place to the first, never back.
        let acknowledged = newest_ends(&spool.join("acknowledged"))?;
        let waiting = newest_ends(&spool)?;
        let early = waiting.iter().filter(|&&end| end <= instant).count();
        Ok(if early > 0 {
            Some(format!("{early} batches wait at {}", self.site))
        } else if acknowledged.iter().all(|&end| end < instant) {
            Some(format!("the last interval is open at {}", self.site))
        } else {
            None
        })
    }

    /// Whether it ended although nobody asked it to.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks it to end; [`SiteAgent::join`] waits for it.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has ended, and says how. Blocks.
    pub fn join(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(ended) => ended.with_context(|| format!("the agent at {} ended", self.site)),
            Err(_panic) => anyhow::bail!("the agent at {} panicked", self.site),
        }
    }
}

/// The ends of the newest intervals of the batches in `directory`: what the names of their files begin with.
fn newest_ends(directory: &Path) -> io::Result<Vec<Timestamp>> {
    let mut ends = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let is_batch = Path::new(&name).extension().is_some_and(|extension| extension == "batch");
        let end = name.to_str().filter(|_| is_batch).and_then(|name| name.split('-').next()?.parse().ok());
        ends.extend(end.map(Timestamp::from_micros));
    }
    Ok(ends)
}

/// The metric by which the truth knows a probe.
const fn metric_of(probe: &ProbeKind) -> Metric {
    match probe {
        ProbeKind::Icmp => Metric::IcmpRtt,
        ProbeKind::Tcp { .. } => Metric::TcpConnect,
        ProbeKind::Udp { .. } => Metric::UdpRtt,
        ProbeKind::Dns => Metric::DnsQuery,
        ProbeKind::Https { .. } => Metric::HttpsTtfb,
    }
}

async fn live(
    config: Config,
    token: EnrolmentToken,
    rest: Option<Recurring>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let applicant = Applicant {
        state: config.state.clone(),
        key: Arc::new(credential::load_or_create(&config.state)?),
        trust: config.collector.trust,
        proxies: config.proxy.open()?,
        site: config.site.clone(),
        clock: Clock::system(),
    };
    enrol(&applicant, &token, None).await?;
    let Some(rest) = rest else {
        peerlight_agent::run(config, shutdown).await?;
        return Ok(());
    };
    while !shutdown.is_cancelled() {
        let awake = shutdown.child_token();
        let bedtime = awake.clone();
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
            tokio::time::sleep(rest.free()).await;
            bedtime.cancel();
        }));
        peerlight_agent::run(config.clone(), awake).await?;
        shutdown.run_until_cancelled(tokio::time::sleep(rest.lasts)).await;
    }
    Ok(())
}
