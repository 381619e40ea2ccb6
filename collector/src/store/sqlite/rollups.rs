//! Compaction: a quarter hour of which something came late is read again, and its rollup recomputed; the quarter hours of a
//! closed hour come to stand in one segment; days are recomputed. A span at a time, read and encoded outside the writer, as
//! many metrics in a transaction as it writes in milliseconds.

use super::{
    block::{Starting, View, read},
    kept::{HOUR, KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, SCATTERED, day_of, hour_of, quarter_of},
    reader::Reader,
    segment::{Place, Segment, each_of_unit, segments},
};
use crate::store::{StoreError, crash_point::crash_point};
use peerlight_proto::{metric::Metric, time::Timestamp};
use rusqlite::{Connection, params};
use std::time::Duration;

/// How long after its end a span is left alone: its last batches come with their agents' next push, and are folded with
/// the others.
const SETTLING: Duration = Duration::from_mins(5);
/// How many bytes of segments one transaction writes, and a metric's more: well under 50 ms.
const WRITE_BYTES: usize = 2 << 20;
/// How many spans are looked for at once.
const TURN: u32 = 64;

/// A span of a stripe that is to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale {
    /// A quarter hour, a day, or [`SCATTERED`] for an hour.
    resolution: i64,
    start: i64,
    organisation: i64,
    stripe: u32,
}

/// What replaces the segments of some metrics of a span.
#[derive(Debug)]
pub(super) struct Recomputed {
    stale: Stale,
    /// The segments that go.
    gone: Vec<i64>,
    /// Those that come.
    segments: Vec<Segment>,
    bytes: usize,
    /// The metrics that are left to recompute. When none is, the rollups of the span hold all that there is.
    pub(super) rest: &'static [Metric],
}

/// The spans that can be compacted now: closed, with nothing within that is to be compacted first, or has gone.
pub(super) fn due(db: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Stale>> {
    let until = now.minus(SETTLING).as_secs();
    let mut statement = db.prepare_cached(
        "SELECT resolution, start, organisation, stripe FROM stale AS coarse
         WHERE start + resolution <= ?1
           AND NOT EXISTS (SELECT 1 FROM stale AS fine
                           WHERE fine.resolution < coarse.resolution
                           AND fine.start >= coarse.start AND fine.start < coarse.start + coarse.resolution
                           AND fine.organisation = coarse.organisation AND fine.stripe = coarse.stripe)
           AND start >= coalesce((SELECT start FROM kept_from
                                  WHERE resolution = CASE coarse.resolution WHEN ?2 THEN ?3 ELSE ?2 END), start)
         ORDER BY resolution, start LIMIT ?4",
    )?;
    let rows = statement.query_map(params![until, KEPT_QUARTERS, KEPT_MEASURED, TURN], |row| {
        Ok(Stale {
            resolution: row.get(0)?,
            start: row.get(1)?,
            organisation: row.get(2)?,
            stripe: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// Recomputes the first of these metrics of a span from what is finer, as many as make a transaction.
pub(super) fn recompute(
    reader: &mut Reader,
    stale: Stale,
    metrics: &'static [Metric],
) -> Result<Recomputed, StoreError> {
    let mut recomputed =
        Recomputed { stale, gone: Vec::new(), segments: Vec::new(), bytes: 0, rest: metrics };
    while recomputed.bytes < WRITE_BYTES
        && let [metric, rest @ ..] = recomputed.rest
    {
        match stale.resolution {
            KEPT_DAYS => recomputed.day(reader, *metric)?,
            SCATTERED => recomputed.hour(reader, *metric)?,
            _ => recomputed.quarter(reader, *metric)?,
        }
        recomputed.rest = rest;
    }
    Ok(recomputed)
}

impl Recomputed {
    /// What was measured in the quarter hour comes to stand in one segment; so do the quarter hours of its hour, this one
    /// recomputed.
    fn quarter(&mut self, reader: &mut Reader, metric: Metric) -> Result<(), StoreError> {
        let Reader { db, cells, spare, .. } = reader;
        let (quarter, hour) = (self.stale.start, hour_of(self.stale.start));
        cells.clear();
        let measured = (KEPT_MEASURED, quarter, quarter + KEPT_QUARTERS);
        let there = self.gone.len();
        self.replaced(db, measured, metric, |block| read(block, cells))?;
        if self.gone.len() == there {
            return Ok(());
        }
        cells.merge(spare);
        self.add((KEPT_MEASURED, metric, quarter), cells.all())?;
        cells.merge_by(quarter_of, spare);
        let mut others = Starting(spare, |start| quarter_of(start) != quarter);
        self.replaced(db, (KEPT_QUARTERS, hour, hour + HOUR), metric, |block| read(block, &mut others))?;
        spare.sort();
        self.add((KEPT_QUARTERS, metric, hour), spare.all())
    }

    /// The quarter hours of the hour come to stand in one segment.
    fn hour(&mut self, reader: &mut Reader, metric: Metric) -> Result<(), StoreError> {
        let Reader { db, cells, .. } = reader;
        let hour = self.stale.start;
        cells.clear();
        let there = self.gone.len();
        self.replaced(db, (KEPT_QUARTERS, hour, hour + HOUR), metric, |block| read(block, cells))?;
        if self.gone.len() <= there + 1 {
            self.gone.truncate(there);
            return Ok(());
        }
        cells.sort();
        self.add((KEPT_QUARTERS, metric, hour), cells.all())
    }

    /// The day is made of its quarter hours.
    fn day(&mut self, reader: &mut Reader, metric: Metric) -> Result<(), StoreError> {
        let Reader { db, cells, spare, .. } = reader;
        let Stale { start: day, organisation, stripe, .. } = self.stale;
        cells.clear();
        let quarters = (KEPT_QUARTERS, day, day + KEPT_DAYS);
        each_of_unit(db, (organisation, stripe), quarters, metric, |_id, block| read(block, cells))?;
        self.replaced(db, (KEPT_DAYS, day, day + KEPT_DAYS), metric, |_block| Ok(()))?;
        cells.sort();
        cells.merge_by(day_of, spare);
        self.add((KEPT_DAYS, metric, day), spare.all())
    }

    /// Reads segments that go.
    fn replaced(
        &mut self,
        db: &Connection,
        span: (i64, i64, i64),
        metric: Metric,
        mut each: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { stale, gone, .. } = self;
        each_of_unit(db, (stale.organisation, stale.stripe), span, metric, |id, block| {
            gone.push(id);
            each(block)
        })
    }

    /// Adds segments of these cells, if there are any.
    fn add(
        &mut self,
        (resolution, metric, start): (i64, Metric, i64),
        cells: View<'_>,
    ) -> Result<(), StoreError> {
        let Stale { organisation, stripe, .. } = self.stale;
        for segment in segments(Place { organisation, stripe, resolution, metric, start }, cells) {
            let segment = segment?;
            self.bytes += segment.bytes();
            self.segments.push(segment);
        }
        Ok(())
    }
}

/// Replaces segments of a span in one transaction. With the last of them its rollups hold all that there is.
pub(super) fn replace(db: &mut Connection, recomputed: &Recomputed) -> rusqlite::Result<()> {
    let Recomputed { stale, gone, segments, rest, .. } = recomputed;
    let transaction = db.transaction()?;
    for id in gone {
        transaction.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([id])?;
    }
    for segment in segments {
        segment.insert(&transaction)?;
    }
    if rest.is_empty() {
        transaction
            .prepare_cached(
                "DELETE FROM stale WHERE resolution = ?1 AND start = ?2 AND organisation = ?3 AND stripe = ?4",
            )?
            .execute(params![stale.resolution, stale.start, stale.organisation, stale.stripe])?;
    }
    crash_point("rollup-written");
    transaction.commit()?;
    crash_point("after-rollup-commit");
    Ok(())
}
