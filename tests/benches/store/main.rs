//! What the store costs, by itself: ingest with all its compaction, bytes on disk, and reports, over three workloads of the
//! same fleet: 1,000 agents for an hour (A), 100 for a day (B), 20 for thirty days (C). Every answer is compared with a
//! brute-force merge of what was generated.
//!
//! `cargo bench --bench store`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table, and its progress beside it"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]
#![expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
#![expect(clippy::unchecked_time_subtraction, reason = "what a process has spent only grows")]

mod workload;

use anyhow::{Context as _, bail};
use clap::Parser;
use futures::future::try_join_all;
use nix::sys::resource::{UsageWho, getrusage};
use peerlight_collector::{
    organisation::OrganisationId,
    registry::Registration,
    report::{Dimension, Evidence, Groups, Question, Report, answer},
    store::{Presence, SqliteStore, Store as _},
};
use peerlight_proto::time::Timestamp;
use std::{
    collections::BTreeSet,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use workload::{ASKED, BEGIN, Fleet, Truth};

/// Measures the store by itself.
#[derive(Debug, Parser)]
#[command(name = "store")]
struct Arguments {
    /// The workloads.
    #[arg(long, value_delimiter = ',', default_values = ["a", "b", "c"])]
    workloads: Vec<Workload>,
    /// How often each report is asked for; the median is told.
    #[arg(long, default_value_t = 7)]
    repeat: usize,
    /// Where the databases go; a temporary directory unless told.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
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

    const fn minutes(self) -> u32 {
        match self {
            Self::A => 90,
            Self::B | Self::D => 24 * 60,
            Self::C => 30 * 24 * 60,
        }
    }
}

/// A figure with what it is to be.
fn print(figure: &str, value: f64, unit: &str, target: f64) {
    println!("  {figure:<58} {value:>9.2} {unit:<8} {target:>7.1} {:>6.2}", value / target);
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("  {:<58} {:>9} {:<8} {:>7} {:>6}", "figure", "measured", "unit", "target", "ratio");
    for &workload in &arguments.workloads {
        runtime.block_on(measure(&arguments, workload))?;
    }
    print("peak memory of the process, generator included", peak_megabytes()?, "MB", 300.0);
    Ok(())
}

async fn measure(arguments: &Arguments, workload: Workload) -> anyhow::Result<()> {
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let path = directory.path().join("store.sqlite");
    let store = SqliteStore::open(&path)?;
    let mut fleet = Fleet::new(workload.agents());
    let per_minute = fleet.per_minute();
    println!(
        "\n{workload:?}: {} agents, {} minutes, {} million histograms; load average {}",
        workload.agents(),
        workload.minutes(),
        u64::from(workload.minutes()) * per_minute / 1_000_000,
        load_average(),
    );
    let [mut ingest, mut compaction, mut caller, mut wall] = [Duration::ZERO; 4];
    let (mut truth, mut hour) = (Truth::new(), Truth::new());
    let mut pauses = Vec::new();
    for minute in 0..workload.minutes() {
        let batches = fleet.minute(minute, &mut truth)?;
        if minute == 59 {
            hour.clone_from(&truth);
        }
        let now = after(minute + 1);
        let (begun, cpu, own) = (Instant::now(), cpu()?, callers_cpu()?);
        try_join_all(batches.into_iter().map(|batch| store.put(batch))).await?;
        let put = self::cpu()?;
        let own = callers_cpu()? - own;
        caller += own;
        ingest += put - cpu - own;
        let pause = Instant::now();
        store.compact(now).await?;
        pauses.push(pause.elapsed());
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

    let registrations = Arc::new(fleet.registrations());
    let bench = Bench { store: &store, registrations, repeat: arguments.repeat };
    let end = after(workload.minutes());
    match workload {
        Workload::A => {
            let closed = question(BEGIN, after(60));
            bench.ask("report of a closed hour (600,000 histograms)", &closed, Some(&hour), 15.0).await?;
            for minutes in [63, 70, 77, 89] {
                let last = question(after(minutes - 60), after(minutes));
                bench.ask(&format!("report of the hour until {minutes} minutes"), &last, None, 60.0).await?;
            }
        }
        Workload::B | Workload::D => {
            let day = question(BEGIN, end);
            bench.ask("report of a day", &day, Some(&truth), 60.0).await?;
            let odd = question(after(7), end);
            bench.ask("report of a day less seven minutes", &odd, None, 60.0).await?;
        }
        Workload::C => {
            let month = question(BEGIN, end);
            bench.ask("report of thirty days", &month, Some(&truth), 250.0).await?;
            let odd = question(after(847), end);
            bench.ask("report of thirty days less 847 minutes", &odd, None, 250.0).await?;
        }
    }
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
    pauses.sort_unstable();
    println!(
        "    longest turn of the compaction: {:.0} ms",
        pauses.last().map_or(0.0, |longest| longest.as_secs_f64() * 1e3)
    );
    Ok(())
}

struct Bench<'a> {
    store: &'a SqliteStore,
    registrations: Arc<Vec<Registration>>,
    repeat: usize,
}

impl Bench<'_> {
    /// Asks some times and prints the median of the CPU time that the store's part took, and the whole report.
    async fn ask(
        &self,
        what: &str,
        question: &Question,
        truth: Option<&Truth>,
        target_ms: f64,
    ) -> anyhow::Result<()> {
        let (mut scans, mut reports) = (Vec::new(), Vec::new());
        let mut last = None;
        for _time in 0..self.repeat {
            let begun = cpu()?;
            let presence: Vec<Presence> = self.store.presence(question.organisation).await?;
            let query = question.query(&self.registrations);
            let groups = Arc::new(Groups::new(question.clone(), Arc::clone(&self.registrations), &presence));
            let grouped = cpu()?;
            let rows = self.store.scan(query, Arc::<Groups>::clone(&groups)).await?;
            let scanned = cpu()?;
            let evidence = Evidence { rows: &rows, agents: &[], presence: &presence, dropped: &[] };
            let report = answer(&groups, &evidence, question.to);
            scans.push(scanned - grouped);
            reports.push(cpu()? - begun);
            last = Some(report);
        }
        let report = last.context("nothing was asked")?;
        print(what, milliseconds(&mut scans), "ms CPU", target_ms);
        println!(
            "    with presence, coverage and percentiles of {} groups: {:.1} ms CPU",
            report.rows.len(),
            milliseconds(&mut reports)
        );
        if let Some(truth) = truth {
            compare(&report, truth)?;
        }
        Ok(())
    }
}

/// By provider, location and target.
fn question(from: Timestamp, to: Timestamp) -> Question {
    Question {
        from,
        to,
        last: None,
        by: vec![Dimension::Provider, Dimension::Location, Dimension::Target],
        metrics: BTreeSet::from([ASKED]),
        ..Question::new(OrganisationId::DEFAULT, to)
    }
}

/// Every group's counts and percentiles must be those of the truth.
fn compare(report: &Report, truth: &Truth) -> anyhow::Result<()> {
    if report.rows.len() != truth.len() {
        bail!("{} groups, but {} were generated", report.rows.len(), truth.len());
    }
    for row in &report.rows {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let group = (name(&row.group.provider), name(&row.group.location), name(&row.group.target));
        let (scheduled, histogram) =
            truth.get(&group).with_context(|| format!("no such group: {group:?}"))?;
        let ms = |permille| histogram.percentile(permille).map(|us| us as f64 / 1e3);
        let latency = row.latency_ms;
        let same = (row.scheduled, row.answered) == (*scheduled, histogram.count())
            && [
                (latency.p50, 500),
                (latency.p90, 900),
                (latency.p95, 950),
                (latency.p99, 990),
                (latency.p99_9, 999),
            ]
            .into_iter()
            .all(|(shown, permille)| shown.is_none() || shown == ms(permille));
        if !same {
            bail!("{group:?} differs from what was generated: {row:?}");
        }
    }
    println!("    counts and percentiles of all {} groups equal the brute-force merge", truth.len());
    Ok(())
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

/// The median in milliseconds.
fn milliseconds(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |median| median.as_secs_f64() * 1e3)
}

fn peak_megabytes() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).context("no VmHWM")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kilobytes / 1024.0)
}

fn load_average() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}
