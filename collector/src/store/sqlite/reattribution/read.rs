//! Reading what a re-attribution moves, and encoding it anew, from a snapshot.

use super::{
    super::kept::{KEPT_BATCHES, KEPT_DAYS, KEPT_QUARTERS, day_of},
    Kept, Slice,
};
use crate::store::{Moved, Reattribute, StoreError, coding, coding::Entry};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rusqlite::{CachedStatement, Connection, params};

/// How many blocks one slice reads at most: how much is read again after a crash.
const READ_BLOCKS: usize = 2_048;
/// How much one transaction writes, a block more or less: well under 50 ms.
const WRITE_BYTES: usize = 1 << 20;

/// The seconds in which rows of the source may start: those of the span in which it is present. A rollup starts at most
/// a day before what it holds.
pub(super) fn bounds(db: &Connection, order: &Reattribute) -> rusqlite::Result<(i64, i64)> {
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

/// Rollups whose finer rows have expired, whole spans at a time.
pub(super) fn rollups(
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
pub(super) fn batches(
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
