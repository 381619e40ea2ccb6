//! Trends drawn small: median and 95th percentile over the slots of a span, to a scale that all of them share.

use crate::{
    dashboard::chart::{
        axis::{Axis, bands, line_paths},
        scale::Scale,
    },
    report::ReportRow,
};
use std::collections::BTreeMap;

/// The drawing's own units.
const WIDTH: f64 = 120.0;
const TOP: f64 = 2.0;
const HEIGHT: f64 = 27.0;

/// The paths of one trend.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Spark {
    pub(crate) p50: Vec<String>,
    pub(crate) p95: Vec<String>,
    pub(crate) band: Vec<String>,
    /// Slots in which probes were lost, from where and how wide.
    pub(crate) loss: Vec<(String, String)>,
    /// Runs of slots in which nothing was measured.
    pub(crate) silent: Vec<(String, String)>,
}

/// The trend of these slots.
pub(crate) fn spark(rows: &BTreeMap<u32, &ReportRow>, axis: Axis, scale: Scale) -> Spark {
    let axis = axis.drawn(0.0, WIDTH);
    let y = |value: f64| TOP + HEIGHT * (1.0 - scale.share(value));
    let points = |of: fn(&ReportRow) -> Option<f64>| -> Vec<(u32, f64)> {
        rows.iter().filter_map(|(slot, row)| Some((*slot, y(of(row)?)))).collect()
    };
    let (p50, p95) = (points(|row| row.latency_ms.p50), points(|row| row.latency_ms.p95));
    let lossy = |slot: &u32| rows.get(slot).is_some_and(|row| row.loss.is_some_and(|loss| loss.value > 0.0));
    let silent = |slot: &u32| rows.get(slot).is_none_or(|row| row.scheduled == 0);
    Spark {
        band: bands(&p50, &p95, axis),
        p50: line_paths(&p50, axis),
        p95: line_paths(&p95, axis),
        loss: axis.runs_where(lossy),
        silent: axis.runs_where(silent),
    }
}
