//! Re-attributions carried out in slices: read and encoded from a snapshot, written by the writer in short transactions.
//!
//! Everything is folded first. Measurements that are kept as they came are moved in their segments and their rollups become
//! stale; where they have expired, the finest rollups that are left are rewritten. What was moved once is not found again, so
//! that work which a crash interrupted begins anew and counts nothing twice.

use super::{
    Reader,
    block::{Cells, Key, Span, Written, read, write},
    dictionary::{number_of_origin, origins_of},
    dropped,
    fold::mark_stale,
    kept::{KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, Kept, ceil_secs, day_of, quarter_of, span_of},
    presence::{Numbered, presence_of},
};
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{Moved, Origin, Reattribute, Reattribution, StoreError, crash_point::crash_point},
};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeSet, HashMap};

/// How much one transaction writes, a block more or less: well under 50 ms.
const WRITE_BYTES: usize = 1 << 20;

/// An order that is to be carried out, and how.
#[derive(Debug)]
pub(super) struct Work {
    id: i64,
    order: Reattribute,
    kept: Kept,
    /// The origins that are moved, and what they become.
    origins: HashMap<u32, u32>,
    /// The segments that may hold some of them: resolution, stripe and number.
    segments: Vec<(i64, u32, i64)>,
    /// The stripes whose agents were present.
    stripes: BTreeSet<u32>,
}

/// What a slice of the work is to write.
#[derive(Debug, Default)]
pub(super) struct Slice {
    blocks: Vec<(i64, Written)>,
    stale: BTreeSet<(u32, i64, i64)>,
    moved: Moved,
}

/// Accepts a re-attribution, if no rollup that can only move whole lies across an end of its span.
pub(super) fn begin(db: &mut Connection, order: &Reattribute) -> Result<i64, StoreError> {
    let database = StoreError::while_doing("accept a re-attribution");
    let transaction = db.transaction().map_err(&database)?;
    let kept = Kept::read(&transaction).map_err(&database)?;
    for at in order.since.into_iter().chain([order.until]) {
        check_end(at, kept)?;
    }
    let prefixes = serde_json::to_string(&order.prefixes).unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT INTO reattribution (organisation, source, target, prefixes, since, until, who, reason, begun_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
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
        second if second < kept.measured => IntervalLength::QUARTER_HOUR,
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

/// The oldest that waits to be carried out. Gives numbers to the origins that it makes, so the writer asks.
pub(super) fn next(db: &mut Connection) -> Result<Option<Work>, StoreError> {
    let database = StoreError::while_doing("read what is to be re-attributed");
    let mut statement = db
        .prepare_cached(&format!(
            "SELECT {ORDER} FROM reattribution WHERE finished_us IS NULL ORDER BY id LIMIT 1"
        ))
        .map_err(&database)?;
    let mut rows = statement.query([]).map_err(&database)?;
    let Some(row) = rows.next().map_err(&database)? else { return Ok(None) };
    let (id, order) = (row.get(0).map_err(&database)?, order(row)?);
    drop(rows);
    drop(statement);
    let mut origins = HashMap::new();
    for (number, origin) in origins_of(db, order.organisation, order.from)? {
        let attribution = order.attribution(origin.attribution, origin.prefix);
        let moved = Origin { registration: order.to, attribution, ..origin };
        origins.insert(number, number_of_origin(db, order.organisation, &moved).map_err(&database)?);
    }
    let kept = Kept::read(db).map_err(&database)?;
    let (stripes, span) = presence_of(db, order.organisation.0, order.from)?;
    let mut work = Work { id, order, kept, origins, segments: Vec::new(), stripes };
    work.segments = segments(db, &work, span).map_err(&database)?;
    Ok(Some(work))
}

/// The segments that may hold what is moved: of the finest resolution that is left of each span.
fn segments(db: &Connection, work: &Work, span: Option<Span>) -> rusqlite::Result<Vec<(i64, u32, i64)>> {
    let Work { order, kept, .. } = work;
    let Some((first, last)) = span else { return Ok(Vec::new()) };
    // A rollup starts at most a day before what it holds.
    let lo = day_of(first).max(order.since.map_or(i64::MIN, Timestamp::as_secs));
    let hi = last.min(order.until.as_secs());
    let mut statement = db.prepare_cached(
        "SELECT stripe, id FROM segment WHERE resolution = ?1 AND start >= ?2 AND start < ?3 AND organisation = ?4",
    )?;
    let mut segments = Vec::new();
    for (resolution, from, to) in [
        (KEPT_DAYS, lo, hi.min(kept.quarters)),
        (KEPT_QUARTERS, lo.max(kept.quarters), hi.min(kept.measured)),
        (KEPT_MEASURED, lo.max(kept.measured), hi),
    ] {
        let from = if from == i64::MIN { from } else { span_of(resolution, from) };
        let mut rows = statement.query(params![resolution, from, to, order.organisation.0])?;
        while let Some(row) = rows.next()? {
            let stripe = row.get(0)?;
            if work.stripes.contains(&stripe) {
                segments.push((resolution, stripe, row.get(1)?));
            }
        }
    }
    Ok(segments)
}

/// Reads and encodes the next slice. None when nothing is left.
pub(super) fn next_slice(reader: &Reader, work: &mut Work) -> Result<Option<Slice>, StoreError> {
    if work.segments.is_empty() {
        return Ok(None);
    }
    let database = StoreError::while_doing("read segments that are re-attributed");
    let mut slice = Slice::default();
    let mut written = 0;
    let mut statement =
        reader.db.prepare_cached("SELECT block FROM segment WHERE id = ?1").map_err(&database)?;
    while written < WRITE_BYTES
        && let Some((resolution, stripe, id)) = work.segments.pop()
    {
        let mut rows = statement.query([id]).map_err(&database)?;
        let Some(row) = rows.next().map_err(&database)? else { continue };
        let block = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        if let Some(block) = slice.rewrite(work, (resolution, stripe), block)? {
            written += block.bytes.len();
            slice.blocks.push((id, block));
        }
    }
    Ok(Some(slice))
}

impl Slice {
    /// The block with what is moved moved; none if it holds nothing of it, or is damaged.
    fn rewrite(
        &mut self,
        work: &Work,
        (resolution, stripe): (i64, u32),
        block: &[u8],
    ) -> Result<Option<Written>, StoreError> {
        let mut cells = Cells::default();
        if let Err(error) = read(block, &mut cells) {
            // Every answer over it fails as it is: it must not hold up all the others, nor expiry.
            tracing::error!(%error, "a damaged block was not re-attributed");
            self.moved.unreadable += 1;
            return Ok(None);
        }
        let mut moved = false;
        cells.rename(|key, cell| {
            let origin =
                work.origins.get(&key.origin).filter(|_| work.order.covers(Timestamp::from_secs(cell.start)));
            let Some(&origin) = origin else { return key };
            moved = true;
            self.moved.probes += cell.counters.scheduled;
            match resolution {
                KEPT_MEASURED => {
                    self.moved.measurements += 1;
                    self.stale.insert((stripe, KEPT_QUARTERS, quarter_of(cell.start)));
                    self.stale.insert((stripe, KEPT_DAYS, day_of(cell.start)));
                }
                KEPT_QUARTERS if day_of(cell.start) >= work.kept.quarters => {
                    self.moved.rollup_rows += 1;
                    self.stale.insert((stripe, KEPT_DAYS, day_of(cell.start)));
                }
                _ => self.moved.rollup_rows += 1,
            }
            Key { origin, ..key }
        });
        if !moved {
            return Ok(None);
        }
        cells.merge(&mut Cells::default());
        write(cells.all()).map(Some)
    }
}

/// Writes a slice in one transaction.
pub(super) fn write_slice(db: &mut Connection, work: &Work, slice: &Slice) -> rusqlite::Result<()> {
    let Slice { blocks, stale, moved } = slice;
    let transaction = db.transaction()?;
    let mut update =
        transaction.prepare_cached("UPDATE segment SET block = ?2, cells = ?3, probes = ?4 WHERE id = ?1")?;
    for (id, block) in blocks {
        update.execute(params![id, block.bytes, block.cells, block.probes])?;
    }
    drop(update);
    crash_point("reattribution-written");
    let mut spans = 0;
    for (stripe, resolution, start) in stale {
        let span = BTreeSet::from([(*resolution, *start, work.order.organisation.0)]);
        spans += mark_stale(&transaction, *stripe, &span)?;
    }
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "UPDATE reattribution SET measurements = measurements + ?2, rollup_rows = rollup_rows + ?3,
                 probes = probes + ?4, spans = spans + ?5, unreadable = unreadable + ?6 WHERE id = ?1",
        )?
        .execute(params![
            work.id,
            signed(moved.measurements),
            signed(moved.rollup_rows),
            signed(moved.probes),
            signed(spans),
            signed(moved.unreadable)
        ])?;
    crash_point("before-reattribution-commit");
    transaction.commit()?;
    crash_point("after-reattribution-commit");
    Ok(())
}

/// Gives over the presence, and says that the work is done.
pub(super) fn finish(db: &mut Connection, work: &Work, now: Timestamp) -> Result<(), StoreError> {
    let database = StoreError::while_doing("finish a re-attribution");
    let transaction = db.transaction().map_err(&database)?;
    let Work { id, order, stripes, .. } = work;
    for &stripe in stripes {
        let mut presences = Numbered::of_stripe(&transaction, order.organisation.0, stripe)?;
        let mut given = Vec::new();
        presences.retain(|(agent, registration, shape), (first, last)| {
            if registration != order.from.0 {
                return true;
            }
            let (left, moved) = order.split((Timestamp::from_secs(first), Timestamp::from_secs(last)));
            for (registration, span) in [(order.from, left), (order.to, moved)] {
                let span = span.map(|(first, last)| (first.as_secs(), last.as_secs()));
                given.extend(span.map(|span| ((agent, registration.0, shape), span)));
            }
            false
        });
        presences.add(given);
        presences.replace(&transaction, order.organisation.0, stripe).map_err(&database)?;
    }
    dropped::reattribute(&transaction, order).map_err(&database)?;
    transaction
        .prepare_cached("UPDATE reattribution SET finished_us = ?2 WHERE id = ?1")
        .and_then(|mut statement| statement.execute(params![id, now.as_micros()]))
        .map_err(&database)?;
    transaction.commit().map_err(&database)
}
