//! `/api/v1/batches`: stored once, acknowledged with a signature, and hostile bytes change nothing.

mod hostile;
mod limits;
mod watch;

use crate::{
    agent::{Agent, Plan},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_collector::report::Report;
use peerlight_proto::{
    ack::{Ack, RefusalCode},
    batch::{Batch, Health, Part},
    codec::{decode_ack, encode_batch},
    histogram::Histogram,
    http::{ACK_MEDIA_TYPE, BATCH_MEDIA_TYPE, BATCHES_PATH},
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    limits::{MAX_BODY_BYTES, MAX_INFLATED_BYTES},
    measurement::{Counters, Measurement, Observed},
    metric::Metric,
    problem::{Class, Problem},
    series::{Clock, Family, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::time::Duration;
use watch::Watch;

pub(crate) const SITE: &str = "london-1";

/// A batch of one measurement that the collector admits at noon.
pub(crate) fn batch(agent: AgentId, sequence: u64) -> Batch {
    batch_of(agent, sequence, NOON)
}

/// A batch of one measurement that a collector admits at this time.
pub(crate) fn batch_of(agent: AgentId, sequence: u64, now: Timestamp) -> Batch {
    let target = Target {
        name: "exchange-online".into(),
        service: "Microsoft 365".into(),
        address: "outlook.office365.com".parse().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    let key = SeriesKey {
        uplink: SITE.into(),
        target: target.id(),
        metric: Metric::TcpConnect,
        family: Family::V4,
        path: Path::Direct,
        clock: Clock::TcpInfo,
        http_version: None,
        handshake: None,
    };
    let interval = Interval::containing(now.minus(Duration::from_mins(2)), IntervalLength::MINUTE);
    Batch {
        number: BatchNumber { agent, session: SessionId::new([2; 16]), sequence },
        created: now,
        clock_offset_us: None,
        agent_version: "0.1.0".into(),
        part: None,
        health: Health::default(),
        series: vec![Series { key, target: target.into(), probe_interval_ms: 10_000 }],
        measurements: vec![Measurement {
            series: 0,
            interval,
            counters: Counters { scheduled: 3, answered: 3, ..Counters::default() },
            histogram: Histogram::from_values([20_100, 20_300, 25_000]),
            attributes: Vec::new(),
            observed: Some(Observed { address: "192.0.2.10".parse().unwrap(), age_seconds: 1 }),
        }],
    }
}

pub(crate) fn push(agent: &Agent, body: Vec<u8>) -> Plan {
    agent.plan(Method::POST, BATCHES_PATH, BATCH_MEDIA_TYPE, body)
}

pub(crate) async fn acknowledged(agent: &Agent, body: Vec<u8>) -> Ack {
    let answer = agent.send(&push(agent, body)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.signed),
        (200, true),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(answer.headers["content-type"], ACK_MEDIA_TYPE);
    decode_ack(&answer.body).unwrap()
}

#[tokio::test]
async fn a_batch_is_acknowledged_and_a_replay_changes_nothing() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let body = encode_batch(&batch(agent.id, 0)).unwrap();
    let ack = acknowledged(&agent, body.clone()).await;
    assert_eq!((ack.number, ack.digest), (batch(agent.id, 0).number, BatchDigest::of(&body)));
    assert_eq!((ack.collector_time, ack.duplicate, ack.refused.as_slice()), (NOON, false, &[][..]));

    let before = collector.store.health().await.unwrap();
    assert_eq!((before.log_batches, before.ledger_entries), (1, 1));
    assert!(acknowledged(&agent, body).await.duplicate);
    let after = collector.store.health().await.unwrap();
    assert_eq!((after.log_batches, after.ledger_entries), (1, 1));
    collector.stop().await;
}

#[tokio::test]
async fn the_same_batch_from_two_addresses_at_once_is_stored_once_and_acknowledged_to_both() {
    let collector = Collector::start().await;
    let here = Agent::enrolled(&collector, SITE).await;
    let there = here.also_at(&collector, [127, 0, 0, 2].into());
    for sequence in 0..20 {
        let body = encode_batch(&batch(here.id, sequence)).unwrap();
        let acks = tokio::join!(acknowledged(&here, body.clone()), acknowledged(&there, body.clone()));
        assert_eq!((acks.0.digest, acks.1.digest), (BatchDigest::of(&body), BatchDigest::of(&body)));
        assert_ne!(acks.0.duplicate, acks.1.duplicate, "one of them came second");
    }
    let health = collector.store.health().await.unwrap();
    assert_eq!((health.log_batches, health.ledger_entries), (20, 20));
    let report = reported(&collector).await;
    assert_eq!(report["rows"][0]["scheduled"], 20 * 3, "{report}");
    collector.stop().await;
}

#[tokio::test]
async fn measurements_that_are_not_admitted_are_named_by_their_place() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let mut mixed = batch(agent.id, 0);
    let mut ahead = mixed.measurements[0].clone();
    ahead.interval = Interval::containing(NOON.plus(Duration::from_mins(20)), IntervalLength::MINUTE);
    mixed.measurements.insert(0, ahead);
    let ack = acknowledged(&agent, encode_batch(&mixed).unwrap()).await;
    let refused: Vec<_> = ack.refused.iter().map(|refusal| (refusal.index, refusal.code)).collect();
    assert_eq!(refused, [(0, RefusalCode::Future)]);
}

#[tokio::test]
async fn a_newer_agent_keeps_its_batches_until_the_collector_is_upgraded() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let mut newer = zstd::bulk::decompress(&encode_batch(&batch(agent.id, 0)).unwrap(), 1 << 20).unwrap();
    assert_eq!(newer[..2], [0x08, 0x01], "the version comes first");
    newer[1] = 2;
    let answer = agent.send(&push(&agent, zstd::bulk::compress(&newer, 3).unwrap())).await;
    assert!(answer.signed);
    assert_eq!((answer.status.as_u16(), answer.problem()), (415, "unsupported-version".into()));
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem.class, Some(Class::Retry));
    insta::assert_snapshot!(
        problem.detail,
        @"the batch has version 2 of the wire, and this collector reads 1: upgrade the collector; until then the agent keeps its data and tries again"
    );
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 0);
    collector.stop().await;
}

#[tokio::test]
async fn a_metric_of_a_newer_agent_is_refused_by_code_and_the_rest_is_stored() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let mut both = batch(agent.id, 0);
    let mut series = both.series[0].clone();
    series.key.metric = Metric::UdpRtt;
    both.series.insert(0, series);
    both.measurements.push(Measurement { series: 1, ..both.measurements[0].clone() });
    let mut newer = zstd::bulk::decompress(&encode_batch(&both).unwrap(), 1 << 20).unwrap();
    let name = newer.windows(7).position(|bytes| bytes == b"udp.rtt").unwrap();
    newer[name..name + 7].copy_from_slice(b"udp.owd");
    let ack = acknowledged(&agent, zstd::bulk::compress(&newer, 3).unwrap()).await;
    let refused: Vec<_> = ack.refused.iter().map(|refusal| (refusal.index, refusal.code)).collect();
    assert_eq!(refused, [(0, RefusalCode::UnknownMetric)]);
    let path = "/api/v1/reports/latency?last=1h&metric=tcp.connect";
    let report: Report = collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap();
    let rows: Vec<_> = report.rows.iter().map(|row| (row.scheduled, row.answered)).collect();
    assert_eq!(rows, [(3, 3)]);
    collector.stop().await;
}

#[tokio::test]
async fn a_part_of_a_batch_that_was_stored_whole_is_a_duplicate() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let whole = encode_batch(&batch(agent.id, 0)).unwrap();
    acknowledged(&agent, whole.clone()).await;
    let part_of = |digest| {
        let part = Part { session: SessionId::new([2; 16]), sequence: 0, digest, index: 0, count: 2 };
        encode_batch(&Batch { part: Some(part), ..batch(agent.id, 1) }).unwrap()
    };
    assert!(acknowledged(&agent, part_of(BatchDigest::of(&whole))).await.duplicate);
    assert_eq!(collector.store.health().await.unwrap().log_batches, 1);
    assert!(!acknowledged(&agent, part_of(BatchDigest::of(b"other"))).await.duplicate);
}

#[tokio::test]
async fn every_fault_of_an_envelope_has_its_problem() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    acknowledged(&agent, encode_batch(&batch(agent.id, 0)).unwrap()).await;
    let refused = async |plan: Plan| {
        let answer = agent.send(&plan).await;
        assert!(answer.signed);
        (answer.status.as_u16(), answer.problem())
    };
    let of = |batch: &Batch| push(&agent, encode_batch(batch).unwrap());

    assert_eq!(refused(of(&batch(AgentId::new([9; 16]), 0))).await, (422, "wrong-agent".into()));
    let other_bytes = Batch { agent_version: "0.2.0".into(), ..batch(agent.id, 0) };
    assert_eq!(refused(of(&other_bytes)).await, (409, "number-reused".into()));
    let mut ancient = batch(agent.id, 1);
    let long_ago = NOON.minus(Duration::from_hours(15 * 24));
    ancient.measurements[0].interval = Interval::containing(long_ago, IntervalLength::MINUTE);
    assert_eq!(refused(of(&ancient)).await, (410, "too-old".into()));
    assert_eq!(refused(push(&agent, b"no batch".to_vec())).await, (400, "malformed".into()));
    let truncated = encode_batch(&batch(agent.id, 1)).unwrap();
    assert_eq!(
        refused(push(&agent, truncated[..truncated.len() / 2].to_vec())).await,
        (400, "malformed".into())
    );
    let bomb = zstd::bulk::compress(&vec![0; MAX_INFLATED_BYTES * 8], 3).unwrap();
    assert_eq!(refused(push(&agent, bomb)).await, (413, "too-large".into()));
    assert_eq!(refused(push(&agent, vec![0; MAX_BODY_BYTES + 1])).await, (413, "too-large".into()));
    let wrong_type = Plan { content_type: "application/json", ..of(&batch(agent.id, 1)) };
    assert_eq!(refused(wrong_type).await, (415, "unsupported-media-type".into()));
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 1);
}

#[tokio::test]
async fn five_thousand_mutations_of_a_signed_request_change_nothing() {
    let collector = Collector::start_with(|config| {
        config.limits.requests_per_minute = 1_000_000;
        config.limits.burst = 1_000_000;
    })
    .await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let request = agent.sign(&push(&agent, encode_batch(&batch(agent.id, 0)).unwrap())).await;
    assert_eq!(agent.send_signed(request.clone()).await.status, 200);
    let mut watch = Watch::over(&collector);
    let before = (watch.digest(), collector.store.health().await.unwrap(), reported(&collector).await);
    assert_eq!(before.2["rows"].as_array().map(Vec::len), Some(1), "{}", before.2);

    let mut random = StdRng::seed_from_u64(9421);
    let (mut refused, mut harmless) = (0, 0);
    for turn in 0..5_000 {
        let answer = agent.send_signed(mutated(&request, &mut random).await).await;
        match answer.status.as_u16() {
            // Not every bit of a header counts: the last character of base64 has spare ones.
            200 if decode_ack(&answer.body).unwrap().duplicate => harmless += 1,
            400..=499 => refused += 1,
            other => assert_eq!(other, 400),
        }
        // Most turns commit nothing at all; upkeep may, and a duplicate, but never to what is kept.
        if watch.written() {
            assert_eq!(watch.digest(), before.0);
        }
        if turn % 250 == 0 {
            assert_eq!(reported(&collector).await, before.2);
        }
    }
    assert!(harmless < 250, "{refused} refused, {harmless} harmless");
    let after = (watch.digest(), collector.store.health().await.unwrap(), reported(&collector).await);
    assert_eq!(after, before);
}

/// The whole report over all that the collector holds.
async fn reported(collector: &Collector) -> Value {
    let path = "/api/v1/reports/latency?last=13d&by=provider,location,site,target,family";
    let answer = collector.operator(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// The request with one bit flipped, one byte lost or one byte too many: in its body or in a header that counts.
async fn mutated(
    request: &http::Request<http_body_util::Full<bytes::Bytes>>,
    random: &mut StdRng,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    use http_body_util::BodyExt as _;
    const HEADERS: [&str; 4] = ["signature", "signature-input", "content-digest", "content-type"];
    let (mut parts, body) = request.clone().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let place = random.random_range(0..HEADERS.len() * 2);
    let Some(name) = HEADERS.get(place) else {
        return http::Request::from_parts(parts, spoil(&body, random).into());
    };
    loop {
        let value = spoil(parts.headers[*name].as_bytes(), random);
        if let Ok(value) = http::HeaderValue::from_bytes(&value) {
            parts.headers.insert(*name, value);
            return http::Request::from_parts(parts, body.into());
        }
    }
}

fn spoil(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut spoilt = bytes.to_vec();
    let place = random.random_range(0..bytes.len());
    match random.random_range(0..3) {
        0 => spoilt[place] ^= 1 << random.random_range(0..8),
        1 => drop(spoilt.remove(place)),
        _ => spoilt.insert(place, random.random()),
    }
    spoilt
}
