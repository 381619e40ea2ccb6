//! The result as one JSON document.

use super::{failures, ms, percentile_ms};
use crate::oneshot::{
    tally::{Key, Row, Tally},
    targets::Subject,
};
use peerlight_proto::{histogram::Histogram, series::Path};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Document<'a> {
    targets: Vec<Entry<'a>>,
    failures: Vec<failures::Failure<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    target: &'a str,
    metric: &'static str,
    family: &'static str,
    address: Option<String>,
    path: Option<&'static str>,
    clock: &'static str,
    sent: u64,
    answered: u64,
    lost: u64,
    refused: u64,
    loss_ratio: Option<f64>,
    latency_ms: LatencyMs,
    jitter_ms: Option<f64>,
    user_latency_ms: LatencyMs,
}

#[derive(Serialize)]
struct LatencyMs {
    min: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
}

impl LatencyMs {
    fn of(histogram: &Histogram) -> Self {
        let percentile = |permille| percentile_ms(histogram, permille);
        Self {
            min: ms(histogram.min_us()),
            p50: percentile(500),
            p90: percentile(900),
            p95: percentile(950),
            p99: percentile(990),
            max: ms(histogram.max_us()),
            mean: histogram.mean_us().map(rounded_ms),
        }
    }
}

fn rounded_ms(us: f64) -> f64 {
    us.round() / 1e3
}

/// Writes the one document.
pub(super) fn write(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let entry = |(key, row): (&Key, &Row)| Entry {
        target: &subjects[key.subject].text,
        metric: key.metric.name(),
        family: key.family.as_str(),
        address: row.address.map(|address| address.to_string()),
        path: row.path.map(Path::as_str),
        clock: key.clock.as_str(),
        sent: row.counters.sent(),
        answered: row.counters.answered,
        lost: row.counters.network_lost(),
        refused: row.counters.refused,
        loss_ratio: row.loss_ratio(),
        latency_ms: LatencyMs::of(&row.histogram),
        jitter_ms: row.jitter_us().map(rounded_ms),
        user_latency_ms: LatencyMs::of(&row.user_histogram),
    };
    let document =
        Document { targets: tally.rows().map(entry).collect(), failures: failures::each(subjects, tally) };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
