//! The agent under a service manager: a real socket that hears what systemd would.

use crate::{
    agent_file::write_agent_file,
    collector::{Collector, Mood, site},
    process::{Running, agent, eventually, status, text},
};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use peerlight_agent::{clock::Clock, credential::Enrolment, paths::StateDir, status::Status};
use std::{fs, net::TcpListener, path::Path, process::Stdio, time::Duration};
use tokio::net::UnixDatagram;

/// Within which time the manager wants to hear of the agent.
const WATCHDOG: Duration = Duration::from_millis(400);

/// A service manager with one service.
struct Manager {
    socket: UnixDatagram,
    agent: Running,
}

impl Manager {
    /// Starts an agent that probes `target`.
    fn start(directory: &Path, target: &TcpListener, watchdog: Option<Duration>) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (every, target) = (Duration::from_millis(20), target.local_addr().unwrap());
        let configuration = write_agent_file(directory, target, every, "");
        let mut command = agent(&["run", "--config", &configuration.to_string_lossy()]);
        command.env("NOTIFY_SOCKET", path).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        Self { socket, agent: Running(child) }
    }

    /// The next word.
    async fn hears(&self) -> String {
        let mut datagram = [0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(30), self.socket.recv(&mut datagram));
        let length = received.await.unwrap_or_else(|_late| panic!("the agent says nothing more")).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    /// All words until one that begins so.
    async fn hears_until(&self, beginning: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hears().await);
            if heard.last().is_some_and(|word| word.starts_with(beginning)) {
                return heard;
            }
        }
    }

    /// Whether nothing is said for as long as five of its beats would take.
    async fn hears_nothing(&self) -> bool {
        tokio::time::timeout(WATCHDOG / 2 * 5, self.socket.recv(&mut [0; 4096])).await.is_err()
    }

    fn forget_what_was_said(&self) {
        while self.socket.try_recv(&mut [0; 4096]).is_ok() {}
    }

    fn terminate(&self) {
        kill(Pid::from_raw(self.agent.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
}

#[tokio::test]
async fn the_manager_hears_of_the_start_what_is_done_the_work_and_the_end() {
    let (directory, target) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let mut manager = Manager::start(directory.path(), &target, Some(WATCHDOG));
    let before = manager.hears_until("READY=1").await;
    assert!(before.iter().all(|word| word.starts_with("STATUS=") || word == "READY=1\n"), "{before:?}");
    let state = StateDir::new(directory.path().join("state"));
    assert!(state.agent_key().exists(), "an agent that measures knows who it is");
    let said = manager.hears_until("STATUS=1 targets are measured; not enrolled: batches are kept\n").await;
    assert!(said.len() < 1_000, "{said:?}");
    for _beat in 0..3 {
        manager.hears_until("WATCHDOG=1").await;
    }
    manager.terminate();
    manager.hears_until("STOPPING=1").await;
    assert!(eventually("the end", || manager.agent.0.try_wait().unwrap()).await.success());
}

#[tokio::test]
async fn an_agent_that_hangs_is_silent_until_it_goes_on() {
    let (directory, target) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let state = StateDir::new(directory.path().join("state"));
    let collector = Collector::start(Clock::system()).await;
    collector.enrol(&state, Clock::system()).await;
    // What cannot be handed over is tried again, and each time the agent reads its enrolment, on its one thread.
    collector.set_mood(Mood::Portal);
    let manager = Manager::start(directory.path(), &target, Some(WATCHDOG));
    manager.hears_until("WATCHDOG=1").await;
    let fifo = directory.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::rename(&fifo, state.enrolment()).unwrap();
    let path = state.enrolment();
    // Opened as soon as the agent reads: from then on it waits for what is written.
    let mut opening = tokio::task::spawn_blocking(move || fs::File::options().write(true).open(path));
    let writer = loop {
        tokio::select! {
            opened = &mut opening => break opened.unwrap().unwrap(),
            _word = manager.hears() => {}
        }
    };
    manager.forget_what_was_said();
    assert!(manager.hears_nothing().await);
    fs::remove_file(state.enrolment()).unwrap();
    drop(writer);
    manager.hears_until("WATCHDOG=1").await;
}

#[tokio::test]
async fn a_manager_without_a_watchdog_is_told_no_beats() {
    let (directory, target) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let manager = Manager::start(directory.path(), &target, None);
    manager.hears_until("READY=1").await;
    manager.forget_what_was_said();
    manager.terminate();
    let rest = manager.hears_until("STOPPING=1").await;
    assert!(rest.iter().all(|word| !word.starts_with("WATCHDOG")), "{rest:?}");
}

#[tokio::test]
async fn an_agent_enrols_itself_by_the_credential_once_the_collector_can_be_believed() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    collector.set_mood(Mood::Portal);
    fs::write(directory.path().join("peerlight-agent.token"), collector.token.to_text()).unwrap();
    let state = directory.path().join("state");
    let _agent = {
        let mut command = agent(&["run", "--config"]);
        let configuration = directory.path().join("agent.toml");
        fs::write(&configuration, format!("state = \"{}\"\n", state.display())).unwrap();
        command.arg(configuration).env("CREDENTIALS_DIRECTORY", directory.path()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    };
    let state = StateDir::new(state);
    let told = |status: &Status| {
        status.enrolment_problem.as_ref().is_some_and(|told| told.contains("captive portal"))
    };
    eventually("word of the portal", || status(&state).filter(told)).await;
    collector.set_mood(Mood::Accept);
    let enrolment = eventually("the enrolment", || Enrolment::load(&state).unwrap()).await;
    assert_eq!(enrolment.site, site());
    let well = |status: &Status| status.enrolment_problem.is_none();
    eventually("word that all is well", || status(&state).filter(well)).await;
}

/// An agent with this state directory and nothing else.
fn start(directory: &Path, state: &StateDir) -> Running {
    let configuration = directory.join("agent.toml");
    fs::write(&configuration, format!("state = \"{}\"\n", state.path().display())).unwrap();
    let mut command = agent(&["run", "--config", &configuration.to_string_lossy()]);
    Running(command.env_remove("CREDENTIALS_DIRECTORY").stderr(Stdio::null()).spawn().unwrap())
}

#[tokio::test]
async fn a_token_that_the_installer_left_serves_once_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let state = StateDir::new(directory.path().join("state"));
    fs::create_dir(state.path()).unwrap();
    fs::write(state.token(), collector.token.to_text()).unwrap();
    let running = start(directory.path(), &state);
    eventually("the token's removal", || (!state.token().exists()).then_some(())).await;
    let enrolment = Enrolment::load(&state).unwrap();
    assert_eq!(enrolment.clone().unwrap().site, site(), "it goes once it has served");
    drop(running);
    fs::write(state.token(), collector.token.to_text()).unwrap();
    let _again = start(directory.path(), &state);
    eventually("the removal of a token that is not needed", || (!state.token().exists()).then_some(())).await;
    assert_eq!(Enrolment::load(&state).unwrap(), enrolment);
}

#[test]
fn a_service_has_the_default_configuration_and_no_other() {
    for option in ["--config", "--state-dir"] {
        let refused = agent(&["service", "install", option, "/nowhere"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        assert!(said.contains("the service reads /etc/peerlight/agent.toml"), "{said}");
        assert!(said.contains("leave --config and --state-dir out"), "{said}");
    }
}

#[test]
fn where_systemd_does_not_run_the_service_commands_say_what_does() {
    if Path::new("/run/systemd/system").exists() {
        eprintln!("skipped: what the service commands say without systemd, which runs this machine");
        return;
    }
    for word in ["install", "uninstall", "start", "stop", "status"] {
        let refused = agent(&["service", word]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        assert!(said.contains("have its own service manager run `peerlight-agent run`"), "{word}: {said}");
    }
}
