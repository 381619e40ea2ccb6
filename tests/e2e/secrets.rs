//! A full life of a real collector and real agents, each a process of its own that logs all it can, as text and as JSON.
//! Then every line that they logged and every file that they left is searched for every secret of that life.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod agent_file;
#[path = "secrets/machine.rs"]
mod machine;
#[path = "secrets/proxy.rs"]
mod proxy;
#[path = "secrets/search.rs"]
mod search;

use machine::{AgentMachine, CollectorMachine};
use peerlight_agent::status::PushState;
use peerlight_proto::enrolment::EnrolmentToken;
use proxy::Proxy;
use search::{Search, Secret};
use serde_json::json;

/// Where agents are told that the collector is; the proxy alone knows better.
const AUTHORITY: &str = "collector.test:8443";

/// A secret that nobody made before.
fn made_up() -> String {
    hex_of(&rand::random::<[u8; 32]>())
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// The life; everything that was secret in it.
async fn live(
    collector: &mut CollectorMachine,
    agent: &AgentMachine,
    stranger: &AgentMachine,
) -> Vec<Secret> {
    let mut secrets = collector.keys();
    let operator = collector.operator_token();
    secrets.push(Secret::token("operator token", &operator).kept_in(Some(collector.operator_token_file())));

    // Operators: one more, a session, and those who only try.
    let ana =
        collector.post(&operator, "/api/v1/operators", json!({"name": "ana", "role": "administrator"})).await;
    secrets.push(Secret::token("another operator's token", ana["token"].as_str().unwrap()));
    let guess = format!("peerlight-operator.{}", made_up());
    secrets.push(Secret::token("wrong operator token", &guess));
    let cookie = collector.sign_in(&operator).await.unwrap();
    secrets.push(Secret::text("session cookie", &cookie));
    assert_eq!(collector.sign_in(&guess).await, None);
    assert_eq!(collector.status_of(&guess, "").await, 401);
    assert_eq!(collector.status_of("", &cookie).await, 200);

    // Enrolment: what is no token, a token that nobody made, the right one, and the right one again by another.
    let token = collector.enrolment_token(&operator).await;
    let garbage = format!("peerlight1.{}", made_up());
    let unknown = EnrolmentToken { secret: made_up(), ..token.clone() };
    secrets.push(Secret::text("malformed enrolment token", &garbage));
    secrets
        .extend([Secret::enrolment("unknown token", &unknown), Secret::enrolment("enrolment token", &token)]);
    assert!(!agent.enrol(&garbage, &[]).await);
    assert!(!agent.enrol(&unknown.to_text(), &[]).await);
    assert!(agent.enrol(&token.to_text(), &[]).await);
    assert!(!stranger.enrol(&token.to_text(), &[]).await, "it is used up");

    // A rotation, a restart of either, a new key by a token of the agent's own, and the end.
    let first = agent.private_key();
    let second = agent.begin_rotation();
    agent
        .run_until("a rotation and an acknowledgement", |status| {
            status.last_ack_us.is_some() && agent.private_key() == second
        })
        .await;
    collector.restart().await;
    agent
        .run_until("an acknowledgement by the collector's second life", |status| status.last_ack_us.is_some())
        .await;
    let own = collector.token_of(&operator, &agent.id()).await;
    secrets.push(Secret::enrolment("the agent's own token", &own));
    assert!(agent.enrol(&own.to_text(), &["--new-key"]).await);
    let third = agent.private_key();
    agent.run_until("an acknowledgement with the third key", |status| status.last_ack_us.is_some()).await;
    collector.revoke(&operator, &agent.id()).await;
    agent.run_until("a refusal", |status| matches!(status.push, PushState::Stopped { .. })).await;
    collector.sign_out(&cookie).await;
    collector.stop().await;

    let keys = [("first", first), ("second", second), ("third", third)];
    for (name, key) in keys {
        secrets
            .push(Secret::private_key(&format!("the agent's {name} key"), &key).kept_in(agent.key_files()));
    }
    secrets.push(
        Secret::private_key("the stranger's key", &stranger.private_key()).kept_in(stranger.key_files()),
    );
    secrets
}

async fn lives_without_telling(format: &str) {
    // The second test of a process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let password = made_up();
    let proxy = Proxy::start(AUTHORITY).await;
    let mut collector = CollectorMachine::start(format, AUTHORITY, &proxy).await;
    let [agent, stranger] = [(); 2].map(|()| AgentMachine::new(format, proxy.address, &password));
    let mut secrets = live(&mut collector, &agent, &stranger).await;
    let credentials = proxy::credentials(&password);
    assert!(proxy.was_told(&credentials), "the password was used");
    secrets
        .extend([Secret::text("proxy password", &password), Secret::text("proxy credentials", &credentials)]);

    let logs = Search::of_files([collector.logs(), agent.logs(), stranger.logs()].concat());
    logs.assert_says(&["TRACE", "the collector runs", "a new key signs from now on", &agent.id()]);
    logs.assert_holds_none_of(&secrets);
    let files = Search::of_trees(&[collector.directory(), agent.state(), stranger.state()]);
    assert!(files.len() >= 12, "{files:?}");
    files.assert_holds_secrets_at_home_alone(&secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_life_that_is_logged_as_text_tells_no_secret() {
    lives_without_telling("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_life_that_is_logged_as_json_tells_no_secret() {
    lives_without_telling("json").await;
}
