//! What every request of an agent must have, shown on `/api/v1/whoami` and `/api/v1/assignment`.

use crate::{
    agent::{Agent, Plan},
    collector::{Collector, NOON},
};
use peerlight_proto::{
    assignment::Assignment,
    http::{ASSIGNMENT_PATH, WHOAMI_PATH},
    problem::Problem,
    whoami::WhoAmI,
};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_agent_learns_its_address_and_the_time_from_a_signed_answer() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let answer = agent.send(&agent.get(WHOAMI_PATH)).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (200, true));
    let seen: WhoAmI = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(seen.address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(seen.collector_time_us, NOON.as_micros());
}

#[tokio::test]
async fn only_a_trusted_proxy_supplies_an_address() {
    for (trusted, expected) in [(vec![], "127.0.0.1"), (vec!["127.0.0.0/8".parse().unwrap()], "203.0.113.7")]
    {
        let collector = Collector::start_with(|config| config.agents.trusted_proxies = trusted).await;
        let agent = Agent::enrolled(&collector, "london-1").await;
        let mut request = agent.sign(&agent.get(WHOAMI_PATH)).await;
        request.headers_mut().insert("forwarded", "for=203.0.113.7".parse().unwrap());
        let seen: WhoAmI = serde_json::from_slice(&agent.send_signed(request).await.body).unwrap();
        assert_eq!(seen.address, Some(expected.parse().unwrap()));
    }
}

#[tokio::test]
async fn an_assignment_is_sent_again_only_when_it_changed() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let first = agent.send(&agent.get(ASSIGNMENT_PATH)).await;
    assert_eq!((first.status.as_u16(), first.signed), (200, true));
    assert!(serde_json::from_slice::<Assignment>(&first.body).unwrap().targets.is_empty());

    let again = async |tag: &http::HeaderValue| {
        let mut request = agent.sign(&agent.get(ASSIGNMENT_PATH)).await;
        request.headers_mut().insert("if-none-match", tag.clone());
        agent.send_signed(request).await
    };
    let unchanged = again(&first.headers["etag"]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.signed, unchanged.body.len()), (304, true, 0));

    let target = json!({"name": "exchange", "service": "Microsoft 365", "address": "outlook.office365.com", "probes": ["tcp:443"]});
    let added = collector.operator(Method::POST, "/api/v1/targets").json(&target).send().await.unwrap();
    assert_eq!(added.status(), 201);
    let changed = again(&first.headers["etag"]).await;
    assert_eq!((changed.status.as_u16(), changed.signed), (200, true));
    assert_eq!(serde_json::from_slice::<Assignment>(&changed.body).unwrap().targets.len(), 1);
}

#[tokio::test]
async fn a_signature_that_is_not_the_contracts_is_refused_and_the_refusal_is_unsigned() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let refused = async |spoil: fn(&mut Plan)| {
        let mut plan = agent.get(WHOAMI_PATH);
        spoil(&mut plan);
        let answer = agent.send(&plan).await;
        assert_eq!((answer.status.as_u16(), answer.signed), (401, false));
        assert_eq!(answer.problem(), "unauthenticated");
    };
    refused(|plan| plan.seed = [7; 32]).await;
    refused(|plan| plan.key_id = "ab".repeat(16)).await;
    refused(|plan| plan.key_id = "collector".into()).await;
    refused(|plan| plan.tag = "peerlight-response").await;
    refused(|plan| plan.life = Duration::from_secs(301)).await;
    refused(|plan| plan.nonce = Some("short".into())).await;
    refused(|plan| plan.nonce = Some("a quoted \\\" nonce of some length".into())).await;
    for missing in 0..peerlight_proto::http::REQUEST_COMPONENTS.len() {
        let mut plan = agent.get(WHOAMI_PATH);
        plan.components.remove(missing);
        assert_eq!(agent.send(&plan).await.problem(), "unauthenticated");
    }
    refused(|plan| plan.components.reverse()).await;
    refused(|plan| plan.components.push("user-agent")).await;
}

#[tokio::test]
async fn what_was_signed_is_what_must_arrive() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let request = agent.sign(&agent.get(WHOAMI_PATH)).await;

    let mut other_path = request.clone();
    *other_path.uri_mut() = format!("https://{}{ASSIGNMENT_PATH}", collector.agents).parse().unwrap();
    assert_eq!(agent.send_signed(other_path).await.status, 401);
    let mut other_query = request.clone();
    *other_query.uri_mut() = format!("https://{}{WHOAMI_PATH}?x=1", collector.agents).parse().unwrap();
    assert_eq!(agent.send_signed(other_query).await.status, 401);
    let mut twice = request.clone();
    twice.headers_mut().append("content-digest", "sha-256=:AAAA:".parse().unwrap());
    assert_eq!(agent.send_signed(twice).await.status, 401);
    let mut unsigned = request.clone();
    unsigned.headers_mut().remove("signature");
    assert_eq!(agent.send_signed(unsigned).await.problem(), "unauthenticated");

    let mut tampered = request.clone();
    *tampered.body_mut() = http_body_util::Full::from("something else");
    let answer = agent.send_signed(tampered).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem(), answer.signed),
        (401, "unauthenticated".into(), true)
    );
    assert_eq!(agent.send_signed(request).await.status, 200, "unspoilt it is believed");
}

#[tokio::test]
async fn a_wrong_clock_is_told_the_time_in_a_signed_answer() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let minutes = |n| Duration::from_mins(n);
    let mut plan = agent.get(WHOAMI_PATH);
    for created in
        [NOON.minus(minutes(6)), NOON.plus(minutes(6)), NOON.minus(minutes(60)), NOON.plus(minutes(60))]
    {
        plan.created = created;
        let answer = agent.send(&plan).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem(), answer.signed),
            (401, "clock-skew".into(), true)
        );
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem.collector_time_us, Some(NOON.as_micros()));
    }
    plan.created = NOON.minus(minutes(4));
    assert_eq!(agent.send(&plan).await.status, 200);
}

#[tokio::test]
async fn a_request_is_not_believed_after_it_expired() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let mut plan = agent.get(WHOAMI_PATH);
    plan.life = Duration::from_secs(30);
    let request = agent.sign(&plan).await;
    assert_eq!(agent.send_signed(request.clone()).await.status, 200);
    collector.clock.set(NOON.plus(Duration::from_secs(31)));
    assert_eq!(agent.send_signed(request).await.problem(), "clock-skew");
}

#[tokio::test]
async fn a_revoked_agent_is_told_so_in_a_signed_answer() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let path = format!("/api/v1/agents/{}", agent.id);
    assert_eq!(collector.operator(Method::DELETE, &path).send().await.unwrap().status(), 200);
    let answer = agent.send(&agent.get(WHOAMI_PATH)).await;
    assert_eq!((answer.status.as_u16(), answer.problem(), answer.signed), (403, "forbidden".into(), true));
}

#[tokio::test]
async fn an_agent_over_its_rate_waits() {
    let collector = Collector::start_with(|config| {
        config.limits.requests_per_minute = 1;
        config.limits.burst = 2;
    })
    .await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let plan = agent.get(WHOAMI_PATH);
    assert_eq!(agent.send(&plan).await.status, 200);
    assert_eq!(agent.send(&plan).await.status, 200);
    let answer = agent.send(&plan).await;
    assert_eq!((answer.status.as_u16(), answer.problem(), answer.signed), (429, "rate-limited".into(), true));
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_hashed() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let plan = agent.plan(Method::GET, WHOAMI_PATH, "application/octet-stream", vec![0; (64 << 10) + 1]);
    let answer = agent.send(&plan).await;
    assert_eq!((answer.status.as_u16(), answer.problem(), answer.signed), (413, "too-large".into(), true));
}

#[tokio::test]
async fn the_agents_listener_serves_nothing_of_the_operators() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    for path in ["/api/v1/status", "/api/v1/agents", "/metrics", "/sign-in", "/"] {
        let answer = agent.send(&agent.get(path)).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found".into()), "{path}");
    }
    let plan = agent.plan(Method::DELETE, WHOAMI_PATH, "application/octet-stream", Vec::new());
    assert_eq!(agent.send(&plan).await.problem(), "method-not-allowed");
    assert_eq!(agent.send(&agent.get("/healthz")).await.status, 200);
}
