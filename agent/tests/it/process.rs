//! The program itself, as an operator meets it.

use crate::agent_file::write_agent_file;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    credential::load_or_create,
    paths::StateDir,
    spool::{Spool, SpoolSettings},
    status::Status,
};
use std::{
    fs,
    io::Read as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

pub(crate) fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerlight-agent"));
    command.args(arguments).env_remove("PEERLIGHT_TOKEN");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(arguments: &[&str]) -> Output {
    agent(arguments).output().unwrap()
}

/// What the agent with this state directory says of itself, if it runs.
pub(crate) fn status(state: &StateDir) -> Option<Status> {
    let mut said = Vec::new();
    UnixStream::connect(state.status()).ok()?.read_to_end(&mut said).ok()?;
    serde_json::from_slice(&said).ok()
}

/// Kills the agent if the test fails before it has ended.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

pub(crate) async fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(outcome) = attempt() {
                return outcome;
            }
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    outcome.unwrap_or_else(|_late| panic!("never came: {what}"))
}

fn configuration(directory: &Path, port: u16) -> String {
    let every = Duration::from_millis(50);
    write_agent_file(directory, ([127, 0, 0, 1], port).into(), every, "").to_string_lossy().into_owned()
}

#[test]
fn a_wrong_configuration_ends_the_agent_with_78_before_it_opens_anything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    let state = directory.path().join("state");
    fs::write(&path, format!("state = \"{}\"\n[spol]\n", state.display())).unwrap();
    let path = path.to_string_lossy();
    for command in ["run", "check-config"] {
        let output = run(&[command, "--config", &path]);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stderr).contains("line 2: `spol` is not a key; did you mean `spool`?"));
    }
    assert!(!state.exists());
    let missing = run(&["run", "--config", "/nowhere/agent.toml"]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("cannot read /nowhere/agent.toml"));
}

#[test]
fn check_config_looks_at_the_proxys_password() {
    let directory = tempfile::tempdir().unwrap();
    let (path, password) = (directory.path().join("agent.toml"), directory.path().join("password"));
    let configuration = format!(
        "[proxy]\nuse = \"static\"\nurl = \"http://proxy.example.com:3128\"\nusername = \"agent-7\"\npassword_file = \"{}\"\n",
        password.display()
    );
    fs::write(&path, configuration).unwrap();
    let path = path.to_string_lossy();
    let checked = || run(&["check-config", "--config", &path]);
    let missing = checked();
    assert_eq!(missing.status.code(), Some(78));
    assert!(
        text(&missing.stderr).contains("cannot read the proxy's password_file"),
        "{}",
        text(&missing.stderr)
    );
    fs::write(&password, "sesame\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let open = checked();
    assert_eq!(open.status.code(), Some(78));
    assert!(text(&open.stderr).contains("everybody may read"), "{}", text(&open.stderr));
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(checked().status.success());
}

#[test]
fn enrolment_without_a_token_says_how_to_give_one() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_string_lossy().into_owned();
    let output = run(&["enrol", "--state-dir", &state]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("give --token-file PATH, --token-file - or PEERLIGHT_TOKEN"));
    let output = agent(&["enrol", "--state-dir", &state]).env("PEERLIGHT_TOKEN", "secret!").output().unwrap();
    assert!(
        text(&output.stderr).contains("not an enrolment token") && !text(&output.stderr).contains("secret!")
    );
}

#[tokio::test]
async fn sigterm_spools_the_open_interval_and_ends_within_five_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = configuration(directory.path(), listener.local_addr().unwrap().port());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let check = run(&["check-config", "--config", &config]);
    assert!(text(&check.stdout).contains("intervals may be as short as 10 ms"), "{}", text(&check.stdout));
    let state = StateDir::new(directory.path().join("state"));
    let child = agent(&["run", "--config", &config]).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    eventually("a status with turns", || status(&state).filter(|status| status.measuring.turns > 0)).await;
    eventually("a spooled interval", || status(&state).filter(|status| status.spool.batches > 0)).await;
    assert_eq!(fs::metadata(state.status()).unwrap().permissions().mode() & 0o777, 0o600);
    let table = text(&run(&["status", "--config", &config]).stdout);
    let process = format!("process {}", running.0.id());
    assert!(table.contains(&process) && table.contains("not enrolled: batches are kept"), "{table}");
    let json = run(&["status", "--format", "json", "--config", &config]).stdout;
    let told = serde_json::from_slice::<Status>(&json).unwrap();
    assert_eq!((told.pid, told.spool.dropped, told.spool.corrupt), (running.0.id(), 0, 0));
    let second = run(&["run", "--config", &config]);
    assert!(text(&second.stderr).contains("in use by another peerlight-agent"), "{}", text(&second.stderr));
    let resend = run(&["resend", "--since", "1h", "--config", &config]);
    assert!(text(&resend.stdout).contains("running agent was asked"), "{}", text(&resend.stdout));
    let request = state.spool().join("resend.request");
    eventually("the request to be honoured", || (!request.exists()).then_some(())).await;

    kill(Pid::from_raw(running.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::Instant::now();
    let code = eventually("the end", || running.0.try_wait().unwrap()).await;
    assert!(
        code.success() && ended.elapsed() < Duration::from_secs(5),
        "{code:?} after {:?}",
        ended.elapsed()
    );
    let key = load_or_create(&state).unwrap();
    let spool = Spool::open(&state.spool(), key.agent(), SpoolSettings::default()).unwrap();
    assert!(spool.counts().batches > told.spool.batches, "the open interval is on disk");
    for format in ["table", "json"] {
        let nobody = run(&["status", "--format", format, "--config", &config]);
        let said = text(&nobody.stderr);
        assert!(nobody.status.code() == Some(1) && nobody.stdout.is_empty(), "{nobody:?}");
        assert!(
            said.contains("no agent runs with the state directory") && said.contains("service start"),
            "{said}"
        );
    }
}

#[test]
fn a_log_filter_that_cannot_be_followed_is_said_before_anything_else() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerlight-agent"));
    let run = command.args(["catalogue"]).env("PEERLIGHT_LOG", "peerlight=loud").output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(78), "{said}");
    assert!(said.contains("PEERLIGHT_LOG") && said.contains("write for example `debug`"), "{said}");
    assert!(run.stdout.is_empty());
}

#[tokio::test]
async fn the_journal_is_told_how_grave_each_line_is() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = configuration(directory.path(), listener.local_addr().unwrap().port());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    // As systemd starts a service: the variable names what standard error leads to.
    let start = |stream: &dyn Fn(&fs::Metadata) -> String| {
        let file = fs::File::create(&journal).unwrap();
        let stream = stream(&file.metadata().unwrap());
        let child = agent(&["run", "--config", &config]).env("JOURNAL_STREAM", stream).stderr(file).spawn();
        Running(child.unwrap())
    };
    let said = |part: &str| fs::read_to_string(&journal).unwrap().contains(part).then_some(());
    let running = start(&|file| format!("{}:{}", file.dev(), file.ino()));
    eventually("a word to the journal", || said("measuring begins")).await;
    drop(running);
    let lines = fs::read_to_string(&journal).unwrap();
    assert!(lines.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{lines}");
    fs::write(&config, "[spol]\n").unwrap();
    let mut wrong = start(&|file| format!("{}:{}", file.dev(), file.ino()));
    assert_eq!(wrong.0.wait().unwrap().code(), Some(78));
    let lines = fs::read_to_string(&journal).unwrap();
    assert!(lines.starts_with("<3>peerlight-agent: "), "{lines}");
    // Another's journal is not this process's.
    let mut elsewhere = start(&|file| format!("{}:{}", file.dev(), file.ino() + 1));
    elsewhere.0.wait().unwrap();
    assert!(fs::read_to_string(&journal).unwrap().starts_with("peerlight-agent: "));
}
