//! Expiry: what the retention no longer keeps goes in slices, each a short transaction.

use crate::store::{Expired, Retention, StoreError, crash_point::crash_point};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rusqlite::{Connection, params};

/// How many rows one transaction drops: a slice stays below 50 ms.
const SLICE: u32 = 200;

/// What one resolution, or the ledger, drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Batches,
    QuarterHours,
    Days,
    Ledger,
}

impl Layer {
    pub(super) const ALL: [Self; 4] = [Self::Batches, Self::QuarterHours, Self::Days, Self::Ledger];

    /// The first second that is kept: whole UTC days go, so that no day is half there.
    fn keeps_from(self, now: Timestamp, retention: &Retention) -> i64 {
        let age = match self {
            Self::Batches => retention.minute,
            Self::QuarterHours => retention.quarter_hour,
            Self::Days => retention.day,
            Self::Ledger => return now.minus(retention.acceptance_horizon).as_secs(),
        };
        Interval::containing(now.minus(age), IntervalLength::DAY).start().as_secs()
    }

    const fn kept_from_row(self) -> Option<u32> {
        match self {
            Self::Batches => Some(0),
            Self::QuarterHours => Some(IntervalLength::QUARTER_HOUR.as_secs()),
            Self::Days => Some(IntervalLength::DAY.as_secs()),
            Self::Ledger => None,
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
    let from = layer.keeps_from(now, retention);
    let mut drop_slice = || -> rusqlite::Result<usize> {
        let transaction = db.transaction()?;
        if let Some(resolution) = layer.kept_from_row() {
            // Told before the rows go: a reader never expects what may be half gone.
            transaction
                .prepare_cached(
                    "INSERT INTO kept_from (resolution, start) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET start = max(start, excluded.start)",
                )?
                .execute(params![resolution, from])?;
        }
        let dropped = transaction.prepare_cached(layer.statement())?.execute(params![from, SLICE])?;
        crash_point("before-expiry-commit");
        transaction.commit()?;
        Ok(dropped)
    };
    drop_slice().map(|dropped| dropped as u64).map_err(StoreError::while_doing("drop what is too old"))
}

/// Adds what a slice dropped.
pub(super) fn count(expired: &mut Expired, layer: Layer, dropped: u64) {
    match layer {
        Layer::Batches => expired.batches += dropped,
        Layer::QuarterHours | Layer::Days => expired.rollups += dropped,
        Layer::Ledger => expired.ledger_entries += dropped,
    }
}
