//! What the system says that a process spends, and holds.

use anyhow::Context as _;
use std::{fs, path::Path};

/// Ticks of the system's accounts in a second: what Linux tells every program, whatever it counts in itself.
const TICKS: f64 = 100.0;

/// The memory that a process holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now …
    pub resident: u64,
    /// … of it what stands in files, too: the program, its libraries.
    pub of_files: u64,
    /// The most that it ever held.
    pub peak: u64,
}

/// The memory of the process `pid`.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name));
        let line = line.context("no memory in the process's status")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kilobytes << 10)
    };
    Ok(Memory { resident: of("VmRSS:")?, of_files: of("RssFile:")?, peak: of("VmHWM:")? })
}

/// The CPU seconds of the process `pid` so far.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    cpu_seconds_of(Path::new(&format!("/proc/{pid}/stat")))
}

/// The CPU seconds of this process so far.
pub fn own_cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds(std::process::id())
}

/// The CPU seconds of a process or a thread by its `stat` file: user and system time.
pub fn cpu_seconds_of(stat: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(stat)?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("a stat file without a name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<f64> { Ok(fields.next().context("a short stat file")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS)
}
