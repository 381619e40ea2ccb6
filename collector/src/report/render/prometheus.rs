//! A window of measurements as Prometheus and its kin fetch it: native histograms over protobuf, or text.
//!
//! Everything is a gauge, histograms too: a window says what it holds by itself, and the one after it begins anew.

pub mod native;
pub mod text;

use crate::report::{
    ReportRow,
    exposition::{Exposed, Exposition},
};

/// The metric of the times, in seconds.
const LATENCY: &str = "peerlight_latency_seconds";
const LATENCY_HELP: &str = "Times of the probes that were answered in the window";

/// A name, and what it says of a sample.
type Label = (&'static str, String);
/// What labels a sample.
type Labels = Vec<Label>;

/// A metric that counts, with its samples.
struct Gauge {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Labels, u64)>,
}

/// The name of a column in reports, and what stands there.
type Outcome = (&'static str, fn(&ReportRow) -> u64);

/// What became of probes.
const OUTCOMES: [Outcome; 10] = [
    ("answered", |row| row.answered),
    ("late", |row| row.late),
    ("retransmitted", |row| row.retransmitted),
    ("lost", |row| row.lost),
    ("refused", |row| row.refused),
    ("icmp_silent", |row| row.icmp_silent),
    ("skipped", |row| row.skipped),
    ("voided", |row| row.voided),
    ("dns_failed", |row| row.dns_failed),
    ("send_failed", |row| row.send_failed),
];

/// Which group and metric a row is of.
fn labels(row: &ReportRow) -> Labels {
    let group = &row.group;
    let named = [
        ("provider", &group.provider),
        ("location", &group.location),
        ("site", &group.site),
        ("target", &group.target),
        ("address", &group.address),
        ("probe", &group.probe),
        ("prefix", &group.prefix),
        ("family", &group.family),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    named.chain([("path", group.path.to_string()), ("metric", row.metric.to_string())]).collect()
}

/// Everything but the times.
fn gauges(exposition: &Exposition) -> [Gauge; 3] {
    let rows = || exposition.rows.iter().map(|Exposed { row, .. }| row);
    let probes = rows().flat_map(|row| {
        OUTCOMES.iter().map(|(outcome, of)| {
            let outcome = ("outcome", (*outcome).to_owned());
            (labels(row).into_iter().chain([outcome]).collect(), of(row))
        })
    });
    let expected = rows().filter_map(|row| Some((labels(row), row.expected?)));
    let agents = rows().map(|row| (labels(row), row.agents));
    [
        Gauge {
            name: "peerlight_probes",
            help: "What became of the turns of schedules in the window; together they are all that were accounted for",
            samples: probes.collect(),
        },
        Gauge {
            name: "peerlight_expected_probes",
            help: "Turns that schedules had in the window",
            samples: expected.collect(),
        },
        Gauge {
            name: "peerlight_measuring_agents",
            help: "Agents whose measurements of the window are counted here",
            samples: agents.collect(),
        },
    ]
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years of waiting")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Counts as the formats have them.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 in a window")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
