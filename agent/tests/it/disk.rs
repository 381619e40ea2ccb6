//! A disk that is full, or that can only be read: the agent goes on measuring, says what it loses, and spools again when it can.

use crate::{
    agent_file::write_agent_file,
    namespace::{Namespace, Part},
    process::{Running, agent, eventually, status, text},
};
use peerlight_agent::{paths::StateDir, status::Status};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A small disk in memory.
struct SmallDisk {
    namespace: Namespace,
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// None, and word of it, where no namespace can be had.
    fn mount(at: &Path) -> Option<Self> {
        let namespace =
            Namespace::new(Part::Mounts, "mount -t tmpfs -o size=2m tmpfs \"$1\"", at.as_os_str())?;
        Some(Self { namespace, mounted_at: at.to_owned() })
    }

    /// Changes what is mounted: a line of the shell, with the disk as `$1`.
    fn change(&self, script: &str) {
        self.namespace.change(script, self.mounted_at.as_os_str());
    }

    /// A place on it, as this process sees it.
    fn seen(&self, place: &str) -> PathBuf {
        self.namespace.seen(&self.mounted_at.join(place))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut ballast = fs::File::options().create(true).append(true).open(self.seen("ballast")).unwrap();
        for size in [65_536, 4_096, 1] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.seen("ballast")).unwrap();
    }
}

/// A machine with such a disk, an agent's configuration and something to probe.
struct Machine {
    disk: SmallDisk,
    configuration: PathBuf,
    state: StateDir,
    _home: tempfile::TempDir,
}

impl Machine {
    async fn new() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().join("disk");
        fs::create_dir(&at).unwrap();
        let disk = SmallDisk::mount(&at)?;
        let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = target.local_addr().unwrap();
        tokio::spawn(async move { while target.accept().await.is_ok() {} });
        let configuration = write_agent_file(home.path(), address, Duration::from_millis(50), "");
        let state = StateDir::new(disk.seen("state"));
        Some(Self { disk, configuration, state, _home: home })
    }

    fn agent(&self) -> Command {
        let state = self.disk.mounted_at.join("state");
        let words = [
            "run",
            "--config",
            &self.configuration.to_string_lossy(),
            "--state-dir",
            &state.to_string_lossy(),
        ];
        self.disk.namespace.run(&agent(&words))
    }

    fn start(&self) -> Running {
        Running(self.agent().stderr(Stdio::null()).spawn().unwrap())
    }

    /// What the agent says of itself once that is so.
    async fn once(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        eventually(what, || status(&self.state).filter(|told| is(told))).await
    }

    /// Two more intervals are lost, and the agent goes on all the same.
    async fn loses(&self, before: &Status) -> Status {
        let lost = before.measuring.lost_intervals;
        let after = self.once("lost intervals", |told| told.measuring.lost_intervals >= lost + 2).await;
        assert_eq!(after.pid, before.pid, "it is the same process");
        assert!(after.measuring.turns > before.measuring.turns, "it goes on measuring");
        after
    }

    /// Two more intervals are spooled.
    async fn spools(&self, before: &Status) -> Status {
        let batches = before.spool.batches;
        self.once("spooled intervals", |told| told.spool.batches >= batches + 2).await
    }
}

#[tokio::test]
async fn a_full_disk_costs_what_cannot_be_spooled_and_no_more() {
    let Some(machine) = Machine::new().await else { return };
    let running = machine.start();
    let good = machine.once("a spooled interval", |told| told.spool.batches > 0).await;
    machine.disk.fill();
    let full = machine.loses(&good).await;
    machine.disk.free();
    let again = machine.spools(&full).await;
    assert_eq!(again.pid, good.pid);
    // Killed on a full disk, and started on it.
    machine.disk.fill();
    machine.loses(&again).await;
    drop(running);
    let _running = machine.start();
    let new = machine.once("another process", |told| told.pid != good.pid && told.measuring.turns > 0).await;
    assert!(new.spool.batches >= again.spool.batches, "nothing that was spooled is gone: {:?}", new.spool);
    let full = machine.loses(&new).await;
    machine.disk.free();
    machine.spools(&full).await;
}

#[tokio::test]
async fn a_disk_that_can_only_be_read_ends_no_agent_and_starts_none() {
    let Some(machine) = Machine::new().await else { return };
    let running = machine.start();
    let good = machine.once("a spooled interval", |told| told.spool.batches > 0).await;
    // As a file system becomes that the kernel found faulty: under the files that are open.
    machine.disk.change(
        "mount --bind \"$1/state/spool\" \"$1/state/spool\"; mount -o remount,ro,bind \"$1/state/spool\"",
    );
    let read_only = machine.loses(&good).await;
    machine.disk.change("umount \"$1/state/spool\"");
    machine.spools(&read_only).await;
    drop(running);
    machine.disk.change("mount -o remount,ro \"$1\"");
    let refused = machine.agent().output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "the service manager tries again later: {said}");
    assert!(said.contains("Read-only file system") && said.contains("disk/state"), "{said}");
    machine.disk.change("mount -o remount,rw \"$1\"");
    let _running = machine.start();
    machine.once("measuring", |told| told.measuring.turns > 0).await;
}
