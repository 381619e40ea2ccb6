//! Compaction: the segments of each quarter of a closed hour become one, its quarter hours and days are recomputed. A span at a time, read
//! and encoded outside the writer, as many metrics in a transaction as it writes in milliseconds.

use super::{
    block::{View, Written, read, write},
    fold::insert_segment,
    kept::{HOUR, KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, day_of, quarter_of},
    reader::{Reader, each_of_unit},
};
use crate::store::{StoreError, crash_point::crash_point};
use peerlight_proto::{metric::Metric, time::Timestamp};
use rusqlite::{Connection, params};
use std::time::Duration;

/// How long after its end a span is left alone: its last batches come with their agents' next push, and are folded with
/// the others.
const SETTLING: Duration = Duration::from_mins(5);
/// How many cells a block holds: some hundred kilobytes.
const CELLS: usize = 1 << 16;
/// How many buckets: some megabytes, where an agent fills its histograms to the brim. What a block can be is far above.
const BUCKETS: usize = 1 << 21;
/// How many bytes of segments one transaction writes, and a metric's more: well under 50 ms.
const WRITE_BYTES: usize = 2 << 20;
/// How many spans are looked for at once.
const TURN: u32 = 64;

/// A span of a stripe whose rollup is to be recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale {
    resolution: i64,
    start: i64,
    organisation: i64,
    stripe: u32,
}

impl Stale {
    /// The end of the span: a day, or an hour of quarter hours.
    const fn end(self) -> i64 {
        self.start + if self.resolution == KEPT_DAYS { KEPT_DAYS } else { HOUR }
    }
}

/// What replaces the segments of some metrics of a span.
#[derive(Debug)]
pub(super) struct Recomputed {
    stale: Stale,
    /// The segments that go.
    gone: Vec<i64>,
    /// Blocks that come, with their resolution, their metric and the start of their span.
    blocks: Vec<(i64, Metric, i64, Written)>,
    bytes: usize,
    /// The metrics that are left to recompute. When none is, the rollups of the span hold all that there is.
    pub(super) rest: &'static [Metric],
}

/// The stale spans that can be recomputed now: closed, with nothing finer that is stale or has gone.
pub(super) fn due(db: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Stale>> {
    let until = now.minus(SETTLING).as_secs();
    let mut statement = db.prepare_cached(
        "SELECT resolution, start, organisation, stripe FROM stale AS coarse
         WHERE start + max(resolution, 3600) <= ?1
           AND NOT EXISTS (SELECT 1 FROM stale AS fine
                           WHERE fine.resolution < coarse.resolution
                           AND fine.start >= coarse.start AND fine.start < coarse.start + coarse.resolution
                           AND fine.organisation = coarse.organisation AND fine.stripe = coarse.stripe)
           AND start >= coalesce((SELECT start FROM kept_from
                                  WHERE resolution = CASE coarse.resolution WHEN ?2 THEN ?3 ELSE 0 END), start)
         ORDER BY resolution, start LIMIT ?4",
    )?;
    let rows = statement.query_map(params![until, KEPT_DAYS, KEPT_QUARTERS, TURN], |row| {
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
    let mut recomputed = Recomputed { stale, gone: Vec::new(), blocks: Vec::new(), bytes: 0, rest: metrics };
    while recomputed.bytes < WRITE_BYTES
        && let [metric, rest @ ..] = recomputed.rest
    {
        recomputed.metric(reader, *metric)?;
        recomputed.rest = rest;
    }
    Ok(recomputed)
}

impl Recomputed {
    fn metric(&mut self, reader: &mut Reader, metric: Metric) -> Result<(), StoreError> {
        let Reader { db, cells, spare, .. } = reader;
        let Stale { resolution, start, organisation, stripe } = self.stale;
        let (of, end) = ((organisation, stripe), self.stale.end());
        let finer = if resolution == KEPT_DAYS { KEPT_QUARTERS } else { KEPT_MEASURED };
        cells.clear();
        let mut sources = Vec::new();
        each_of_unit(db, of, (finer, start, end), metric, |id, block| {
            sources.push(id);
            read(block, cells)
        })?;
        each_of_unit(db, of, (resolution, start, end), metric, |id, _block| {
            self.gone.push(id);
            Ok(())
        })?;
        if sources.is_empty() {
            return Ok(());
        }
        cells.merge(spare);
        if resolution == KEPT_DAYS {
            cells.merge_by(day_of, spare);
            return self.add((KEPT_DAYS, metric, start), spare.all());
        }
        self.gone.append(&mut sources);
        cells.merge_by(quarter_of, spare);
        self.add((KEPT_QUARTERS, metric, start), spare.all())?;
        let quarter = |second| u32::try_from((quarter_of(second) - start) / KEPT_QUARTERS).unwrap_or(0);
        for (part, cells) in cells.parts(|_key, start| quarter(start)) {
            self.add((KEPT_MEASURED, metric, start + i64::from(part) * KEPT_QUARTERS), cells)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        (resolution, metric, start): (i64, Metric, i64),
        cells: View<'_>,
    ) -> Result<(), StoreError> {
        for piece in cells.pieces(CELLS, BUCKETS) {
            let block = write(piece)?;
            self.bytes += block.bytes.len();
            self.blocks.push((resolution, metric, start, block));
        }
        Ok(())
    }
}

/// Replaces segments of a span in one transaction. With the last of them its rollups hold all that there is.
pub(super) fn replace(db: &mut Connection, recomputed: &Recomputed) -> rusqlite::Result<()> {
    let Recomputed { stale, gone, blocks, rest, .. } = recomputed;
    let transaction = db.transaction()?;
    for id in gone {
        transaction.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([id])?;
    }
    for (resolution, metric, start, block) in blocks {
        let place = (stale.organisation, *resolution, *metric, *start, stale.stripe);
        insert_segment(&transaction, place, block)?;
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
