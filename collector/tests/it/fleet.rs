//! The fleet as its operator sees it: what agents are given, hold and refuse, which are not well, and which have gone.

use crate::{
    agent::Agent,
    batches::{SITE, acknowledged, batch},
    collector::Collector,
};
use http::Method;
use peerlight_proto::{
    assignment::{Assignment, AssignmentState, RefusedAssignment},
    batch::{Batch, Health, Remarks},
    codec::encode_batch,
    http::{ASSIGNMENT_PATH, RETIREMENT_PATH},
};
use serde_json::{Value, json};

async fn get(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

async fn post(collector: &Collector, path: &str, body: Value) -> Value {
    let answer = collector.operator(Method::POST, path).json(&body).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert!(status.is_success(), "{path}: {body}");
    body
}

async fn assignment(agent: &Agent) -> Assignment {
    let answer = agent.send(&agent.get(ASSIGNMENT_PATH)).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (200, true));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Pushes a batch that says so of its agent.
async fn says(agent: &Agent, sequence: u64, remarks: Remarks) {
    let health = Health { remarks, ..Health::default() };
    acknowledged(agent, encode_batch(&Batch { health, ..batch(agent.id, sequence) }).unwrap()).await;
}

fn retirement(agent: &Agent, nonce: &str) -> crate::agent::Plan {
    let body = json!({"agent": agent.id.to_string(), "nonce": nonce}).to_string().into_bytes();
    agent.plan(Method::POST, RETIREMENT_PATH, "application/json", body)
}

#[tokio::test]
async fn what_an_agent_refuses_is_seen_and_one_request_takes_it_back() {
    let collector = Collector::start().await;
    let (first, second) =
        (Agent::enrolled(&collector, SITE).await, Agent::enrolled_beside(&collector, SITE).await);
    let target = |name: &str, staged: bool| json!({"name": name, "address": format!("{name}.example.com"), "probes": ["tcp:443"], "staged": staged});
    post(&collector, "/api/v1/targets", target("a", false)).await;
    post(&collector, "/api/v1/targets", target("b", true)).await;
    assert_eq!((assignment(&first).await.set, assignment(&second).await.set), (1, 1));
    post(&collector, "/api/v1/target-sets/roll-out", json!({"share_permille": 1_000})).await;
    let given = assignment(&first).await;
    assert_eq!((given.set, given.targets.len()), (2, 2));
    let refused = Some(RefusedAssignment { set: 2, reason: "beyond the ceilings".to_owned() });
    let assignment_of = |held, refused| Some(AssignmentState { held, refused });
    let ill =
        Remarks { assignment: assignment_of(1, refused), noise_p99_us: Some(250_000), ..Remarks::default() };
    says(&first, 0, ill).await;
    says(&second, 0, Remarks { assignment: assignment_of(2, None), ..Remarks::default() }).await;

    let sets = get(&collector, "/api/v1/target-sets").await;
    let newest = &sets["items"][0];
    assert_eq!(
        (&newest["number"], &newest["state"], &newest["held_by"], &newest["refused_by"]),
        (&json!(2), &json!("in_force"), &json!(1), &json!(1))
    );
    let unhealthy = get(&collector, "/api/v1/agents?unhealthy=true").await;
    let listed = unhealthy["items"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["agent"]), (1, &json!(first.id.to_string())));
    assert_eq!(
        listed[0]["state"],
        json!(["refuses target set 2: beyond the ceilings", "busy machine (probes leave up to 250 ms late)"])
    );
    post(&collector, "/api/v1/target-sets/roll-back", json!({})).await;
    assert_eq!((assignment(&first).await.set, assignment(&second).await.set), (1, 1));
    collector.stop().await;
}

#[tokio::test]
async fn an_agent_retires_itself_once_and_is_expected_no_more() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let other = Agent::enrolled_beside(&collector, SITE).await;
    let mut foreign = retirement(&agent, "00");
    foreign.body = retirement(&other, "00").body;
    assert_eq!(agent.send(&foreign).await.problem(), "malformed");
    assert_eq!(agent.send(&retirement(&agent, "")).await.problem(), "malformed");
    let answer = agent.send(&retirement(&agent, "ab")).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (200, true));
    assert_eq!(agent.send(&agent.get(ASSIGNMENT_PATH)).await.problem(), "forbidden");
    let agents = get(&collector, "/api/v1/agents").await;
    assert_eq!(agents["total"], 1);
    let shown = get(&collector, &format!("/api/v1/agents/{}", agent.id)).await;
    assert_eq!(shown["retired_by"], "agent");
    assert_eq!(other.send(&retirement(&other, "ab")).await.problem(), "unauthenticated", "a nonce is burnt");
    assert_eq!(other.send(&other.get(ASSIGNMENT_PATH)).await.status, 200);
    collector.stop().await;
}

#[tokio::test]
async fn a_machine_that_was_set_up_anew_is_told_who_it_was() {
    let collector = Collector::start().await;
    let before = Agent::enrolled(&collector, SITE).await;
    let token = post(
        &collector,
        "/api/v1/tokens",
        json!({"registration": 1, "re_enrol": true, "tags": ["till"], "sources": ["127.0.0.0/8"]}),
    )
    .await;
    let token: peerlight_proto::enrolment::EnrolmentToken = token["token"].as_str().unwrap().parse().unwrap();
    let after = Agent::new(&collector, &token.response_key);
    let mut asking = after.enrolment(&token.secret);
    let mut request: Value = serde_json::from_slice(&asking.body).unwrap();
    request["adopts"] = json!(true);
    asking.body = serde_json::to_vec(&request).unwrap();
    let answer = after.send(&asking).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (200, true));
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&told["agent"], &told["adopt"]),
        (&json!(after.id.to_string()), &json!(before.id.to_string()))
    );
    assert_eq!(get(&collector, "/api/v1/agents").await["total"], 1);
    let again = after.called(before.id);
    request["agent"] = json!(before.id.to_string());
    let plan =
        crate::agent::Plan { body: serde_json::to_vec(&request).unwrap(), ..again.enrolment(&token.secret) };
    assert_eq!(again.send(&plan).await.status, 201);
    assert_eq!(again.send(&again.get(ASSIGNMENT_PATH)).await.status, 200);
    assert_eq!(before.send(&before.get(ASSIGNMENT_PATH)).await.problem(), "unauthenticated");
    let agents = get(&collector, "/api/v1/agents").await;
    assert_eq!((&agents["total"], &agents["items"][0]["tags"]), (&json!(1), &json!(["till"])));
    collector.stop().await;
}

#[tokio::test]
async fn metrics_count_who_wants_looking_into_and_tell_of_each_agent() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    says(&agent, 0, Remarks { problems: vec!["ICMP cannot be sent".to_owned()], ..Remarks::default() }).await;
    let metrics = async |path: &str| {
        let answer = collector.operator(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let counted = metrics("/metrics").await;
    for line in [
        "peerlight_collector_agents_unhealthy 1",
        "peerlight_collector_agents_behind 0",
        "peerlight_collector_agents_refusing 0",
        r#"peerlight_collector_agents_by_version{version="0.1.0"} 1"#,
    ] {
        assert!(counted.contains(line), "{line}\n{counted}");
    }
    let each = metrics("/metrics/agents").await;
    let id = agent.id;
    for line in [
        format!(r#"peerlight_agent_info{{agent="{id}",site="london-1",version="0.1.0","#),
        format!(r#"peerlight_agent_problems{{agent="{id}",site="london-1"}} 1"#),
        format!(r#"peerlight_agent_last_seen_timestamp_seconds{{agent="{id}",site="london-1"}} 1790000000"#),
        format!(r#"peerlight_agent_unhealthy{{agent="{id}",site="london-1"}} 1"#),
    ] {
        assert!(each.contains(&line), "{line}\n{each}");
    }
    let anonymous = collector.anonymous(Method::GET, "/metrics/agents").send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    collector.stop().await;
}
