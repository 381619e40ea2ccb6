//! Folding: when a quarter hour is over, its batches leave the log for segments, stripe by stripe, read and encoded outside
//! the writer.
//!
//! The transaction that adds segments also says up to which batch the stripe is folded, from when on the log's rows do not
//! count any more. The rows themselves are shared by all stripes and leave in one sweep at the end.

use super::{
    dropped,
    kept::quarter_of,
    log::{add_to_tally, folded, stripe_of},
    slice::Slice,
};
use crate::store::crash_point::crash_point;
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long after the end of a quarter hour its batches are folded: those of its last minute come within the next one. What
/// comes later waits for the next fold, and costs one more reading of its quarter hour.
const SETTLING: Duration = Duration::from_secs(90);
/// How many rows one sweep takes out of the log: well under 50 ms.
const SWEEP: i64 = 1_024;

/// What of the log is to be folded.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// The batch up to which nothing is left once it is.
    pub(super) swept: i64,
    /// Batches by stripe, in order.
    pub(super) stripes: BTreeMap<u32, Vec<i64>>,
}

/// What is to be folded now: of each stripe all up to the first batch that reaches into a quarter hour that is not over;
/// nothing, where the oldest of all does, unless it `must` not wait. If that one was received later than now, the clock was
/// set back, and nothing waits.
pub(super) fn outstanding(db: &Connection, now: Timestamp, must: bool) -> rusqlite::Result<Outstanding> {
    let oldest: Option<(i64, i64)> = db
        .prepare_cached("SELECT received_us, newest_start FROM batch ORDER BY id LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((received, newest_start)) = oldest else { return Ok(Outstanding::default()) };
    let must = must || Timestamp::from_micros(received) > now;
    let over = if must { i64::MAX } else { quarter_of(now.minus(SETTLING).as_secs()) };
    if newest_start >= over && !must {
        return Ok(Outstanding::default());
    }
    let folded = folded(db)?;
    let mut outstanding = Outstanding::default();
    let (mut waiting, mut first_left) = (BTreeSet::new(), None);
    let mut statement = db.prepare_cached("SELECT id, agent, newest_start FROM batch ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, stripe, newest_start): (i64, u32, i64) = (row.get(0)?, stripe_of(row.get(1)?), row.get(2)?);
        if folded.get(&stripe).is_some_and(|upto| id <= *upto) {
            outstanding.swept = id;
        } else if waiting.contains(&stripe) || newest_start >= over {
            waiting.insert(stripe);
            first_left.get_or_insert(id);
        } else {
            outstanding.swept = id;
            outstanding.stripes.entry(stripe).or_default().push(id);
        }
    }
    if let Some(first_left) = first_left {
        outstanding.swept = outstanding.swept.min(first_left - 1);
    }
    Ok(outstanding)
}

/// Writes a slice in one transaction.
pub(super) fn write_slice(db: &mut Connection, slice: &Slice) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for segment in &slice.segments {
        segment.insert(&transaction)?;
    }
    mark_stale(&transaction, slice.stripe, &slice.stale)?;
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

/// Takes a part of what has been folded out of the log, which must be all up to `newest`. Returns whether more of
/// that is left.
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
