//! What an agent as it is installed takes of its machine: the program in a process of its own, without a configuration but for where the
//! lab is, measures the built-in catalogue and pushes to a collector. One server of the lab bears all of Microsoft's names, behind a path
//! of that delay, so that every probe goes out and is answered. Needs root or user namespaces, and TUN:
//!
//! `cargo bench --profile dist --bench footprint -- --for 1h`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]
#![expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]

mod installed;

use anyhow::{Context as _, ensure};
use clap::Parser;
use installed::Installed;
use peerlight_agent::status::Status;
use peerlight_lab::{
    collector::Collector,
    echo,
    eventually::{Look, eventually},
    microsoft,
    network::{Choice, Ground, Network, prepare},
    process::{self, Memory},
    scenario::{Conditions, Scenario},
    site::LabSite,
};
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength, Timestamp},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the agent may take: resident bytes at most …
const MAX_RESIDENT: u64 = 15_000_000;
/// … and this share of a core over the whole time.
const MAX_SHARE: f64 = 0.003;
/// How much of what was due must have been answered, or it was not the agent's usual work that was measured.
const MIN_ANSWERED: f64 = 0.95;
/// How often memory is looked at; its peak is the kernel's.
const LOOK: Duration = Duration::from_secs(10);
/// How long the collector may take to have the last interval.
const PATIENCE: Duration = Duration::from_mins(3);
/// One metric for each kind of probe, which every probe of the kind has.
const COUNTED: [Metric; 4] = [Metric::IcmpRtt, Metric::TcpConnect, Metric::HttpsTotal, Metric::DnsQuery];

/// Measures what an installed agent takes of its machine.
#[derive(Debug, Parser)]
#[command(name = "footprint")]
struct Arguments {
    /// For how long.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// The agent's program; the one that was built for this.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_agent-under-test"), hide_default_value = true)]
    agent: PathBuf,
    /// The round trip's delay to the server.
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Of the process, as reqwest wants it; another one cannot have been installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ground = prepare(Choice::Namespaces).context("the lab's network cannot be made")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&arguments, &ground))
}

async fn measure(arguments: &Arguments, ground: &Ground) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let scenario = scenario(arguments.delay);
    let network = Network::build(ground, &scenario, &microsoft::addresses())?;
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let sockets = echo::bind(&network, &scenario.targets)?;
    let dns = sockets.dns_addresses.clone();
    let authority = sockets.serve(&microsoft::names(), None, &tasks, &shutdown)?;
    let collector = Collector::start(
        peerlight_collector::config::Config::default(),
        &directory.path().join("collector"),
        &network,
        Some(0),
    )
    .await?;
    let sites = LabSite::all(&scenario, &network);
    let token = collector.register(&sites).await?.pop().context("there is no site")?;

    let home = installed::Home::make(directory.path(), (&dns, &network.plan.all), &authority.pem(), &token)?;
    let begun = (Instant::now(), now());
    let mut agent = Installed::start(&arguments.agent, &home, &network.sites[0])?;
    println!("{} for {}", arguments.agent.display(), humantime::format_duration(arguments.lasts));
    let end = begun.0 + arguments.lasts;
    let mut look = tokio::time::interval(LOOK);
    let mut memory = process::memory(agent.pid())?;
    while Instant::now() < end {
        let _ended = tokio::time::timeout_at(end, look.tick()).await;
        ensure!(agent.runs()?, "the agent ended:\n{}", home.log()?);
        memory = process::memory(agent.pid())?;
        eprint!("\r… {:.0} s, {:.1} MB ", begun.0.elapsed().as_secs_f64(), mega(memory.resident));
    }
    eprintln!();
    let cost = Taken { memory, cpu_s: process::cpu_seconds(agent.pid())?, wall: begun.0.elapsed() };
    let status = home.status().await?;
    cost.print(&status);
    let probes = probes(&collector, begun.1, now()).await?;
    for (metric, counts) in &probes {
        println!("  {:<22} {:>8} due, {:>8} answered", metric.name(), counts.scheduled, counts.answered);
    }
    agent.stop()?;
    collector.stop().await?;
    shutdown.cancel();
    cost.check(&probes)
}

/// One site, which reaches the one server over a path of this delay.
fn scenario(delay: Duration) -> Scenario {
    let mut scenario = microsoft::stand_in(microsoft::this_machine(1));
    for site in &mut scenario.sites {
        site.conditions = Conditions { delay, ..Conditions::default() };
    }
    scenario
}

/// What the agent took of its machine.
struct Taken {
    memory: Memory,
    cpu_s: f64,
    wall: Duration,
}

impl Taken {
    fn share(&self) -> f64 {
        self.cpu_s / self.wall.as_secs_f64()
    }

    fn print(&self, status: &Status) {
        let Memory { resident, of_files, peak } = self.memory;
        println!("  resident memory        {:>8.1} MB at most", mega(peak));
        println!("                         {:>8.1} MB at the end", mega(resident));
        println!(
            "                         {:>8.1} MB of that are pages of files: program, libraries",
            mega(of_files)
        );
        println!("  CPU time               {:>8.2} s in {:.0} s", self.cpu_s, self.wall.as_secs_f64());
        println!("                         {:>8.2} % of a core", self.share() * 100.0);
        let measuring = status.measuring;
        println!(
            "  schedule               {:>8} entries, {} turns taken, {} missed, {} sessions",
            measuring.entries, measuring.turns, measuring.skipped, measuring.sessions
        );
        println!(
            "  batches                {:>8} acknowledged, {} waiting, {} dropped",
            status.spool.acknowledged, status.spool.batches, status.spool.dropped
        );
    }

    /// Whether that is within the bounds, and was its usual work.
    fn check(&self, probes: &BTreeMap<Metric, Counts>) -> anyhow::Result<()> {
        for metric in COUNTED {
            let Counts { scheduled, answered } = probes.get(&metric).copied().unwrap_or_default();
            let share = answered as f64 / scheduled as f64;
            ensure!(
                share >= MIN_ANSWERED,
                "{answered} of {scheduled} probes of {} were answered",
                metric.name()
            );
        }
        let (most, peak) = (mega(MAX_RESIDENT), mega(self.memory.peak));
        ensure!(self.memory.peak <= MAX_RESIDENT, "{peak:.1} MB are more than {most:.0}");
        ensure!(
            self.share() <= MAX_SHARE,
            "{:.2} % of a core are more than {:.1}",
            self.share() * 100.0,
            MAX_SHARE * 100.0
        );
        println!("  within {most:.0} MB and {:.1} % of a core", MAX_SHARE * 100.0);
        Ok(())
    }
}

/// Probes of a kind, as the collector has them.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    scheduled: u64,
    answered: u64,
}

/// The probes of all whole intervals between two instants, once the collector has the last of them.
async fn probes(
    collector: &Collector,
    begun: Timestamp,
    ended: Timestamp,
) -> anyhow::Result<BTreeMap<Metric, Counts>> {
    let length = IntervalLength::from_secs(60)?;
    let (first, last) =
        (Interval::containing(begun, length).end(), Interval::containing(ended, length).start());
    ensure!(first < last, "it takes two minutes at least");
    let newest = (last.minus(length.as_duration()).as_secs(), last.as_secs());
    eventually("the acknowledgement of the last interval", PATIENCE, async || {
        match count(collector, newest).await {
            Ok(counts) if counts.len() >= COUNTED.len() => Look::Holds(()),
            Ok(counts) => Look::NotYet(format!("{counts:?}")),
            Err(error) => Look::NotYet(error.to_string()),
        }
    })
    .await?;
    count(collector, (first.as_secs(), last.as_secs())).await
}

async fn count(collector: &Collector, (from, to): (i64, i64)) -> anyhow::Result<BTreeMap<Metric, Counts>> {
    let report = collector.report(from, to).await?;
    let mut counts = BTreeMap::<_, Counts>::new();
    for row in report["rows"].as_array().context("a report without rows")? {
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        if let Some(&metric) = COUNTED.iter().find(|metric| row["metric"] == metric.name()) {
            let counts = counts.entry(metric).or_default();
            counts.scheduled += number("scheduled");
            counts.answered += number("answered");
        }
    }
    Ok(counts)
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn now() -> Timestamp {
    peerlight_agent::clock::Clock::system().wall()
}
