//! A run of the lab that is over, and whose dashboard stays.

use super::panic_with;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize as _;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
};

/// What the lab says last, when everything is there to be looked at.
const STAYS: &str = "stays until Ctrl-C";

/// The lab's program, and what it said.
#[derive(Debug)]
pub(super) struct Stay {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    said: String,
    /// The report with the truth beside it.
    pub(super) document: Value,
}

impl Stay {
    /// Runs the lab with these arguments, and returns when its agents have ended.
    pub(super) fn run(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_peerlight-lab"))
            .args(["--stay", "--format", "json", "--dashboard-port", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let document = std::thread::spawn(move || {
            Value::deserialize(&mut serde_json::Deserializer::from_reader(stdout))
        });
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains(STAYS) {
            let Some(line) = stderr.next() else {
                drop(child.wait());
                panic_with(&format!("the lab ended: {said}"))
            };
            said.push_str(&line.unwrap());
            said.push('\n');
        }
        let document = document.join().unwrap().unwrap();
        Self { child, stderr, said, document }
    }

    /// What it has said.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// The address of its dashboard and the token that signs in there.
    pub(super) fn dashboard(&self) -> (String, String) {
        let (_, rest) = self.said.split_once("dashboard: http://").unwrap();
        let (address, rest) = rest.split_once("/ ").unwrap();
        let token = rest.split_once("the token ").unwrap().1.split_once(')').unwrap().0;
        (address.to_owned(), token.to_owned())
    }

    /// Ends it as Ctrl-C does.
    pub(super) fn end(mut self) {
        kill(self.pid(), Signal::SIGINT).unwrap();
        let rest: Vec<String> = self.stderr.by_ref().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success(), "{}{}", self.said, rest.join("\n"));
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

/// A test that fails leaves no lab behind.
impl Drop for Stay {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
