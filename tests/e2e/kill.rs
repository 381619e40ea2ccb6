//! The promise under kill -9: what was acknowledged is counted once, what was not comes again, nothing is doubled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod collector_machine;

use collector_machine::{CollectorMachine, PATIENCE, introduce, register};
use peerlight_agent::{
    clock::Clock,
    credential::load_or_create,
    enrol::{Applicant, enrol},
    link::Link,
    paths::StateDir,
    proxy::Proxies,
    push::Push,
    spool::{RESEND_REQUEST, Spool, SpoolSettings, handle::SharedSpool, pack::Draft},
    status::Board,
    trust::CollectorTrust,
};
use peerlight_collector::{client::Client, store::crash_point::CRASH_POINTS};
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::{
    histogram::Histogram,
    id::SessionId,
    measurement::{Counters, Measurement, Observed},
    metric::Metric,
    series::{Clock as Stamp, Family, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::Value;
use std::{path::Path as FilePath, time::Duration};

const SITES: [&str; 3] = ["london-1", "paris-1", "seattle-1"];
const RANDOM_KILLS: usize = 84;
const PASSES: [u32; 4] = [1, 2, 3, 5];
const BATCHES_PER_LIFE: usize = 4;
const WAIT: Duration = Duration::from_mins(1);
/// An agent whose measurements are made up, and whose spool, signatures and pushes are the real ones.
struct Agent {
    spool: SharedSpool,
    state: tempfile::TempDir,
    site: &'static str,
    network: u8,
    generated: u64,
    batches: u64,
    next: i64,
}

impl Agent {
    async fn enrolled(site: &'static str, network: u8, token: &str, start: i64) -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = StateDir::new(state.path());
        let key = std::sync::Arc::new(load_or_create(&directory).unwrap());
        let trust = CollectorTrust::Pinned;
        let applicant = Applicant {
            state: directory.clone(),
            key: key.clone(),
            trust,
            proxies: Proxies::default(),
            site: None,
            clock: Clock::system(),
        };
        enrol(&applicant, &token.parse().unwrap(), None).await.unwrap();
        let spool = Spool::open(&directory.spool(), key.agent(), SpoolSettings::default()).unwrap();
        let spool = SharedSpool::new(spool);
        let link = Link {
            uplinks: Vec::new(),
            state: directory,
            trust,
            proxies: Proxies::default(),
            key,
            clock: Clock::system(),
            offset: peerlight_agent::offset::Offset::default(),
        };
        tokio::spawn(Push::new(spool.clone(), link, Board::default(), PATIENCE).run());
        Self { spool, state, site, network, generated: 0, batches: 0, next: start }
    }

    /// Spools one batch of one interval with as many answered probes as `answered` says. It says so twice, which the collector
    /// refuses.
    async fn measure(&mut self, answered: u64) {
        let target = Target {
            name: "echo".into(),
            service: String::new(),
            address: "echo.example.com".parse().unwrap(),
            probe: "icmp".parse().unwrap(),
        };
        let key = SeriesKey {
            uplink: self.site.into(),
            target: target.id(),
            metric: Metric::IcmpRtt,
            family: Family::V4,
            path: Path::Direct,
            clock: Stamp::Kernel,
            http_version: None,
            handshake: None,
        };
        let second = IntervalLength::from_secs(1).unwrap();
        let measurement = Measurement {
            series: 0,
            interval: Interval::starting(self.next, second).unwrap(),
            counters: Counters { scheduled: answered, answered, ..Counters::default() },
            histogram: Histogram::from_values((0..answered).map(|probe| 20_000 + probe)),
            attributes: Vec::new(),
            observed: Some(Observed { address: [192, 0, self.network, 10].into(), age_seconds: 1 }),
        };
        let series = vec![Series { key, target: target.into(), probe_interval_ms: 1_000 }];
        let draft = Draft { series, measurements: vec![measurement.clone(), measurement] };
        let created = Clock::system().wall();
        self.spool.append(SessionId::new([self.network; 16]), vec![draft], created, None).await.unwrap();
        self.next += 1;
        self.generated += answered;
        self.batches += 1;
    }

    async fn until_handed_over(&self) {
        eventually(format!("{} handed over", self.site), WAIT, async || match self.spool.counts().batches {
            0 => Look::Holds(()),
            waiting => Look::NotYet(format!("{waiting} batches wait")),
        })
        .await
        .unwrap();
    }
}

/// What the report says of a site.
#[derive(Debug, PartialEq)]
struct Counted {
    site: String,
    scheduled: u64,
    answered: u64,
    /// Measurements that were refused, and the turns of schedules in them.
    refused: (u64, u64),
    latency: Value,
}

async fn report(operator: &Client) -> Vec<Counted> {
    let query = [("by", "site".to_owned()), ("last", "4h".to_owned()), ("metric", "icmp.rtt".to_owned())];
    let report: Value = operator.get("/api/v1/reports/latency", &query).await.unwrap();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let rows = |name: &str| report[name].as_array().unwrap().iter();
    rows("rows")
        .map(|row| {
            let refused =
                rows("dropped").filter(|one| one["site"] == row["site"]).fold((0, 0), |sum, one| {
                    assert_eq!(one["reason"], "refused_repeated");
                    (sum.0 + number(one, "measurements"), sum.1 + number(one, "turns"))
                });
            Counted {
                site: row["site"].as_str().unwrap().to_owned(),
                scheduled: number(row, "scheduled"),
                answered: number(row, "answered"),
                refused,
                latency: row["latency_ms"].clone(),
            }
        })
        .collect()
}

/// Each measurement counts once, and its repetition is refused once.
fn assert_counted(report: &[Counted], agents: &[Agent]) {
    let found = report.iter().map(|site| (&*site.site, site.scheduled, site.answered, site.refused));
    let expected = agents
        .iter()
        .map(|agent| (agent.site, agent.generated, agent.generated, (agent.batches, agent.generated)));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_nothing_and_double_nothing() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let machine = CollectorMachine::new();
    let mut random = SmallRng::seed_from_u64(20_261_122);
    let mut collector = machine.start(None);
    let operator = machine.operator().await;
    introduce(&operator).await;
    // Two hours ago: spans that are closed, so that every life of the collector rolls some of them up.
    let start = Clock::system().wall().minus(Duration::from_hours(2)).as_secs();
    let mut agents = Vec::new();
    for (network, site) in (2..).zip(SITES) {
        let token = register(&operator, site, &format!("192.0.{network}.0/24")).await;
        agents.push(Agent::enrolled(site, network, &token, start).await);
    }
    let points = CRASH_POINTS.iter().flat_map(|point| PASSES.map(|pass| Some(format!("{point}:{pass}"))));
    let mut lives: Vec<Option<String>> = points.chain(std::iter::repeat_n(None, RANDOM_KILLS)).collect();
    let mut kills = 0;
    while !lives.is_empty() {
        let life = lives.swap_remove(random.random_range(0..lives.len()));
        collector.kill().await.unwrap();
        kills += 1;
        collector = machine.start(life.as_deref());
        for _batch in 0..BATCHES_PER_LIFE {
            for agent in &mut agents {
                agent.measure(random.random_range(1..50)).await;
            }
        }
        // A life ends at its crash point, or is ended at a random instant by the next turn's kill.
        let most = if life.is_some() {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(random.random_range(1..250))
        };
        let _ended_itself = tokio::time::timeout(most, collector.wait()).await;
    }
    collector.kill().await.unwrap();
    let collector = machine.start(None);
    for agent in &agents {
        agent.until_handed_over().await;
    }
    assert!(kills >= 100, "{kills}");
    let before = report(&operator).await;
    assert_counted(&before, &agents);
    everything_again_changes_nothing(&operator, &agents, &before).await;
    drop(collector);
}

/// Every batch that was ever acknowledged, sent again.
async fn everything_again_changes_nothing(operator: &Client, agents: &[Agent], before: &[Counted]) {
    for agent in agents {
        let request = StateDir::new(agent.state.path()).spool().join(RESEND_REQUEST);
        write(&request, &Timestamp::from_secs(0).as_micros().to_string());
        let again = agent.spool.honour_resend_request().await.unwrap();
        assert!(again > Some(400), "{again:?}");
    }
    for agent in agents {
        agent.until_handed_over().await;
    }
    assert_eq!(report(operator).await, before);
}

fn write(path: &FilePath, text: &str) {
    std::fs::write(path, text).unwrap();
}
