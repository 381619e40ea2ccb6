//! How true the times are that Peerlight and its peers report: the same known path, the same run, each probe compared with
//! what its own packets took on the wire by the kernel's stamps. Needs root, for network namespaces and TUN:
//!
//! `cargo bench --profile dist --bench accuracy`
//!
//! Peers that are not installed are left out by name (Debian: `fping iputils-ping prometheus-blackbox-exporter curl`).

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]

mod child;
mod course;
mod hogs;
mod known_path;
mod score;
mod tools;
mod wire;

use anyhow::Context as _;
use clap::Parser;
use course::{Condition, Course, Kind};
use known_path::KnownPath;
use score::Score;
use std::{collections::HashMap, fs, path::PathBuf, time::Duration};
use tools::{Rush, Tool};

/// Compares measured times with the wire's.
#[derive(Debug, Parser)]
#[command(name = "accuracy")]
struct Arguments {
    /// The conditions to measure under.
    #[arg(long, value_delimiter = ',', default_values = ["idle", "load", "nice"])]
    conditions: Vec<Condition>,
    /// The kinds of probes.
    #[arg(long, value_delimiter = ',', default_values = ["icmp", "tcp", "https"])]
    kinds: Vec<Kind>,
    /// The tools, all that can probe the kind when left out.
    #[arg(long, value_delimiter = ',')]
    tools: Vec<Tool>,
    /// Whether to measure, for each kind, what a probe costs at a high rate on an idle machine.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    brisk: bool,
    /// How many targets there are in the courses with many.
    #[arg(long, default_value_t = 1_000)]
    targets: u16,
    /// How many probes a course has at least; those of one target a fifth of it, HTTPS at nice 19 a tenth.
    #[arg(long, default_value_t = 5_000)]
    probes: u32,
    /// The path's round trip.
    #[arg(long, default_value = "10ms", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// How many ICMP probes a second the rate courses have; none when empty.
    #[arg(long, value_delimiter = ',', default_values = ["1000", "100000"])]
    rates: Vec<u32>,
    /// How long a rate course takes.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    rush: Duration,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
    /// Probes the course instead, in the process's own network namespace, and prints each time.
    #[arg(long, hide = true, value_name = "COURSE")]
    child: Option<String>,
    /// Whom the child trusts.
    #[arg(long, hide = true, requires = "child")]
    ca: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(child) = &arguments.child {
        return child::run(child, arguments.ca.unwrap_or_default());
    }
    // Of the process, as reqwest wants it; another one cannot have been installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = KnownPath::build(arguments.targets, arguments.delay)
        .context("the known path needs root and /dev/net/tun")?;
    println!("{}", Score::HEADER);
    for &kind in &arguments.kinds {
        for &condition in &arguments.conditions {
            if condition != Condition::Nice {
                measure(&arguments, &path, &Course::single(kind, condition, arguments.probes))?;
            }
            measure(&arguments, &path, &Course::usual(kind, arguments.targets, condition, arguments.probes))?;
        }
        if arguments.brisk {
            measure(&arguments, &path, &Course::brisk(kind, arguments.targets, arguments.probes))?;
        }
    }
    for &rate in arguments.rates.iter().filter(|&&rate| rate > 0) {
        rush(&arguments, &path, &Course::at_rate(arguments.targets, rate, arguments.rush))?;
    }
    Ok(())
}

/// What a course costs beside the targets: of a probe's CPU time the kernel's part in answering it is some, too.
fn rush(arguments: &Arguments, path: &KnownPath, course: &Course) -> anyhow::Result<()> {
    println!("\n{course}, beside the targets; load average {}", load_average());
    println!("tool                   answered      lost   answered/s  CPU µs/probe  of one core");
    for tool in Tool::all().filter(|tool| arguments.tools.is_empty() || arguments.tools.contains(tool)) {
        let Some(run) = tool.is_installed().then(|| tool.rush(path, course)).flatten() else { continue };
        let Rush { answered, complaint, took, cpu } = run.with_context(|| format!("{tool} in {course}"))?;
        if let Some(complaint) = complaint {
            println!("{tool:<21} cannot: {complaint}");
            continue;
        }
        println!(
            "{tool:<21} {answered:>9} {:>9} {:>12.0} {:>13.2} {:>10.0} %",
            course.probes().saturating_sub(answered),
            f64::from(answered) / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / f64::from(course.probes()),
            cpu.as_secs_f64() * 100.0 / took.as_secs_f64(),
        );
    }
    Ok(())
}

/// One course with every tool, one after another, and their rows beside Peerlight's.
fn measure(arguments: &Arguments, path: &KnownPath, course: &Course) -> anyhow::Result<()> {
    println!("\n{course}; load average {}", load_average());
    let mut ours = HashMap::new();
    for tool in Tool::all().filter(|tool| arguments.tools.is_empty() || arguments.tools.contains(tool)) {
        if !tool.can(course) {
            continue;
        }
        if !tool.is_installed() {
            println!("{tool:<21} not installed");
            continue;
        }
        eprintln!("… {tool}");
        let hogs = hogs::start(course.condition);
        path.forget();
        let run = tool.run(path, course).with_context(|| format!("{tool} in {course}"))?;
        drop(hogs);
        for &measure in course.kind.measures() {
            let score = Score::new(&path.flights(measure), &run, measure);
            println!("{}", score.row(tool, measure, ours.get(&measure)));
            ours.entry(measure).or_insert(score);
        }
    }
    Ok(())
}

fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}
