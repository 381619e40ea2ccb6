//! The doctor as an operator calls it, beside a real collector. What the network of the test's machine is like shows in no
//! assertion.

use crate::{
    collector::{Authority, Collector, Mood},
    process::agent,
};
use peerlight_agent::{clock::Clock, credential::Enrolment, paths::StateDir};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the doctor says of a machine with this state directory.
fn examined(state: &Path) -> Value {
    let file = state.with_file_name("agent.toml");
    fs::write(&file, format!("state = \"{}\"\n", state.display())).unwrap();
    let output = agent(&["doctor", "--format", "json", "--config"]).arg(file).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = document["outcome"] == "failed";
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{document:#}");
    document
}

/// The outcome of a check, what was found, and what to do.
fn check(document: &Value, name: &str) -> (String, String, String) {
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {document:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("found"), text("advice"))
}

/// The same, beside a server of this test.
async fn examined_beside(state: &Path) -> Value {
    let state = state.to_owned();
    tokio::task::spawn_blocking(move || examined(&state)).await.unwrap()
}

/// The files below a directory, each with what it holds.
fn held(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut held = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            held.extend(self::held(&path));
        } else {
            held.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    held.sort();
    held
}

#[tokio::test]
async fn a_collector_that_answers_is_well_and_one_that_does_not_is_said_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&StateDir::new(&state), Clock::system()).await;
    let before = held(&state);
    let well = examined_beside(&state).await;
    let (outcome, found, _) = check(&well, "collector");
    assert_eq!(outcome, "ok", "{found}");
    assert!(found.contains("believes this agent"), "{found}");
    assert_eq!(check(&well, "clock").0, "ok");
    assert_eq!(check(&well, "agent").0, "warning", "none runs");
    for name in ["configuration", "state directory", "disk", "proxy", "packets v4", "catalogue"] {
        let (outcome, found, advice) = check(&well, name);
        assert!(!found.is_empty() && (outcome == "ok" || !advice.is_empty()), "{name}: {well:#}");
    }
    collector.set_mood(Mood::Portal);
    let (outcome, found, advice) = check(&examined_beside(&state).await, "collector");
    assert_eq!(outcome, "failed");
    assert!(
        found.contains("not signed by the collector") && advice.contains("captive portal"),
        "{found} {advice}"
    );
    collector.set_mood(Mood::Accept);
    collector.change_authority(&Authority::new("Example Inspection"));
    let (outcome, found, advice) = check(&examined_beside(&state).await, "collector");
    assert_eq!(outcome, "failed");
    assert!(advice.contains("trust = \"platform\""), "{found} {advice}");
    assert_eq!(held(&state), before, "looking changes nothing");
}

#[tokio::test]
async fn a_key_that_is_gone_is_missed_and_not_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&StateDir::new(&state), Clock::system()).await;
    fs::remove_file(StateDir::new(&state).agent_key()).unwrap();
    let before = held(&state);
    let (outcome, found, advice) = check(&examined_beside(&state).await, "collector");
    assert_eq!(outcome, "failed");
    assert!(found.contains("its key is gone") && advice.contains("enrol again"), "{found} {advice}");
    assert_eq!(held(&state), before, "looking makes nothing");
}

#[tokio::test]
async fn a_collector_that_is_away_is_no_matter_of_trust_even_if_certificate_is_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path().join("state"));
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&state, Clock::system()).await;
    let mut enrolment = Enrolment::load(&state).unwrap().unwrap();
    enrolment.collector = "https://certificate.invalid:8443".to_owned();
    enrolment.save(&state).unwrap();
    let (outcome, found, advice) = check(&examined_beside(state.path()).await, "collector");
    assert_eq!(outcome, "failed");
    assert!(found.contains("certificate") && !advice.contains("trust"), "{found} {advice}");
}

#[test]
fn a_machine_without_an_agent_is_told_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let document = examined(&directory.path().join("state"));
    assert_eq!(check(&document, "enrolment").0, "warning");
    assert!(check(&document, "enrolment").2.contains("peerlight-agent enrol"));
    assert_eq!(check(&document, "agent").0, "warning");
    assert!(!directory.path().join("state").exists(), "looking makes nothing");
}

#[test]
fn a_wrong_configuration_is_examined_rather_than_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    fs::write(&file, "[spol]\n").unwrap();
    let output = agent(&["doctor", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED") && said.contains("did you mean `spool`?"), "{said}");
}
