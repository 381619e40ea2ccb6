//! The collector's own program, run as a process of its own, and what it says.

use crate::collector::Place;
use peerlight_collector::clock::Clock;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_peerlight-collector");

/// A running collector.
pub(crate) struct Process {
    pub(crate) place: Place,
    child: Child,
    said: Arc<Mutex<Vec<Value>>>,
}

/// Makes a configuration below `place` whose collector keeps everything in `directory`.
pub(crate) fn configure(place: &Path, directory: &Path) -> PathBuf {
    let file = place.join("collector.toml");
    let text = format!(
        "[agents]\nlisten = \"127.0.0.1:0\"\n[operators]\nlisten = \"127.0.0.1:0\"\n[store]\ndirectory = \"{}\"\n\
         [limits]\nrequests_per_minute = 1000000\nburst = 1000000\n",
        directory.display()
    );
    fs::write(&file, text).unwrap();
    file
}

/// What runs the rest of its arguments after a script. A write beyond what files may hold then fails, and does not kill.
pub(crate) fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("trap '' XFSZ; {script}; exec \"$@\"")).arg("sh");
    shell
}

/// The collector's arguments after those of a program that runs it.
fn run(mut runner: Command, configuration: &Path) -> Command {
    runner.args([PROGRAM, "--log-format", "json", "--config"]).arg(configuration).arg("run");
    runner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env_remove("PEERLIGHT_LOG");
    runner
}

/// Runs a collector that does not start. Returns how it ended, and what it said.
pub(crate) fn fails(runner: Command, configuration: &Path) -> (ExitStatus, String) {
    let mut child = run(runner, configuration).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

/// Asks a collector for a list by the command line, on a machine without certification authorities.
pub(crate) fn list_without_authorities(place: &Place, what: &str) -> std::process::Output {
    Command::new(PROGRAM)
        .args([what, "list", "--format", "json", "--url", &format!("http://{}", place.operators)])
        .env("PEERLIGHT_OPERATOR_TOKEN", place.operator_token())
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .output()
        .unwrap()
}

/// Whether nothing is wrong with the store of this configuration.
pub(crate) fn is_sound(mut runner: Command, configuration: &Path) -> bool {
    runner.args([PROGRAM, "--config"]).arg(configuration).arg("verify").stdout(Stdio::null());
    runner.status().unwrap().success()
}

impl Process {
    /// Starts one and waits until it runs. `directory` is where this process finds its files.
    pub(crate) fn start(runner: Command, configuration: &Path, directory: &Path) -> Self {
        // The second test of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut child = run(runner, configuration).spawn().unwrap();
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (runs, running) = mpsc::channel();
        let (lines, log) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let word = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if word["fields"]["message"] == "the collector runs" {
                    let _waits = runs.send(["agents", "operators"].map(|whom| address(&word, whom)));
                }
                log.lock().unwrap().push(word);
            }
        });
        let Ok([agents, operators]) = running.recv() else {
            panic!("the collector did not start: {:?}", said.lock().unwrap());
        };
        let now = Clock::system().now();
        let place = Place { agents, operators, directory: directory.to_owned(), now };
        Self { place, child, said }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far at this level, each with its fields.
    pub(crate) fn said(&self, level: &str) -> Vec<Value> {
        self.said.lock().unwrap().iter().filter(|word| word["level"] == level).cloned().collect()
    }

    /// Ends it without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn address(word: &Value, whom: &str) -> SocketAddr {
    word["fields"][whom].as_str().unwrap().parse().unwrap()
}
