//! What was measured in the newest whole window, for monitoring systems that fetch it: rows of the report of latency with the
//! histograms that their figures are of. Pure.
//!
//! A window is told once it must have arrived, with its end as the time of all its samples. So whoever fetches more often than
//! windows follow one another has each of them once, and counts add up over time; what arrives later is in reports alone.

mod question;

pub use question::ExpositionQuestion;

use super::{Evidence, Groups, ReportRow, answer, histograms::histograms};
use peerlight_proto::{histogram::Histogram, time::Timestamp};
use std::time::Duration;

/// How long the newest window waits for what was measured in it: twice an interval, as it is unless an agent's configuration says
/// otherwise. Prometheus shows no sample that is older than five minutes.
pub const WAITS: Duration = Duration::from_mins(2);

/// What was measured in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    /// The first instant after the window: when its samples are of.
    pub at: Timestamp,
    /// One for each group and metric.
    pub rows: Vec<Exposed>,
}

/// One group and metric in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    /// As the report of latency of the window has it.
    pub row: ReportRow,
    /// The times of the answered probes.
    pub histogram: Histogram,
}

/// Answers the groups' question, which has the window for its step, from what was found.
pub fn exposition(groups: &Groups, evidence: &Evidence<'_>, now: Timestamp) -> Exposition {
    let mut histograms = histograms(groups, evidence);
    let report = answer(groups, evidence, now);
    let rows = report.rows.into_iter().map(|row| {
        let key = (row.group.clone(), row.metric, row.slot);
        Exposed { histogram: histograms.remove(&key).unwrap_or_default(), row }
    });
    Exposition { at: report.to, rows: rows.collect() }
}
