//! Rollups: recomputed from finer rows in spans that puts marked stale.

use super::{Reader, reader::rollup_blocks};
use crate::store::{StoreError, coding, coding::Entry, crash_point::crash_point};
use peerlight_proto::{
    limits,
    time::{IntervalLength, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, btree_map},
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

/// A recomputed span: one block for each metric.
#[derive(Debug)]
pub(super) struct Recomputed {
    stale: Stale,
    blocks: Vec<(&'static str, Vec<u8>)>,
}

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
    let end = stale.start + i64::from(stale.resolution.as_secs());
    let mut merged = BTreeMap::new();
    if stale.resolution == IntervalLength::QUARTER_HOUR {
        reader.each_batch(stale.organisation, stale.start, end, |entry| {
            merge(&mut merged, stale.start, entry);
        })?;
    } else {
        let quarters = IntervalLength::QUARTER_HOUR;
        for block in rollup_blocks(&reader.db, stale.organisation, quarters, stale.start, end, None)? {
            for entry in coding::decode(&block)? {
                merge(&mut merged, stale.start, entry);
            }
        }
    }
    let mut by_metric: BTreeMap<&'static str, Vec<Entry>> = BTreeMap::new();
    for entry in merged.into_values() {
        let (_id, series) = reader.dictionary.series(&reader.db, entry.series)?;
        by_metric.entry(series.key.metric.name()).or_default().push(entry);
    }
    let blocks = by_metric
        .into_iter()
        .map(|(metric, entries)| Ok((metric, coding::encode(&entries)?)))
        .collect::<Result<_, StoreError>>()?;
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
    for (metric, block) in &recomputed.blocks {
        transaction
            .prepare_cached(
                "INSERT INTO rollup (resolution, start, organisation, metric, block) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![resolution.as_secs(), start, organisation, metric, block])?;
    }
    transaction
        .prepare_cached("DELETE FROM stale WHERE resolution = ?1 AND start = ?2 AND organisation = ?3")?
        .execute(span)?;
    crash_point("before-rollup-commit");
    transaction.commit()?;
    Ok(true)
}

type Key = (i64, i64, i64, crate::store::Attribution, Option<ipnet::IpNet>);

fn merge(into: &mut BTreeMap<Key, Entry>, start: i64, entry: Entry) {
    let key = (entry.registration.0, entry.agent, entry.series, entry.attribution, entry.prefix);
    match into.entry(key) {
        btree_map::Entry::Vacant(vacant) => {
            vacant.insert(Entry { start: Timestamp::from_secs(start), ..entry });
        }
        btree_map::Entry::Occupied(mut there) => {
            let there = there.get_mut();
            there.counters.merge(&entry.counters);
            there.histogram.merge(&entry.histogram);
            crate::store::merge::merge_attributes(&mut there.attributes, &entry.attributes);
        }
    }
}

/// The span of starts in which a batch can lie that holds a measurement of `from..to`.
pub(super) fn batch_starts(from: i64, to: i64) -> (i64, i64) {
    let span = i64::try_from(limits::MAX_BATCH_SPAN.as_secs()).unwrap_or(i64::MAX);
    (from, to.saturating_add(span))
}
