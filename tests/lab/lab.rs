//! A running lab: network, echo servers, collector and agents, started in this order and ended in the opposite one.

use crate::{
    answer::Answer,
    collector::Collector,
    echo::{
        self,
        hold::{Holds, stamp},
    },
    eventually::{Look, eventually},
    microsoft,
    network::{Ground, Network, Place, tap::Taps},
    scenario::Scenario,
    site::{AgentSettings, DEADLINE, LabSite, TIMEOUT},
    site_agent::SiteAgent,
    truth::{self, Truth},
};
use anyhow::Context as _;
use peerlight_collector::{config::Config as CollectorConfig, registry::NewRules};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use std::{
    io,
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long agents may take to enrol and to be heard of.
const ENROLMENT: Duration = Duration::from_secs(30);
/// How long the collector may take to have signed for all that was measured, even if agents rested or paths were dark.
const SETTLEMENT: Duration = Duration::from_secs(40);
/// How long after its quarter hour a run is looked at: by then nothing of it is on its way any more.
const AFTERWARDS: Duration = Duration::from_mins(5);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The lab's echo servers.
    EchoServers,
    /// Microsoft, over this machine's own uplink.
    Microsoft,
    /// The lab's servers that bear the names of Microsoft's.
    StandIn,
}

/// What a lab is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The sites, paths and targets.
    pub scenario: Scenario,
    /// What is measured.
    pub subject: Subject,
    /// How long the agents' measurement intervals are.
    pub interval: IntervalLength,
    /// The dashboard's port.
    pub dashboard_port: Option<u16>,
    /// The collector's configuration; listeners and directory are the lab's own.
    pub collector: CollectorConfig,
    /// The alert rules, if the defaults are not to hold.
    pub alert_rules: Option<NewRules>,
}

/// The running lab.
#[derive(Debug)]
pub struct Lab {
    /// The collector.
    pub collector: Collector,
    agents: Vec<SiteAgent>,
    truth: Arc<Mutex<Truth>>,
    interval: IntervalLength,
    servers: Servers,
    taps: Option<Taps>,
    network: Network,
    directory: TempDir,
}

/// The echo servers and what agents must know of them.
#[derive(Debug)]
struct Servers {
    tasks: TaskTracker,
    shutdown: CancellationToken,
    dns: Option<SocketAddr>,
    ca_file: Option<PathBuf>,
    targets: Vec<(crate::scenario::EchoTarget, Vec<String>)>,
}

impl Lab {
    /// Starts everything on `ground`, and returns when every agent has been heard of. `tell` hears what happens.
    pub async fn start(
        ground: &Ground,
        settings: Settings,
        tell: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("peerlight-lab-").tempdir().context("cannot make a directory")?;
        let scenario = scenario_for(settings.subject, settings.scenario);
        let lent = if settings.subject == Subject::StandIn { microsoft::addresses() } else { Vec::new() };
        let network = Network::build(ground, &scenario, &lent)?;
        let (servers, truth) = start_servers(settings.subject, &scenario, &network, &directory)?;
        let taps = network.tap(Arc::clone(&truth))?;

        tell("starting the collector");
        let kept = directory.path().join("collector");
        let collector =
            Collector::start(settings.collector, &kept, &network, settings.dashboard_port).await?;
        if let Some(rules) = &settings.alert_rules {
            collector.set_alert_rules(rules).await?;
        }
        let sites = sites_for(settings.subject, &scenario, &network);
        let tokens = collector.register(&sites).await?;
        let agent_settings = AgentSettings {
            collector: collector.agents_url.clone(),
            interval: settings.interval,
            dns: servers.dns,
            ca_file: servers.ca_file.clone(),
            allow: network.plan.all.clone(),
            targets: servers.targets.clone(),
        };
        tell(&format!("starting {} agents", sites.len()));
        let mut agents = Vec::new();
        for (site, token) in sites.iter().zip(&tokens) {
            let state = directory.path().join(&site.site.name);
            let agent = SiteAgent::start(site, &agent_settings, token, &state)?;
            let mut truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
            truth.expect(agents.len(), agent.turns(now()));
            agents.push(agent);
        }
        let interval = settings.interval;
        let lab = Self { collector, agents, truth, interval, servers, taps, network, directory };
        match lab.agents_heard_of().await {
            Ok(()) => Ok(lab),
            Err(late) => Err(match lab.stop().await {
                Ok(()) => late.into(),
                Err(ended) => ended.context(late),
            }),
        }
    }

    async fn agents_heard_of(&self) -> Result<(), crate::eventually::NotInTime> {
        eventually("every agent's first batch", ENROLMENT, async || {
            if self.has_failed() {
                return Look::Holds(());
            }
            match self.collector.agents_seen().await {
                Ok(seen) if seen >= self.agents.len() => Look::Holds(()),
                Ok(seen) => Look::NotYet(format!("{seen} of {} agents", self.agents.len())),
                Err(error) => Look::NotYet(error.to_string()),
            }
        })
        .await
    }

    /// Whether an agent has ended although nobody asked it to.
    pub fn has_failed(&self) -> bool {
        self.agents.iter().any(SiteAgent::has_ended)
    }

    /// The first instant from which on whole intervals can be asked for.
    pub fn next_interval(&self) -> Timestamp {
        Interval::containing(now(), self.interval).end()
    }

    /// The last end of an interval.
    pub fn last_interval(&self) -> Timestamp {
        Interval::containing(now(), self.interval).start()
    }

    /// The report of the whole intervals in `span`, once the collector has signed for all that was measured in it, and
    /// the truth about the same probes.
    pub async fn answer(&self, span: Range<Timestamp>) -> anyhow::Result<Answer> {
        self.delivered(span.end).await?;
        let report = self.collector.report(span.start.as_secs(), span.end.as_secs()).await?;
        let truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        if truth.missed_so_far() > 0 {
            tracing::warn!(
                packets = truth.missed_so_far(),
                "the taps missed packets; the truth is not whole"
            );
        }
        let span = stamp(span.start)..stamp(span.end);
        Ok(Answer { report, truth: truth.rows(&span, TIMEOUT, DEADLINE) })
    }

    /// Waits until the collector has signed for every interval that ends by `instant`, of every agent.
    async fn delivered(&self, instant: Timestamp) -> anyhow::Result<()> {
        let patience = instant.since(now()) + DEADLINE + SETTLEMENT;
        let settled = eventually("the acknowledgement of every closed interval", patience, async || {
            if self.has_failed() {
                return Look::Holds(Err(anyhow::anyhow!("an agent has ended")));
            }
            let missing: io::Result<Vec<_>> =
                self.agents.iter().filter_map(|agent| agent.undelivered(instant).transpose()).collect();
            match missing {
                Ok(missing) if missing.is_empty() => Look::Holds(Ok(())),
                Ok(missing) => Look::NotYet(missing.join(", ")),
                Err(error) => Look::NotYet(error.to_string()),
            }
        });
        settled.await?
    }

    /// Now, by the clock of the kernel's stamps.
    pub fn now(&self) -> Timestamp {
        now()
    }

    /// What the relay did so far, for people.
    pub fn carried(&self) -> Option<String> {
        let carried = self.network.carried()?;
        Some(format!("{} packets carried, {} lost on the way", carried.delivered(), carried.lost()))
    }

    /// Ends the agents; the collector stays with what they measured, and its clock stands where all of it is a whole quarter hour
    /// or several, so that every report is of it.
    pub async fn stand_still(&mut self) -> anyhow::Result<()> {
        self.end_agents().await?;
        let quarter = Interval::containing(now(), IntervalLength::QUARTER_HOUR);
        self.collector.stand_still(quarter.end().plus(AFTERWARDS), &self.network).await
    }

    /// Ends the agents: no batch comes after the last that they had.
    async fn end_agents(&mut self) -> anyhow::Result<()> {
        let agents = std::mem::take(&mut self.agents);
        for agent in &agents {
            agent.stop();
        }
        let joined = tokio::task::spawn_blocking(|| {
            let ended: Vec<_> = agents.into_iter().map(SiteAgent::join).collect();
            ended.into_iter().collect::<anyhow::Result<()>>()
        });
        joined.await?
    }

    /// Ends everything, agents first. An agent that failed is the error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let agents_ended = self.end_agents().await;
        let Self { collector, servers, taps, network, directory, .. } = self;
        let collector_ended = collector.stop().await;
        servers.shutdown.cancel();
        servers.tasks.close();
        servers.tasks.wait().await;
        drop(taps);
        drop(network);
        directory.close().context("cannot remove the lab's directory")?;
        agents_ended.and(collector_ended)
    }
}

fn scenario_for(subject: Subject, scenario: Scenario) -> Scenario {
    match subject {
        Subject::EchoServers => scenario,
        Subject::Microsoft => microsoft::this_machine(scenario.seed),
        Subject::StandIn => microsoft::stand_in(scenario),
    }
}

fn sites_for(subject: Subject, scenario: &Scenario, network: &Network) -> Vec<LabSite> {
    let mut sites = LabSite::all(scenario, network);
    if subject == Subject::Microsoft {
        // The Internet is reached from this machine's own addresses, and the collector over loopback.
        for site in &mut sites {
            site.sources.clear();
            site.prefixes = network.plan.this_machine();
            site.place = Place::Host;
        }
    }
    sites
}

fn start_servers(
    subject: Subject,
    scenario: &Scenario,
    network: &Network,
    directory: &TempDir,
) -> anyhow::Result<(Servers, Arc<Mutex<Truth>>)> {
    let sockets = echo::bind(network, &scenario.targets)?;
    let places = scenario
        .sites
        .iter()
        .map(|site| truth::Place { provider: site.provider.clone(), location: site.location.clone() });
    // The catalogue's targets share one server: which of them a packet is for, only the agent knows.
    let endpoints = if subject == Subject::EchoServers { sockets.endpoints() } else { Vec::new() };
    let truth = Arc::new(Mutex::new(Truth::new(places.collect(), endpoints)));
    let holds = (subject == Subject::EchoServers && !network.plan.private)
        .then(|| Holds::new(network.plan.clone(), scenario, Arc::clone(&truth)));
    let mut servers = Servers {
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
        dns: sockets.dns_addresses.first().copied().filter(|_| subject != Subject::Microsoft),
        ca_file: None,
        targets: Vec::new(),
    };
    if subject == Subject::EchoServers {
        servers.targets =
            sockets.probes().into_iter().map(|(target, probes)| (target.clone(), probes)).collect();
    }
    let names = if subject == Subject::StandIn { microsoft::names() } else { Vec::new() };
    let authority = sockets.serve(&names, holds.as_ref(), &servers.tasks, &servers.shutdown)?;
    if subject != Subject::Microsoft {
        let file = directory.path().join("echo-ca.pem");
        std::fs::write(&file, authority.pem()).context("cannot write the echo servers' CA certificate")?;
        servers.ca_file = Some(file);
    }
    Ok((servers, truth))
}

fn now() -> Timestamp {
    let micros = i64::try_from(echo::hold::wall_clock().as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(micros)
}
