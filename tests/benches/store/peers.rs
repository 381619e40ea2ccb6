//! Peers: the same generated data in `VictoriaMetrics` and in the `ClickHouse` engine, each as it keeps histograms best, with
//! every answer compared with the brute-force merge before anything is told of its cost.
//!
//! What a peer spends is its own process's CPU time; encoding what it is given is not counted.

mod answer;
mod clickhouse;
mod process;
mod victoria_metrics;

use crate::{
    Arguments, Figures, Workload, after, load_average,
    workload::{BEGIN, Fleet, Truth},
};
use answer::compare;
use clickhouse::ClickHouse;
use process::Process;
use std::{path::Path, time::Duration};
use victoria_metrics::VictoriaMetrics;

/// What a peer spent on taking histograms, and what they lie in.
struct Cost {
    histograms: u64,
    /// Taking and merging.
    ingest: Duration,
    /// Rolling up, where that is a step of its own.
    rollup: Option<Duration>,
    bytes: u64,
    rollup_bytes: Option<u64>,
}

/// Measures every peer that can be had with the data of a workload; names those that cannot.
pub(crate) async fn measure(arguments: &Arguments, workload: Workload, own: &Figures) -> anyhow::Result<()> {
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    println!("\n{workload:?} beside its peers; load average {}", load_average());
    let python = clickhouse::interpreter(arguments.python.as_deref(), directory.path());
    match python.and_then(|python| ClickHouse::start(&python, directory.path())) {
        Ok(engine) => beside_clickhouse(arguments, workload, own, engine)?,
        Err(reason) => println!("  skipped: ClickHouse ({reason:#})"),
    }
    let program = victoria_metrics::program(directory.path());
    match program {
        Ok(program) => beside_victoria_metrics(arguments, workload, own, &program, directory.path()).await,
        Err(reason) => {
            println!("  skipped: VictoriaMetrics ({reason:#})");
            Ok(())
        }
    }
}

fn beside_clickhouse(
    arguments: &Arguments,
    workload: Workload,
    own: &Figures,
    mut engine: ClickHouse,
) -> anyhow::Result<()> {
    let mut fleet = Fleet::new(arguments.agents(workload))?;
    let (mut truth, mut asked) = (Truth::new(), None);
    for minute in 0..workload.minutes() {
        let mut failed = None;
        fleet.minute(minute, &mut truth, |one| {
            if failed.is_none() {
                failed = engine.take(one).err();
            }
        })?;
        failed.map_or(Ok(()), Err)?;
        if minute + 1 == workload.asked_minutes() {
            asked = Some(truth.clone());
        }
    }
    let cost = engine.settle()?;
    let (truth, to) = (asked.unwrap_or(truth), after(workload.asked_minutes()));
    let mut reports = Vec::new();
    for rolled_up in [false, true] {
        compare(&engine.report(BEGIN, to, rolled_up)?, &truth)?;
        let before = engine.process().cpu()?;
        for _time in 0..arguments.repeat {
            engine.report(BEGIN, to, rolled_up)?;
        }
        reports.push(each(engine.process().cpu()? - before, arguments.repeat));
    }
    let table = Table::new("ClickHouse", own, &truth);
    table.ingest(&cost);
    let all = arguments.agents(workload);
    table.report("report from what came", reports[0], (all, all), workload);
    table.report("report from the hourly rollup", reports[1], (all, all), workload);
    table.memory(engine.process())
}

async fn beside_victoria_metrics(
    arguments: &Arguments,
    workload: Workload,
    own: &Figures,
    program: &Path,
    directory: &Path,
) -> anyhow::Result<()> {
    let mut server = match VictoriaMetrics::start(program, directory).await {
        Ok(server) => server,
        Err(reason) => {
            println!("  skipped: VictoriaMetrics ({reason:#})");
            return Ok(());
        }
    };
    let all = arguments.agents(workload);
    // A tenth of the agents: it spends a hundred times as much on each histogram.
    let agents = (all / 10).max(1);
    let mut fleet = Fleet::new(arguments.agents(workload))?;
    let (mut truth, mut asked) = (Truth::new(), None);
    for minute in 0..workload.minutes() {
        fleet.minute(minute, &mut Truth::new(), |one| {
            if one.agent < agents {
                server.take(one);
                one.add_to(&mut truth);
            }
        })?;
        server.end_minute().await?;
        if minute + 1 == workload.asked_minutes() {
            asked = Some(truth.clone());
        }
    }
    let cost = server.settle().await?;
    let (truth, to) = (asked.unwrap_or(truth), after(workload.asked_minutes()));
    compare(&server.report(BEGIN, to).await?, &truth)?;
    let before = server.process().cpu()?;
    for _time in 0..arguments.repeat {
        server.report(BEGIN, to).await?;
    }
    let report = each(server.process().cpu()? - before, arguments.repeat);
    println!("  VictoriaMetrics has the data of {agents} of the {all} agents");
    let table = Table::new("VictoriaMetrics", own, &truth);
    table.ingest(&cost);
    table.report("report", report, (agents, all), workload);
    table.memory(server.process())
}

/// The mean of each of `times`.
fn each(spent: Duration, times: usize) -> Duration {
    spent / u32::try_from(times.max(1)).unwrap_or(1)
}

/// The figures of one peer beside Peerlight's.
struct Table<'a> {
    own: &'a Figures,
}

impl<'a> Table<'a> {
    fn new(peer: &str, own: &'a Figures, truth: &Truth) -> Self {
        println!("  {:<58} {:>9} {:>15} {:>7}", "figure", "Peerlight", peer, "ratio");
        println!("    counts and percentiles of all {} groups equal the brute-force merge", truth.len());
        Self { own }
    }

    fn line(figure: &str, own: f64, peer: f64) {
        println!("  {figure:<58} {own:>9.3} {peer:>15.3} {:>7.1}", peer / own);
    }

    fn ingest(&self, cost: &Cost) {
        let histograms = cost.histograms as f64;
        let per_million = |spent: Duration| spent.as_secs_f64() / histograms * 1e6;
        Self::line(
            "ingest, merged: CPU s of a million histograms",
            self.own.ingest,
            per_million(cost.ingest),
        );
        Self::line("bytes of a histogram as it came", self.own.bytes, cost.bytes as f64 / histograms);
        let (Some(rollup), Some(bytes)) = (cost.rollup, cost.rollup_bytes) else { return };
        let all = per_million(cost.ingest + rollup);
        Self::line("the same with rollups: CPU s of a million", self.own.ingest, all);
        let all = (cost.bytes + bytes) as f64 / histograms;
        Self::line("the same with rollups: bytes of a histogram", self.own.bytes_with_rollups, all);
    }

    /// A report of `agents` took so much; Peerlight's is of `all`.
    fn report(&self, figure: &str, spent: Duration, (agents, all): (u32, u32), workload: Workload) {
        let merged = |agents: u32| f64::from(agents) * f64::from(workload.asked_minutes()) * 10.0;
        let (own, peer) = (self.own.report_ms, spent.as_secs_f64() * 1e3);
        if agents == all {
            Self::line(&format!("{figure}: CPU ms"), own, peer);
        } else {
            println!("    the {figure} took {peer:.0} ms CPU");
        }
        let ns = |ms: f64, agents: u32| ms * 1e6 / merged(agents);
        Self::line(&format!("{figure}: CPU ns of a histogram"), ns(own, all), ns(peer, agents));
    }

    fn memory(&self, process: &Process) -> anyhow::Result<()> {
        Self::line("peak memory of the process, MB", self.own.peak_mb, process.peak_megabytes()?);
        Ok(())
    }
}
