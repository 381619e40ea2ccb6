//! Expiry: what the retention no longer keeps goes in slices, each a short transaction.

use super::{
    kept::{KEPT_DAYS, KEPT_LEDGER, KEPT_MEASURED, KEPT_QUARTERS, SCATTERED, day_of},
    log::add_to_tally,
    presence::Numbered,
    reattribution,
};
use crate::store::{Expired, LEDGER_MARGIN, Retention, StoreError, crash_point::crash_point};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use std::time::Duration;

/// How many segments one transaction drops, of some hundred kilobytes each at most: a slice stays below 50 ms.
const SEGMENTS: u32 = 64;
/// How many entries of the ledger one transaction drops.
const ENTRIES: u32 = 2_000;
/// How many stripes one transaction looks through.
const STRIPES: u32 = 32;
/// How long finer segments outlive their retention while their rollup cannot be made. A damaged block must not fill the
/// disk.
const PATIENCE: Duration = Duration::from_hours(7 * 24);

/// What one resolution, or the ledger, drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Measured,
    QuarterHours,
    Days,
    Ledger,
}

impl Layer {
    pub(super) const ALL: [Self; 4] = [Self::Measured, Self::QuarterHours, Self::Days, Self::Ledger];

    /// The first second that the retention keeps: whole UTC days go, so that no day is half there.
    pub(super) fn keeps_from(self, now: Timestamp, retention: &Retention) -> i64 {
        let age = match self {
            Self::Measured => retention.minute,
            Self::QuarterHours => retention.quarter_hour,
            Self::Days => retention.day,
            Self::Ledger => {
                return now.minus(retention.acceptance_horizon.saturating_add(LEDGER_MARGIN)).as_secs();
            }
        };
        day_of(now.minus(age).as_secs())
    }

    /// Where `kept_from` tells of it.
    const fn kept(self) -> i64 {
        match self {
            Self::Measured => KEPT_MEASURED,
            Self::QuarterHours => KEPT_QUARTERS,
            Self::Days => KEPT_DAYS,
            Self::Ledger => KEPT_LEDGER,
        }
    }

    /// What is made of it, as `stale` tells of it, and so must have been made where it goes.
    const fn coarser(self) -> &'static [i64] {
        match self {
            Self::Measured => &[KEPT_QUARTERS],
            Self::QuarterHours => &[SCATTERED, KEPT_DAYS],
            Self::Days | Self::Ledger => &[],
        }
    }

    /// Drops a slice of what starts, or ends, before a second.
    fn drop_before(self, db: &Connection, from: i64) -> rusqlite::Result<usize> {
        let segments = |resolution: i64| {
            let mut dropped = db.prepare_cached(
                "DELETE FROM segment WHERE id IN
                 (SELECT id FROM segment WHERE resolution = ?1 AND start < ?2 LIMIT ?3) RETURNING probes",
            )?;
            let probes =
                dropped.query_map(params![resolution, from, SEGMENTS], |row| row.get::<_, i64>(0))?;
            let probes: Vec<i64> = probes.collect::<rusqlite::Result<_>>()?;
            if resolution == KEPT_MEASURED {
                add_to_tally(db, "expired", probes.iter().sum())?;
            }
            Ok(probes.len())
        };
        match self {
            Self::Measured => segments(KEPT_MEASURED),
            Self::QuarterHours => segments(KEPT_QUARTERS),
            Self::Days => segments(KEPT_DAYS),
            Self::Ledger => {
                let dropped = db
                    .prepare_cached(
                        "DELETE FROM ledger WHERE (turn, session) IN
                         (SELECT turn, session FROM ledger WHERE newest_end < ?1 LIMIT ?2)",
                    )?
                    .execute(params![from, ENTRIES])?;
                add_to_tally(db, "ledger", -i64::try_from(dropped).unwrap_or(i64::MAX))?;
                Ok(dropped)
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
    // Told before the rows go: a reader never expects what may be half gone.
    transaction
        .prepare_cached(
            "INSERT INTO kept_from (resolution, start) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET start = max(start, excluded.start)",
        )?
        .execute([layer.kept(), from])?;
    for coarser in layer.coarser() {
        // Only where patience ended: nothing is left to recompute these from.
        transaction
            .prepare_cached("DELETE FROM stale WHERE resolution = ?1 AND start < ?2")?
            .execute([*coarser, from])?;
    }
    let dropped = layer.drop_before(&transaction, from)?;
    crash_point("before-expiry-commit");
    transaction.commit()?;
    crash_point("after-expiry-commit");
    Ok(dropped)
}

/// The first second that is kept: as the retention says, but nothing goes from below a stale rollup.
fn keeps_from(db: &Connection, layer: Layer, now: Timestamp, retention: &Retention) -> rusqlite::Result<i64> {
    let mut from = layer.keeps_from(now, retention);
    let patient = layer.keeps_from(now.minus(PATIENCE), retention);
    for coarser in layer.coarser() {
        let stale: Option<i64> = db
            .prepare_cached("SELECT min(start) FROM stale WHERE resolution = ?1")?
            .query_row([coarser], |row| row.get(0))?;
        from = stale.map_or(from, |stale| from.min(day_of(stale).max(patient)));
    }
    Ok(from)
}

/// The end of the newest quarter hour that there are measurements of.
pub(super) fn newest(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    db.prepare_cached(
        "SELECT max(second) FROM (SELECT max(start) + ?2 AS second FROM segment WHERE resolution = ?1
                                  UNION ALL SELECT max(newest_start - newest_start % ?2) + ?2 FROM batch)",
    )
    .and_then(|mut statement| {
        statement.query_row([KEPT_MEASURED, KEPT_QUARTERS], |row| row.get::<_, Option<i64>>(0))
    })
    .map(|second| second.map(Timestamp::from_secs))
    .map_err(StoreError::while_doing("find the newest measurement"))
}

/// Adds what a slice dropped.
pub(super) fn count(expired: &mut Expired, layer: Layer, dropped: u64) {
    match layer {
        Layer::Measured => expired.measured += dropped,
        Layer::QuarterHours | Layer::Days => expired.rollups += dropped,
        Layer::Ledger => expired.ledger_entries += dropped,
    }
}

/// Forgets who was last present before the days that are kept, of the first stripes after `after`. Returns the last of them,
/// or none when they were the last of all.
pub(super) fn forget_presence(
    db: &mut Connection,
    now: Timestamp,
    retention: &Retention,
    after: (i64, u32),
) -> Result<Option<(i64, u32)>, StoreError> {
    let database = StoreError::while_doing("forget who was present");
    let transaction = db.transaction().map_err(&database)?;
    if reattribution::is_unfinished(&transaction).map_err(&database)? {
        return Ok(None);
    }
    let from = Layer::Days.keeps_from(now, retention);
    let stripes: Vec<(i64, u32)> = transaction
        .prepare_cached(
            "SELECT organisation, stripe FROM presence WHERE (organisation, stripe) > (?1, ?2)
             ORDER BY organisation, stripe LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![after.0, after.1, STRIPES], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .map_err(&database)?;
    for &(organisation, stripe) in &stripes {
        let mut presences = Numbered::of_stripe(&transaction, organisation, stripe)?;
        let mut forgotten = false;
        presences.retain(|_seen, (_first, last)| {
            forgotten |= last < from;
            last >= from
        });
        if forgotten {
            presences.replace(&transaction, organisation, stripe).map_err(&database)?;
        }
    }
    transaction.commit().map_err(&database)?;
    Ok(stripes.last().copied())
}
