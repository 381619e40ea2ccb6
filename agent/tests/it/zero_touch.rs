//! Enrolment with nobody at the machine, by real processes: a token in the environment or dropped beside the configuration; and a
//! machine that was set up anew.

use crate::{
    agent_file::write_agent_file,
    collector::{Collector, Mood, site},
    process::{Running, agent, eventually, status},
};
use peerlight_agent::{clock::Clock, credential::Enrolment, paths::StateDir};
use peerlight_proto::id::AgentId;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A machine with a configuration that probes a target on itself.
struct Machine {
    directory: tempfile::TempDir,
    _target: TcpListener,
}

impl Machine {
    fn new() -> Self {
        let (directory, target) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        write_agent_file(directory.path(), target.local_addr().unwrap(), Duration::from_millis(50), "");
        Self { directory, _target: target }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.path("state"))
    }

    fn start(&self, prepare: impl FnOnce(&mut Command)) -> Running {
        let mut command = agent(&["run", "--config"]);
        command.arg(self.path("agent.toml")).env_remove("CREDENTIALS_DIRECTORY").stderr(Stdio::null());
        prepare(&mut command);
        Running(command.spawn().unwrap())
    }

    /// Drops a token beside the configuration, whole at once.
    fn drop_token(&self, text: &str) -> PathBuf {
        let (new, path) = (self.path("new"), self.path("agent.token"));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }
}

async fn enrolled(state: &StateDir) -> Enrolment {
    eventually("the enrolment", || Enrolment::load(state).unwrap()).await
}

fn identity(state: &StateDir) -> Option<AgentId> {
    fs::read_to_string(state.agent_id()).ok()?.trim().parse().ok()
}

fn problem(state: &StateDir) -> Option<String> {
    status(state)?.enrolment_problem
}

#[tokio::test]
async fn a_token_in_the_environment_enrols_the_agent() {
    let (machine, collector) = (Machine::new(), Collector::start(Clock::system()).await);
    let _agent = machine.start(|command| {
        command.env("PEERLIGHT_TOKEN", collector.token.to_text());
    });
    assert_eq!(enrolled(&machine.state()).await.site, site());
}

#[tokio::test]
async fn a_token_dropped_beside_the_configuration_enrols_a_running_agent_and_is_used_up() {
    let (machine, collector) = (Machine::new(), Collector::start(Clock::system()).await);
    let _agent = machine.start(|_command| {});
    eventually("the agent", || status(&machine.state())).await;
    machine.drop_token("nonsense");
    eventually("word of the nonsense", || {
        problem(&machine.state()).filter(|told| told.contains("not an enrolment token"))
    })
    .await;
    // Another token is tried at once, without a restart.
    let dropped = machine.drop_token(&collector.token.to_text());
    enrolled(&machine.state()).await;
    eventually("the file to go", || (!dropped.exists()).then_some(())).await;
    eventually("word that all is well", || problem(&machine.state()).is_none().then_some(())).await;
}

#[tokio::test]
async fn a_machine_that_was_set_up_anew_becomes_the_agent_that_it_was_with_what_it_measured_meanwhile() {
    let (machine, collector) = (Machine::new(), Collector::start(Clock::system()).await);
    let before = AgentId::new([7; 16]);
    collector.know_as(before);
    // Nobody who can be believed answers until there is something to keep.
    collector.set_mood(Mood::Portal);
    machine.drop_token(&collector.token.to_text());
    let agent = machine.start(|_command| {});
    let temporary = eventually("an identity", || identity(&machine.state())).await;
    assert_ne!(temporary, before);
    let measured =
        eventually("a batch", || status(&machine.state()).filter(|status| status.spool.batches > 0)).await;
    collector.set_mood(Mood::Accept);
    enrolled(&machine.state()).await;
    assert_eq!(identity(&machine.state()), Some(before));
    // At its start it hands over at once; otherwise it would look for its enrolment now and then.
    drop(agent);
    let _again = machine.start(|_command| {});
    let waited = usize::try_from(measured.spool.batches).unwrap();
    let seen = collector.until("what was measured", |seen| seen.stored.len() > waited).await;
    assert!(seen.stored.iter().all(|batch| batch.number.agent == before));
    let earliest = seen.stored.iter().map(|batch| batch.created.as_micros()).min().unwrap();
    assert!(earliest <= measured.told_us, "what was measured before is among it");
    assert_eq!(status(&machine.state()).unwrap().spool.corrupt, 0);
}

#[tokio::test]
async fn a_token_of_another_agent_is_nothing_for_a_machine_that_is_enrolled() {
    let (machine, collector) = (Machine::new(), Collector::start(Clock::system()).await);
    collector.enrol(&machine.state(), Clock::system()).await;
    let own = identity(&machine.state()).unwrap();
    let mut token = collector.token.clone();
    token.agent = Some(AgentId::new([9; 16]));
    let refused = enrol_by_hand(&machine.path("agent.toml"), &token.to_text()).await;
    assert!(refused.contains("use a token of this agent") && refused.contains("decommission"), "{refused}");
    assert_eq!(identity(&machine.state()), Some(own));
    // A machine without an enrolment becomes that agent.
    let anew = Machine::new();
    let said = enrol_by_hand(&anew.path("agent.toml"), &token.to_text()).await;
    assert!(said.contains("is enrolled at"), "{said}");
    assert_eq!(identity(&anew.state()), Some(AgentId::new([9; 16])));
}

/// What `enrol` says.
async fn enrol_by_hand(configuration: &Path, token: &str) -> String {
    let mut command = agent(&["enrol", "--config"]);
    command.arg(configuration).env("PEERLIGHT_TOKEN", token);
    // The collector answers on this thread.
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
