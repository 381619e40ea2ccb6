//! The `selftest` command: how far off this machine's own times are, measured against reflectors within this process.
//!
//! On loopback a packet is back at once, so that the time measured bounds this machine's error.

mod lane;
mod machine;
mod reflector;
mod render;
mod row;
mod verdict;

use crate::{
    format::Format,
    probe::{ProbeSettings, Prober},
};
use anyhow::{Context as _, ensure};
use clap::Args;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lane::Lane;
use machine::Machine;
use reflector::Reflectors;
use row::Row;
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    process::ExitCode,
    sync::Arc,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use verdict::{Grade, Verdict, judge};

/// What `--help` says of the verdict.
const THRESHOLDS: &str = "\
Verdict (on loopback what is measured bounds the error):
  good    99 % of the times of each kind are off by at most 100 µs, by the
          kernel's clocks, and no probe was lost or failed
  usable  at most 1 ms; or by this process's clock; or ICMP is not permitted;
          or up to 0.1 % of the probes were lost, or 1 % failed otherwise
  poor    anything worse, with the reason and what to do about it

Columns:
  error   the time measured; of UDP, without the time that the reflector took
  noise   what this process's own clock would have added to that
  gap     how long after its turn a probe was begun

HTTPS is not tested: it needs a certificate that this machine trusts.

Exit code: 0 for good and usable, 1 for poor.";

/// How to test this machine.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = THRESHOLDS)]
pub struct SelftestArgs {
    /// How many probes of each kind to send over each family, 10 ms apart
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub count: u32,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Tests this machine and writes the result to stdout. The exit code tells whether it will do.
pub async fn run(args: &SelftestArgs, shutdown: &CancellationToken) -> anyhow::Result<ExitCode> {
    // Before the probes make a load of their own.
    let machine = Machine::look();
    let rows = measure(args.count, shutdown).await?;
    ensure!(!shutdown.is_cancelled(), "interrupted before there was anything to judge");
    let verdict = judge(&rows, &machine);
    render::write(args.format, &rows, &machine, &verdict).context("cannot write the result")?;
    Ok(exit_code(&verdict))
}

fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict.grade {
        Grade::Good | Grade::Usable => ExitCode::SUCCESS,
        Grade::Poor => ExitCode::FAILURE,
    }
}

/// Sends the probes of all kinds, with the engines that `run` uses.
async fn measure(count: u32, shutdown: &CancellationToken) -> anyhow::Result<Vec<Row>> {
    let settings = ProbeSettings {
        allow: vec![
            IpNet::V4(Ipv4Net::new(Ipv4Addr::LOCALHOST, 8)?),
            IpNet::V6(Ipv6Net::from(Ipv6Addr::LOCALHOST)),
        ],
        ..ProbeSettings::default()
    };
    let (prober, _strays) = Prober::open(settings)?;
    let prober = Arc::new(prober);
    let reflectors = Reflectors::start().context("cannot start a reflector")?;
    let mut running = JoinSet::new();
    for lane in Lane::all(reflectors)? {
        running.spawn(lane.run(Arc::clone(&prober), count, shutdown.clone()));
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|row| (row.metric, row.family));
    Ok(rows)
}
