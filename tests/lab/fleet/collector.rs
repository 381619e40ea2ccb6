//! The collector that a fleet pushes to: a process of its own, and what the system says that it spends.

use crate::{
    eventually::{Look, eventually},
    process::{self, Memory},
};
use anyhow::Context as _;
use peerlight_collector::{
    client::{Client, Endpoint},
    paths,
};
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector's process.
#[derive(Debug)]
pub struct Machine {
    process: Child,
    /// Where agents reach it.
    pub agents: SocketAddr,
    /// What asks it.
    pub operator: Client,
}

/// What a process has spent so far.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// CPU seconds of the whole process.
    pub cpu_s: f64,
    /// CPU seconds of the store's writer.
    pub writer_s: f64,
    /// CPU seconds by the stages of a push.
    pub stages: BTreeMap<String, f64>,
}

impl Machine {
    /// Starts `program DIRECTORY`, which takes its listeners as standard input and output, over a prepared directory.
    pub async fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let (agents, operators) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let inherit = |listener: &TcpListener| -> std::io::Result<Stdio> {
            Ok(OwnedFd::from(listener.try_clone()?).into())
        };
        let process = Command::new(program)
            .arg(directory)
            .stdin(inherit(&agents)?)
            .stdout(inherit(&operators)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let token = eventually("the collector's first start", PATIENCE, async || {
            match fs::read_to_string(paths::operator_token(directory)) {
                Ok(token) if !token.trim().is_empty() => Look::Holds(token.trim().to_owned()),
                _ => Look::NotYet(String::new()),
            }
        });
        let endpoint = Endpoint {
            url: format!("http://{}/", operators.local_addr()?).parse()?,
            token: token.await?,
            ca_pem: None,
        };
        Ok(Self { process, agents: agents.local_addr()?, operator: Client::new(endpoint)? })
    }

    /// What it has spent so far.
    pub async fn spent(&self) -> anyhow::Result<Spent> {
        let pid = self.process.id();
        let mut spent = Spent { cpu_s: process::cpu_seconds(pid)?, ..Spent::default() };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may have ended meanwhile.
            if fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "store-writer") {
                spent.writer_s += process::cpu_seconds_of(&task.join("stat"))?;
            }
        }
        for line in self.metrics().await?.lines() {
            let Some(rest) = line.strip_prefix("peerlight_collector_push_cpu_seconds_total{stage=\"") else {
                continue;
            };
            if let Some((stage, seconds)) = rest.split_once("\"} ") {
                spent.stages.insert(stage.to_owned(), seconds.parse()?);
            }
        }
        Ok(spent)
    }

    /// What it tells of itself.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.operator.get_metrics().await?)
    }

    /// The memory that it holds now, and the most that it ever held.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        process::memory(self.process.id())
    }

    /// How many sockets it holds open.
    pub fn sockets(&self) -> anyhow::Result<usize> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.process.id()))?;
        // One may be closed meanwhile.
        let to = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        Ok(to.filter(|to| to.to_string_lossy().starts_with("socket:")).count())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It has nothing to save: what was acknowledged is on disk.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
