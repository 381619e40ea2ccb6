//! The tools that are run once for a course and print a time for each probe.

use super::{Times, command};
use crate::{
    course::{Course, Kind, address},
    known_path::{HTTPS_PORT, KnownPath, TCP_PORT},
};
use anyhow::Context as _;
use std::{
    collections::HashMap,
    net::IpAddr,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The account without privileges that every Linux has.
const NOBODY: u32 = 65_534;

/// A tool that is a library, in a process of this program.
pub(super) fn child(tool: &str, path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    times_of(path, &mut child_command(tool, path, course)?)
}

/// The same as an account without any privilege.
pub(super) fn unprivileged_child(tool: &str, path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    times_of(path, child_command(tool, path, course)?.uid(NOBODY).gid(NOBODY))
}

fn times_of(path: &KnownPath, command: &mut Command) -> anyhow::Result<Times> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let address = words.next()?.parse().ok()?;
        Some((address, words.map(|nanos| nanos.parse().ok().map(Duration::from_nanos)).collect()))
    };
    Ok(output(path, command)?.lines().filter_map(read).collect())
}

pub(super) fn child_command(tool: &str, path: &KnownPath, course: &Course) -> anyhow::Result<Command> {
    let mut command = command(std::env::current_exe()?, course);
    command.arg("--child").arg(format!("{tool}:{}", course.word())).arg("--ca").arg(path.ca());
    Ok(command)
}

/// fping: all targets in one process, `-i` apart.
pub(super) fn fping(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let mut times = Times::new();
    for line in output(path, &mut fping_command(course))?.lines() {
        let Some((address, all)) = line.split_once(':') else { continue };
        let Ok(address) = address.trim().parse::<IpAddr>() else { continue };
        times.extend(all.split_whitespace().map(|ms| (address, vec![milliseconds(ms)])));
    }
    Ok(times)
}

pub(super) fn fping_command(course: &Course) -> Command {
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
    command
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
    Ok((1..=course.rounds).map(|sequence| (address(0), vec![by_sequence.get(&sequence).copied()])).collect())
}

/// curl: one process for each probe, as scripts use it.
pub(super) fn curl(path: &KnownPath, course: &Course) -> anyhow::Result<Times> {
    let start = now();
    let mut times = Times::new();
    for (due, target) in course.due() {
        thread::sleep((start + due).saturating_duration_since(now()));
        let to = address(target);
        let url = match course.kind {
            Kind::Https => format!("https://{to}:{HTTPS_PORT}/"),
            Kind::Icmp | Kind::Tcp => format!("http://{to}:{TCP_PORT}/"),
        };
        let mut command = command("curl", course);
        // Where the target closes at once curl fails; the time to connect stands all the same.
        command.args(["-s", "-o", "/dev/null", "-m", "3", "--cacert"]).arg(path.ca()).arg(url);
        command.args(["-w", "%{time_connect} %{time_appconnect} %{time_pretransfer} %{time_starttransfer}"]);
        let printed = output(path, &mut command)?;
        let at: Vec<f64> = printed.split_whitespace().filter_map(|seconds| seconds.parse().ok()).collect();
        let &[connect, tls, request, first_byte] = at.as_slice() else {
            anyhow::bail!("it printed {printed:?}");
        };
        let phases = [(0.0, connect), (connect, tls), (request, first_byte)];
        let time = |(start, end): (f64, f64)| (end > start).then(|| Duration::from_secs_f64(end - start));
        times.push((to, phases.map(time).to_vec()));
    }
    Ok(times)
}

/// What it prints: times come on the standard output, fping's on the standard error.
fn output(path: &KnownPath, command: &mut Command) -> anyhow::Result<String> {
    collect(path.spawn(piped(command))?)
}

/// The same of a tool beside the targets.
pub(super) fn output_beside_targets(path: &KnownPath, command: &mut Command) -> anyhow::Result<String> {
    collect(path.spawn_beside_targets(piped(command))?)
}

fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn collect(child: Child) -> anyhow::Result<String> {
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
pub(super) fn now() -> Instant {
    Instant::now()
}
