//! Slices: a part of a stripe's batches, read from the log and encoded as segments.
//!
//! A quarter hour that has no segments yet gets its rollup with them, from the same cells. Where there are some, what came late
//! is added to them, and the rollup is stale until all are read again.

use super::{
    Reader,
    block::{Cells, Gathered, Key, Span, check},
    dictionary::Names,
    kept::{KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, Kept, SCATTERED, day_of, hour_of, quarter_of},
    presence::Numbered,
    segment::{Place, Segment, is_there, segments},
};
use crate::store::StoreError;
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
    pub(super) presences: Vec<(i64, Numbered)>,
    /// Batches that are damaged.
    pub(super) unreadable: Vec<i64>,
}

/// Reads the first of a stripe's batches, as many as make a slice.
pub(super) fn read_slice(reader: &mut Reader, stripe: u32, batches: &[i64]) -> Result<Slice, StoreError> {
    let kept = Kept::read(&reader.db).map_err(StoreError::while_doing("read what is kept"))?;
    match Slice::of(reader, (stripe, kept), batches, |_block| Ok(())) {
        // Some batch is damaged: each is read by itself, to set those aside that are.
        Err(StoreError::Damaged { .. }) => {
            Slice::of(reader, (stripe, kept), batches, |block| check(block).map(drop))
        }
        read => read,
    }
}

impl Slice {
    fn of(
        reader: &mut Reader,
        (stripe, kept): (u32, Kept),
        batches: &[i64],
        check: impl Fn(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut slice = Self {
            stripe,
            taken: 0,
            upto: i64::MIN,
            segments: Vec::new(),
            stale: BTreeSet::new(),
            presences: Vec::new(),
            unreadable: Vec::new(),
        };
        let Reader { db, names, cells, spare, gathered } = reader;
        let of_organisations = slice.take(db, batches, gathered, check)?;
        for (organisation, mut of_organisation) in of_organisations {
            slice.add((db, names), (organisation, kept), &mut of_organisation, (cells, spare))?;
            *gathered = of_organisation;
        }
        Ok(slice)
    }

    /// The records of as many batches as it takes, by organisation. Mostly there is one, which takes the memory of `spare`.
    fn take(
        &mut self,
        db: &Connection,
        batches: &[i64],
        spare: &mut Gathered,
        check: impl Fn(&[u8]) -> Result<(), StoreError>,
    ) -> Result<BTreeMap<i64, Gathered>, StoreError> {
        let database = StoreError::while_doing("read the log");
        let mut of_organisations: BTreeMap<i64, Gathered> = BTreeMap::new();
        let mut statement =
            db.prepare_cached("SELECT organisation, block FROM batch WHERE id = ?1").map_err(&database)?;
        let every = BTreeSet::new();
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
                let gathered = of_organisations.entry(organisation).or_insert_with(|| std::mem::take(spare));
                if let Err(error) = check(block).and_then(|()| gathered.add(&every, block, |_key| Ok(true))) {
                    tracing::error!(%error, batch = id, "a damaged batch is set aside; no report counts it any more");
                    self.unreadable.push(id);
                }
            }
            (self.taken, self.upto) = (self.taken + 1, id);
        }
        Ok(of_organisations)
    }

    /// Adds the records of an organisation, metric by metric. `cells` and `spare` are of use only for their memory.
    fn add(
        &mut self,
        (db, names): (&Connection, &mut Names),
        (organisation, kept): (i64, Kept),
        gathered: &mut Gathered,
        (cells, spare): (&mut Cells, &mut Cells),
    ) -> Result<(), StoreError> {
        let presences = presences(self.stripe, &gathered.spans()?, (db, names), organisation)?;
        self.presences.push((organisation, presences));
        gathered.sort();
        for (metric, records) in gathered.metrics() {
            cells.clear();
            gathered.read(records, cells)?;
            cells.unite(spare);
            cells.merge_by(quarter_of, spare);
            self.add_metric(db, (organisation, kept, metric), cells, spare)?;
        }
        Ok(())
    }

    /// Adds cells of a metric, and the rollup of those quarter hours of which there were none.
    fn add_metric(
        &mut self,
        db: &Connection,
        (organisation, kept, metric): (i64, Kept, Metric),
        cells: &mut Cells,
        rollup: &mut Cells,
    ) -> Result<(), StoreError> {
        let stripe = self.stripe;
        let place = |resolution, start| Place { organisation, stripe, resolution, metric, start };
        let mut first = BTreeSet::new();
        for (quarter, cells) in cells.parts(quarter_of) {
            let measured = place(KEPT_MEASURED, quarter);
            // Where finer rows have expired no rollup is made any more: the retention takes these, too.
            let is_first = quarter >= kept.measured
                && !is_there(db, measured).map_err(StoreError::while_doing("look for segments"))?;
            for segment in segments(measured, cells) {
                self.segments.push(segment?);
            }
            if is_first {
                first.insert(quarter);
                self.stale.insert((SCATTERED, hour_of(quarter), organisation));
            } else {
                self.stale.insert((KEPT_QUARTERS, quarter, organisation));
            }
            self.stale.insert((KEPT_DAYS, day_of(quarter), organisation));
        }
        let rollups = rollup.parts(quarter_of).into_iter().filter(|(quarter, _)| first.contains(quarter));
        for (quarter, cells) in rollups {
            for segment in segments(place(KEPT_QUARTERS, quarter), cells) {
                self.segments.push(segment?);
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
) -> Result<Numbered, StoreError> {
    let mut presences = Numbered::of_stripe(db, organisation, stripe)?;
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
