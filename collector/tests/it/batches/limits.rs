//! Limits that stand before decoding, and those of what one agent may store and name in a day: what is over one is refused
//! by name, nothing of it is stored, and the agent goes on.

use super::{SITE, acknowledged, batch, push};
use crate::{
    agent::{Agent, Answer},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_proto::{
    ack::RefusalCode,
    codec::{decode_ack, encode_batch},
    id::SessionId,
    limits::{MAX_ATTRIBUTES, MAX_MEASUREMENTS, MAX_SERIES, MAX_ZSTD_WINDOW_LOG},
    measurement::Attribute,
    problem::{Class, Problem},
    series::Family,
};
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Value, json};
use std::{io::Write as _, sync::Arc, time::Duration};

/// Numbers of fields in `peerlight.proto`.
const SERIES: u32 = 7;
const MEASUREMENTS: u32 = 8;
const HISTOGRAM: u32 = 5;
const ATTRIBUTES: u32 = 10;

/// A field of a message.
fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(value.len() as u64, &mut bytes);
    bytes.extend(value);
    bytes
}

/// A batch of this agent with more fields at its end.
fn with(agent: &Agent, more: &[u8]) -> Vec<u8> {
    let mut whole = zstd::bulk::decompress(&encode_batch(&batch(agent.id, 0)).unwrap(), 1 << 20).unwrap();
    whole.extend(more);
    zstd::bulk::compress(&whole, 1).unwrap()
}

/// What happens to the batch after this answer.
fn told(answer: &Answer) -> (u16, String, Class) {
    assert!(answer.signed);
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.as_u16(), answer.problem(), problem.class.unwrap())
}

/// What `/metrics` says of a counter.
async fn counted(collector: &Collector, name: &str) -> Option<u64> {
    let text = collector.operator(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let name = format!("peerlight_collector_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

async fn get(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

/// What a report of the last two days says.
async fn report(collector: &Collector) -> Value {
    get(collector, "/api/v1/reports/latency?last=2d").await
}

#[tokio::test]
async fn more_than_a_batch_may_hold_is_to_be_split_before_any_of_it_is_decoded() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let too_many = [
        field(SERIES, b"").repeat(MAX_SERIES + 1),
        field(MEASUREMENTS, b"").repeat(MAX_MEASUREMENTS + 1),
        field(MEASUREMENTS, &field(ATTRIBUTES, b"").repeat(MAX_ATTRIBUTES + 1)),
    ];
    for more in too_many {
        let answer = agent.send(&push(&agent, with(&agent, &more))).await;
        assert_eq!(told(&answer), (413, "too-many".into(), Class::Split));
    }
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 0);
    acknowledged(&agent, encode_batch(&batch(agent.id, 0)).unwrap()).await;
}

#[tokio::test]
async fn a_window_that_would_take_much_memory_is_not_opened() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let whole = zstd::bulk::decompress(&encode_batch(&batch(agent.id, 0)).unwrap(), 1 << 20).unwrap();
    let with_window = |log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&whole).unwrap();
        // Without this the frame would say how short it is, and need no window.
        encoder.flush().unwrap();
        encoder.finish().unwrap()
    };
    let answer = agent.send(&push(&agent, with_window(MAX_ZSTD_WINDOW_LOG + 1))).await;
    assert_eq!(told(&answer), (400, "malformed".into(), Class::Drop));
    acknowledged(&agent, with_window(MAX_ZSTD_WINDOW_LOG)).await;
}

#[tokio::test]
async fn a_histogram_with_more_buckets_than_there_are_is_refused_alone() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    // Each pair is a bucket two after the last.
    let endless = [4].repeat(5_000);
    let answer = agent
        .send(&push(&agent, with(&agent, &field(MEASUREMENTS, &interval(&field(HISTOGRAM, &endless))))))
        .await;
    let refused: Vec<_> =
        decode_ack(&answer.body).unwrap().refused.iter().map(|one| (one.index, one.code)).collect();
    assert_eq!(refused, [(1, RefusalCode::Histogram)]);
    assert_eq!(counted(&collector, r#"measurements_refused_total{code="histogram"}"#).await, Some(1));
}

/// A measurement of a minute with this field.
fn interval(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::sint64::encode(2, &1_789_999_860, &mut bytes);
    prost::encoding::uint32::encode(3, &60, &mut bytes);
    bytes.extend(field);
    bytes
}

#[tokio::test]
async fn a_series_too_many_in_a_day_is_refused_by_code_and_the_rest_is_stored() {
    // Two series and the network that they were measured from.
    let collector = Collector::start_with(|config| config.limits.series_per_day = 3).await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let other = Agent::enrolled_beside(&collector, SITE).await;
    let family = |agent: &Agent, sequence: u64, port: u16| {
        let mut batch = batch(agent.id, sequence);
        Arc::make_mut(&mut batch.series[0].target).probe = format!("tcp:{port}").parse().unwrap();
        batch.series[0].key.target = batch.series[0].target.id();
        let mut v6 = batch.series[0].clone();
        v6.key.family = Family::V6;
        batch.series.push(v6);
        let mut second = batch.measurements[0].clone();
        second.series = 1;
        batch.measurements.push(second);
        encode_batch(&batch).unwrap()
    };
    assert_eq!(acknowledged(&agent, family(&agent, 0, 443)).await.refused, []);
    // One of the two is new, as is another target: none of it has room, what is known has.
    let refused = acknowledged(&agent, family(&agent, 1, 80)).await.refused;
    let codes: Vec<_> = refused.iter().map(|one| (one.index, one.code)).collect();
    assert_eq!(codes, [(0, RefusalCode::TooManySeries), (1, RefusalCode::TooManySeries)]);
    assert_eq!(acknowledged(&agent, family(&agent, 2, 443)).await.refused, []);
    assert_eq!(
        acknowledged(&other, family(&other, 0, 443)).await.refused,
        [],
        "others have room of their own"
    );
    assert_eq!(counted(&collector, r#"measurements_refused_total{code="too_many_series"}"#).await, Some(2));
    assert_eq!(get(&collector, "/api/v1/status").await["rejections"], json!({"refused too_many_series": 2}));
    assert_eq!(counted(&collector, "measurements_admitted_total").await, Some(6));
    // A batch that comes again is refused again, and counts no more.
    assert_eq!(acknowledged(&agent, family(&agent, 1, 80)).await.refused.len(), 2);
    let dropped = &report(&collector).await["dropped"];
    assert_eq!(dropped.as_array().map(Vec::len), Some(1), "{dropped}");
    assert_eq!(
        (&dropped[0]["reason"], &dropped[0]["measurements"], &dropped[0]["turns"]),
        (&json!("refused_too_many_series"), &json!(2), &json!(6))
    );
}

#[tokio::test]
async fn an_agent_that_stored_enough_in_a_day_is_to_come_back_and_then_nothing_is_missing() {
    let collector = Collector::start_with(|config| config.limits.measurements_per_day = 2).await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let other = Agent::enrolled_beside(&collector, SITE).await;
    let body = |agent: &Agent, sequence: u64| encode_batch(&batch(agent.id, sequence)).unwrap();
    for sequence in 0..2 {
        acknowledged(&agent, body(&agent, sequence)).await;
    }
    let answer = agent.send(&push(&agent, body(&agent, 2))).await;
    assert_eq!(told(&answer), (429, "rate-limited".into(), Class::Retry));
    assert_eq!(answer.headers["retry-after"], "900");
    assert!(String::from_utf8_lossy(&answer.body).contains("2 measurements within a day"));
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 2);
    acknowledged(&other, body(&other, 0)).await;

    let tomorrow = NOON.plus(Duration::from_hours(24));
    collector.clock.set(tomorrow);
    let mut plan = push(&agent, body(&agent, 2));
    plan.created = tomorrow;
    assert_eq!(agent.send(&plan).await.status, 200);
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 4);
    assert_eq!(report(&collector).await["dropped"], json!([]));
}

#[tokio::test]
async fn a_session_too_many_in_a_day_is_to_come_back_and_the_others_go_on() {
    let collector = Collector::start_with(|config| config.limits.sessions_per_day = 2).await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let of_session = |session: u8, sequence: u64| {
        let mut batch = batch(agent.id, sequence);
        batch.number.session = SessionId::new([session; 16]);
        encode_batch(&batch).unwrap()
    };
    for session in [1, 2] {
        acknowledged(&agent, of_session(session, 0)).await;
    }
    let answer = agent.send(&push(&agent, of_session(3, 0))).await;
    assert_eq!(told(&answer), (429, "rate-limited".into(), Class::Retry));
    assert_eq!(answer.headers["retry-after"], "900");
    assert!(String::from_utf8_lossy(&answer.body).contains("more than 2 sessions within a day"));
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 2);
    acknowledged(&agent, of_session(1, 1)).await;
}

#[tokio::test]
async fn values_of_attributes_beyond_the_bound_are_left_out_and_counted() {
    let collector = Collector::start_with(|config| config.limits.attributes_per_day = 5).await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let mut many = batch(agent.id, 0);
    many.measurements[0].attributes = (0..12)
        .map(|number| Attribute { kind: "address".into(), value: format!("192.0.2.{number}"), count: 1 })
        .collect();
    assert_eq!(acknowledged(&agent, encode_batch(&many).unwrap()).await.refused, []);
    assert_eq!(counted(&collector, "attributes_left_out_total").await, Some(7));
    let report = report(&collector).await;
    assert_eq!(report["rows"][0]["seen"]["address"].as_array().unwrap().len(), 5, "{report}");
    assert_eq!(report["rows"][0]["answered"], 3);
}
