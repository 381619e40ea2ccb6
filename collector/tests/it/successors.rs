//! A site changes its provider and prefixes: everything that its agent sends counts for whoever carried it.

use crate::{
    agent::{Agent, Plan},
    batches::{SITE, acknowledged, batch},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_proto::{
    codec::{decode_ack, encode_batch},
    enrolment::EnrolmentToken,
    http::{BATCH_MEDIA_TYPE, BATCHES_PATH},
    measurement::Observed,
    time::{Interval, IntervalLength, Timestamp},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const MINUTE: Duration = Duration::from_mins(1);
const OLD: &str = "192.0.2.10";
const NEW: &str = "198.51.100.10";

/// The minute that began so many minutes after noon, or before it, as the agent sends it: three probes each.
fn minute(agent: &Agent, sequence: u64, minutes: i64, address: &str) -> Vec<u8> {
    let mut batch = batch(agent.id, sequence);
    let start = Timestamp::from_secs(NOON.as_secs() + 60 * minutes);
    batch.measurements[0].interval = Interval::containing(start, IntervalLength::MINUTE);
    batch.measurements[0].observed = Some(Observed { address: address.parse().unwrap(), age_seconds: 1 });
    encode_batch(&batch).unwrap()
}

fn push(collector: &Collector, agent: &Agent, body: Vec<u8>) -> Plan {
    let created = collector.clock.now();
    Plan { created, ..agent.plan(Method::POST, BATCHES_PATH, BATCH_MEDIA_TYPE, body) }
}

async fn sent(collector: &Collector, agent: &Agent, body: Vec<u8>) {
    let answer = agent.send(&push(collector, agent, body)).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (200, true), "{:?}", answer.body);
    let ack = decode_ack(&answer.body).unwrap();
    assert_eq!((ack.duplicate, ack.refused.as_slice()), (false, &[][..]));
}

async fn refused(collector: &Collector, agent: &Agent, body: Vec<u8>) {
    let answer = agent.send(&push(collector, agent, body)).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (403, true));
    assert_eq!(answer.problem(), "registration-ended");
    assert!(String::from_utf8_lossy(&answer.body).contains("no registration of `london-1` covers"));
}

async fn ask(collector: &Collector, method: Method, path: &str, body: Value) -> Value {
    let mut request = collector.operator(method, &format!("/api/v1/{path}"));
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert!(status.is_success(), "{status} {body}");
    body
}

/// Ten minutes pass.
fn pass(collector: &Collector) {
    collector.clock.set(collector.clock.now().plus(MINUTE * 10));
}

async fn end(collector: &Collector) {
    ask(collector, Method::DELETE, "registrations/1", Value::Null).await;
}

/// Registers a site through the other provider, from now on.
async fn succeed(collector: &Collector, site: &str) -> Value {
    let other = json!({"name": "Sample Networks", "kind": "ISP", "countries": ["GB"]});
    ask(collector, Method::POST, "providers", other).await;
    let new = json!({"site": site, "provider": "Sample Networks", "location": "GB-LND",
        "prefixes": ["198.51.100.0/24"], "allow_non_public": true});
    ask(collector, Method::POST, "registrations", new).await
}

/// The verified probes of each provider.
async fn verified(collector: &Collector) -> BTreeMap<String, u64> {
    let report =
        ask(collector, Method::GET, "reports/latency?by=provider&last=1d&metric=tcp.connect", Value::Null)
            .await;
    let rows = report["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["provider"].as_str().unwrap().to_owned(), row["verified"].as_u64().unwrap()))
        .collect()
}

fn sums(old: u64, new: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("Example Telecom".to_owned(), old), ("Sample Networks".to_owned(), new)])
}

async fn state(collector: &Collector) -> Value {
    let agents = ask(collector, Method::GET, "agents", Value::Null).await;
    agents["items"][0].clone()
}

#[tokio::test]
async fn a_successor_takes_over_and_the_backlog_stays_with_its_predecessor() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    acknowledged(&agent, minute(&agent, 0, -2, OLD)).await;
    pass(&collector);
    end(&collector).await;
    succeed(&collector, SITE).await;
    pass(&collector);
    sent(&collector, &agent, minute(&agent, 1, 18, NEW)).await;
    for (sequence, minutes) in (2..).zip([0, 1, 2]) {
        sent(&collector, &agent, minute(&agent, sequence, minutes, OLD)).await;
    }
    assert_eq!(verified(&collector).await, sums(12, 3));
    let state = state(&collector).await;
    assert_eq!((&state["provider"], &state["registration"]), (&json!("Sample Networks"), &json!(2)));
    assert_eq!(state["registration_ended"], Value::Null);
    collector.stop().await;
}

#[tokio::test]
async fn without_a_successor_the_agent_keeps_everything_until_there_is_one() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    pass(&collector);
    end(&collector).await;
    pass(&collector);
    let waiting = || (0..).zip([18, 17, 11]).map(|(n, at)| minute(&agent, n, at, NEW));
    for body in waiting() {
        refused(&collector, &agent, body).await;
    }
    assert_eq!(collector.store.health().await.unwrap().ledger_entries, 0);
    assert!(state(&collector).await["registration_ended"].is_string());
    sent(&collector, &agent, minute(&agent, 9, 5, OLD)).await;

    succeed(&collector, SITE).await;
    for body in waiting() {
        sent(&collector, &agent, body).await;
    }
    assert_eq!(verified(&collector).await, sums(3, 9));
    collector.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_enrolled_for_another_site_loses_nothing_of_the_old_one() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    pass(&collector);
    end(&collector).await;
    pass(&collector);
    refused(&collector, &agent, minute(&agent, 0, 18, NEW)).await;

    let registration = succeed(&collector, "london-2").await;
    let token = json!({"registration": registration["id"]});
    let issued = ask(&collector, Method::POST, "tokens", token).await;
    let token: EnrolmentToken = issued["token"].as_str().unwrap().parse().unwrap();
    let enrolment = Plan { created: collector.clock.now(), ..agent.enrolment(&token.secret) };
    assert_eq!(agent.send(&enrolment).await.status, 201);
    sent(&collector, &agent, minute(&agent, 0, 18, NEW)).await;
    sent(&collector, &agent, minute(&agent, 1, 5, OLD)).await;
    assert_eq!(verified(&collector).await, sums(3, 3));
    collector.stop().await;
}
