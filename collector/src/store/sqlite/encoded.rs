//! A batch as the writer takes it: encoded by the thread that brings it, but for the numbers that only the writer gives.
//!
//! What was decoded is a thousand pieces of memory. Whoever decoded them encodes them, while they are near, and frees them:
//! a batch that waits for its transaction is a few pieces of a few kilobytes.

use super::block::{Cell, Key, Records};
use crate::{
    admission::{Admitted, AdmittedAccount, AdmittedMeasurement, Loss},
    organisation::OrganisationId,
    store::{ClockOffsets, Origin},
};
use hashbrown::DefaultHashBuilder;
use indexmap::IndexSet;
use peerlight_proto::{
    batch::Part,
    id::{BatchDigest, BatchNumber},
    series::Series,
    time::{Interval, IntervalLength, Timestamp},
};
use std::sync::Arc;

/// An admitted batch, encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) organisation: OrganisationId,
    pub(super) number: BatchNumber,
    pub(super) digest: BatchDigest,
    pub(super) received: Timestamp,
    pub(super) part: Option<Part>,
    pub(super) lost: Vec<Loss>,
    pub(super) dropped: Option<AdmittedAccount>,
    /// None: nothing of it was admitted.
    pub(super) measured: Option<Measured>,
}

/// What was admitted of a batch.
#[derive(Debug)]
pub(super) struct Measured {
    /// In seconds.
    pub(super) oldest_start: i64,
    pub(super) newest_start: i64,
    pub(super) newest_end: Timestamp,
    /// Whether all of it is of one minute.
    pub(super) of_a_minute: bool,
    /// The origins and the series that `records` name by their places here. Series that no record names were not admitted,
    /// and leave no trace.
    pub(super) origins: IndexSet<Origin, DefaultHashBuilder>,
    pub(super) series: Vec<Series>,
    pub(super) records: Records,
}

impl Encoded {
    pub(super) fn of(admitted: Admitted) -> Self {
        let Admitted { organisation, digest, received, batch, measurements, lost, dropped, .. } = admitted;
        let clock_offsets = batch.clock_offset_us.map(ClockOffsets::of);
        Self {
            organisation,
            number: batch.number,
            digest,
            received,
            part: batch.part,
            lost,
            dropped,
            measured: Measured::of(&measurements, batch.series, clock_offsets),
        }
    }

    /// The end of the newest interval that is stored.
    pub(super) fn newest_end(&self) -> Option<Timestamp> {
        self.measured.as_ref().map(|measured| measured.newest_end)
    }
}

impl Measured {
    fn of(
        measurements: &[AdmittedMeasurement],
        series: Vec<Series>,
        clock_offsets: Option<ClockOffsets>,
    ) -> Option<Self> {
        let intervals = || measurements.iter().map(|one| one.measurement.interval);
        let first = intervals().next()?;
        let (mut origins, mut records) = (Origins::default(), Records::of_about(measurements.len()));
        let mut attributes = Vec::new();
        for one in measurements {
            // Admission lets no measurement in whose series is not in the dictionary.
            let Some(series) = series.get(one.measurement.series as usize) else { continue };
            let origin = origins.place_of(one, &series.key.uplink);
            attributes.clear();
            let counted = one.measurement.attributes.iter();
            attributes.extend(counted.map(|of| (records.text(&of.kind, &of.value), of.count)));
            push(&mut records, (origin, series), one, (&attributes, clock_offsets));
        }
        records.group();
        Some(Self {
            oldest_start: intervals().map(|interval| interval.start().as_secs()).min()?,
            newest_start: intervals().map(|interval| interval.start().as_secs()).max()?,
            newest_end: intervals().map(Interval::end).max()?,
            of_a_minute: first.length() == IntervalLength::MINUTE && intervals().all(|other| other == first),
            origins: origins.all,
            series,
            records,
        })
    }
}

/// The origins of a batch's measurements, each once.
#[derive(Debug, Default)]
struct Origins {
    all: IndexSet<Origin, DefaultHashBuilder>,
    /// The place of the one before: most measurements of a batch have one origin.
    last: usize,
}

impl Origins {
    fn place_of(&mut self, one: &AdmittedMeasurement, uplink: &Arc<str>) -> u32 {
        let same = |origin: &Origin| {
            (origin.registration, origin.attribution, origin.prefix)
                == (one.registration, one.attribution, one.prefix)
                && origin.uplink == *uplink
        };
        if !self.all.get_index(self.last).is_some_and(same) {
            let origin = Origin {
                registration: one.registration,
                uplink: Arc::clone(uplink),
                attribution: one.attribution,
                prefix: one.prefix,
            };
            (self.last, _) = self.all.insert_full(origin);
        }
        // There are no more than measurements in a batch.
        u32::try_from(self.last).unwrap_or(u32::MAX)
    }
}

fn push(
    records: &mut Records,
    (origin, series): (u32, &Series),
    one: &AdmittedMeasurement,
    (attributes, clock_offsets): (&[(u32, u64)], Option<ClockOffsets>),
) {
    let measurement = &one.measurement;
    let histogram = &measurement.histogram;
    let key = Key { origin, agent: 0, shape: measurement.series };
    let cell = Cell {
        start: measurement.interval.start().as_secs(),
        end: measurement.interval.end().as_secs(),
        counters: &measurement.counters,
        buckets: histogram.buckets(),
        sum_us: histogram.sum_us(),
        min_us: histogram.min_us().unwrap_or(0),
        max_us: histogram.max_us().unwrap_or(0),
        overflow: histogram.overflow(),
        attributes,
        clock_offsets,
    };
    records.push(series.key.metric, key, &cell);
}
