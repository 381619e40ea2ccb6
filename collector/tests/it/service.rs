//! The collector under a service manager: a real socket that hears what systemd would.

use crate::{
    collector::plain_client,
    process::{Process, configure, shell},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, PipeWriter, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Child, Command},
    time::Duration,
};
use tokio::net::UnixDatagram;

/// The lines of the next word.
async fn hears(socket: &UnixDatagram) -> Vec<String> {
    let mut datagram = [0; 4096];
    let received = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut datagram));
    let length = received.await.unwrap_or_else(|_late| panic!("the collector says nothing more")).unwrap();
    String::from_utf8(datagram[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// What runs a collector whose manager listens here, and wants to hear of it within 200 ms.
fn managed(socket: &std::path::Path) -> Command {
    let mut runner = shell("true");
    runner.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    runner
}

#[tokio::test]
async fn the_manager_hears_that_it_serves_how_it_is_and_that_it_ends() {
    let temporary = tempfile::tempdir().unwrap();
    let (directory, path) = (temporary.path().join("state"), temporary.path().join("notify"));
    let socket = UnixDatagram::bind(&path).unwrap();
    let configuration = configure(temporary.path(), &directory);
    let collector = Process::start(managed(&path), &configuration, &directory);
    let how = "STATUS=0 agents are enrolled, 0 were heard of lately";
    assert_eq!(hears(&socket).await, ["READY=1", how]);
    let answer = plain_client().get(format!("http://{}/readyz", collector.place.operators)).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    for _beat in 0..3 {
        assert_eq!(hears(&socket).await, ["WATCHDOG=1", how]);
    }
    kill(Pid::from_raw(collector.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut last = hears(&socket).await;
    while last.first().is_some_and(|word| word == "WATCHDOG=1") {
        last = hears(&socket).await;
    }
    assert_eq!(last, ["STOPPING=1"]);
}

/// Runs a collector whose standard error leads to `journal`, of which systemd says what `stream` makes of its device and inode.
fn journalled(configuration: &Path, journal: PipeWriter, stream: impl FnOnce(u64, u64) -> String) -> Child {
    let pipe = fs::File::from(std::os::fd::OwnedFd::from(journal.try_clone().unwrap())).metadata().unwrap();
    Command::new(env!("CARGO_BIN_EXE_peerlight-collector"))
        .arg("--config")
        .arg(configuration)
        .arg("run")
        .env("JOURNAL_STREAM", stream(pipe.dev(), pipe.ino()))
        .env_remove("PEERLIGHT_LOG")
        .stderr(journal)
        .spawn()
        .unwrap()
}

#[test]
fn the_journal_is_told_how_grave_each_line_is() {
    let temporary = tempfile::tempdir().unwrap();
    let configuration = configure(temporary.path(), &temporary.path().join("state"));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut collector = journalled(&configuration, writer, |device, inode| format!("{device}:{inode}"));
    let mut said = Vec::new();
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        let runs = line.contains("the collector runs");
        said.push(line);
        if runs {
            // Its standard error ends with it.
            kill(Pid::from_raw(collector.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        }
    }
    assert!(collector.wait().unwrap().success());
    assert!(said.iter().any(|line| line.contains("the collector runs")), "{said:?}");
    assert!(said.iter().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{said:?}");

    fs::write(&configuration, "[stor]\n").unwrap();
    let ends = |stream: &dyn Fn(u64, u64) -> String| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut collector = journalled(&configuration, writer, stream);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(collector.wait().unwrap().code(), Some(78), "{said}");
        said
    };
    let said = ends(&|device, inode| format!("{device}:{inode}"));
    assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
    assert!(said.contains("stor"), "{said}");
    // Another's journal is not this process's.
    let said = ends(&|device, inode| format!("{device}:{}", inode + 1));
    assert!(said.starts_with("error: "), "{said}");
}
