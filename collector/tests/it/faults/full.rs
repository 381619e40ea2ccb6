//! The disk is full, or no write succeeds: pushes are put off, reports go on, and when there is space everything is taken
//! and counts once.

use super::as_it_is;
use crate::{
    agent::{Agent, Answer},
    batches::{SITE, acknowledged, batch_of, push},
    collector::Place,
    process::{Process, configure, is_sound, shell},
};
use http::Method;
use peerlight_proto::codec::encode_batch;
use serde_json::Value;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// How many batches are refused before there is space again, and how many are pushed at most until then.
const REFUSED: usize = 40;
const AT_MOST: u64 = 20_000;

fn body(agent: &Agent, place: &Place, sequence: u64) -> Vec<u8> {
    encode_batch(&batch_of(agent.id, sequence, place.now)).unwrap()
}

/// The probes that a report counts.
async fn reported(place: &Place) -> u64 {
    let answer = place.operator(Method::GET, "/api/v1/reports/latency?last=1h&by=site").send().await.unwrap();
    assert_eq!(answer.status(), 200, "reports go on");
    let report: Value = answer.json().await.unwrap();
    report["rows"].as_array().unwrap().iter().map(|row| row["scheduled"].as_u64().unwrap()).sum()
}

fn assert_put_off(answer: &Answer) {
    assert!(answer.signed, "agents believe it");
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "unavailable".into()));
    assert_eq!(answer.headers["retry-after"], "30");
}

/// Pushes until so many were refused. Returns how many batches were pushed, and the numbers of those that were refused.
async fn push_until_refused(agent: &Agent, place: &Place, first: u64) -> (u64, Vec<u64>) {
    let mut refused = Vec::new();
    for sequence in first..first + AT_MOST {
        let answer = agent.send(&push(agent, body(agent, place, sequence))).await;
        if answer.status != 200 {
            assert_put_off(&answer);
            refused.push(sequence);
        }
        if refused.len() == REFUSED {
            return (sequence + 1, refused);
        }
    }
    panic!("the disk is not full: {} of {AT_MOST} were refused", refused.len());
}

/// Fills the disk, frees it again, and counts.
async fn survives(collector: &Process, fill: impl FnOnce(), free: impl FnOnce()) -> (Agent, u64) {
    let place = &collector.place;
    let agent = Agent::enrolled(place, SITE).await;
    for sequence in 0..3 {
        acknowledged(&agent, body(&agent, place, sequence)).await;
    }
    fill();
    let (pushed, refused) = push_until_refused(&agent, place, 3).await;
    assert_eq!(reported(place).await, 3 * (pushed - refused.len() as u64));
    let errors = collector.said("ERROR");
    let of_the_store: Vec<&Value> = errors
        .iter()
        .filter(|word| word["fields"]["message"].as_str().unwrap().contains("the store cannot be written"))
        .collect();
    assert_eq!(of_the_store.len(), 1, "{errors:#?}");
    let error = of_the_store[0]["fields"]["error"].as_str().unwrap();
    assert!(error.contains("free space on its disk") || error.contains("see the system's log"), "{error}");
    assert!(errors.len() < 10, "a full disk is not filled with words: {errors:#?}");

    free();
    for sequence in &refused {
        assert!(!acknowledged(&agent, body(&agent, place, *sequence)).await.duplicate, "{sequence}");
    }
    for sequence in 0..pushed {
        assert!(acknowledged(&agent, body(&agent, place, sequence)).await.duplicate, "{sequence}");
    }
    assert_eq!(reported(place).await, 3 * pushed);
    let warnings = collector.said("WARN");
    assert!(
        warnings.iter().any(|word| word["fields"]["message"] == "the store can be written again"),
        "{warnings:#?}"
    );
    (agent, pushed)
}

/// Limits the files of a running process to this many bytes.
fn limit(collector: &Process, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &collector.id().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(limited.unwrap().success());
}

#[tokio::test]
async fn when_no_write_succeeds_pushes_are_put_off_reports_go_on_and_all_of_it_counts_once_afterwards() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("state");
    let configuration = configure(temporary.path(), &directory);
    let collector = Process::start(as_it_is(), &configuration, &directory);
    survives(&collector, || limit(&collector, "0"), || limit(&collector, "unlimited")).await;
    collector.kill();
    assert!(is_sound(as_it_is(), &configuration));
}

/// A small disk in memory, in a mount namespace that a process of its own holds.
struct SmallDisk {
    holder: Child,
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// None where no namespace can be had.
    fn mount(at: &Path) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "--"]);
        let script = "mount -t tmpfs -o size=4m tmpfs \"$1\" && echo mounted && exec cat";
        let mut holder = command
            .args(["sh", "-c", script, "sh"])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let mut said = std::io::BufReader::new(holder.stdout.take()?);
        std::io::BufRead::read_line(&mut said, &mut line).ok()?;
        let mounted = line.trim() == "mounted";
        let disk = Self { holder, mounted_at: at.to_owned() };
        mounted.then_some(disk)
    }

    /// What runs a collector on it.
    fn runner(&self) -> Command {
        let mut command = shell("true");
        let holder = self.holder.id().to_string();
        command.args(["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &holder, "--"]);
        command
    }

    /// A directory on it, as this process sees it.
    fn seen(&self, directory: &str) -> PathBuf {
        let below = self.mounted_at.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(below).join(directory)
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

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ended = self.holder.kill().and_then(|()| self.holder.wait());
    }
}

#[tokio::test]
async fn when_the_disk_is_full_pushes_are_put_off_reports_go_on_and_all_of_it_counts_once_afterwards() {
    let temporary = tempfile::tempdir().unwrap();
    let mounted_at = temporary.path().join("disk");
    fs::create_dir(&mounted_at).unwrap();
    let Some(disk) = SmallDisk::mount(&mounted_at) else {
        eprintln!("skipped: no mount namespace for a small disk");
        return;
    };
    let configuration = configure(temporary.path(), &mounted_at.join("state"));
    let collector = Process::start(disk.runner(), &configuration, &disk.seen("state"));
    let (agent, pushed) = survives(&collector, || disk.fill(), || disk.free()).await;

    // Killed on a full disk and started on it: reports go on, and so does the rest when there is space.
    disk.fill();
    collector.kill();
    let collector = Process::start(disk.runner(), &configuration, &disk.seen("state"));
    let agent = agent.again_at(&collector.place);
    assert_eq!(reported(&collector.place).await, 3 * pushed);
    let (all, refused) = push_until_refused(&agent, &collector.place, pushed).await;
    disk.free();
    for sequence in refused {
        assert!(
            !acknowledged(&agent, body(&agent, &collector.place, sequence)).await.duplicate,
            "{sequence}"
        );
    }
    assert_eq!(reported(&collector.place).await, 3 * all);
    assert!(is_sound(disk.runner(), &configuration));
    collector.kill();
}
