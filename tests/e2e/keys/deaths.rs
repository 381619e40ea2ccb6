//! An agent that dies at any step of a rotation comes back with whichever key works, and finishes what was begun.

use crate::scene::{Agent, NOON, Scene};
use peerlight_agent::{
    clock::Clock as AgentClock,
    enrol::enrol_with_new_key,
    exchange::{Question, Source},
    paths::StateDir,
    rotation::plan::Slot,
};
use peerlight_collector::{clock::Clock, config::Keys, paths};
use peerlight_proto::{
    http::KEYS_PATH,
    keys::{Rotation, fingerprint},
};
use serde_json::json;
use std::fs;

/// After which step the agent died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// The new key is on disk.
    Begun,
    /// The collector knows it; its answer was lost.
    Asked,
    /// The key that signed so far was copied, to become the one before.
    Copied,
    /// The new key is in its place, and was never used.
    TakenUp,
    /// It was used.
    Used,
}

/// Takes the steps of a rotation by hand, and dies.
async fn die(agent: &Agent, after: Death) {
    let link = agent.link();
    let next = link.key.begin_next().unwrap();
    if after == Death::Begun {
        return;
    }
    let claim = Rotation {
        agent: link.key.agent(),
        key: link.key.public_key(),
        next: next.public_key(),
        nonce: rand::random(),
    };
    let body = serde_json::to_vec(&claim.request(&next.prove(&claim.statement()))).unwrap();
    let exchange = link.open(&link.enrolment().unwrap().unwrap(), Source::System).unwrap();
    let answer = exchange.ask(&Question::post(KEYS_PATH, "application/json", body.into())).await.unwrap();
    assert_eq!(answer.status, 201);
    match after {
        Death::Begun | Death::Asked => {}
        Death::Copied => {
            fs::copy(agent.state().agent_key(), agent.state().previous_key()).unwrap();
        }
        Death::TakenUp => link.key.take_up(Slot::Next).unwrap(),
        Death::Used => {
            link.key.take_up(Slot::Next).unwrap();
            assert_eq!(exchange.ask(&Question::get(KEYS_PATH)).await.unwrap().status, 200);
        }
    }
}

async fn scene() -> (Scene, Agent) {
    let scene = Scene::start(Clock::manual(NOON)).await;
    let agent = Agent::enrolled(&scene, AgentClock::manual(NOON)).await;
    (scene, agent)
}

/// Whether agent and collector are of one mind, with nothing left to do.
async fn settled(scene: &Scene, agent: &Agent) {
    let (entry, keys) = (scene.shown(agent).await, agent.keys());
    assert_eq!(entry.key, fingerprint(&keys.public_key()));
    assert_eq!((entry.next_key, keys.next().unwrap().map(|next| next.public_key())), (None, None));
    assert_eq!(agent.asks().await, 200);
}

#[tokio::test]
async fn an_agent_that_died_at_any_step_comes_back_and_finishes() {
    let (scene, agent) = scene().await;
    let mut used = 0;
    for death in [Death::Begun, Death::Asked, Death::Copied, Death::TakenUp, Death::Used] {
        let before = agent.keys().public_key();
        die(&agent, death).await;
        assert_eq!(agent.asks().await, 200, "{death:?}");
        agent.rotation().0.look().await;
        settled(&scene, &agent).await;
        assert_ne!(agent.keys().public_key(), before, "{death:?}");
        used += 1;
        assert_eq!(scene.audited("agent key use").await, used, "{death:?}");
    }
}

#[tokio::test]
async fn a_second_death_at_any_step_changes_nothing() {
    let (scene, agent) = scene().await;
    for first in [Death::Begun, Death::Asked, Death::Copied] {
        for second in [Death::Begun, Death::Asked, Death::Copied, Death::TakenUp] {
            die(&agent, first).await;
            die(&agent, second).await;
            assert_eq!(agent.asks().await, 200, "{first:?}, {second:?}");
            agent.rotation().0.look().await;
            settled(&scene, &agent).await;
        }
    }
}

#[tokio::test]
async fn an_agent_whose_new_key_the_restored_registry_does_not_know_goes_back_to_the_one_before() {
    let (mut scene, agent) = scene().await;
    let backup = tempfile::tempdir().unwrap();
    let kept = backup.path().join("registry.sqlite");
    scene
        .restart(Keys::default(), |directory| {
            fs::copy(paths::registry(directory), &kept).unwrap();
        })
        .await;
    let first = agent.keys().public_key();
    die(&agent, Death::Used).await;
    scene
        .restart(Keys::default(), |directory| {
            fs::copy(&kept, paths::registry(directory)).unwrap();
        })
        .await;
    assert_eq!(agent.asks().await, 200);
    assert_eq!(agent.keys().public_key(), first);
    agent.rotation().0.look().await;
    settled(&scene, &agent).await;
}

/// What a machine's disk holds of its keys.
fn copy_keys(from: &StateDir, to: &std::path::Path) {
    for path in [from.agent_key(), from.next_key(), from.previous_key()] {
        let copy = to.join(path.file_name().unwrap());
        let _absent = fs::remove_file(&copy);
        if path.exists() {
            fs::copy(&path, copy).unwrap();
        }
    }
}

#[tokio::test]
async fn an_agent_whose_disk_was_restored_with_keys_that_never_come_back_is_enrolled_anew() {
    let (scene, agent) = scene().await;
    let backup = tempfile::tempdir().unwrap();
    die(&agent, Death::Asked).await;
    copy_keys(&agent.state(), backup.path());
    agent.rotation().0.look().await;
    die(&agent, Death::Used).await;
    copy_keys(&StateDir::new(backup.path()), agent.state().path());
    assert_eq!(agent.asks().await, 401, "both keys were replaced since");

    let path = format!("/api/v1/agents/{}/tokens", agent.keys().agent());
    let token = scene.token(&path, json!({})).await;
    let refused = enrol_with_new_key(&agent.applicant(), &[], &token, None).await.unwrap_err().to_string();
    assert!(refused.contains("enrol again, and another one is made"), "{refused}");
    enrol_with_new_key(&agent.applicant(), &[], &token, None).await.unwrap();
    settled(&scene, &agent).await;
}

#[tokio::test]
async fn an_enrolment_with_a_new_key_that_died_before_it_was_taken_up_is_found_by_the_agent() {
    let (scene, agent) = scene().await;
    let path = format!("/api/v1/agents/{}/tokens", agent.keys().agent());
    let token = scene.token(&path, json!({})).await;
    let enrolment = enrol_with_new_key(&agent.applicant(), &[], &token, None).await.unwrap();
    // As if the crash had come before the key was taken up: the one before signs, the new one waits.
    let state = agent.state();
    fs::rename(state.agent_key(), state.next_key()).unwrap();
    fs::copy(state.previous_key(), state.agent_key()).unwrap();
    enrolment.save(&state).unwrap();
    assert_eq!(agent.asks().await, 200);
    settled(&scene, &agent).await;
}
