//! The collector's clock jumps: nothing is refused for an age that it may be wrong about, and nothing is lost.

use crate::{
    agent::Agent,
    batches::{SITE, acknowledged, batch, batch_of, push},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_proto::{codec::encode_batch, problem::Problem, time::Timestamp};
use serde_json::Value;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// What the agent's push meets, signed by the collector's time as agents do that know it.
async fn met(agent: &Agent, body: Vec<u8>, now: Timestamp) -> (u16, String) {
    let mut plan = push(agent, body);
    plan.created = now;
    let answer = agent.send(&plan).await;
    assert!(answer.signed);
    if answer.status == 200 {
        return (200, String::new());
    }
    assert_eq!(answer.headers.get("retry-after").map(|after| after.to_str().unwrap()), Some("60"));
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.as_u16(), problem.kind)
}

#[tokio::test]
async fn while_the_clock_is_in_doubt_agents_keep_what_it_would_refuse_and_hand_it_over_afterwards() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let body = |sequence| encode_batch(&batch(agent.id, sequence)).unwrap();
    acknowledged(&agent, body(0)).await;
    let later = (503, "urn:peerlight:problem:unavailable".to_owned());
    // A year ahead everything is too old; a day behind everything is in the future.
    for (sequence, wrong) in [(1, NOON.plus(DAY * 365)), (2, NOON.minus(DAY))] {
        collector.clock.jump(wrong);
        assert_eq!(met(&agent, body(sequence), wrong).await, later);
        assert_eq!(met(&agent, body(0), wrong).await, later, "not even a duplicate is told to be dropped");
        collector.clock.jump(NOON);
        assert!(!acknowledged(&agent, body(sequence)).await.duplicate);
    }
    assert!(acknowledged(&agent, body(0)).await.duplicate);
    let path = "/api/v1/reports/latency?last=1d";
    let answer = collector.operator(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let report: Value = answer.json().await.unwrap();
    assert_eq!(report["rows"][0]["scheduled"], 3 * 3, "{report}");
    collector.stop().await;
}

#[tokio::test]
async fn a_clock_that_jumped_to_the_right_time_takes_what_is_right_at_once() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    // Until now it was a day behind, and its agents were refused.
    let right = NOON.plus(DAY);
    collector.clock.jump(right);
    assert!(collector.clock.jumped().is_some(), "it is in doubt, and right");
    let body = encode_batch(&batch_of(agent.id, 0, right)).unwrap();
    assert_eq!(met(&agent, body, right).await, (200, String::new()));
    assert_eq!(collector.store.health().await.unwrap().log_batches, 1);
    collector.stop().await;
}
