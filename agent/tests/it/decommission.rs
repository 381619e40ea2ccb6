//! Decommissioning against a real TLS server: the collector is told first, and nothing stays that made the agent itself.

use crate::{
    collector::{Collector, Mood},
    process::{agent, text},
};
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential::Enrolment,
    decommission::{DecommissionArgs, DecommissionError, decommission, on_removal},
    paths::StateDir,
    spool::{Spool, SpoolSettings, pack::Draft},
};
use peerlight_proto::{
    id::{AgentId, SessionId},
    time::Timestamp,
};
use std::{fs, net::TcpListener};

const TELL: DecommissionArgs = DecommissionArgs { abandon: false, offline: false, removal: false };

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

#[tokio::test]
async fn an_agent_whose_key_is_gone_gets_no_new_one_to_be_decommissioned_with() {
    let (_directory, config, collector) = machine().await;
    let agent = peerlight_agent::credential::load_or_create(&config.state).unwrap().agent();
    let [key, spool] = [config.state.agent_key(), config.state.spool()];
    fs::remove_file(&key).unwrap();
    let refused = decommission(&config, TELL).await.unwrap_err().to_string();
    for part in ["key is gone", &format!("peerlight-collector agent retire {agent}"), "--offline"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let said = on_removal(&config).await.unwrap();
    assert!(said.contains("was not told") && said.contains("key is gone"), "{said}");
    assert!(!key.exists() && !spool.exists() && collector.seen.borrow().retired.is_empty());
    // Without the collector no key is needed, not even a sound one.
    fs::write(&key, "not a key").unwrap();
    let said = decommission(&config, DecommissionArgs { offline: true, ..TELL }).await.unwrap();
    assert!(said.contains("no collector was told") && said.contains(&agent.to_string()), "{said}");
    assert!(!config.state.agent_id().exists() && !key.exists());
}

/// The agent of this machine, with something that waits.
fn identity(config: &Config) -> AgentId {
    let mut spool = spool(config);
    spool.begin_session(SessionId::new([1; 16]));
    spool.append(Draft::default(), Timestamp::from_secs(1_800_000_000), None).unwrap();
    peerlight_agent::credential::load_or_create(&config.state).unwrap().agent()
}

#[tokio::test]
async fn a_removal_tells_the_collector_and_gives_up_what_waits() {
    let (_directory, config, collector) = machine().await;
    let agent = identity(&config);
    let said = on_removal(&config).await.unwrap();
    assert!(said.contains("is retired") && said.contains("1 batches were given up"), "{said}");
    assert_eq!(collector.seen.borrow().retired, [agent]);
    assert!(!config.state.agent_key().exists());
    assert_eq!(on_removal(&config).await, None, "there is no agent any more");
}

#[tokio::test]
async fn a_removal_says_what_is_left_to_do_and_keeps_everything_where_no_collector_can_be_believed() {
    let (_directory, mut config, collector) = machine().await;
    let agent = identity(&config);
    collector.set_mood(Mood::Portal);
    let command = format!("peerlight-collector agent retire {agent}");
    let kept = |said: &str| {
        assert!(said.contains(&command), "{said}");
        assert!(config.state.agent_key().exists() && spool(&config).counts().batches == 1);
    };
    kept(&on_removal(&config).await.unwrap());
    // One that takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut enrolment = Enrolment::load(&config.state).unwrap().unwrap();
    enrolment.collector = format!("https://{}", silent.local_addr().unwrap());
    enrolment.save(&config.state).unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    kept(&on_removal(&config).await.unwrap());
    assert!(begun.elapsed() <= std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    collector.set_mood(Mood::Accept);
    config.collector.retire_on_removal = false;
    let said = on_removal(&config).await.unwrap();
    assert!(said.contains("is not retired") && said.contains(&command), "{said}");
    assert!(collector.seen.borrow().retired.is_empty());
}

#[tokio::test]
async fn the_program_fails_no_removal() {
    let (directory, config, collector) = machine().await;
    let file = directory.path().join("agent.toml");
    fs::write(&file, format!("state = \"{}\"\n", config.state.path().display())).unwrap();
    collector.set_mood(Mood::Portal);
    let mut command = agent(&["decommission", "--removal", "--config", &file.to_string_lossy()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("was not told"), "{output:?}");
    // Without an agent there is nothing to say.
    let nowhere = directory.path().join("nowhere");
    let output = agent(&["decommission", "--removal", "--state-dir", &nowhere.to_string_lossy()]).output();
    let output = output.unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && !nowhere.exists(), "{output:?}");
}
