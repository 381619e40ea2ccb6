//! Merging rows: one row per key and slot, whatever they were measured, batched or rolled up in.

use super::{Row, RowKey, Totals};
use peerlight_proto::{series::Series, time::Timestamp};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Merges rows as they come. The order of what is added does not matter.
#[derive(Debug)]
pub(crate) struct Merge {
    from: Timestamp,
    step: Option<Duration>,
    rows: BTreeMap<(RowKey, Timestamp), Row>,
}

impl Merge {
    /// Merges into slots of `step` aligned to UTC, or into the one slot that starts at `from`.
    pub(crate) fn new(from: Timestamp, step: Option<Duration>) -> Self {
        Self { from, step, rows: BTreeMap::new() }
    }

    /// Adds what was measured in an interval, or merged over one, that starts at `start`.
    pub(crate) fn add(&mut self, key: &RowKey, series: &Arc<Series>, start: Timestamp, totals: &Totals) {
        let slot = self.step.map_or(self.from, |step| slot_of(start, step));
        let row = self.rows.entry((key.clone(), slot)).or_insert_with(|| Row {
            key: key.clone(),
            series: Arc::clone(series),
            slot,
            totals: Totals::default(),
        });
        row.totals.merge(totals);
    }

    /// The rows, in the order of their keys and slots.
    pub(crate) fn finish(self) -> Vec<Row> {
        self.rows.into_values().collect()
    }
}

/// The start of the slot of `step` that `instant` lies in.
pub(crate) fn slot_of(instant: Timestamp, step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_micros(instant.as_micros() - instant.as_micros().rem_euclid(step))
}
