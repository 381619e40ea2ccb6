//! Slices: a part of a stripe's batches, read from the log and encoded as segments.
//!
//! A quarter hour that has no segments yet gets its rollup with them, from the same cells. Where there are some, what came late
//! is added to them, and the rollup is stale until all are read again.

use super::{
    Reader,
    block::{Cells, Key},
    dictionary::Names,
    kept::{KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, Kept, SCATTERED, day_of, hour_of, quarter_of},
    presence::{Presences, Span},
    segment::{Place, Segment, is_there, segments},
};
use crate::store::StoreError;
use hashbrown::{HashMap, hash_map::Entry};
use peerlight_proto::metric::Metric;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// How much of the log one slice folds: of a usual stripe a quarter hour and more. Some ten megabytes in memory,
/// milliseconds to write.
const BYTES: usize = 4 << 20;

/// A part of a stripe's batches as segments.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) stripe: u32,
    /// How many of the batches that were offered it holds.
    pub(super) taken: usize,
    /// The last of them.
    pub(super) upto: i64,
    pub(super) segments: Vec<Segment>,
    /// Spans whose rollups do not hold all: resolution, start and organisation.
    pub(super) stale: BTreeSet<(i64, i64, i64)>,
    pub(super) presences: Vec<(i64, Presences)>,
    /// Batches that are damaged.
    pub(super) unreadable: Vec<i64>,
}

/// Reads the first of a stripe's batches, as many as make a slice.
pub(super) fn read_slice(reader: &mut Reader, stripe: u32, batches: &[i64]) -> Result<Slice, StoreError> {
    let mut slice = Slice {
        stripe,
        taken: 0,
        upto: i64::MIN,
        segments: Vec::new(),
        stale: BTreeSet::new(),
        presences: Vec::new(),
        unreadable: Vec::new(),
    };
    let Reader { db, names, cells, spare } = reader;
    let of_organisations = slice.take(db, batches, cells)?;
    let kept = Kept::read(db).map_err(StoreError::while_doing("read what is kept"))?;
    for (organisation, mut of_organisation) in of_organisations {
        slice.add((db, names), (organisation, kept), &mut of_organisation, spare)?;
        of_organisation.clear();
        *cells = of_organisation;
    }
    Ok(slice)
}

impl Slice {
    /// The cells of as many batches as it takes, by organisation. Mostly there is one, which takes the memory of `spare`.
    fn take(
        &mut self,
        db: &Connection,
        batches: &[i64],
        spare: &mut Cells,
    ) -> Result<BTreeMap<i64, Cells>, StoreError> {
        let database = StoreError::while_doing("read the log");
        let mut of_organisations: BTreeMap<i64, Cells> = BTreeMap::new();
        let mut statement =
            db.prepare_cached("SELECT organisation, block FROM batch WHERE id = ?1").map_err(&database)?;
        let mut bytes = 0;
        spare.clear();
        for &id in batches {
            if bytes >= BYTES {
                break;
            }
            let mut rows = statement.query([id]).map_err(&database)?;
            if let Some(row) = rows.next().map_err(&database)? {
                let organisation = row.get(0).map_err(&database)?;
                let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
                bytes += block.len();
                let cells = of_organisations.entry(organisation).or_insert_with(|| std::mem::take(spare));
                if let Err(error) = cells.add_block(block) {
                    tracing::error!(%error, batch = id, "a damaged batch is set aside; no report counts it any more");
                    self.unreadable.push(id);
                }
            }
            (self.taken, self.upto) = (self.taken + 1, id);
        }
        Ok(of_organisations)
    }

    /// Adds the cells of an organisation.
    fn add(
        &mut self,
        (db, names): (&Connection, &mut Names),
        (organisation, kept): (i64, Kept),
        cells: &mut Cells,
        spare: &mut Cells,
    ) -> Result<(), StoreError> {
        let spans: Vec<_> = cells.spans().collect();
        self.presences.push((organisation, presences(self.stripe, &spans, (db, names), organisation)?));
        let parts = Parts::of(&spans, names, db)?;
        let place = |(metric, start): (Metric, i64), resolution: i64| Place {
            organisation,
            stripe: self.stripe,
            resolution,
            metric,
            start,
        };
        // Each part in order, and mostly one after another as they are to be.
        cells.sort_by(|key| (parts.of_row(key), key));
        cells.unite(spare);
        cells.merge_by(quarter_of, spare);
        let mut first = BTreeSet::new();
        for (part, cells) in cells.parts(|key| parts.of_row(key), |start| parts.of_start(start)) {
            let measured = place(parts.part(part), KEPT_MEASURED);
            let quarter = measured.start;
            // Where finer rows have expired no rollup is made any more: the retention takes these, too.
            let is_first = quarter >= kept.measured
                && !is_there(db, measured).map_err(StoreError::while_doing("look for segments"))?;
            for segment in segments(measured, cells) {
                self.segments.push(segment?);
            }
            if is_first {
                first.insert(part);
                self.stale.insert((SCATTERED, hour_of(quarter), organisation));
            } else {
                self.stale.insert((KEPT_QUARTERS, quarter, organisation));
            }
            self.stale.insert((KEPT_DAYS, day_of(quarter), organisation));
        }
        for (part, rollup) in spare.parts(|key| parts.of_row(key), |start| parts.of_start(start)) {
            if first.contains(&part) {
                for segment in segments(place(parts.part(part), KEPT_QUARTERS), rollup) {
                    self.segments.push(segment?);
                }
            }
        }
        Ok(())
    }
}

/// Who was present in a stripe, with what is seen now.
fn presences(
    stripe: u32,
    spans: &[(Key, Span)],
    (db, names): (&Connection, &mut Names),
    organisation: i64,
) -> Result<Presences, StoreError> {
    let mut presences = Presences::of_stripe(db, organisation, stripe)?;
    // Rows of one origin mostly come one after another.
    let mut last = None;
    let mut seen = Vec::with_capacity(spans.len());
    for &(key, span) in spans {
        let registration = match last {
            Some((origin, registration)) if origin == key.origin => registration,
            _ => names.origin(db, key.origin)?.registration.0,
        };
        last = Some((key.origin, registration));
        seen.push(((key.agent, registration, key.shape), span));
    }
    presences.add(seen);
    Ok(presences)
}

/// Numbers the parts that cells fall into: a metric and a quarter hour each.
struct Parts {
    /// The metric of each shape.
    metrics: HashMap<u32, Metric>,
    first: i64,
}

impl Parts {
    fn of(spans: &[(Key, Span)], names: &mut Names, db: &Connection) -> Result<Self, StoreError> {
        let mut parts = Self { metrics: HashMap::new(), first: i64::MAX };
        for &(key, (start, _end)) in spans {
            parts.first = parts.first.min(quarter_of(start));
            if let Entry::Vacant(entry) = parts.metrics.entry(key.shape) {
                entry.insert(names.shape(db, key.shape)?.metric);
            }
        }
        Ok(parts)
    }

    /// What the row of a cell adds to the number of its part.
    fn of_row(&self, key: Key) -> u32 {
        u32::from(self.metrics[&key.shape].number()) << QUARTER_BITS
    }

    /// What its start adds.
    fn of_start(&self, start: i64) -> u32 {
        u32::try_from((quarter_of(start) - self.first) / KEPT_QUARTERS).unwrap_or(0)
    }

    fn part(&self, number: u32) -> (Metric, i64) {
        let metric = Metric::ALL[(number >> QUARTER_BITS) as usize];
        (metric, self.first + i64::from(number & ((1 << QUARTER_BITS) - 1)) * KEPT_QUARTERS)
    }
}

/// Enough for the quarter hours of centuries; a slice's measurements lie within a few weeks, the horizon that admission keeps.
const QUARTER_BITS: u32 = 24;
const _: () = assert!(Metric::ALL.len() <= 1 << (u32::BITS - QUARTER_BITS), "every metric has a number");
