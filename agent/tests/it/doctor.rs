//! The doctor as an operator calls it, beside a real collector. What the network of the test's machine is like shows in no
//! assertion.

use crate::{
    collector::{Collector, Mood},
    process::agent,
};
use peerlight_agent::{clock::Clock, paths::StateDir};
use serde_json::Value;
use std::{fs, path::Path};

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

#[tokio::test]
async fn a_collector_that_answers_is_well_and_one_that_does_not_is_said_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&StateDir::new(&state), Clock::system()).await;
    let examine = async || {
        let state = state.clone();
        tokio::task::spawn_blocking(move || examined(&state)).await.unwrap()
    };
    let well = examine().await;
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
    let (outcome, found, advice) = check(&examine().await, "collector");
    assert_eq!(outcome, "failed");
    assert!(
        found.contains("not signed by the collector") && advice.contains("captive portal"),
        "{found} {advice}"
    );
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
