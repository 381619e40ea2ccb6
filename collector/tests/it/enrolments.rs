//! `/api/v1/enrolments`.

use crate::{agent::Agent, collector::Collector};
use peerlight_proto::enrolment::EnrolmentResponse;
use std::time::Duration;

#[tokio::test]
async fn an_agent_enrols_with_a_token_and_learns_its_registration() {
    let collector = Collector::start().await;
    let token = collector.token("london-1").await;
    assert_eq!(token.collector, format!("https://{}", collector.agents));
    let agent = Agent::new(&collector, &token.response_key);
    let answer = agent.send(&agent.enrolment(&token.secret)).await;
    assert_eq!((answer.status.as_u16(), answer.signed), (201, true));
    let enrolled: EnrolmentResponse = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((enrolled.agent, enrolled.site.name.as_str()), (agent.id, "london-1"));
    assert_eq!(enrolled.site.prefixes, ["192.0.2.0/24"]);
    collector.stop().await;
}

#[tokio::test]
async fn a_lost_answer_does_not_burn_the_token_but_another_agent_finds_it_used() {
    let collector = Collector::start().await;
    let token = collector.token("london-1").await;
    let agent = Agent::new(&collector, &token.response_key);
    let plan = agent.enrolment(&token.secret);
    assert_eq!(agent.send(&plan).await.status, 201);
    assert_eq!(agent.send(&plan).await.status, 201, "signed anew, with a nonce of its own");

    let other = Agent::new(&collector, &token.response_key);
    let answer = other.send(&other.enrolment(&token.secret)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem(), answer.signed),
        (403, "token-refused".into(), true)
    );
}

#[tokio::test]
async fn an_enrolment_is_believed_once_even_after_a_restart_of_the_clock() {
    let collector = Collector::start().await;
    let token = collector.token("london-1").await;
    let agent = Agent::new(&collector, &token.response_key);
    let request = agent.sign(&agent.enrolment(&token.secret)).await;
    assert_eq!(agent.send_signed(request.clone()).await.status, 201);
    collector.clock.set(collector.clock.now().plus(Duration::from_secs(200)));
    let replayed = agent.send_signed(request).await;
    assert_eq!((replayed.status.as_u16(), replayed.problem()), (401, "unauthenticated".into()));
}

#[tokio::test]
async fn nobody_enrols_a_key_that_is_not_theirs() {
    let collector = Collector::start().await;
    let token = collector.token("london-1").await;
    let victim = Agent::new(&collector, &token.response_key);
    let thief = Agent::new(&collector, &token.response_key);
    let mut plan = thief.enrolment(&token.secret);
    plan.body = victim.enrolment(&token.secret).body;
    let answer = thief.send(&plan).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem(), answer.signed),
        (401, "unauthenticated".into(), false)
    );

    let mut plan = thief.enrolment(&token.secret);
    plan.key_id = victim.id.to_string();
    assert_eq!(thief.send(&plan).await.problem(), "malformed");
}

#[tokio::test]
async fn guessing_tokens_is_slow() {
    let collector = Collector::start_with(|config| config.limits.attempts_per_minute = 2).await;
    let token = collector.token("london-1").await;
    let agent = Agent::new(&collector, &token.response_key);
    let guess = agent.enrolment(&"0".repeat(64));
    assert_eq!(agent.send(&guess).await.problem(), "token-refused");
    assert_eq!(agent.send(&guess).await.problem(), "token-refused");
    let answer = agent.send(&guess).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (429, "rate-limited".into()));
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}
