//! The tools that are run once for a course and print a time for each probe.

use super::{Times, command};
use crate::{
    course::{Course, address},
    known_path::{KnownPath, TCP_PORT},
};
use anyhow::Context as _;
use std::{
    collections::HashMap,
    net::IpAddr,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A tool that is a library, in a process of this program.
pub(super) fn child(tool: &str, path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let mut command = command(std::env::current_exe()?, course);
    command.arg("--child").arg(format!("{tool}:{}", course.word()));
    let read = |line: &str| {
        let (address, nanos) = line.split_once(' ')?;
        Some((address.parse().ok()?, nanos.parse().ok().map(Duration::from_nanos)))
    };
    Ok(output(path, &mut command)?.lines().filter_map(read).collect())
}

/// fping: all targets in one process, `-i` apart.
pub(super) fn fping(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let mut command = command("fping", course);
    let apart = course.period.as_secs_f64() * 1_000.0 / f64::from(course.targets);
    command
        .args([
            "-q",
            "-t",
            "3000",
            "-i",
            &format!("{apart:.3}"),
            "-p",
            &course.period.as_millis().to_string(),
        ])
        .args(["-C", &course.rounds.to_string()])
        .args(course.addresses().map(|address| address.to_string()));
    let mut times = Times::new();
    for line in output(path, &mut command)?.lines() {
        let Some((address, all)) = line.split_once(':') else { continue };
        let Ok(address) = address.trim().parse::<IpAddr>() else { continue };
        times.extend(all.split_whitespace().map(|ms| (address, milliseconds(ms))));
    }
    Ok(times)
}

/// ping: one target.
pub(super) fn ping(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let mut command = command("ping", course);
    command.args(["-n", "-W", "3", "-i", &course.period.as_secs_f64().to_string()]).args([
        "-c",
        &course.rounds.to_string(),
        &address(0).to_string(),
    ]);
    let mut by_sequence = HashMap::new();
    for line in output(path, &mut command)?.lines() {
        let sequence =
            line.split_once("icmp_seq=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
        let time = line.split_once("time=").and_then(|(_, rest)| milliseconds(rest.split(' ').next()?));
        if let Some((sequence, time)) = sequence.zip(time) {
            by_sequence.insert(sequence, time);
        }
    }
    Ok((1..=course.rounds).map(|sequence| (address(0), by_sequence.get(&sequence).copied())).collect())
}

/// curl: one process for each probe, as scripts use it.
pub(super) fn curl(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let start = now();
    let mut times = Times::new();
    for (due, target) in course.due() {
        thread::sleep((start + due).saturating_duration_since(now()));
        let to = address(target);
        let mut command = command("curl", course);
        // The target closes at once, so that curl fails; the time to connect stands all the same.
        command.args([
            "-s",
            "-o",
            "/dev/null",
            "-m",
            "3",
            "-w",
            "%{time_connect}",
            &format!("http://{to}:{TCP_PORT}/"),
        ]);
        let seconds: f64 = output(path, &mut command)?.trim().parse().unwrap_or(0.0);
        times.push((to, (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))));
    }
    Ok(times)
}

/// What it prints: times come on the standard output, fping's on the standard error.
fn output(path: &KnownPath, command: &mut Command) -> anyhow::Result<String> {
    let child = path.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output = child.wait_with_output().context("wait for a tool")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    if text.is_empty() && complaints.trim().is_empty() {
        anyhow::bail!("it printed nothing and ended with {}", output.status);
    }
    text.push_str(&complaints);
    Ok(text)
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().map(|ms| Duration::from_secs_f64(ms / 1_000.0))
}

#[expect(clippy::disallowed_methods, reason = "the pace of processes that are started here")]
fn now() -> Instant {
    Instant::now()
}
