//! What a fleet costs its collector: agents with keys, TLS and signed batches of their own push to a collector's process on this
//! machine, open loop; every batch must be in the report at the end. The fleet's own CPU time is told apart.
//!
//! `cargo bench --bench fleet -- --agents 1000,10000,100000 --minutes 10`, and for a flood after an outage
//! `cargo bench --bench fleet -- --agents 10000 --backlog 60 --spread 5s`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]
#![expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]

mod peer;
mod reference;

use anyhow::{Context as _, ensure};
use clap::Parser;
use peerlight_lab::{
    fleet::{self, Answers, Content, Machine, Plan, Prepared, Spent, Tally},
    process::own_cpu_seconds,
};
use peerlight_proto::time::IntervalLength;
use reference::Reference;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;

/// As in the collector's own program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a collector under a fleet.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
struct Arguments {
    /// How many agents, one fleet after another.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000])]
    agents: Vec<u32>,
    /// How many sites they are at; one for each hundred agents unless told.
    #[arg(long)]
    sites: Option<u32>,
    /// For how many intervals each pushes.
    #[arg(long, default_value_t = 3)]
    minutes: u32,
    /// The length of an interval in seconds.
    #[arg(long, default_value_t = 60)]
    interval: u32,
    /// How many intervals wait at each agent from the beginning.
    #[arg(long, default_value_t = 0)]
    backlog: u32,
    /// Over which time the agents begin; an interval unless told.
    #[arg(long, value_parser = humantime::parse_duration)]
    spread: Option<Duration>,
    /// How many threads the fleet has.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where the collector's directory goes; a temporary directory unless told.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// The same fleet then pushes to a server that does nothing with it, made of the same libraries.
    #[arg(long)]
    peer: bool,
    /// Be that server.
    #[arg(long, hide = true, value_name = "DIRECTORY")]
    peer_of: Option<std::path::PathBuf>,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(directory) = &arguments.peer_of {
        return peer::serve(directory);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.threads).enable_all().build()?;
    for &agents in &arguments.agents {
        runtime.block_on(measure(&arguments, agents))?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments, agents: u32) -> anyhow::Result<()> {
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let sites = arguments.sites.unwrap_or(agents.div_ceil(100));
    let prepared = prepare(directory.path(), (agents, sites))?;
    let interval = IntervalLength::from_secs(arguments.interval)?;
    let plan = Plan {
        interval,
        rounds: arguments.minutes,
        backlog: arguments.backlog,
        spread: arguments.spread.unwrap_or(interval.as_duration()),
        answers: Answers::Checked,
    };
    println!(
        "\n{agents} agents at {sites} sites, {} histograms each {} s, {} intervals, {} of backlog; load average {}",
        Content::HISTOGRAMS,
        arguments.interval,
        plan.rounds,
        plan.backlog,
        load_average(),
    );
    let machine =
        Machine::start(Path::new(env!("CARGO_BIN_EXE_collector-under-test")), directory.path()).await?;
    let tally = Arc::new(Tally::default());
    let watch = tokio::spawn(watch(Arc::clone(&tally)));
    let ready = fleet::ready(&prepared, machine.agents, plan).await?;
    let (begun, mut gauge) = (ready.begin(), Gauge::default());
    tokio::time::sleep_until(begun).await;
    println!("  {}", Reference::take()?);
    let mut running = std::pin::pin!(ready.run(&tally));
    let warm = begun + plan.warm_up();
    let mut marks = None;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            ended = &mut running => { ended?; break }
            _ = look.tick() => {
                gauge.look(&machine);
                if marks.is_none() && Instant::now() >= warm {
                    tally.begin_anew();
                    marks = Some(Mark::set(&machine, &tally).await?);
                }
            }
        }
    }
    watch.abort();
    let last = Mark::set(&machine, &tally).await?;
    let first = marks.context("it ended at once")?;
    print(&first, &last, &gauge, &tally);
    check(&machine, &tally, begun.elapsed()).await?;
    drop(machine);
    if arguments.peer {
        let peer = peer::measure(&prepared, directory.path(), plan).await?;
        let times = last.micros_of_a_push_since(&first) / peer.push_us;
        println!(
            "  a server of the same libraries that does nothing with a push: {:.0} us of CPU ({:.0} pushes); the collector takes {times:.2} times that",
            peer.push_us, peer.pushes
        );
    }
    Ok(())
}

/// Registers and enrols in memory where that is possible, since each enrolment is a durable transaction.
fn prepare(directory: &Path, (agents, sites): (u32, u32)) -> anyhow::Result<Prepared> {
    let memory = Path::new("/dev/shm");
    let aside = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let progress = |enrolled: u32| {
        if enrolled.is_multiple_of(10_000) {
            eprintln!("… {enrolled} agents are enrolled");
        }
    };
    let prepared = fleet::prepare(aside.path(), (agents, sites), 1, progress)?;
    for file in std::fs::read_dir(aside.path())? {
        let file = file?;
        std::fs::copy(file.path(), directory.join(file.file_name()))?;
    }
    Ok(prepared)
}

/// What a process spent until an instant.
struct Mark {
    at: Instant,
    collector: Spent,
    own_s: f64,
    acknowledged: u64,
}

impl Mark {
    async fn set(machine: &Machine, tally: &Tally) -> anyhow::Result<Self> {
        Ok(Self {
            collector: machine.spent().await?,
            own_s: own_cpu_seconds()?,
            acknowledged: tally.counts().acknowledged,
            at: Instant::now(),
        })
    }
}

impl Mark {
    /// The collector's CPU.
    fn micros_of_a_push_since(&self, from: &Self) -> f64 {
        (self.collector.cpu_s - from.collector.cpu_s) * 1e6 / (self.acknowledged - from.acknowledged) as f64
    }
}

/// The most that was seen.
#[derive(Debug, Default)]
struct Gauge {
    sockets: usize,
    resident: u64,
}

impl Gauge {
    /// Sees nothing while the fleet itself has taken every descriptor that it may have.
    fn look(&mut self, machine: &Machine) {
        self.sockets = self.sockets.max(machine.sockets().unwrap_or(0));
        self.resident = self.resident.max(machine.memory().map_or(0, |memory| memory.peak));
    }
}

fn print(from: &Mark, to: &Mark, gauge: &Gauge, tally: &Tally) {
    let pushes = (to.acknowledged - from.acknowledged) as f64;
    let wall = (to.at - from.at).as_secs_f64();
    let micros = |seconds: f64| seconds * 1e6 / pushes;
    let (cpu, own) = (to.collector.cpu_s - from.collector.cpu_s, to.own_s - from.own_s);
    let counts = tally.counts();
    println!("  pushes                    {pushes:>12.0}   {:.0} a second over {wall:.0} s", pushes / wall);
    println!("  collector, CPU of a push  {:>12.0} us   {:.0} % of a core", micros(cpu), cpu / wall * 100.0);
    let mut rest = cpu;
    for (stage, seconds) in &to.collector.stages {
        let spent = seconds - from.collector.stages.get(stage).copied().unwrap_or(0.0);
        rest -= spent;
        println!("    {stage:<22}  {:>12.1} us", micros(spent));
    }
    let writer = to.collector.writer_s - from.collector.writer_s;
    println!("    {:<22}  {:>12.1} us", "store (its writer)", micros(writer));
    println!("    {:<22}  {:>12.1} us", "HTTP, sockets, folding", micros(rest - writer));
    println!("  the fleet's own           {:>12.0} us   {:.0} % of a core", micros(own), own / wall * 100.0);
    for (what, times) in
        [("acknowledgement", counts.times()), ("backlog, since it waits", counts.backlog_times())]
    {
        if times.max_ms > 0.0 {
            println!(
                "  {what:<24}  p50 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1} ms",
                times.p50_ms, times.p99_ms, times.p99_9_ms, times.max_ms
            );
        }
    }
    println!(
        "  connections               {:>12}   {} resumed, at most {} sockets open",
        counts.connections, counts.resumed, gauge.sockets
    );
    println!("  collector, peak memory    {:>12.0} MB", gauge.resident as f64 / 1e6);
    if !counts.backlogs.is_empty() {
        let mut done: Vec<_> = counts.backlogs.iter().map(Duration::as_secs_f64).collect();
        done.sort_by(f64::total_cmp);
        let at = |permille: usize| done[(done.len() - 1) * permille / 1_000];
        println!(
            "  backlogs were done after  {:.0} s (first), {:.0} s (5 %), {:.0} s (half), {:.0} s (95 %), {:.0} s (last)",
            at(0),
            at(50),
            at(500),
            at(950),
            at(1_000)
        );
    }
    println!("  put off {:?}, failed {:?}", counts.put_off, counts.failures);
}

/// Everything that was acknowledged is in the report, once.
async fn check(machine: &Machine, tally: &Tally, ran: Duration) -> anyhow::Result<()> {
    let counts = tally.counts();
    let query = [
        ("last", format!("{}s", ran.as_secs() + 86_400)),
        ("by", "provider".to_owned()),
        ("metric", fleet::ASKED.name().to_owned()),
    ];
    let begun = Instant::now();
    let report: serde_json::Value = machine.operator.get("/api/v1/reports/latency", &query).await?;
    let took = begun.elapsed();
    let rows = report["rows"].as_array().context("a report without rows")?;
    let sum = |name: &str| rows.iter().filter_map(|row| row[name].as_u64()).sum::<u64>();
    let reported = (sum("scheduled"), sum("answered"));
    ensure!(
        reported == counts.asked,
        "the report has {reported:?} probes, but {:?} were acknowledged",
        counts.asked
    );
    ensure!(counts.refused_measurements == 0, "{} measurements were refused", counts.refused_measurements);
    println!(
        "  the report has every one of {} acknowledged batches once ({} probes, {} sent again); it took {:.0} ms",
        counts.acknowledged,
        reported.0,
        counts.duplicates,
        took.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Says how far it is.
async fn watch(tally: Arc<Tally>) {
    let mut tick = tokio::time::interval(Duration::from_secs(15));
    tick.tick().await;
    loop {
        tick.tick().await;
        let counts = tally.counts();
        eprintln!(
            "… {} acknowledged, put off {:?}, failed {:?}",
            counts.acknowledged, counts.put_off, counts.failures
        );
    }
}

fn load_average() -> String {
    let all = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}
