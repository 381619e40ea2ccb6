//! The machines of a life: a collector's and agents', with real programs whose whole log is kept.

use crate::{
    agent_file::write_agent_file,
    proxy::{Proxy, USER},
    search::Secret,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    credential::load_or_create,
    paths::StateDir,
    status::{Status, ask},
};
use peerlight_collector::paths;
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::enrolment::EnrolmentToken;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

const WAIT: Duration = Duration::from_mins(1);

/// A program that logs all it can into the file at `log`, after what is there.
fn verbose(program: &str, format: &str, log: &Path) -> Command {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(program);
    command
        .env("PEERLIGHT_LOG", "trace")
        .env("PEERLIGHT_LOG_FORMAT", format)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true);
    command
}

/// Ends a process as an operator does.
async fn terminate(mut process: Child) {
    kill(Pid::from_raw(process.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(tokio::time::timeout(WAIT, process.wait()).await.unwrap().unwrap().success());
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A collector's machine.
pub(crate) struct CollectorMachine {
    home: tempfile::TempDir,
    format: String,
    proxy: Proxy,
    operators: SocketAddr,
    process: Option<Child>,
}

impl CollectorMachine {
    pub(crate) async fn start(format: &str, authority: &str, proxy: &Proxy) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
            [agents]
            listen = "127.0.0.1:0"
            url = "https://{authority}"
            [operators]
            listen = "127.0.0.1:0"
            [store]
            directory = "{}"
            "#,
            home.path().join("collector").display()
        );
        fs::write(home.path().join("collector.toml"), text).unwrap();
        let operators = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut machine =
            Self { home, format: format.to_owned(), proxy: proxy.clone(), operators, process: None };
        machine.run().await;
        machine
    }

    async fn run(&mut self) {
        let log = &self.logs()[0];
        let before = fs::metadata(log).map_or(0, |log| log.len());
        let mut command = verbose(env!("CARGO_BIN_EXE_collector-program-under-test"), &self.format, log);
        command.args(["run", "--config"]).arg(self.home.path().join("collector.toml"));
        self.process = Some(command.spawn().unwrap());
        let (agents, operators) = eventually("the collector's start", WAIT, async || {
            let text = fs::read(log).unwrap();
            let text = String::from_utf8_lossy(&text[usize::try_from(before).unwrap()..]).into_owned();
            match text.lines().find(|line| line.contains("the collector runs")) {
                Some(line) => Look::Holds((address(line, "agents"), address(line, "operators"))),
                None => Look::NotYet(String::new()),
            }
        })
        .await
        .unwrap();
        self.operators = operators;
        self.proxy.lead_to(agents);
    }

    pub(crate) async fn stop(&mut self) {
        terminate(self.process.take().unwrap()).await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        vec![self.home.path().join("collector.log")]
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.home.path().join("collector")
    }

    pub(crate) fn operator_token_file(&self) -> PathBuf {
        paths::operator_token(&self.directory())
    }

    pub(crate) fn operator_token(&self) -> String {
        fs::read_to_string(paths::operator_token(&self.directory())).unwrap().trim().to_owned()
    }

    /// Its own private keys.
    pub(crate) fn keys(&self) -> Vec<Secret> {
        let (ca, response) = (paths::ca(&self.directory()), paths::response_key(&self.directory()));
        let pem = fs::read_to_string(&ca).unwrap();
        let (_, body) = pem.split_once("PRIVATE KEY-----\n").unwrap();
        let seed = hex::decode(fs::read_to_string(&response).unwrap().trim()).unwrap();
        vec![
            Secret::text("the CA's key", body.lines().nth(1).unwrap()).kept_in([ca]),
            Secret::seed("the response key", &seed).kept_in([response]),
        ]
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.operators)
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Value {
        let answer = http().post(self.at(path)).bearer_auth(token).json(&body).send().await.unwrap();
        let (status, answer) = (answer.status(), answer.json().await.unwrap());
        assert_eq!(status, 201, "{path}");
        answer
    }

    /// How a question of this bearer, or of this session, is answered.
    pub(crate) async fn status_of(&self, token: &str, cookie: &str) -> u16 {
        let question = http().get(self.at("/api/v1/agents"));
        let question = if token.is_empty() { question } else { question.bearer_auth(token) };
        let cookie = format!("peerlight_session={cookie}");
        question.header("cookie", cookie).send().await.unwrap().status().as_u16()
    }

    /// Signs in; what the session's cookie holds, if that is granted.
    pub(crate) async fn sign_in(&self, token: &str) -> Option<String> {
        let form = http().post(self.at("/sign-in")).header("origin", self.at(""));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(format!("token={token}")).send().await.unwrap();
        let cookie = answer.headers().get("set-cookie")?.to_str().unwrap();
        let (_, cookie) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        Some(cookie.to_owned())
    }

    pub(crate) async fn sign_out(&self, cookie: &str) {
        let form = http().post(self.at("/sign-out")).header("origin", self.at(""));
        let answer = form.header("cookie", format!("peerlight_session={cookie}")).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        assert_eq!(self.status_of("", cookie).await, 401);
    }

    /// Registers the site, and makes a token for it.
    pub(crate) async fn enrolment_token(&self, operator: &str) -> EnrolmentToken {
        self.post(operator, "/api/v1/providers", json!({"name": "Example Telecom", "kind": "ISP"})).await;
        let location = json!({"code": "GB-LND", "time_zone": "Europe/London"});
        self.post(operator, "/api/v1/locations", location).await;
        let registration = json!({"site": "london-1", "provider": "Example Telecom", "location": "GB-LND",
            "prefixes": ["127.0.0.0/8"], "allow_non_public": true, "count_declared": true, "valid_from": "2026-01-01"});
        self.post(operator, "/api/v1/registrations", registration).await;
        parsed(&self.post(operator, "/api/v1/tokens", json!({"registration": 1})).await)
    }

    /// A token with which this agent brings a new key.
    pub(crate) async fn token_of(&self, operator: &str, agent: &str) -> EnrolmentToken {
        parsed(&self.post(operator, &format!("/api/v1/agents/{agent}/tokens"), json!({})).await)
    }

    pub(crate) async fn revoke(&self, operator: &str, agent: &str) {
        let path = self.at(&format!("/api/v1/agents/{agent}"));
        assert_eq!(http().delete(path).bearer_auth(operator).send().await.unwrap().status(), 200);
    }
}

fn parsed(issued: &Value) -> EnrolmentToken {
    issued["token"].as_str().unwrap().parse().unwrap()
}

/// The address after `name` in a line of either format.
fn address(line: &str, name: &str) -> SocketAddr {
    let (_, after) = line.split_once("the collector runs").map_or(("", line), |(before, after)| {
        // In JSON the fields may stand on either side of the message.
        if after.contains(name) { (before, after) } else { (after, before) }
    });
    let (_, after) = after.split_once(name).unwrap();
    let after = after.trim_start_matches(|character: char| !character.is_ascii_digit());
    let end = after.find(|character: char| !(character.is_ascii_digit() || ".:".contains(character)));
    after[..end.unwrap_or(after.len())].parse().unwrap()
}

/// An agent's machine.
pub(crate) struct AgentMachine {
    home: tempfile::TempDir,
    format: String,
    /// What it probes; nobody need accept.
    _target: std::net::TcpListener,
}

impl AgentMachine {
    pub(crate) fn new(format: &str, proxy: SocketAddr, password: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("proxy.password");
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&secret).unwrap();
        std::io::Write::write_all(&mut file, password.as_bytes()).unwrap();
        let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let through_proxy = format!(
            r#"
            [proxy]
            use = "static"
            url = "http://{proxy}"
            username = "{USER}"
            password_file = "{}"
            "#,
            secret.display(),
        );
        let every = Duration::from_millis(200);
        write_agent_file(home.path(), target.local_addr().unwrap(), every, &through_proxy);
        Self { home, format: format.to_owned(), _target: target }
    }

    fn command(&self, command: &str) -> Command {
        let mut agent = verbose(env!("CARGO_BIN_EXE_agent-under-test"), &self.format, &self.logs()[0]);
        agent.arg(command).arg("--config").arg(self.home.path().join("agent.toml"));
        agent
    }

    /// Enrols with the token on standard input; whether that is granted.
    pub(crate) async fn enrol(&self, token: &str, options: &[&str]) -> bool {
        let mut command = self.command("enrol");
        command.args(["--token-file", "-"]).args(options).stdin(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
        tokio::time::timeout(WAIT, process.wait()).await.unwrap().unwrap().success()
    }

    /// Runs until its status is what `enough` asks for, and ends it.
    pub(crate) async fn run_until(&self, what: &str, enough: impl Fn(&Status) -> bool) {
        let process = self.command("run").spawn().unwrap();
        eventually(what, WAIT, async || match ask(&StateDir::new(self.state())).await {
            Ok(status) if enough(&status) => Look::Holds(()),
            Ok(status) => Look::NotYet(format!("{:?} {:?}", status.push, status.key_problem)),
            Err(error) => Look::NotYet(error.to_string()),
        })
        .await
        .unwrap();
        terminate(process).await;
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        vec![self.home.path().join("agent.log")]
    }

    pub(crate) fn id(&self) -> String {
        load_or_create(&StateDir::new(self.state())).unwrap().agent().to_string()
    }

    /// The file of the key that signs.
    pub(crate) fn private_key(&self) -> Vec<u8> {
        fs::read(StateDir::new(self.state()).agent_key()).unwrap()
    }

    /// Begins a rotation, which the agent finishes when it runs; the file of the new key.
    pub(crate) fn begin_rotation(&self) -> Vec<u8> {
        let state = StateDir::new(self.state());
        load_or_create(&state).unwrap().begin_next().unwrap();
        fs::read(state.next_key()).unwrap()
    }

    pub(crate) fn key_files(&self) -> [PathBuf; 3] {
        let state = StateDir::new(self.state());
        [state.agent_key(), state.next_key(), state.previous_key()]
    }
}
