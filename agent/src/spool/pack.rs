//! Packing: the rows of a closed interval as drafts of batches that respect the limits of the wire. Pure.

use crate::aggregate::{ClosedInterval, Row};
use peerlight_proto::{
    batch::Batch,
    limits::{MAX_INFLATED_BYTES, MAX_MEASUREMENTS, MAX_SERIES},
    measurement::Measurement,
    series::Series,
};

/// A batch without its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The dictionary.
    pub series: Vec<Series>,
    /// The measurements, which point into it.
    pub measurements: Vec<Measurement>,
}

/// Half of what inflated bytes may be, because [`weight`] is an estimate.
const MAX_WEIGHT: usize = MAX_INFLATED_BYTES / 2;

/// Puts the rows of an interval into as few drafts as the limits allow.
pub fn pack(closed: ClosedInterval) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut filled = 0;
    for row in closed.rows {
        let weight = weight(&row);
        let full = drafts.last().is_none_or(|draft| {
            draft.series.len() == MAX_SERIES
                || draft.measurements.len() == MAX_MEASUREMENTS
                || filled + weight > MAX_WEIGHT
        });
        if full {
            drafts.push(Draft::default());
            filled = 0;
        }
        filled += weight;
        if let Some(draft) = drafts.last_mut() {
            let series = u32::try_from(draft.series.len()).unwrap_or(u32::MAX);
            draft.series.push(row.series);
            draft.measurements.push(Measurement {
                series,
                interval: closed.interval,
                counters: row.counters,
                histogram: row.histogram,
                attributes: row.attributes,
                observed: row.observed,
            });
        }
    }
    drafts
}

impl Draft {
    /// The draft of a batch.
    pub fn of(batch: Batch) -> Self {
        Self { series: batch.series, measurements: batch.measurements }
    }

    /// The same measurements in two drafts, each with the part of the dictionary that it uses.
    pub fn halves(self) -> [Self; 2] {
        let middle = self.measurements.len() / 2;
        let (first, second) = self.measurements.split_at(middle);
        [first, second].map(|measurements| self.with(measurements))
    }

    fn with(&self, measurements: &[Measurement]) -> Self {
        let mut places: Vec<u32> = measurements.iter().map(|measurement| measurement.series).collect();
        places.sort_unstable();
        places.dedup();
        let place = |old: u32| places.binary_search(&old).ok().and_then(|place| u32::try_from(place).ok());
        Self {
            series: places.iter().filter_map(|&old| self.series.get(old as usize).cloned()).collect(),
            measurements: measurements
                .iter()
                .filter_map(|measurement| {
                    Some(Measurement { series: place(measurement.series)?, ..measurement.clone() })
                })
                .collect(),
        }
    }
}

/// About how many bytes a row takes once inflated; rather too many.
fn weight(row: &Row) -> usize {
    let attributes: usize =
        row.attributes.iter().map(|attribute| attribute.kind.len() + attribute.value.len() + 24).sum();
    let target = &row.series.target;
    let texts = row.series.key.uplink.len()
        + target.name.len()
        + target.service.len()
        + target.address.as_str().len()
        + target.probe.to_string().len();
    600 + texts + attributes + row.histogram.buckets().len() * 12
}
