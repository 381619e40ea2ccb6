//! Re-attributions carried out in slices: read and encoded from a snapshot, written by the writer in short transactions.
//!
//! Measurements that are there as they came are rewritten in their batches and their rollups become stale; where they have
//! expired, the rows of the finest rollups that are left are rewritten. How far the work got stands in its own row, which each
//! transaction advances: a slice counts once, whenever the process dies.

use super::{
    expiry::{KEPT_BATCHES, KEPT_DAYS, KEPT_QUARTERS},
    reader::ceil_secs,
};
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{Moved, Reattribute, Reattribution, StoreError, coding, coding::Entry, crash_point::crash_point},
};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;

/// How many blocks one slice reads at most: how much is read again after a crash.
const READ_BLOCKS: usize = 2_048;
/// How much one transaction writes, a block more or less: well under 50 ms.
const WRITE_BYTES: usize = 1 << 20;

/// What a slice of the work is to write.
#[derive(Debug)]
pub(super) struct Slice {
    work: Work,
    /// The stage and cursor after it; no stage where nothing is left that this snapshot holds.
    stage: Option<i64>,
    cursor: i64,
    blocks: Vec<(i64, Vec<u8>)>,
    stale: BTreeSet<(i64, i64)>,
    moved: Moved,
}

/// Unfinished work and where it stands.
#[derive(Debug)]
struct Work {
    id: i64,
    order: Reattribute,
    /// The resolution of the rollups that it is at, or 0 for batches.
    stage: i64,
    cursor: i64,
}

/// What is kept of each resolution: the first second that it answers for.
#[derive(Debug, Clone, Copy)]
struct Kept {
    days: i64,
    quarters: i64,
    batches: i64,
}

/// Accepts a re-attribution, if no rollup that can only move whole lies across an end of its span.
pub(super) fn begin(db: &mut Connection, order: &Reattribute) -> Result<i64, StoreError> {
    let database = StoreError::while_doing("accept a re-attribution");
    let transaction = db.transaction().map_err(&database)?;
    let kept = kept(&transaction).map_err(&database)?;
    for at in order.since.into_iter().chain([order.until]) {
        check_end(at, kept)?;
    }
    let prefixes = serde_json::to_string(&order.prefixes).unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT INTO reattribution
                 (organisation, source, target, prefixes, since, until, who, reason, begun_us, stage, cursor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .and_then(|mut statement| {
            statement.insert(params![
                order.organisation.0,
                order.from.0,
                order.to.0,
                prefixes,
                order.since.map(ceil_secs),
                ceil_secs(order.until),
                order.who,
                order.reason,
                order.begun.as_micros(),
                KEPT_DAYS,
                i64::MIN
            ])
        })
        .and_then(|id| transaction.commit().map(|()| id))
        .map_err(&database)
}

fn check_end(at: Timestamp, kept: Kept) -> Result<(), StoreError> {
    let second = ceil_secs(at);
    let length = match second {
        second if second < kept.days => return Ok(()),
        second if second < kept.quarters => IntervalLength::DAY,
        second if second < kept.batches => IntervalLength::QUARTER_HOUR,
        _ => return Ok(()),
    };
    let rollup = Interval::containing(Timestamp::from_secs(second), length);
    if rollup.start().as_secs() == second {
        return Ok(());
    }
    Err(StoreError::CutsRollup { at, before: rollup.start(), after: rollup.end() })
}

/// Whether any waits to be carried out.
pub(super) fn is_unfinished(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM reattribution WHERE finished_us IS NULL")?.exists([])
}

/// Every one, the latest first.
pub(super) fn all(db: &Connection) -> Result<Vec<Reattribution>, StoreError> {
    let database = StoreError::while_doing("list re-attributions");
    let mut statement = db
        .prepare_cached(&format!(
            "SELECT {ORDER}, measurements, rollup_rows, probes, spans, unreadable, finished_us
             FROM reattribution ORDER BY id DESC"
        ))
        .map_err(&database)?;
    let mut rows = statement.query([]).map_err(&database)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(&database)? {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let moved = || -> rusqlite::Result<Moved> {
            Ok(Moved {
                measurements: count(10)?,
                rollup_rows: count(11)?,
                probes: count(12)?,
                spans: count(13)?,
                unreadable: count(14)?,
            })
        };
        all.push(Reattribution {
            id: row.get(0).map_err(&database)?,
            order: order(row)?,
            moved: moved().map_err(&database)?,
            finished: row.get::<_, Option<i64>>(15).map_err(&database)?.map(Timestamp::from_micros),
        });
    }
    Ok(all)
}

/// The columns that `order` reads, behind the number.
const ORDER: &str = "id, organisation, source, target, prefixes, since, until, who, reason, begun_us";

fn order(row: &Row<'_>) -> Result<Reattribute, StoreError> {
    let read = || -> rusqlite::Result<(Reattribute, String)> {
        let order = Reattribute {
            organisation: OrganisationId(row.get(1)?),
            from: RegistrationId(row.get(2)?),
            to: RegistrationId(row.get(3)?),
            prefixes: Vec::new(),
            since: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_secs),
            until: Timestamp::from_secs(row.get(6)?),
            who: row.get(7)?,
            reason: row.get(8)?,
            begun: Timestamp::from_micros(row.get(9)?),
        };
        Ok((order, row.get(4)?))
    };
    let (order, prefixes) = read().map_err(StoreError::while_doing("read a re-attribution"))?;
    let prefixes = serde_json::from_str(&prefixes)
        .map_err(|error| StoreError::Damaged { what: "re-attribution", detail: error.to_string() })?;
    Ok(Reattribute { prefixes, ..order })
}

/// The next slice of the oldest unfinished work, read and encoded outside the writer.
pub(super) fn next_slice(db: &Connection) -> Result<Option<Slice>, StoreError> {
    let database = StoreError::while_doing("read what is to be re-attributed");
    let mut statement = db
        .prepare_cached(&format!(
            "SELECT {ORDER}, stage, cursor FROM reattribution WHERE finished_us IS NULL ORDER BY id LIMIT 1"
        ))
        .map_err(&database)?;
    let mut rows = statement.query([]).map_err(&database)?;
    let Some(row) = rows.next().map_err(&database)? else { return Ok(None) };
    let work = Work {
        id: row.get(0).map_err(&database)?,
        order: order(row)?,
        stage: row.get(10).map_err(&database)?,
        cursor: row.get(11).map_err(&database)?,
    };
    let kept = kept(db).map_err(&database)?;
    let (lo, hi) = bounds(db, &work.order).map_err(&database)?;
    let slice = Slice {
        stage: None,
        cursor: i64::MIN,
        blocks: Vec::new(),
        stale: BTreeSet::new(),
        moved: Moved::default(),
        work,
    };
    match slice.work.stage {
        KEPT_DAYS => read_rollups(db, slice, (lo, hi.min(kept.quarters)), kept),
        KEPT_QUARTERS => read_rollups(db, slice, (lo.max(kept.quarters), hi.min(kept.batches)), kept),
        _ => read_batches(db, slice, (lo, hi), kept),
    }
    .map(Some)
}

/// The seconds in which rows of the source may start: those of the span in which it is present. A rollup starts at most
/// a day before what it holds.
fn bounds(db: &Connection, order: &Reattribute) -> rusqlite::Result<(i64, i64)> {
    let (first, last): (Option<i64>, Option<i64>) = db
        .prepare_cached(
            "SELECT min(first), max(last) FROM presence WHERE organisation = ?1 AND registration = ?2",
        )?
        .query_row(params![order.organisation.0, order.from.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok((0, 0)) };
    let first = Interval::containing(Timestamp::from_secs(first), IntervalLength::DAY).start().as_secs();
    let since = order.since.map_or(i64::MIN, Timestamp::as_secs);
    Ok((first.max(since), last.min(order.until.as_secs())))
}

fn kept(db: &Connection) -> rusqlite::Result<Kept> {
    let mut statement = db.prepare_cached("SELECT start FROM kept_from WHERE resolution = ?1")?;
    let mut from = |resolution: i64| {
        let start = statement.query_row([resolution], |row| row.get(0)).optional();
        start.map(|start| start.unwrap_or(i64::MIN))
    };
    let (days, quarters) = (from(KEPT_DAYS)?, from(KEPT_QUARTERS)?);
    Ok(Kept { days, quarters, batches: from(KEPT_BATCHES)?.max(quarters) })
}

/// Rollups whose finer rows have expired, whole spans at a time.
fn read_rollups(
    db: &Connection,
    mut slice: Slice,
    (lo, hi): (i64, i64),
    kept: Kept,
) -> Result<Slice, StoreError> {
    let database = StoreError::while_doing("read rollups that are re-attributed");
    let (stage, organisation) = (slice.work.stage, slice.work.order.organisation.0);
    let mut statement: CachedStatement<'_> = db
        .prepare_cached(
            "SELECT rowid, start, block FROM rollup
             WHERE resolution = ?1 AND start >= ?2 AND start < ?3 AND organisation = ?4 ORDER BY start",
        )
        .map_err(&database)?;
    let from = lo.max(slice.work.cursor);
    let mut rows = statement.query(params![stage, from, hi, organisation]).map_err(&database)?;
    let (mut read, mut written, mut last) = (0, 0, i64::MIN);
    while let Some(row) = rows.next().map_err(&database)? {
        let start = row.get(1).map_err(&database)?;
        if start != last && (read >= READ_BLOCKS || written >= WRITE_BYTES) {
            (slice.stage, slice.cursor) = (Some(stage), start);
            return Ok(slice);
        }
        (read, last) = (read + 1, start);
        let block = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        let Some((block, moved)) = reattribute(block, &slice.work.order, &mut slice.moved)? else { continue };
        slice.moved.rollup_rows += moved.len() as u64;
        slice.moved.probes += moved.iter().map(|entry| entry.totals.counters.scheduled).sum::<u64>();
        let day = day_of(start);
        if stage == KEPT_QUARTERS && day >= kept.quarters {
            slice.stale.insert((KEPT_DAYS, day));
        }
        written += block.len();
        slice.blocks.push((row.get(0).map_err(&database)?, block));
    }
    slice.stage = Some(if stage == KEPT_DAYS { KEPT_QUARTERS } else { KEPT_BATCHES });
    Ok(slice)
}

/// Batches in the order in which they came, so that none is missed that comes meanwhile.
fn read_batches(
    db: &Connection,
    mut slice: Slice,
    (lo, hi): (i64, i64),
    kept: Kept,
) -> Result<Slice, StoreError> {
    let database = StoreError::while_doing("read batches that are re-attributed");
    let newest: Option<i64> =
        db.query_row("SELECT max(id) FROM batch", [], |row| row.get(0)).map_err(&database)?;
    // The unary plus keeps SQLite to the order of numbers: it goes on where the last slice ended.
    let mut statement: CachedStatement<'_> = db
        .prepare_cached(
            "SELECT id, block FROM batch
             WHERE id > ?1 AND +newest_start >= ?2 AND oldest_start < ?3 AND organisation = ?4 ORDER BY id",
        )
        .map_err(&database)?;
    let mut rows = statement
        .query(params![slice.work.cursor, lo, hi, slice.work.order.organisation.0])
        .map_err(&database)?;
    let (mut read, mut written) = (0, 0);
    while let Some(row) = rows.next().map_err(&database)? {
        if read >= READ_BLOCKS || written >= WRITE_BYTES {
            slice.stage = Some(KEPT_BATCHES);
            return Ok(slice);
        }
        read += 1;
        slice.cursor = row.get(0).map_err(&database)?;
        let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        let Some((block, moved)) = reattribute(block, &slice.work.order, &mut slice.moved)? else { continue };
        for entry in moved {
            note(&mut slice, &entry, kept);
        }
        written += block.len();
        slice.blocks.push((slice.cursor, block));
    }
    slice.cursor = newest.unwrap_or(0).max(slice.work.cursor);
    Ok(slice)
}

/// Counts a measurement and marks its rollups. What reaches back beyond what batches are kept for counts in a rollup.
fn note(slice: &mut Slice, entry: &Entry, kept: Kept) {
    let start = entry.start.as_secs();
    if start < kept.batches {
        return;
    }
    slice.moved.measurements += 1;
    slice.moved.probes += entry.totals.counters.scheduled;
    let quarter = Interval::containing(entry.start, IntervalLength::QUARTER_HOUR).start().as_secs();
    slice.stale.insert((KEPT_QUARTERS, quarter));
    slice.stale.insert((KEPT_DAYS, day_of(start)));
}

/// A block with entries moved, and those entries.
type Rewritten = (Vec<u8>, Vec<Entry>);

/// The block with the entries that are taken moved, and those entries; none if it holds none of them, or is damaged.
///
/// A rollup may then hold two entries of one key: answers merge them, as they merge entries of two parts.
fn reattribute(
    block: &[u8],
    order: &Reattribute,
    counts: &mut Moved,
) -> Result<Option<Rewritten>, StoreError> {
    let mut entries = match coding::decode(block) {
        Ok(entries) => entries,
        Err(error) => {
            // Every answer over it fails as it is: it must not hold up all the others, nor expiry.
            tracing::error!(%error, "a damaged block was not re-attributed");
            counts.unreadable += 1;
            return Ok(None);
        }
    };
    let mut moved = Vec::new();
    for entry in &mut entries {
        if order.takes(entry.registration, entry.start) {
            entry.registration = order.to;
            entry.attribution = order.attribution(entry.attribution, entry.prefix);
            moved.push(entry.clone());
        }
    }
    if moved.is_empty() {
        return Ok(None);
    }
    Ok(Some((coding::encode(&entries)?, moved)))
}

/// Writes a slice in one transaction, unless its work went on since it was read.
pub(super) fn write(db: &mut Connection, slice: &Slice, now: Timestamp) -> rusqlite::Result<()> {
    let Slice { work, stage, cursor, blocks, stale, moved } = slice;
    let transaction = db.transaction()?;
    let unchanged = transaction
        .prepare_cached(
            "SELECT 1 FROM reattribution WHERE id = ?1 AND stage = ?2 AND cursor = ?3 AND finished_us IS NULL",
        )?
        .exists(params![work.id, work.stage, work.cursor])?;
    if !unchanged {
        return Ok(());
    }
    let table = if work.stage == KEPT_BATCHES { "batch" } else { "rollup" };
    let mut update =
        transaction.prepare_cached(&format!("UPDATE {table} SET block = ?2 WHERE rowid = ?1"))?;
    for (row, block) in blocks {
        update.execute(params![row, block])?;
    }
    drop(update);
    crash_point("reattribution-written");
    let spans = mark_stale(&transaction, work.order.organisation, stale)?;
    let finished = stage.is_none() && !more_came(&transaction, work, *cursor)?;
    if finished {
        move_presence(&transaction, &work.order)?;
    }
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "UPDATE reattribution SET stage = ?2, cursor = ?3, measurements = measurements + ?4,
                 rollup_rows = rollup_rows + ?5, probes = probes + ?6, spans = spans + ?7,
                 unreadable = unreadable + ?8, finished_us = ?9 WHERE id = ?1",
        )?
        .execute(params![
            work.id,
            stage.unwrap_or(KEPT_BATCHES),
            cursor,
            signed(moved.measurements),
            signed(moved.rollup_rows),
            signed(moved.probes),
            signed(spans),
            signed(moved.unreadable),
            finished.then_some(now.as_micros())
        ])?;
    crash_point("before-reattribution-commit");
    transaction.commit()?;
    crash_point("after-reattribution-commit");
    Ok(())
}

/// Marks spans and says how many had not been stale.
fn mark_stale(
    db: &Connection,
    organisation: OrganisationId,
    stale: &BTreeSet<(i64, i64)>,
) -> rusqlite::Result<u64> {
    let mut statement = db.prepare_cached(
        "INSERT INTO stale (resolution, start, organisation, generation) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT DO UPDATE SET generation = generation + 1 RETURNING generation",
    )?;
    let mut fresh = 0;
    for (resolution, start) in stale {
        let generation: i64 =
            statement.query_row(params![resolution, start, organisation.0], |row| row.get(0))?;
        fresh += u64::from(generation == 1);
    }
    Ok(fresh)
}

/// Whether batches of the span came after the slice's snapshot.
fn more_came(db: &Connection, work: &Work, cursor: i64) -> rusqlite::Result<bool> {
    let order = &work.order;
    let since = order.since.map_or(i64::MIN, Timestamp::as_secs);
    db.prepare_cached(
        "SELECT 1 FROM batch
         WHERE id > ?1 AND +newest_start >= ?2 AND oldest_start < ?3 AND organisation = ?4 LIMIT 1",
    )?
    .exists(params![cursor, since, order.until.as_secs(), order.organisation.0])
}

/// Gives over the presence, when the last measurement is.
fn move_presence(db: &Connection, order: &Reattribute) -> rusqlite::Result<()> {
    let present: Vec<(i64, i64, i64, i64)> = db
        .prepare_cached(
            "SELECT agent, series, first, last FROM presence WHERE organisation = ?1 AND registration = ?2",
        )?
        .query_map(params![order.organisation.0, order.from.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut forget =
        db.prepare_cached("DELETE FROM presence WHERE agent = ?1 AND series = ?2 AND registration = ?3")?;
    let mut keep = db.prepare_cached(
        "INSERT INTO presence (organisation, agent, registration, series, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    for (agent, series, first, last) in present {
        let (left, moved) = order.split((Timestamp::from_secs(first), Timestamp::from_secs(last)));
        forget.execute([agent, series, order.from.0])?;
        for (registration, span) in [(order.from, left), (order.to, moved)] {
            let Some((first, last)) = span else { continue };
            keep.execute(params![
                order.organisation.0,
                agent,
                registration.0,
                series,
                first.as_secs(),
                last.as_secs()
            ])?;
        }
    }
    Ok(())
}

/// The first second of the UTC day of a second.
const fn day_of(second: i64) -> i64 {
    Interval::containing(Timestamp::from_secs(second), IntervalLength::DAY).start().as_secs()
}
