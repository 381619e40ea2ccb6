//! Writing a slice of a re-attribution, and how far the work got, in one short transaction.

use super::{super::kept::KEPT_BATCHES, Slice, Work};
use crate::{
    organisation::OrganisationId,
    store::{Reattribute, crash_point::crash_point},
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Writes a slice in one transaction, unless its work went on since it was read.
pub(in super::super) fn write(db: &mut Connection, slice: &Slice, now: Timestamp) -> rusqlite::Result<()> {
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
