//! The machines of a fleet: a collector's and agents', with the real programs, and what they print.

use crate::agent_file::write_agent_file;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{credential::Enrolment, paths::StateDir};
use peerlight_lab::eventually::{Look, eventually};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

const WAIT: Duration = Duration::from_mins(2);

/// What a program printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) notes: String,
}

impl Said {
    async fn by(mut command: Command) -> Self {
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), notes: text(output.stderr) }
    }

    /// Whether a list of target sets says so of one.
    pub(crate) fn holds(&self, set: u32, held_by: &str, refused_by: &str) -> bool {
        let set = set.to_string();
        self.out.lines().any(|line| {
            let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            matches!(cells.as_slice(), [number, _state, _targets, held, refused, ..]
                if *number == set && *held == held_by && *refused == refused_by)
        })
    }
}

/// A collector's machine, with its operator.
pub(crate) struct CollectorMachine {
    home: tempfile::TempDir,
    operators: String,
    _process: Child,
}

impl CollectorMachine {
    /// With a site that is registered.
    pub(crate) async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "[agents]\nlisten = \"127.0.0.1:0\"\n[operators]\nlisten = \"127.0.0.1:0\"\n[store]\ndirectory = \"{}\"\n",
            home.path().join("collector").display()
        );
        fs::write(home.path().join("collector.toml"), text).unwrap();
        let log = home.path().join("collector.log");
        let mut command = program(home.path());
        command
            .args(["run", "--log-format", "json"])
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        let process = command.spawn().unwrap();
        let operators = eventually("the collector's start", WAIT, async || {
            let text = fs::read_to_string(&log).unwrap();
            let line = text.lines().find(|line| line.contains("the collector runs"));
            line.map_or_else(|| Look::NotYet(text.clone()), |line| Look::Holds(operators_in(line)))
        })
        .await
        .unwrap();
        let machine = Self { home, operators: format!("http://{operators}/"), _process: process };
        for words in [
            "provider add Example --kind ISP",
            "location add GB-LND",
            "registration add london-1 --provider Example --location GB-LND --prefix 127.0.0.0/8 --allow-non-public \
             --count-declared --from 2026-01-01",
        ] {
            machine.does(&words.split_whitespace().collect::<Vec<_>>()).await;
        }
        machine
    }

    /// What the operator's command prints.
    pub(crate) async fn says(&self, words: &[&str]) -> Said {
        let mut command = program(self.home.path());
        command.args(words).args(["--url", &self.operators]);
        Said::by(command).await
    }

    /// The same of a command that succeeds.
    pub(crate) async fn does(&self, words: &[&str]) -> String {
        let said = self.says(words).await;
        assert_eq!(said.code, 0, "{words:?}: {said:?}");
        said.out
    }

    /// Asks until the answer is as it should be.
    pub(crate) async fn until(&self, words: &[&str], what: &str, enough: impl Fn(&Said) -> bool) -> Said {
        eventually(what, WAIT, async || {
            let said = self.says(words).await;
            if enough(&said) { Look::Holds(said) } else { Look::NotYet(format!("{said:?}")) }
        })
        .await
        .unwrap()
    }

    /// A token for a site.
    pub(crate) async fn token(&self, site: &str, more: &[&str]) -> String {
        self.does(&[&["token", "create", site], more].concat()).await.trim().to_owned()
    }
}

/// The collector's program with the configuration at home.
fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector-program-under-test"));
    command.arg("--config").arg(home.join("collector.toml")).kill_on_drop(true);
    command
}

/// Where operators are served, by the line that a collector logs at its start.
fn operators_in(line: &str) -> String {
    let (_, after) = line.split_once("\"operators\":\"").unwrap();
    after.split('"').next().unwrap().to_owned()
}

/// A machine with an agent that probes a target on itself.
pub(crate) struct AgentMachine {
    home: tempfile::TempDir,
    configuration: PathBuf,
    process: Option<Child>,
    _target: TcpListener,
}

impl AgentMachine {
    pub(crate) fn new() -> Self {
        let (home, target) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let every = Duration::from_millis(100);
        let configuration = write_agent_file(home.path(), target.local_addr().unwrap(), every, "");
        Self { home, configuration, process: None, _target: target }
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.home.path().join("state"))
    }

    /// Drops a token beside the configuration.
    pub(crate) fn drop_token(&self, token: &str) {
        fs::write(self.configuration.with_extension("token"), token).unwrap();
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-under-test"));
        command.arg("--config").arg(&self.configuration).env_remove("PEERLIGHT_TOKEN").kill_on_drop(true);
        command
    }

    pub(crate) fn run(&mut self) {
        let mut command = self.program();
        command.arg("run").stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        kill(Pid::from_raw(process.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(tokio::time::timeout(WAIT, process.wait()).await.unwrap().unwrap().success());
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run();
    }

    /// What another command of the agent prints.
    pub(crate) async fn command(&self, words: &[&str]) -> Said {
        let mut command = self.program();
        command.args(words);
        Said::by(command).await
    }

    /// Waits until `status` says so.
    pub(crate) async fn until_status_says(&self, text: &str) {
        eventually(text, WAIT, async || {
            let said = self.command(&["status"]).await.out;
            if said.contains(text) { Look::Holds(()) } else { Look::NotYet(said) }
        })
        .await
        .unwrap();
    }

    /// Waits until the agent is enrolled.
    pub(crate) async fn enrolled(&self) {
        eventually("the enrolment", WAIT, async || match Enrolment::load(&self.state()).unwrap() {
            Some(_enrolment) => Look::Holds(()),
            None => Look::NotYet(String::new()),
        })
        .await
        .unwrap();
    }

    pub(crate) fn identity(&self) -> String {
        fs::read_to_string(self.state().agent_id()).unwrap().trim().to_owned()
    }
}
