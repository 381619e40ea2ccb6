//! A part of the machine that a test may break: namespaces that a process of its own holds.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What a test may break.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// What is mounted.
    Mounts,
    /// Interfaces and routes.
    Network,
}

impl Part {
    /// What unshare and nsenter call it.
    fn option(self) -> &'static str {
        match self {
            Self::Mounts => "--mount",
            Self::Network => "--net",
        }
    }
}

/// Such a part, for as long as this lives.
pub(crate) struct Namespace {
    holder: Child,
    part: Part,
}

impl Namespace {
    /// The part after this script of the shell, whose `$1` is `argument`. None, and word of it, where none can be had.
    pub(crate) fn new(part: Part, script: &str, argument: &OsStr) -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args([
                part.option(),
                "--map-root-user",
                "--",
                "sh",
                "-ec",
                &format!("{script}; echo ready; exec cat"),
                "sh",
            ])
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let namespace = Self { holder, part };
        if line.trim() == "ready" {
            return Some(namespace);
        }
        eprintln!("skipped: {part:?} that a test may break: no namespace can be had");
        None
    }

    /// This program, within.
    pub(crate) fn run(&self, program: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--user", self.part.option(), "--target"]);
        command
            .arg(self.holder.id().to_string())
            .arg("--")
            .arg(program.get_program())
            .args(program.get_args());
        command
    }

    /// Runs a script of the shell within, whose `$1` is `argument`.
    pub(crate) fn change(&self, script: &str, argument: &OsStr) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script, "sh"]).arg(argument);
        assert!(self.run(&shell).status().unwrap().success(), "{script}");
    }

    /// A path within, as this process sees it.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        root.join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ended = self.holder.kill().and_then(|()| self.holder.wait());
    }
}
