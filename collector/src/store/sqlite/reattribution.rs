//! Re-attributions carried out in slices: read and encoded from a snapshot, written by the writer in short transactions.
//!
//! Measurements that are there as they came are rewritten in their batches and their rollups become stale; where they have
//! expired, the rows of the finest rollups that are left are rewritten. How far the work got stands in its own row, which each
//! transaction advances: a slice counts once, whenever the process dies.

mod read;
mod write;

pub(super) use write::write;

use super::kept::{KEPT_BATCHES, KEPT_DAYS, KEPT_QUARTERS, ceil_secs};
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{Moved, Reattribute, Reattribution, StoreError},
};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;

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
    let (lo, hi) = read::bounds(db, &work.order).map_err(&database)?;
    let slice = Slice {
        stage: None,
        cursor: i64::MIN,
        blocks: Vec::new(),
        stale: BTreeSet::new(),
        moved: Moved::default(),
        work,
    };
    match slice.work.stage {
        KEPT_DAYS => read::rollups(db, slice, (lo, hi.min(kept.quarters)), kept),
        KEPT_QUARTERS => read::rollups(db, slice, (lo.max(kept.quarters), hi.min(kept.batches)), kept),
        _ => read::batches(db, slice, (lo, hi), kept),
    }
    .map(Some)
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
