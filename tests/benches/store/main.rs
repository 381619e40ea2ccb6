//! What the store costs, by itself: ingest with all its compaction, bytes on disk, and reports, over three workloads of the
//! same fleet: 1,000 agents for an hour (A), 100 for a day (B), 20 for thirty days (C). Every answer is compared with a
//! brute-force merge of what was generated.
//!
//! `cargo bench --bench store`; with `-- --pages` what pages of the dashboard take over a store of 1,000 agents; with `-- --peers` the same data also goes to `VictoriaMetrics` and `ClickHouse`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]
#![expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
#![expect(clippy::unchecked_time_subtraction, reason = "what a process has spent only grows")]

mod machine;
mod pages;
mod peers;
mod reports;
mod workload;

use anyhow::Context as _;
use clap::Parser;
use futures::future::try_join_all;
use nix::sys::resource::{UsageWho, getrusage};
use peerlight_collector::store::{SqliteStore, Store as _};
use peerlight_proto::time::Timestamp;
use reports::Bench;
use std::{
    fs,
    time::{Duration, Instant},
};
use workload::{BEGIN, Fleet, Truth};

/// As in the collector's own program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the store by itself.
#[derive(Debug, Parser)]
#[command(name = "store")]
struct Arguments {
    /// The workloads.
    #[arg(long, value_delimiter = ',', default_values = ["a", "b", "c"])]
    workloads: Vec<Workload>,
    /// So many agents in the place of each workload's: for a quick look.
    #[arg(long)]
    agents: Option<u32>,
    /// How often each report is asked for; the median is told, and the least.
    #[arg(long, default_value_t = 15)]
    repeat: usize,
    /// Where the databases go; a temporary directory unless told.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// Puts the same data into peers, too: of the workloads A and B, into those that are installed or can be.
    #[arg(long)]
    peers: bool,
    /// Asks for the pages of the dashboard instead: of 1,000 agents over thirty days.
    #[arg(long)]
    pages: bool,
    /// A Python interpreter that has `chdb-core`; a virtual environment is made unless told.
    #[arg(long)]
    python: Option<std::path::PathBuf>,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn agents(&self, workload: Workload) -> u32 {
        self.agents.unwrap_or(workload.agents())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    /// 1,000 agents for an hour, and the half hour after it.
    A,
    /// 100 agents for a day.
    B,
    /// 20 agents for thirty days.
    C,
    /// 1,000 agents for a day: not among the default ones, it takes minutes.
    D,
}

impl Workload {
    const fn agents(self) -> u32 {
        match self {
            Self::A | Self::D => 1_000,
            Self::B => 100,
            Self::C => 20,
        }
    }

    /// How many minutes, from the first, the report that is compared spans: an hour that was closed, or all.
    const fn asked_minutes(self) -> u32 {
        match self {
            Self::A => 60,
            Self::B | Self::C | Self::D => self.minutes(),
        }
    }

    const fn minutes(self) -> u32 {
        match self {
            Self::A => 90,
            Self::B | Self::D => 24 * 60,
            Self::C => 30 * 24 * 60,
        }
    }
}

/// What a workload took, to be compared with peers.
struct Figures {
    /// CPU seconds of a million histograms.
    ingest: f64,
    /// Bytes of a histogram as it came.
    bytes: f64,
    /// With quarter hours and days.
    bytes_with_rollups: f64,
    /// The whole report over [`Workload::asked_minutes`], in CPU milliseconds.
    report_ms: f64,
    peak_mb: f64,
}

/// A figure with what it is to be.
fn print(figure: &str, value: f64, unit: &str, target: f64) {
    println!("  {figure:<58} {value:>9.2} {unit:<8} {target:>7.1} {:>6.2}", value / target);
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    machine::print()?;
    if arguments.pages {
        return runtime
            .block_on(pages::measure(arguments.agents.unwrap_or(1_000), arguments.directory.as_deref()));
    }
    println!("  {:<58} {:>9} {:<8} {:>7} {:>6}", "figure", "measured", "unit", "target", "ratio");
    for &workload in &arguments.workloads {
        let own = runtime.block_on(measure(&arguments, workload))?;
        if arguments.peers && matches!(workload, Workload::A | Workload::B) {
            runtime.block_on(peers::measure(&arguments, workload, &own))?;
        }
    }
    print(
        "peak memory of the process, generator included",
        peak_megabytes("/proc/self/status")?,
        "MB",
        300.0,
    );
    Ok(())
}

async fn measure(arguments: &Arguments, workload: Workload) -> anyhow::Result<Figures> {
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let path = directory.path().join("store.sqlite");
    let store = SqliteStore::open(&path)?;
    let mut fleet = Fleet::new(arguments.agents(workload))?;
    let per_minute = fleet.per_minute();
    println!(
        "\n{workload:?}: {} agents, {} minutes, {} million histograms; load average {}",
        arguments.agents(workload),
        workload.minutes(),
        u64::from(workload.minutes()) * per_minute / 1_000_000,
        load_average(),
    );
    let [mut ingest, mut compaction, mut caller, mut wall] = [Duration::ZERO; 4];
    let (mut truth, mut hour) = (Truth::new(), Truth::new());
    for minute in 0..workload.minutes() {
        let batches = fleet.minute(minute, &mut truth, |_generated| {})?;
        if minute == 59 {
            hour.clone_from(&truth);
        }
        // When the batches were received.
        let now = after(minute + 1).plus(Duration::from_secs(5));
        let (begun, cpu, own) = (Instant::now(), cpu()?, callers_cpu()?);
        try_join_all(batches.into_iter().map(|batch| store.put(batch))).await?;
        let put = self::cpu()?;
        let own = callers_cpu()? - own;
        caller += own;
        ingest += put - cpu - own;
        store.compact(now).await?;
        compaction += self::cpu()? - put;
        wall += begun.elapsed();
        if minute % 1_440 == 1_439 {
            eprintln!("… day {}", minute / 1_440 + 1);
        }
    }
    let millions = u64::from(workload.minutes()) as f64 * per_minute as f64 / 1e6;
    let per_million = |spent: Duration| spent.as_secs_f64() / millions;
    print(
        "ingest, durable, with compaction: CPU of a million histograms",
        per_million(ingest + compaction),
        "s",
        0.6,
    );
    println!(
        "    of it: put {:.3} s, compaction {:.3} s; beside it the caller's {:.3} s; wall {:.2} s of a million",
        per_million(ingest),
        per_million(compaction),
        per_million(caller),
        per_million(wall)
    );

    let registrations = fleet.registrations().into_iter().collect();
    let bench = Bench { store: &store, registrations, repeat: arguments.repeat };
    let report_ms = bench.workload(workload, &truth, &hour).await?;
    let end = after(workload.minutes());
    store.compact(end.plus(Duration::from_hours(30))).await?;
    let bytes = segments(&path)?;
    let histograms = millions * 1e6;
    print("segments after compaction, a histogram", bytes.measured as f64 / histograms, "bytes", 5.5);
    println!(
        "    beside them, of a histogram: quarter hours {:.2}, days {:.3}, ledger {:.2}; the whole file {:.2} bytes",
        bytes.quarters as f64 / histograms,
        bytes.days as f64 / histograms,
        bytes.ledger as f64 / histograms,
        bytes.file as f64 / histograms,
    );
    let seen = store.watch().seen();
    print("longest transaction of the upkeep", seen.longest_turn.as_secs_f64() * 1e3, "ms", 50.0);
    print("transactions of batches, the longest", seen.commits.max.as_secs_f64() * 1e3, "ms", 50.0);
    Ok(Figures {
        ingest: per_million(ingest + compaction),
        bytes: bytes.measured as f64 / histograms,
        bytes_with_rollups: (bytes.measured + bytes.quarters + bytes.days) as f64 / histograms,
        report_ms,
        peak_mb: peak_megabytes("/proc/self/status")?,
    })
}

struct Bytes {
    measured: u64,
    quarters: u64,
    days: u64,
    ledger: u64,
    file: u64,
}

/// What the blocks hold, and the file.
fn segments(path: &std::path::Path) -> anyhow::Result<Bytes> {
    let db = rusqlite::Connection::open(path)?;
    let of = |sql: &str| -> anyhow::Result<u64> {
        Ok(u64::try_from(db.query_row(sql, [], |row| row.get::<_, i64>(0))?)?)
    };
    let resolution = |seconds: u32| {
        of(&format!("SELECT coalesce(sum(length(block)), 0) FROM segment WHERE resolution = {seconds}"))
    };
    Ok(Bytes {
        measured: resolution(0)?,
        quarters: resolution(900)?,
        days: resolution(86_400)?,
        ledger: of("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'ledger%'").unwrap_or(0),
        file: of(
            "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )?,
    })
}

/// The instant so many minutes after the first.
fn after(minutes: u32) -> Timestamp {
    BEGIN.plus(Duration::from_mins(u64::from(minutes)))
}

/// The CPU time of this process so far.
fn cpu() -> anyhow::Result<Duration> {
    spent(UsageWho::RUSAGE_SELF)
}

/// The CPU time of this thread so far: of what generates, hands over, waits and frees what came back.
fn callers_cpu() -> anyhow::Result<Duration> {
    spent(UsageWho::RUSAGE_THREAD)
}

fn spent(by: UsageWho) -> anyhow::Result<Duration> {
    let usage = getrusage(by)?;
    let micros = |time: nix::sys::time::TimeVal| (time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs();
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

/// The median and the least in milliseconds. A machine that is shared takes time away and counts it all the same: the least
/// is what the work itself takes.
fn milliseconds(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |place: usize| times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    (at(times.len() / 2), at(0))
}

/// The most memory that the process of this status file ever held.
fn peak_megabytes(status: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(status)?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).context("no VmHWM")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kilobytes / 1024.0)
}

fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}
