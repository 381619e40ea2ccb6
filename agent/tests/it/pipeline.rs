//! The whole pipeline in paused time, with a clock that is turned by hand: as fast as time passes, now and then faster.

use futures::future::{BoxFuture, FutureExt as _};
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential::load_or_create,
    pipeline::{Engine, Parts, run},
    probe::Probe,
    proxy::Proxies,
    push::Patience,
    sample::{Outcome, Reading, Sample},
    spool::{Spool, SpoolSettings, handle::SharedSpool},
    status::{Board, Status},
};
use peerlight_proto::{
    batch::Batch,
    codec::decode_batch,
    measurement::{Counters, Measurement},
    metric::Metric,
    series::{Clock as Stamp, Family, Path},
    target::Target,
    time::Timestamp,
};
use std::{collections::BTreeSet, path, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// What every probe takes.
const LATENCY: Duration = Duration::from_millis(5);

struct Echo;

impl Probe for Echo {
    fn probe<'a>(&'a self, _target: &'a Target, family: Family) -> BoxFuture<'a, Option<Sample>> {
        async move {
            tokio::time::sleep(LATENCY).await;
            let outcome = Outcome::Answered { latency: LATENCY, user_latency: LATENCY };
            let metric = Metric::IcmpRtt;
            Some(Sample {
                family,
                path: Path::Direct,
                address: None,
                readings: vec![Reading {
                    metric,
                    clock: Stamp::Kernel,
                    outcome,
                    http_version: None,
                    handshake: None,
                }],
                attributes: vec![],
            })
        }
        .boxed()
    }

    fn dropped_strays(&self) -> u64 {
        0
    }
}

fn config(state: &path::Path) -> Config {
    Config::parse(&format!(
        r#"
        state = "{}"
        [site]
        name = "london-1"
        provider = "p"
        location = "GB-LND"
        [[target]]
        name = "a"
        address = "192.0.2.1"
        probes = ["icmp"]
        interval = "20ms"
        [probing]
        timeout = "300ms"
        deadline = "400ms"
        interval = "1s"
        [limits]
        allow = ["192.0.2.0/24"]
        "#,
        state.display()
    ))
    .unwrap()
}

/// Runs the agent for so long, doing `at` after each second of its life.
async fn live(state: &path::Path, span: Duration, mut at: impl FnMut(u64, &Clock)) -> (Vec<Batch>, Status) {
    let config = config(state);
    let clock = Clock::manual(START);
    let key = Arc::new(load_or_create(&config.state).unwrap());
    let (agent, directory) = (key.agent(), config.state.spool());
    let spool = Spool::open(&directory, agent, SpoolSettings::default()).unwrap();
    let (_strays, strays) = mpsc::channel(1);
    let board = Board::default();
    let parts = Parts {
        engines: vec![Engine { probe: Arc::new(Echo), strays }],
        proxies: Proxies::default(),
        builtin: Vec::new(),
        key,
        spool: SharedSpool::new(spool),
        clock: clock.clone(),
        board: board.clone(),
        patience: Patience::default(),
    };
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let driver = async move {
        let (start, mut turned, mut seconds) = (Instant::now(), Duration::ZERO, 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        while turned < span {
            let passed = ticks.tick().await - start;
            clock.advance(passed.saturating_sub(turned));
            turned = passed;
            if turned.as_secs() > seconds {
                seconds = turned.as_secs();
                at(seconds, &clock);
            }
        }
        token.cancel();
    };
    tokio::join!(run(&config, parts, shutdown), driver);
    let mut spool = Spool::open(&directory, agent, SpoolSettings::default()).unwrap();
    let keys: Vec<_> = spool.keys().collect();
    let batches =
        keys.into_iter().map(|key| decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch);
    (batches.collect(), board.get())
}

fn rtts(batches: &[Batch]) -> Vec<(&Batch, &Measurement)> {
    let all = batches.iter().flat_map(|batch| batch.measurements.iter().map(move |m| (batch, m)));
    all.filter(|(batch, m)| batch.series[m.series as usize].key.metric == Metric::IcmpRtt).collect()
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_probes_in_flight_and_spools_the_open_interval() {
    let directory = tempfile::tempdir().unwrap();
    let (batches, status) = live(directory.path(), Duration::from_millis(2_500), |_, _| {}).await;
    let rtts = rtts(&batches);
    assert!((3..=4).contains(&rtts.len()), "whole intervals and the open one: {}", rtts.len());
    let mut total = Counters::default();
    for (_, m) in &rtts {
        total.merge(&m.counters);
    }
    assert_eq!(total.answered, status.measuring.turns, "no probe in flight was lost");
    assert_eq!(total.scheduled, status.measuring.turns + status.measuring.skipped);
    assert!((124..=126).contains(&total.scheduled), "{total:?}");
    assert!(rtts.iter().all(|(batch, m)| &*batch.series[m.series as usize].key.uplink == "london-1"));
    assert_eq!(status.measuring.sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn clock_steps_and_a_suspend_yield_no_negative_giant_or_doubled_value() {
    let directory = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000;
    let (batches, status) =
        live(directory.path(), Duration::from_millis(4_500), |second, clock| match second {
            1 => clock.step(hour),
            2 => clock.step(-hour),
            3 => clock.suspend(Duration::from_mins(10)),
            _ => {}
        })
        .await;
    assert_eq!(status.measuring.sessions, 4);
    let rtts = rtts(&batches);
    let keys: BTreeSet<_> =
        rtts.iter().map(|(batch, m)| (batch.number.session, m.interval.start(), m.series)).collect();
    assert_eq!(keys.len(), rtts.len(), "no interval is used twice in a session");
    assert_eq!(rtts.iter().map(|(batch, _)| batch.number.session).collect::<BTreeSet<_>>().len(), 4);
    let mut total = Counters::default();
    for (_, m) in &rtts {
        assert!(m.counters.identity_holds());
        total.merge(&m.counters);
        if let (Some(min), Some(max)) = (m.histogram.min_us(), m.histogram.max_us()) {
            assert_eq!((min, max), (5_000, 5_000));
        }
    }
    assert_eq!(total.scheduled, status.measuring.turns + status.measuring.skipped);
    // Around each of the three jumps a turn may be in flight, and the phase begins anew.
    assert!((200..=228).contains(&total.scheduled), "{total:?}");
    assert_eq!(total.answered + total.voided + total.skipped, total.scheduled);
    assert!(total.voided <= 6, "{total:?}");
}

#[tokio::test(start_paused = true)]
async fn how_late_probes_left_travels_with_what_they_measured() {
    let state = tempfile::tempdir().unwrap();
    let (batches, status) = live(state.path(), Duration::from_secs(4), |_, _| {}).await;
    let mut scheduled = std::collections::BTreeMap::<_, BTreeSet<_>>::new();
    for batch in &batches {
        for measurement in &batch.measurements {
            let series = &batch.series[usize::try_from(measurement.series).unwrap()];
            assert_eq!(measurement.counters.network_lost(), 0);
            scheduled
                .entry(measurement.interval)
                .or_default()
                .insert((series.key.metric, measurement.counters.scheduled));
        }
    }
    assert!(scheduled.len() >= 3);
    for (interval, metrics) in &scheduled {
        let turns: BTreeSet<_> = metrics.iter().map(|(_, turns)| turns).collect();
        assert_eq!(turns.len(), 1, "{interval:?}: {metrics:?}");
        assert!(metrics.iter().any(|(metric, _)| *metric == Metric::AgentNoise), "{metrics:?}");
    }
    assert!(status.measuring.noise.is_some_and(|noise| noise.probes > 0));
}
