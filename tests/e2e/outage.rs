//! The promise over an outage: a real agent goes on measuring while the collector's process is gone, and when another one
//! takes over its data, every interval that closed meanwhile is in the report exactly.

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
    spool::{Spool, SpoolSettings, handle::SharedSpool},
    status::Board,
};
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::{
    codec::decode_batch,
    metric::Metric,
    time::{Interval, Timestamp},
};
use serde_json::Value;
use std::{collections::BTreeSet, net::TcpListener, path::Path, sync::Arc, time::Duration};
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

#[tokio::test(flavor = "multi_thread")]
async fn sixty_intervals_that_close_while_the_collector_is_gone_are_in_its_report_when_it_is_back() {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let machine = CollectorMachine::new();
    let mut collector = machine.start(None);
    let operator = machine.operator().await;
    introduce(&operator).await;
    let token = register(&operator, SITE, "127.0.0.0/8").await;
    let echo = TcpListener::bind("127.0.0.1:0").unwrap();
    let accepting = echo.try_clone().unwrap();
    std::thread::spawn(move || accepting.incoming().for_each(drop));

    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), &machine, &echo);
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
        key: Arc::clone(&key),
        trust: link.trust,
        proxies: Proxies::default(),
        site: config.site.clone(),
        clock: Clock::system(),
    };
    enrol(&applicant, &token.parse().unwrap(), None).await.unwrap();
    let (spooled, shutdown) = (config.state.spool(), CancellationToken::new());
    let agent = run_agent(config, shutdown.clone());
    until_there_are(1, &spooled.join("acknowledged")).await;

    collector.kill().await.unwrap();
    let before = batches_in(&spooled);
    until_there_are(before + INTERVALS, &spooled).await;
    shutdown.cancel();
    tokio::task::spawn_blocking(move || agent.join().unwrap()).await.unwrap();

    let mut spool = Spool::open(&spooled, key.agent(), SpoolSettings::default()).unwrap();
    let (waiting, ..) = contents(&mut spool);
    assert!(waiting.len() >= INTERVALS, "{waiting:?}");
    // What was acknowledged before comes again, so that the spool holds all that the agent ever measured.
    spool.resend(Timestamp::from_secs(0)).unwrap();
    let (intervals, scheduled, answered) = contents(&mut spool);
    assert!(intervals.len() > waiting.len() && answered > 0, "{intervals:?}");

    let _collector = machine.start(None);
    let spool = SharedSpool::new(spool);
    tokio::spawn(Push::new(spool.clone(), link, Board::default(), PATIENCE).run());
    eventually("the backlog handed over", WAIT, async || match spool.counts().batches {
        0 => Look::Holds(()),
        waiting => Look::NotYet(format!("{waiting} batches wait")),
    })
    .await
    .unwrap();
    let counts = spool.counts();
    assert_eq!((counts.rejected, counts.refused_measurements, counts.dropped), (0, 0, 0));
    let span = (intervals.first().unwrap().start().as_secs(), intervals.last().unwrap().end().as_secs());
    let query = [
        ("by", "site".to_owned()),
        ("metric", Metric::TcpConnect.name().to_owned()),
        ("from", span.0.to_string()),
        ("to", span.1.to_string()),
    ];
    let report: Value = operator.get("/api/v1/reports/latency", &query).await.unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{report:#}");
    let counted = ["scheduled", "answered"].map(|name| rows[0][name].as_u64().unwrap());
    assert_eq!(counted, [scheduled, answered], "{report:#}");
}
