//! The promise over an outage: a real agent goes on measuring while the collector's process is gone, and when another one
//! takes over its data, every interval that closed meanwhile is in the report exactly; and what a spool that is too small had
//! to drop is in it as dropped, so that both together are what was measured.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod collector_machine;

use collector_machine::{CollectorMachine, PATIENCE, introduce, register};
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential::load_or_create,
    enrol::{Applicant, enrol},
    link::Link,
    offset::Offset,
    proxy::Proxies,
    push::Push,
    spool::{Counts, Spool, SpoolSettings, handle::SharedSpool},
    status::Board,
};
use peerlight_collector::client::Client;
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::{
    codec::decode_batch,
    id::SessionId,
    metric::Metric,
    time::{Interval, Timestamp},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const SITE: &str = "london-1";
const INTERVALS: usize = 60;
const WAIT: Duration = Duration::from_mins(3);
/// The agent as its file configures it: intervals of one second, and a probe five times in each.
fn configuration(state: &Path, machine: &CollectorMachine, echo: &TcpListener) -> Config {
    let text = format!(
        r#"
        state = "{}"
        [site]
        name = "{SITE}"
        provider = "Example Telecom"
        location = "GB-LND"
        prefixes = ["127.0.0.0/8"]
        [collector]
        url = "https://{}"
        [probing]
        interval = "1s"
        timeout = "500ms"
        deadline = "800ms"
        [limits]
        allow = ["127.0.0.0/8"]
        [[target]]
        name = "echo"
        service = "Test"
        address = "127.0.0.1"
        probes = ["tcp:{}"]
        interval = "200ms"
        "#,
        state.display(),
        machine.agents.local_addr().unwrap(),
        echo.local_addr().unwrap().port(),
    );
    Config::parse(&text).unwrap()
}

/// Runs the real agent on a thread of its own until `shutdown`.
fn run_agent(config: Config, shutdown: CancellationToken) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(peerlight_agent::run(config, shutdown)).unwrap();
    })
}

fn batches_in(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "batch")).count()
}

async fn until_there_are(batches: usize, directory: &Path) {
    eventually(format!("{batches} batches"), WAIT, async || match batches_in(directory) {
        there if there >= batches => Look::Holds(()),
        there => Look::NotYet(format!("{there} batches")),
    })
    .await
    .unwrap();
}

/// What a spool holds of connects: its intervals, and how many probes were scheduled and answered in them.
fn contents(spool: &mut Spool) -> (BTreeSet<Interval>, u64, u64) {
    let (mut intervals, mut scheduled, mut answered) = (BTreeSet::new(), 0, 0);
    for key in spool.keys().collect::<Vec<_>>() {
        let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
        for measurement in &batch.measurements {
            if batch.series[measurement.series as usize].key.metric == Metric::TcpConnect {
                intervals.insert(measurement.interval);
                scheduled += measurement.counters.scheduled;
                answered += measurement.counters.answered;
            }
        }
    }
    (intervals, scheduled, answered)
}

/// A collector's machine, and an agent that is enrolled there and not running yet.
struct Scene {
    machine: CollectorMachine,
    operator: Client,
    link: Link,
    config: Config,
    _state: TempDir,
}

impl Scene {
    /// With a collector that runs, for as long as what comes back beside it.
    async fn begin() -> (Self, tokio::process::Child) {
        // The second test of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let machine = CollectorMachine::new();
        let collector = machine.start(None);
        let operator = machine.operator().await;
        introduce(&operator).await;
        let token = register(&operator, SITE, "127.0.0.0/8").await;
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let accepting = echo.try_clone().unwrap();
        std::thread::spawn(move || accepting.incoming().for_each(drop));

        let state = tempfile::tempdir().unwrap();
        let config = configuration(state.path(), &machine, &echo);
        let key = Arc::new(load_or_create(&config.state).unwrap());
        let link = Link {
            uplinks: Vec::new(),
            state: config.state.clone(),
            trust: config.collector.trust,
            proxies: Proxies::default(),
            key: Arc::clone(&key),
            clock: Clock::system(),
            offset: Offset::default(),
        };
        let applicant = Applicant {
            state: link.state.clone(),
            key,
            trust: link.trust,
            proxies: Proxies::default(),
            site: config.site.clone(),
            clock: Clock::system(),
        };
        enrol(&applicant, &token.parse().unwrap(), None).await.unwrap();
        (Self { machine, operator, link, config, _state: state }, collector)
    }

    fn spool(&self) -> PathBuf {
        self.config.state.spool()
    }

    /// Opens the spool, which no agent owns now.
    fn open(&self, directory: &Path) -> Spool {
        Spool::open(directory, self.link.key.agent(), SpoolSettings::default()).unwrap()
    }

    /// Hands over all that the spool holds.
    async fn hand_over(&self, spool: Spool) -> Counts {
        let spool = SharedSpool::new(spool);
        let pushing =
            tokio::spawn(Push::new(spool.clone(), self.link.clone(), Board::default(), PATIENCE).run());
        eventually("the backlog handed over", WAIT, async || match spool.counts().batches {
            0 => Look::Holds(()),
            waiting => Look::NotYet(format!("{waiting} batches wait")),
        })
        .await
        .unwrap();
        pushing.abort();
        // It holds the spool's lock as long as it lives.
        assert!(pushing.await.unwrap_err().is_cancelled());
        spool.counts()
    }

    /// The report by site of these metrics over a span.
    async fn report(&self, metrics: &BTreeSet<Metric>, (from, to): (Timestamp, Timestamp)) -> Value {
        let names: Vec<_> = metrics.iter().map(|metric| metric.name()).collect();
        let query = [
            ("by", "site".to_owned()),
            ("metric", names.join(",")),
            ("from", from.as_secs().to_string()),
            ("to", to.as_secs().to_string()),
        ];
        self.operator.get("/api/v1/reports/latency", &query).await.unwrap()
    }
}

/// Ends an agent.
async fn end(agent: std::thread::JoinHandle<()>, shutdown: CancellationToken) {
    shutdown.cancel();
    tokio::task::spawn_blocking(move || agent.join().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_intervals_that_close_while_the_collector_is_gone_are_in_its_report_when_it_is_back() {
    let (scene, mut collector) = Scene::begin().await;
    let (spooled, shutdown) = (scene.spool(), CancellationToken::new());
    let agent = run_agent(scene.config.clone(), shutdown.clone());
    until_there_are(1, &spooled.join("acknowledged")).await;

    collector.kill().await.unwrap();
    let before = batches_in(&spooled);
    until_there_are(before + INTERVALS, &spooled).await;
    end(agent, shutdown).await;

    let mut spool = scene.open(&spooled);
    let (waiting, ..) = contents(&mut spool);
    assert!(waiting.len() >= INTERVALS, "{waiting:?}");
    // What was acknowledged before comes again, so that the spool holds all that the agent ever measured.
    spool.resend(Timestamp::from_secs(0)).unwrap();
    let (intervals, scheduled, answered) = contents(&mut spool);
    assert!(intervals.len() > waiting.len() && answered > 0, "{intervals:?}");

    let _collector = scene.machine.start(None);
    let counts = scene.hand_over(spool).await;
    assert_eq!((counts.rejected, counts.refused_measurements, counts.dropped), (0, 0, 0));
    let span = (intervals.first().unwrap().start(), intervals.last().unwrap().end());
    let report = scene.report(&[Metric::TcpConnect].into(), span).await;
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{report:#}");
    let counted = ["scheduled", "answered"].map(|name| rows[0][name].as_u64().unwrap());
    assert_eq!(counted, [scheduled, answered], "{report:#}");
    assert_eq!(report["dropped"], Value::Array(Vec::new()));
}

/// Copies what lies in a spool and was not copied yet.
fn copy_new(spool: &Path, into: &Path) {
    for from in [spool.to_owned(), spool.join("acknowledged")] {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let there = into.join(path.file_name().unwrap());
            if path.extension().is_some_and(|it| it == "batch") && !there.exists() {
                // It may go while it is looked at; whether all were caught is told by their numbers.
                let _gone = std::fs::copy(&path, &there);
            }
        }
    }
}

/// All that was ever measured: turns, span and metrics. Every batch must be there.
fn measured(copies: &mut Spool) -> (u64, (Timestamp, Timestamp), BTreeSet<Metric>) {
    let mut numbers: BTreeMap<SessionId, BTreeSet<u64>> = BTreeMap::new();
    let (mut turns, mut span, mut metrics) = (0, None, BTreeSet::new());
    for key in copies.keys().collect::<Vec<_>>() {
        let batch = decode_batch(&copies.read(key).unwrap().unwrap().bytes).unwrap().batch;
        numbers.entry(batch.number.session).or_default().insert(batch.number.sequence);
        for measurement in &batch.measurements {
            turns += measurement.counters.scheduled;
            metrics.insert(batch.series[measurement.series as usize].key.metric);
            let (start, end) = (measurement.interval.start(), measurement.interval.end());
            let (first, last) = span.unwrap_or((start, end));
            span = Some((start.min(first), end.max(last)));
        }
    }
    for sequences in numbers.values() {
        assert_eq!(
            sequences.last(),
            Some(&(sequences.len() as u64 - 1)),
            "every batch was copied: {numbers:?}"
        );
    }
    (turns, span.unwrap(), metrics)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_small_spool_dropped_in_an_outage_and_what_is_reported_are_together_what_was_measured() {
    const DROPPED: usize = 12;
    const KEPT: u64 = 8;
    let (mut scene, mut collector) = Scene::begin().await;
    let (spooled, shutdown) = (scene.spool(), CancellationToken::new());
    let agent = run_agent(scene.config.clone(), shutdown.clone());
    until_there_are(1, &spooled.join("acknowledged")).await;
    end(agent, shutdown).await;
    // Nothing is in flight when the collector goes: a batch whose acknowledgement is lost, and that is dropped before it could
    // come again, counts as dropped although the collector has it.
    scene.hand_over(scene.open(&spooled)).await;
    collector.kill().await.unwrap();

    let copies = tempfile::tempdir().unwrap();
    copy_new(&spooled, copies.path());
    let largest =
        std::fs::read_dir(copies.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    scene.config.spool.max_bytes = largest.max().unwrap() * KEPT;
    let before = batches_in(copies.path());
    let shutdown = CancellationToken::new();
    let agent = run_agent(scene.config.clone(), shutdown.clone());
    let watched = async |what: &str, until: &dyn Fn(usize, usize) -> bool| {
        eventually(what, WAIT, async || {
            copy_new(&spooled, copies.path());
            let (made, wait) = (batches_in(copies.path()) - before, batches_in(&spooled));
            if until(made, wait) {
                Look::Holds(())
            } else {
                Look::NotYet(format!("{made} made, {wait} wait"))
            }
        })
        .await
        .unwrap();
    };
    watched("more batches than the spool holds", &|made, wait| made >= wait + DROPPED).await;
    let _collector = scene.machine.start(None);
    watched("the backlog handed over", &|_made, wait| wait <= 1).await;
    end(agent, shutdown).await;
    copy_new(&spooled, copies.path());

    let counts = scene.hand_over(scene.open(&spooled)).await;
    assert!(counts.dropped >= DROPPED as u64, "{counts:?}");
    let (turns, span, metrics) = measured(&mut scene.open(copies.path()));
    let report = scene.report(&metrics, span).await;
    let rows = report["rows"].as_array().unwrap();
    let reported: u64 = rows.iter().map(|row| row["scheduled"].as_u64().unwrap()).sum();
    let dropped = report["dropped"].as_array().unwrap();
    assert!(!dropped.is_empty() && dropped.iter().all(|one| one["reason"] == "spool_full"), "{report:#}");
    let sum = |what: &str| dropped.iter().map(|one| one[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!(reported + sum("turns"), turns, "{report:#}");
    assert_eq!(sum("measurements"), counts.lost_measurements);
}
