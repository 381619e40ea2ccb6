//! Expiry: what the retention no longer keeps goes in slices, each a short transaction.

use super::{
    kept::{KEPT_BATCHES, KEPT_DAYS, KEPT_LEDGER, KEPT_QUARTERS, day_of},
    reattribution,
};
use crate::store::{Expired, LEDGER_MARGIN, Retention, StoreError, crash_point::crash_point};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use std::time::Duration;

/// How many rows one transaction drops: a slice stays below 50 ms.
const SLICE: u32 = 200;
/// How long finer rows outlive their retention while their rollup cannot be made. A damaged block must not fill the disk.
const PATIENCE: Duration = Duration::from_hours(7 * 24);

/// What one resolution, or the ledger, drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Batches,
    QuarterHours,
    Days,
    Ledger,
    Presence,
}

impl Layer {
    pub(super) const ALL: [Self; 5] =
        [Self::Batches, Self::QuarterHours, Self::Days, Self::Ledger, Self::Presence];

    /// The first second that the retention keeps: whole UTC days go, so that no day is half there.
    fn keeps_from(self, now: Timestamp, retention: &Retention) -> i64 {
        let age = match self {
            Self::Batches => retention.minute,
            Self::QuarterHours => retention.quarter_hour,
            Self::Days | Self::Presence => retention.day,
            Self::Ledger => {
                return now.minus(retention.acceptance_horizon.saturating_add(LEDGER_MARGIN)).as_secs();
            }
        };
        day_of(now.minus(age).as_secs())
    }

    /// Where `kept_from` tells of it.
    const fn kept(self) -> Option<i64> {
        match self {
            Self::Batches => Some(KEPT_BATCHES),
            Self::QuarterHours => Some(KEPT_QUARTERS),
            Self::Days => Some(KEPT_DAYS),
            Self::Ledger => Some(KEPT_LEDGER),
            Self::Presence => None,
        }
    }

    /// The resolution that is recomputed from it, and so must not be stale where it goes.
    const fn coarser(self) -> Option<i64> {
        match self {
            Self::Batches => Some(KEPT_QUARTERS),
            Self::QuarterHours => Some(KEPT_DAYS),
            Self::Days | Self::Ledger | Self::Presence => None,
        }
    }

    const fn statement(self) -> &'static str {
        match self {
            // A batch goes when all of it is old; the part of it that is older is no longer asked for.
            Self::Batches => {
                "DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE newest_start < ?1 LIMIT ?2)"
            }
            Self::QuarterHours => {
                "DELETE FROM rollup WHERE rowid IN (SELECT rowid FROM rollup WHERE resolution = 900 AND start < ?1 LIMIT ?2)"
            }
            Self::Days => {
                "DELETE FROM rollup WHERE rowid IN (SELECT rowid FROM rollup WHERE resolution = 86400 AND start < ?1 LIMIT ?2)"
            }
            Self::Ledger => {
                "DELETE FROM ledger WHERE (agent, session, sequence) IN
                 (SELECT agent, session, sequence FROM ledger WHERE newest_end < ?1 LIMIT ?2)"
            }
            Self::Presence => {
                "DELETE FROM presence WHERE (agent, series, registration) IN
                 (SELECT agent, series, registration FROM presence WHERE last < ?1 LIMIT ?2)"
            }
        }
    }
}

/// Drops one slice of a layer. Returns how many rows went; none when the layer holds nothing more that is too old.
pub(super) fn slice(
    db: &mut Connection,
    layer: Layer,
    now: Timestamp,
    retention: &Retention,
) -> Result<u64, StoreError> {
    drop_slice(db, layer, now, retention)
        .map(|dropped| dropped as u64)
        .map_err(StoreError::while_doing("drop what is too old"))
}

fn drop_slice(
    db: &mut Connection,
    layer: Layer,
    now: Timestamp,
    retention: &Retention,
) -> rusqlite::Result<usize> {
    let transaction = db.transaction()?;
    // What waits to be re-attributed stays as fine as it was when its span was accepted.
    if layer != Layer::Ledger && reattribution::is_unfinished(&transaction)? {
        return Ok(0);
    }
    let from = keeps_from(&transaction, layer, now, retention)?;
    if let Some(kept) = layer.kept() {
        // Told before the rows go: a reader never expects what may be half gone.
        transaction
            .prepare_cached(
                "INSERT INTO kept_from (resolution, start) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET start = max(start, excluded.start)",
            )?
            .execute([kept, from])?;
    }
    if let Some(coarser) = layer.coarser() {
        // Only where patience ended: nothing is left to recompute these from.
        transaction
            .prepare_cached("DELETE FROM stale WHERE resolution = ?1 AND start < ?2")?
            .execute([coarser, from])?;
    }
    let dropped = transaction.prepare_cached(layer.statement())?.execute(params![from, SLICE])?;
    crash_point("before-expiry-commit");
    transaction.commit()?;
    crash_point("after-expiry-commit");
    Ok(dropped)
}

/// The first second that is kept: as the retention says, but nothing goes from below a stale rollup.
fn keeps_from(db: &Connection, layer: Layer, now: Timestamp, retention: &Retention) -> rusqlite::Result<i64> {
    let from = layer.keeps_from(now, retention);
    let Some(coarser) = layer.coarser() else { return Ok(from) };
    let stale: Option<i64> = db
        .prepare_cached("SELECT min(start) FROM stale WHERE resolution = ?1")?
        .query_row([coarser], |row| row.get(0))?;
    let patient = layer.keeps_from(now.minus(PATIENCE), retention);
    Ok(stale.map_or(from, |stale| from.min(day_of(stale).max(patient))))
}

/// Adds what a slice dropped.
pub(super) fn count(expired: &mut Expired, layer: Layer, dropped: u64) {
    match layer {
        Layer::Batches => expired.batches += dropped,
        Layer::QuarterHours | Layer::Days => expired.rollups += dropped,
        Layer::Ledger => expired.ledger_entries += dropped,
        Layer::Presence => {}
    }
}
