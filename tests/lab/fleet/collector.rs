//! The collector that a fleet pushes to: a process of its own, and what the system says that it spends.

use crate::eventually::{Look, eventually};
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
/// Ticks of the system's accounts in a second: what Linux tells every program, whatever it counts in itself.
const TICKS: f64 = 100.0;

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
        let mut spent =
            Spent { cpu_s: cpu_seconds(Path::new(&format!("/proc/{pid}/stat")))?, ..Spent::default() };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may have ended meanwhile.
            if fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "store-writer") {
                spent.writer_s += cpu_seconds(&task.join("stat"))?;
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

    /// The memory that it holds now, and the most that it ever held, in bytes.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let of = |name: &str| -> anyhow::Result<u64> {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .context("no memory in the process's status")?;
            let kilobytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
            Ok(kilobytes << 10)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
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

/// The CPU seconds of a process or a thread by its `stat` file: user and system time.
fn cpu_seconds(stat: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(stat)?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("a stat file without a name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<f64> { Ok(fields.next().context("a short stat file")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS)
}

/// The CPU seconds of this process so far.
pub fn own_cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds(Path::new("/proc/self/stat"))
}
