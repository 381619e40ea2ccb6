//! What agents measured: a supply of intervals, of which each agent and interval takes one by its number, so that what a
//! report must say can be added up.

use peerlight_proto::{
    histogram::Histogram,
    measurement::{Counters, Measurement, Observed},
    metric::Metric,
    series::{Clock, Family, Path, Series, SeriesKey},
    target::Target,
    time::Interval,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{net::IpAddr, sync::Arc};

/// The metrics of every target.
pub const METRICS: [Metric; 5] =
    [Metric::TcpConnect, Metric::HttpsTcp, Metric::HttpsTls, Metric::HttpsTtfb, Metric::HttpsTotal];
/// The metric that reports are asked for.
pub const ASKED: Metric = Metric::HttpsTtfb;
/// How many targets an agent has.
pub const TARGETS: usize = 10;
const PROBES: u64 = 6;
/// How many different intervals there are: few enough to be made in a second.
const SUPPLY: usize = 512;

/// The supply.
#[derive(Debug)]
pub struct Content {
    supply: Vec<Vec<(Counters, Histogram)>>,
}

impl Content {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self { supply: (0..SUPPLY).map(|_| interval(&mut random)).collect() }
    }

    /// What an agent measured in an interval, by their numbers, seen from this address.
    pub(super) fn measurements(
        &self,
        agent: u32,
        round: u32,
        interval: Interval,
        address: IpAddr,
    ) -> Vec<Measurement> {
        let measured = &self.supply[self.place(agent, round)];
        let numbered = (0_u32..).zip(measured);
        numbered
            .map(|(series, (counters, histogram))| Measurement {
                series,
                interval,
                counters: *counters,
                histogram: histogram.clone(),
                attributes: Vec::new(),
                observed: Some(Observed { address, age_seconds: 1 }),
            })
            .collect()
    }

    /// How many probes were scheduled and answered for [`ASKED`] in an interval of an agent.
    pub fn asked(&self, agent: u32, round: u32) -> (u64, u64) {
        let metrics = METRICS.iter().cycle();
        let measured = self.supply[self.place(agent, round)].iter().zip(metrics);
        measured
            .filter(|(_, metric)| **metric == ASKED)
            .fold((0, 0), |sum, ((counters, _), _)| (sum.0 + counters.scheduled, sum.1 + counters.answered))
    }

    /// How many histograms an interval of an agent holds.
    pub const HISTOGRAMS: u64 = (TARGETS * METRICS.len()) as u64;

    fn place(&self, agent: u32, round: u32) -> usize {
        let mixed = u64::from(agent).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(round).wrapping_mul(0xd1b5_4a32_d192_ed03);
        usize::try_from((mixed >> 32) % self.supply.len() as u64).unwrap_or(0)
    }
}

/// What every agent measures.
pub fn targets() -> anyhow::Result<Vec<Arc<Target>>> {
    let target = |number| {
        Ok(Arc::new(Target {
            name: format!("target-{number}"),
            service: "Microsoft 365".to_owned(),
            address: format!("target-{number}.example.com").parse()?,
            probe: "https".parse()?,
        }))
    };
    (0..TARGETS).map(target).collect()
}

/// The dictionary of every agent of a site.
pub fn series(site: &str, targets: &[Arc<Target>]) -> Vec<Series> {
    let site: Arc<str> = site.into();
    let of_metric = |target: &Arc<Target>, metric| Series {
        key: SeriesKey {
            uplink: Arc::clone(&site),
            target: target.id(),
            metric,
            family: Family::V4,
            path: Path::Direct,
            clock: Clock::Kernel,
            http_version: None,
            handshake: None,
        },
        target: Arc::clone(target),
        probe_interval_ms: 10_000,
    };
    targets.iter().flat_map(|target| METRICS.map(|metric| of_metric(target, metric))).collect()
}

/// An interval of every target and metric: round trips around a base, with jitter, spikes and loss.
fn interval(random: &mut StdRng) -> Vec<(Counters, Histogram)> {
    let mut measured = Vec::new();
    for _series in 0..TARGETS * METRICS.len() {
        let base: u64 = random.random_range(5_000..150_000);
        let mut histogram = Histogram::default();
        for _probe in 0..PROBES {
            if random.random_bool(0.99) {
                let spike = if random.random_bool(0.003) { base } else { 0 };
                histogram.record(base + random.random_range(0..base / 50) + spike);
            }
        }
        let answered = histogram.count();
        let counters =
            Counters { scheduled: PROBES, answered, lost: PROBES - answered, ..Counters::default() };
        measured.push((counters, histogram));
    }
    measured
}
