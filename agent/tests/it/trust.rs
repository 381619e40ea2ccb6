//! Whose certificate is the collector's: the pinned authority's, or one that the operating system trusts.

use crate::{
    collector::{Authority, Collector},
    push::{Agent, eventually},
};
use peerlight_agent::{clock::Clock, credential::Enrolment, paths::StateDir, status::PushState};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

#[tokio::test]
async fn an_agent_goes_on_when_the_collectors_certificate_is_renewed() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    agent.append(0, 1).await;
    agent.until_empty().await;
    collector.renew_certificate();
    // A connection that is kept would not meet the new certificate.
    let renewed = agent.restarted();
    renewed.append(1, 1).await;
    renewed.until_empty().await;
    assert_eq!(collector.seen.borrow().stored.len(), 2);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_told_nothing() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.change_authority(&Authority::new("somebody else"));
    let before = collector.seen.borrow().requests;
    let agent = agent.restarted();
    agent.append(0, 1).await;
    agent
        .until("the reason", |status| {
            matches!(&status.push, PushState::Retrying { reason } if reason.contains("UnknownIssuer"))
        })
        .await;
    assert_eq!((collector.seen.borrow().requests, agent.spool.counts().batches), (before, 1));
    collector.renew_certificate();
    agent.until_empty().await;
}

/// Runs `peerlight-agent enrol` on a machine that trusts the authorities in `bundle` and no other.
fn enrol(directory: &Path, token: &Path, bundle: &Path) -> Output {
    let config = directory.join("agent.toml");
    let state = directory.join("state");
    fs::write(&config, format!("state = \"{}\"\n[collector]\ntrust = \"platform\"\n", state.display()))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_peerlight-agent"))
        .args(["enrol", "--config"])
        .arg(&config)
        .arg("--token-file")
        .arg(token)
        .env("SSL_CERT_FILE", bundle)
        .env_remove("SSL_CERT_DIR")
        .env_remove("PEERLIGHT_TOKEN")
        .output()
        .unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn with_trust_in_the_platform_the_authorities_of_the_machine_decide() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    // The fingerprint is of no use here: the certificate would be an inspecting middlebox's.
    let mut token = collector.token.clone();
    token.ca_sha256 = "00".repeat(32);
    let token = file("token", &token.to_text());
    let (ours, other) =
        (file("ours.pem", &collector.ca_pem()), file("other.pem", &Authority::new("somebody else").pem()));
    let state = StateDir::new(directory.path().join("state"));

    let refused = enrol(directory.path(), &token, &other);
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && reason.contains("UnknownIssuer"), "{reason}");
    assert_eq!(Enrolment::load(&state).unwrap(), None);

    let enrolled = enrol(directory.path(), &token, &ours);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let enrolment = Enrolment::load(&state).unwrap().unwrap();
    assert_eq!(enrolment.ca_pem, None, "no authority is pinned");
    eventually("the request", || collector.seen.borrow().requests > 0).await;
}
