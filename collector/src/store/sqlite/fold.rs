//! Folding: batches of the log become segments, stripe by stripe, read and encoded outside the writer.
//!
//! The transaction that adds segments also says up to which batch the stripe is folded, from when on the log's rows do not
//! count any more. The rows themselves are shared by all stripes and leave in one sweep at the end.

use super::{
    Reader,
    block::{Key, Pile, Written},
    dictionary::Names,
    dropped,
    kept::{KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, day_of, hour_of, quarter_of},
    log::{add_to_tally, folded, stripe_of},
    presence::Presences,
};
use crate::store::{StoreError, crash_point::crash_point};
use hashbrown::{HashMap, hash_map::Entry};
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a batch stays in the log before it is folded.
const PATIENCE: Duration = Duration::from_mins(3);
/// A log of fewer batches is read in milliseconds, and waits until a quarter hour is over: what is folded seldom is cheap.
const SMALL: i64 = 1_024;
/// How much of the log one slice folds: a few megabytes in memory, milliseconds to write.
const SLICE_BYTES: usize = 1 << 20;
/// How many rows one sweep takes out of the log: well under 50 ms.
const SWEEP: i64 = 4_096;

/// What of the log is to be folded.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// The newest batch that is.
    pub(super) newest: i64,
    /// Batches by stripe, in order.
    pub(super) stripes: BTreeMap<u32, Vec<i64>>,
}

/// A part of a stripe's batches as segments.
#[derive(Debug)]
pub(super) struct Slice {
    stripe: u32,
    /// How many of the batches that were offered it holds.
    pub(super) taken: usize,
    /// The last of them.
    upto: i64,
    segments: Vec<Segment>,
    presences: Vec<(i64, Presences)>,
    unreadable: Vec<i64>,
}

/// One block of measurements of a quarter hour.
#[derive(Debug)]
struct Segment {
    organisation: i64,
    metric: Metric,
    quarter: i64,
    block: Written,
}

/// What is to be folded now: nothing, as long as the oldest batch may wait, unless it `must` not. One that was received
/// later than now waits no longer: the clock was set back.
pub(super) fn outstanding(db: &Connection, now: Timestamp, must: bool) -> rusqlite::Result<Outstanding> {
    let oldest: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT received_us, (SELECT max(id) FROM batch) - id FROM batch ORDER BY id LIMIT 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((oldest, more)) = oldest else { return Ok(Outstanding::default()) };
    let oldest = Timestamp::from_micros(oldest);
    if !must && oldest <= now && now < time_to_fold(oldest, more) {
        return Ok(Outstanding::default());
    }
    let folded = folded(db)?;
    let mut outstanding = Outstanding::default();
    let mut statement = db.prepare_cached("SELECT id, agent FROM batch ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, stripe): (i64, u32) = (row.get(0)?, stripe_of(row.get(1)?));
        outstanding.newest = id;
        if folded.get(&stripe).is_none_or(|upto| id > *upto) {
            outstanding.stripes.entry(stripe).or_default().push(id);
        }
    }
    Ok(outstanding)
}

/// When the log is to be folded whose oldest batch, before so many more, was received then.
fn time_to_fold(oldest: Timestamp, more: i64) -> Timestamp {
    let waits_from =
        if more < SMALL { Interval::containing(oldest, IntervalLength::QUARTER_HOUR).end() } else { oldest };
    waits_from.plus(PATIENCE)
}

/// Reads the first of a stripe's batches, as many as make a slice.
pub(super) fn read_slice(reader: &mut Reader, stripe: u32, batches: &[i64]) -> Result<Slice, StoreError> {
    let database = StoreError::while_doing("read the log");
    let Reader { db, names, pile: spare, .. } = reader;
    // Mostly there is one: its pile takes the memory that is there.
    let mut of_organisation: BTreeMap<i64, Pile> = BTreeMap::new();
    let mut slice = Slice {
        stripe,
        taken: 0,
        upto: i64::MIN,
        segments: Vec::new(),
        presences: Vec::new(),
        unreadable: Vec::new(),
    };
    let mut bytes = 0;
    let mut statement =
        db.prepare_cached("SELECT organisation, block FROM batch WHERE id = ?1").map_err(&database)?;
    for &id in batches {
        if bytes >= SLICE_BYTES {
            break;
        }
        let mut rows = statement.query([id]).map_err(&database)?;
        if let Some(row) = rows.next().map_err(&database)? {
            let organisation = row.get(0).map_err(&database)?;
            let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
            bytes += block.len();
            let pile = of_organisation.entry(organisation).or_insert_with(|| std::mem::take(spare));
            if let Err(error) = pile.add(block) {
                tracing::error!(%error, batch = id, "a damaged batch is set aside; no report counts it any more");
                slice.unreadable.push(id);
            }
        }
        (slice.taken, slice.upto) = (slice.taken + 1, id);
    }
    for (organisation, mut pile) in of_organisation {
        let mut presences = Presences::of_stripe(db, organisation, stripe)?;
        let spans: Vec<_> = pile.spans().collect();
        let seen = spans.iter().map(|&(key, span)| {
            let registration = names.origin(db, key.origin)?.registration;
            Ok(((key.agent, registration.0, key.shape), span))
        });
        presences.add(seen.collect::<Result<Vec<_>, StoreError>>()?);
        slice.presences.push((organisation, presences));
        let places = Places::of(&spans, names, db)?;
        for (part, block) in pile.blocks(|key, start| places.number(key, start)) {
            let (metric, quarter) = places.place(part);
            slice.segments.push(Segment { organisation, metric, quarter, block });
        }
        *spare = pile;
    }
    Ok(slice)
}

/// Writes a slice in one transaction.
pub(super) fn write_slice(db: &mut Connection, slice: &Slice) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    let mut stale: BTreeSet<(i64, i64, i64)> = BTreeSet::new();
    for segment in &slice.segments {
        let Segment { organisation, metric, quarter, block } = segment;
        let place = (*organisation, KEPT_MEASURED, *metric, *quarter, slice.stripe);
        insert_segment(&transaction, place, block)?;
        stale.insert((KEPT_QUARTERS, hour_of(*quarter), *organisation));
        stale.insert((KEPT_DAYS, day_of(*quarter), *organisation));
    }
    mark_stale(&transaction, slice.stripe, &stale)?;
    for (organisation, presences) in &slice.presences {
        presences.replace(&transaction, *organisation, slice.stripe)?;
    }
    for batch in &slice.unreadable {
        transaction
            .prepare_cached(
                "INSERT INTO damaged (organisation, agent, received_us, block)
                 SELECT organisation, agent, received_us, block FROM batch WHERE id = ?1",
            )?
            .execute([batch])?;
        let probes = transaction
            .prepare_cached("SELECT probes FROM batch WHERE id = ?1")?
            .query_row([batch], |row| row.get(0))?;
        add_to_tally(&transaction, "damaged", probes)?;
        dropped::note_damaged(&transaction, *batch)?;
    }
    transaction
        .prepare_cached(
            "INSERT INTO folded (stripe, batch) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET batch = excluded.batch",
        )?
        .execute(params![slice.stripe, slice.upto])?;
    crash_point("before-fold-commit");
    transaction.commit()?;
    crash_point("after-fold-commit");
    Ok(())
}

/// Where a segment belongs: its organisation, resolution, metric, start and stripe.
pub(super) type SegmentPlace = (i64, i64, Metric, i64, u32);

/// Adds a segment to those of its place.
pub(super) fn insert_segment(
    db: &Connection,
    (organisation, resolution, metric, start, stripe): SegmentPlace,
    block: &Written,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO segment (organisation, resolution, metric, start, stripe, part, cells, probes, block)
         SELECT ?1, ?2, ?3, ?4, ?5, coalesce(max(part), 0) + 1, ?6, ?7, ?8 FROM segment
         WHERE organisation = ?1 AND resolution = ?2 AND metric = ?3 AND start = ?4 AND stripe = ?5",
    )?
    .execute(params![
        organisation,
        resolution,
        metric.name(),
        start,
        stripe,
        block.cells,
        block.probes,
        block.bytes
    ])?;
    Ok(())
}

/// Takes a part of what has been folded out of the log, which must be all up to `newest`. Returns whether more is left.
pub(super) fn sweep(db: &mut Connection, newest: i64) -> rusqlite::Result<bool> {
    let transaction = db.transaction()?;
    transaction
        .prepare_cached("DELETE FROM batch WHERE id <= min(?1, (SELECT min(id) FROM batch) + ?2)")?
        .execute([newest, SWEEP])?;
    let more = transaction.prepare_cached("SELECT 1 FROM batch WHERE id <= ?1 LIMIT 1")?.exists([newest])?;
    if !more {
        // In the same transaction: numbers of batches begin anew when none is left, and must find no word on old ones.
        transaction.prepare_cached("DELETE FROM folded WHERE batch <= ?1")?.execute([newest])?;
    }
    crash_point("before-sweep-commit");
    transaction.commit()?;
    crash_point("after-sweep-commit");
    Ok(more)
}

/// Says of spans of a stripe that their rollups do not hold all. Returns how many of them did until now.
pub(super) fn mark_stale(
    db: &Connection,
    stripe: u32,
    stale: &BTreeSet<(i64, i64, i64)>,
) -> rusqlite::Result<u64> {
    let mut statement = db.prepare_cached(
        "INSERT OR IGNORE INTO stale (resolution, start, organisation, stripe) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut fresh = 0;
    for (resolution, start, organisation) in stale {
        fresh += statement.execute(params![resolution, start, organisation, stripe])? as u64;
    }
    Ok(fresh)
}

/// Numbers the segments that records belong into: a metric and a quarter hour each.
struct Places {
    /// The metric of each shape, as its place in [`Metric::ALL`].
    metrics: HashMap<u32, u32>,
    first: i64,
}

impl Places {
    fn of(spans: &[(Key, (i64, i64))], names: &mut Names, db: &Connection) -> Result<Self, StoreError> {
        let mut places = Self { metrics: HashMap::new(), first: i64::MAX };
        for &(key, (start, _end)) in spans {
            places.first = places.first.min(quarter_of(start));
            if let Entry::Vacant(entry) = places.metrics.entry(key.shape) {
                let metric = names.shape(db, key.shape)?.metric;
                let place = Metric::ALL.iter().position(|there| *there == metric).unwrap_or(0);
                entry.insert(u32::try_from(place).unwrap_or(0));
            }
        }
        Ok(places)
    }

    fn number(&self, key: Key, start: i64) -> u32 {
        // A slice's measurements lie within a few weeks: the horizon that admission keeps.
        let quarters = u32::try_from((quarter_of(start) - self.first) / KEPT_QUARTERS).unwrap_or(0);
        quarters << METRIC_BITS | self.metrics[&key.shape]
    }

    fn place(&self, number: u32) -> (Metric, i64) {
        let metric = Metric::ALL[number as usize & ((1 << METRIC_BITS) - 1)];
        (metric, self.first + i64::from(number >> METRIC_BITS) * KEPT_QUARTERS)
    }
}

/// Enough for the number of metrics.
const METRIC_BITS: u32 = 6;
const _: () = assert!(Metric::ALL.len() <= 1 << METRIC_BITS, "every metric has a number");
