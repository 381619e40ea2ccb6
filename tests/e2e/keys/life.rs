//! Keys by clocks that are turned by hand: over years, while the agent is off, and after everything has expired.

use crate::scene::{Agent, DAY, NOON, PATIENCE, Scene, asks};
use peerlight_agent::{
    clock::Clock as AgentClock, enrol::enrol_with_new_key, rotation::Rotation, status::Board,
};
use peerlight_collector::{clock::Clock, config::Keys};
use peerlight_proto::keys::fingerprint;
use serde_json::json;
use std::time::Duration;

async fn scene() -> (Scene, Agent) {
    let scene = Scene::start(Clock::manual(NOON)).await;
    let agent = Agent::enrolled(&scene, AgentClock::manual(NOON)).await;
    (scene, agent)
}

/// Lets time pass everywhere.
fn pass(scene: &Scene, agent: &Agent, span: Duration) {
    scene.clock.set(scene.clock.now().plus(span));
    agent.clock.advance(span);
}

#[tokio::test]
async fn a_key_is_replaced_at_about_two_thirds_of_its_life_for_years_and_nothing_is_ever_refused() {
    let (scene, agent) = scene().await;
    let link = agent.link();
    let mut rotation = Rotation::new(link.clone(), Board::default(), PATIENCE);
    let (mut key, mut since, mut lives) = (link.key.public_key(), scene.clock.now(), Vec::new());
    while scene.clock.now().since(NOON) < 2 * 365 * DAY {
        let rest = rotation.look().await;
        assert_eq!(asks(&link).await, 200, "{:?} after the enrolment", scene.clock.now().since(NOON));
        if link.key.public_key() != key {
            lives.push(scene.clock.now().since(since));
            (key, since) = (link.key.public_key(), scene.clock.now());
        }
        assert!(!rest.is_zero() && rest <= DAY, "{rest:?}");
        pass(&scene, &agent, rest);
    }
    assert!((10..=13).contains(&lives.len()), "{lives:?}");
    for life in &lives {
        assert!((52 * DAY..=69 * DAY).contains(life), "{lives:?}");
    }
    assert_eq!(scene.audited("agent key use").await, lives.len());
    assert_eq!(scene.shown(&agent).await.key, fingerprint(&key));
}

#[tokio::test]
async fn an_agent_that_was_off_when_its_key_expired_replaces_it_when_it_is_back() {
    let (scene, agent) = scene().await;
    pass(&scene, &agent, 100 * DAY);
    assert_eq!(agent.asks().await, 403);
    let (mut rotation, board) = agent.rotation();
    rotation.look().await;
    assert_eq!(agent.asks().await, 200);
    let status = board.get();
    let key = status.key.unwrap();
    assert_eq!(status.key_problem, None);
    assert_eq!(key.expires_us, NOON.plus(190 * DAY).as_micros());
    assert_eq!(key.key, scene.shown(&agent).await.key);
}

#[tokio::test]
async fn an_agent_that_was_off_for_longer_says_what_to_do_and_lives_on_when_that_is_done() {
    let (scene, agent) = scene().await;
    let first = agent.keys().public_key();
    pass(&scene, &agent, 130 * DAY);
    let (mut rotation, board) = agent.rotation();
    rotation.look().await;
    let problem = board.get().key_problem.unwrap();
    assert!(
        problem.contains("peerlight-collector agent token") && problem.contains("--new-key"),
        "{problem}"
    );
    assert_eq!(agent.asks().await, 403);

    let path = format!("/api/v1/agents/{}/tokens", agent.keys().agent());
    let token = scene.token(&path, json!({})).await;
    // An agent that runs meanwhile finds the key that another process brings.
    let running = agent.link();
    enrol_with_new_key(&agent.applicant(), &[], &token, None).await.unwrap();
    assert_eq!((agent.asks().await, asks(&running).await), (200, 200));
    assert_ne!(agent.keys().public_key(), first);
    assert_eq!(running.key.public_key(), agent.keys().public_key());
    rotation.look().await;
    assert_eq!(board.get().key_problem, None);
}

#[tokio::test]
async fn a_shorter_life_holds_for_keys_that_there_are() {
    let (mut scene, agent) = scene().await;
    let link = agent.link();
    let mut rotation = Rotation::new(link.clone(), Board::default(), PATIENCE);
    pass(&scene, &agent, 10 * DAY);
    let before = link.key.public_key();
    rotation.look().await;
    assert_eq!(link.key.public_key(), before);
    scene.restart(Keys { lifetime: 5 * DAY, ..Keys::default() }, |_directory| ()).await;
    rotation.look().await;
    assert_ne!(link.key.public_key(), before);
    assert_eq!(asks(&link).await, 200);
}
