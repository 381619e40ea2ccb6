//! Merging rows: one row per key and slot, whatever they were measured, batched or rolled up in.

use super::{Row, RowKey};
use peerlight_proto::{
    histogram::Histogram,
    measurement::{Attribute, Counters},
    series::Series,
    time::Timestamp,
};
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
    pub(crate) fn add(
        &mut self,
        key: &RowKey,
        series: &Arc<Series>,
        start: Timestamp,
        part: (&Counters, &Histogram, &[Attribute]),
    ) {
        let slot = self.step.map_or(self.from, |step| slot_of(start, step));
        let (counters, histogram, attributes) = part;
        let row = self.rows.entry((key.clone(), slot)).or_insert_with(|| Row {
            key: key.clone(),
            series: Arc::clone(series),
            slot,
            counters: Counters::default(),
            histogram: Histogram::default(),
            attributes: Vec::new(),
        });
        row.counters.merge(counters);
        row.histogram.merge(histogram);
        merge_attributes(&mut row.attributes, attributes);
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

/// Adds counts by kind and value, in the order of both. Nothing is cut here: a cut would make the answer depend on the
/// order of merging.
pub(crate) fn merge_attributes(into: &mut Vec<Attribute>, more: &[Attribute]) {
    for attribute in more {
        let place = into
            .binary_search_by(|there| (&there.kind, &there.value).cmp(&(&attribute.kind, &attribute.value)));
        match place {
            Ok(at) => into[at].count = into[at].count.saturating_add(attribute.count),
            Err(at) => into.insert(at, attribute.clone()),
        }
    }
}
