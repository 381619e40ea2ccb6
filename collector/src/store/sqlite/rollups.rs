//! Rollups: recomputed from finer rows in spans that puts marked stale.

use super::{
    Reader,
    reader::{each_of_batches, each_of_rollups},
};
use crate::{
    admission::Attribution,
    store::{StoreError, Totals, coding, coding::Entry, crash_point::crash_point},
};
use ipnet::IpNet;
use peerlight_proto::time::{IntervalLength, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long after its end a span is left alone: its last batches come with their agents' next push.
const SETTLING: Duration = Duration::from_secs(30);

/// A span whose rollup is to be recomputed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stale {
    resolution: IntervalLength,
    start: i64,
    organisation: i64,
    generation: i64,
}

/// A recomputed span: a block for each metric and part of its entries.
#[derive(Debug)]
pub(super) struct Recomputed {
    stale: Stale,
    blocks: Vec<(&'static str, i64, Vec<u8>)>,
}

/// How many entries one part of a rollup holds: a few hundred kilobytes, so that reading one costs little memory.
const PART: usize = 4_096;

/// The stale spans that can be recomputed now: closed, and with nothing finer that is stale.
pub(super) fn due(db: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Stale>> {
    let until = now.minus(SETTLING).as_secs();
    let mut statement = db.prepare_cached(
        "SELECT resolution, start, organisation, generation FROM stale AS coarse
         WHERE start + resolution <= ?1
           AND NOT EXISTS (SELECT 1 FROM stale AS fine WHERE fine.organisation = coarse.organisation
                           AND fine.resolution < coarse.resolution
                           AND fine.start >= coarse.start AND fine.start < coarse.start + coarse.resolution)
           AND start >= coalesce((SELECT start FROM kept_from
                                  WHERE resolution = CASE coarse.resolution WHEN ?2 THEN ?3 ELSE 0 END), start)
         ORDER BY resolution, start LIMIT 64",
    )?;
    let (day, quarter) = (IntervalLength::DAY.as_secs(), IntervalLength::QUARTER_HOUR.as_secs());
    let rows = statement.query_map(params![until, day, quarter], |row| {
        let resolution =
            if row.get::<_, u32>(0)? == day { IntervalLength::DAY } else { IntervalLength::QUARTER_HOUR };
        Ok(Stale { resolution, start: row.get(1)?, organisation: row.get(2)?, generation: row.get(3)? })
    })?;
    rows.collect()
}

/// Recomputes one span from its finer rows, outside the writer.
pub(super) fn recompute(reader: &mut Reader, stale: Stale) -> Result<Recomputed, StoreError> {
    let Reader { db, dictionary } = reader;
    let end = stale.start + i64::from(stale.resolution.as_secs());
    let mut merged = BTreeMap::new();
    let each = |entry: Entry| {
        merge(&mut merged, stale.start, &entry);
        Ok(())
    };
    if stale.resolution == IntervalLength::QUARTER_HOUR {
        each_of_batches(db, stale.organisation, stale.start, end, each)?;
    } else {
        let finer = IntervalLength::QUARTER_HOUR;
        each_of_rollups(db, stale.organisation, (finer, stale.start, end), &BTreeSet::new(), each)?;
    }
    let mut by_metric: BTreeMap<&'static str, Vec<Entry>> = BTreeMap::new();
    for entry in merged.into_values() {
        let (_id, series) = dictionary.series(db, entry.series)?;
        by_metric.entry(series.key.metric.name()).or_default().push(entry);
    }
    let mut blocks = Vec::new();
    for (metric, entries) in by_metric {
        for (part, entries) in (0..).zip(entries.chunks(PART)) {
            blocks.push((metric, part, coding::encode(entries)?));
        }
    }
    Ok(Recomputed { stale, blocks })
}

/// Replaces the span's rollup, if no put came between. Returns whether it did.
pub(super) fn replace(db: &mut Connection, recomputed: &Recomputed) -> rusqlite::Result<bool> {
    let Stale { resolution, start, organisation, generation } = recomputed.stale;
    let span = params![resolution.as_secs(), start, organisation];
    let transaction = db.transaction()?;
    let now: Option<i64> = transaction
        .prepare_cached(
            "SELECT generation FROM stale WHERE resolution = ?1 AND start = ?2 AND organisation = ?3",
        )?
        .query_row(span, |row| row.get(0))
        .optional()?;
    if now != Some(generation) {
        return Ok(false);
    }
    transaction
        .prepare_cached("DELETE FROM rollup WHERE resolution = ?1 AND start = ?2 AND organisation = ?3")?
        .execute(span)?;
    for (metric, part, block) in &recomputed.blocks {
        transaction
            .prepare_cached(
                "INSERT INTO rollup (resolution, start, organisation, metric, part, block)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![resolution.as_secs(), start, organisation, metric, part, block])?;
    }
    crash_point("rollup-written");
    transaction
        .prepare_cached("DELETE FROM stale WHERE resolution = ?1 AND start = ?2 AND organisation = ?3")?
        .execute(span)?;
    crash_point("before-rollup-commit");
    transaction.commit()?;
    crash_point("after-rollup-commit");
    Ok(true)
}

type Key = (i64, i64, i64, Attribution, Option<IpNet>);

fn merge(into: &mut BTreeMap<Key, Entry>, start: i64, entry: &Entry) {
    let key = (entry.registration.0, entry.agent, entry.series, entry.attribution, entry.prefix);
    let empty = || Entry { start: Timestamp::from_secs(start), totals: Totals::default(), ..*entry };
    into.entry(key).or_insert_with(empty).totals.merge(&entry.totals);
}
