//! The result as CSV: one row for each target, family and metric, below a header whose names carry the units.

use super::{ms, percentile_ms};
use crate::oneshot::{
    tally::{Key, Row, Tally},
    targets::Subject,
};
use peerlight_proto::series::Path;
use serde::Serialize;
use std::io::{self, Write};

/// One row. What is not known is empty.
#[derive(Serialize)]
struct Line<'a> {
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
    min_ms: Option<f64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
    mean_ms: Option<f64>,
    jitter_ms: Option<f64>,
    user_p50_ms: Option<f64>,
    user_p99_ms: Option<f64>,
}

/// Writes the header and all rows.
pub(super) fn write(out: &mut impl Write, subjects: &[Subject], tally: &Tally) -> io::Result<()> {
    let mut sheet = csv::Writer::from_writer(out);
    for (key, row) in tally.rows() {
        sheet.serialize(line(subjects, key, row)).map_err(io::Error::from)?;
    }
    sheet.flush()
}

fn line<'a>(subjects: &'a [Subject], key: &Key, row: &Row) -> Line<'a> {
    let rounded = |us: f64| us.round() / 1e3;
    Line {
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
        min_ms: ms(row.histogram.min_us()),
        p50_ms: percentile_ms(&row.histogram, 500),
        p90_ms: percentile_ms(&row.histogram, 900),
        p95_ms: percentile_ms(&row.histogram, 950),
        p99_ms: percentile_ms(&row.histogram, 990),
        max_ms: ms(row.histogram.max_us()),
        mean_ms: row.histogram.mean_us().map(rounded),
        jitter_ms: row.jitter_us().map(rounded),
        user_p50_ms: percentile_ms(&row.user_histogram, 500),
        user_p99_ms: percentile_ms(&row.user_histogram, 990),
    }
}
