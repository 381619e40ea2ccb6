//! The distributions behind the rows of the report of latency. Pure.

use super::{Evidence, Group, Groups};
use hashbrown::HashMap;
use peerlight_proto::{histogram::Histogram, metric::Metric, time::Timestamp};

/// The times of the answered probes of each row: by its group and metric, and its slot where the question has a step.
pub(super) fn histograms(
    groups: &Groups,
    evidence: &Evidence<'_>,
) -> HashMap<(Group, Metric, Option<Timestamp>), Histogram> {
    let question = groups.question();
    let mut histograms: HashMap<_, Histogram> = HashMap::new();
    for row in evidence.rows {
        let Some(share) = groups.share(row.group) else { continue };
        if share.counting.counts() && question.wants_metric(share.metric) {
            let key = (groups.called(share.group), share.metric, question.step.map(|_| row.slot));
            histograms.entry(key).or_default().merge(&row.totals.histogram);
        }
    }
    histograms
}
