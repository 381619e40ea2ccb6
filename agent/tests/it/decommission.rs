//! Decommissioning against a real TLS server: the collector is told first, and nothing stays that made the agent itself.

use crate::collector::{Collector, Mood};
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential::Enrolment,
    decommission::{DecommissionArgs, DecommissionError, decommission},
    paths::StateDir,
    spool::{Spool, SpoolSettings, pack::Draft},
};
use peerlight_proto::{id::SessionId, time::Timestamp};
use std::fs;

const TELL: DecommissionArgs = DecommissionArgs { abandon: false, offline: false };

/// A machine with an agent that is enrolled and has stopped.
async fn machine() -> (tempfile::TempDir, Config, Collector) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { state: StateDir::new(directory.path().join("state")), ..Config::default() };
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&config.state, Clock::system()).await;
    (directory, config, collector)
}

fn spool(config: &Config) -> Spool {
    let agent = peerlight_agent::credential::load_or_create(&config.state).unwrap().agent();
    Spool::open(&config.state.spool(), agent, SpoolSettings::default()).unwrap()
}

#[tokio::test]
async fn the_collector_is_told_and_nothing_of_the_agent_stays() {
    let (_directory, config, collector) = machine().await;
    let agent = peerlight_agent::credential::load_or_create(&config.state).unwrap().agent();
    drop(spool(&config));
    let said = decommission(&config, TELL).await.unwrap();
    assert!(said.contains(&agent.to_string()) && said.contains("is retired"), "{said}");
    assert_eq!(collector.seen.borrow().retired, [agent]);
    let left: Vec<_> =
        fs::read_dir(config.state.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [""; 0].map(std::path::PathBuf::from));
    let again = decommission(&config, TELL).await.unwrap_err();
    assert!(matches!(again, DecommissionError::NoAgent(_)), "{again}");
}

#[tokio::test]
async fn an_agent_that_runs_or_has_something_to_hand_over_stays() {
    let (_directory, config, collector) = machine().await;
    let mut running = spool(&config);
    let refused = decommission(&config, TELL).await.unwrap_err();
    assert!(refused.to_string().contains("systemctl stop peerlight-agent"), "{refused}");
    running.begin_session(SessionId::new([1; 16]));
    running.append(Draft::default(), Timestamp::from_secs(1_800_000_000), None).unwrap();
    drop(running);
    let refused = decommission(&config, TELL).await.unwrap_err();
    assert!(matches!(refused, DecommissionError::Waiting(1)), "{refused}");
    assert!(collector.seen.borrow().retired.is_empty() && config.state.agent_key().exists());
    let said = decommission(&config, DecommissionArgs { abandon: true, ..TELL }).await.unwrap();
    assert!(said.contains("1 batches were given up"), "{said}");
    assert!(!config.state.spool().exists());
}

#[tokio::test]
async fn whoever_answers_in_the_collectors_place_retires_nobody() {
    let (_directory, config, collector) = machine().await;
    for mood in [Mood::Portal, Mood::Forge] {
        collector.set_mood(mood);
        let refused = decommission(&config, TELL).await.unwrap_err();
        assert!(matches!(refused, DecommissionError::NotTold { .. }), "{mood:?}: {refused}");
        assert!(config.state.agent_key().exists() && Enrolment::load(&config.state).unwrap().is_some());
    }
    let said = decommission(&config, DecommissionArgs { offline: true, ..TELL }).await.unwrap();
    assert!(said.starts_with("no collector was told"), "{said}");
    assert!(!config.state.agent_key().exists());
}
